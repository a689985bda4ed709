"""``vaekit impute``: the same file with its holes filled, draws, intervals, and what it says of what cannot be."""

import io
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

from narrowing import untyped
from vaekit import Imputer, VariationalAutoencoder
from vaekit.cli import main

FAST = ["--steps", "30"]
TEXT = "id;name;size;weight;kind;ok;day;empty;one\r\n"


STYLES = [
    r"\d{3}",
    r"n\d+|",
    r"-?\d,\d\d",
    r"\d{4}",
    r'"large ""L"""|small',
    "TRUE|FALSE",
    r"\d\d\.\d\d\.2020",
    "",
    "7",
]


def a_table() -> str:
    """A table of text with a decimal comma, quoted categories, dates, and holes in every column but the first."""
    generator = np.random.default_rng(0)
    lines = [TEXT]
    for i in range(120):
        size = generator.normal()
        cells = [
            f"{i + 1:03d}",
            f"n{generator.integers(10**6)}",
            f"{size:.2f}".replace(".", ","),
            f"{1000 * (5 + size):.0f}",
            '"large ""L"""' if size > 0 else "small",
            "TRUE" if size > -1 else "FALSE",
            f"{1 + i % 28:02d}.01.2020",
            "",
            "7",
        ]
        for j in range(1, 9):
            if (i + 3 * j) % 11 == 0:
                cells[j] = "?" if j == 3 else ""
        lines.append(";".join(cells) + "\r\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("impute")
    (folder / "holes.csv").write_bytes(b"\xef\xbb\xbf" + a_table().encode())
    return folder


def run(*words):
    return main(["impute", *map(str, words)])


def cells(content: bytes) -> list[list[str]]:
    return [line.split(";") for line in content.decode("utf-8-sig").split("\r\n")]


def test_the_same_file_comes_back_with_its_holes_filled(place, capsys):
    out = place / "whole.csv"
    assert run(place / "holes.csv", "-o", out, "--interval", "0.9", *FAST) == 0
    printed = capsys.readouterr()
    before, after = (place / "holes.csv").read_bytes(), out.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf" + TEXT.encode())
    changed = 0
    for old, new in zip(cells(before), cells(after), strict=True):
        for j, (was, now) in enumerate(zip(old, new, strict=True)):
            if was not in ("", "?"):
                assert was == now
            elif len(old) > 1:
                changed += was != now
                assert re.fullmatch(STYLES[j], now), (j, now)
    told = printed.out
    assert f"filled       {changed} of {changed + 120} holes, in 7 of 7 columns" in told
    assert "90 % interval" in told
    assert "in 90 % interval" in told
    for message in (
        "'id' is left out",
        "'name': left out",
        "'empty' has no value at all, and stays empty",
        "'one': only one value is known",
    ):
        assert message in printed.err
    intervals = untyped(pd.read_csv(place / "whole-interval.csv"))
    assert list(intervals.columns) == ["row", "column", "filled", "low", "high"]
    assert len(intervals) == changed
    numbers = intervals[intervals["column"] == "size"]
    assert (numbers["low"].astype(float) <= numbers["filled"].astype(float)).all()
    assert (numbers["filled"].astype(float) <= numbers["high"].astype(float)).all()
    assert intervals[intervals["column"] == "kind"]["low"].isna().all()
    days = intervals[intervals["column"] == "day"]
    assert days["low"].str.fullmatch(r"20\d\d-\d\d-\d\d.*").all()


def test_draws_are_files_of_their_own_and_the_same_again(place, capsys):
    words = [place / "holes.csv", "--draws", "2", "--columns", "size,weight,kind", "--json", *FAST]
    assert run(*words, "-o", place / "drawn.csv") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["paths"] == [str(place / "drawn-1.csv"), str(place / "drawn-2.csv")]
    assert {check["name"] for check in document["checks"]} == {"size", "weight", "kind"}
    first, second = (place / "drawn-1.csv").read_bytes(), (place / "drawn-2.csv").read_bytes()
    assert first != second
    assert not (place / "drawn.csv").exists()
    assert run(*words, "-o", place / "again.csv") == 0
    assert (place / "again-1.csv").read_bytes() == first


def test_standard_input_and_output(place, capsys, monkeypatch):
    class Input:
        buffer = io.BytesIO(b"a,b\n" + b"".join(b"%d,%d\n" % (i, 2 * i) for i in range(30)) + b",8\n")

    monkeypatch.setattr(sys, "stdin", Input())
    assert run("-", "-o", "-", *FAST) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("a,b\n0,0\n1,2\n")
    assert printed.out.splitlines()[-1].endswith(",8")
    assert not printed.out.splitlines()[-1].startswith(",")
    assert "filled       1 of 1 holes" in printed.err


def test_a_file_without_holes_comes_back_the_same(place, capsys):
    (place / "full.csv").write_text('a, "b"\n1, 2\n"3", 4\n')
    assert run(place / "full.csv", "-o", place / "same.csv", "--interval", "0.5") == 0
    assert (place / "same.csv").read_bytes() == (place / "full.csv").read_bytes()
    assert "nothing: 2 rows of 2 columns have no holes" in capsys.readouterr().out
    assert (place / "same-interval.csv").read_text() == "row,column,filled,low,high\n"


def test_little_that_is_known_is_told(place, capsys):
    rows = ["a,b,c", *(f"{i},{i % 7},{'x' if i == 3 else ''}" for i in range(200)), ",,", "5,,"]
    rows[1:4] = [row + "y" for row in rows[1:4]]
    (place / "little.csv").write_text("\n".join(rows) + "\n")
    assert run(place / "little.csv", "-o", place / "more.csv", *FAST) == 0
    told = capsys.readouterr().err
    assert (
        "1 row has no value at all (row 200, counted from 0): what is filled in there is the usual row"
        in told
    )
    assert "next to nothing is known of 'c' (4 values of 202)" in told
    assert not pd.read_csv(place / "more.csv").isna().to_numpy().any()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--draws", "0"], 2, "--draws 0: give a whole number of at least 1"),
        (["--draws", "100000000"], 2, "give at most"),
        (["--interval", "1"], 2, "--interval 1: give a number between 0 and 1"),
        (["--steps", "0"], 2, "steps"),
        (["-o", "out.parquet"], 3, "stays the file that it is: expected .csv"),
        (["-o", "holes.csv"], 2, "it is the file with the holes, which would be lost"),
        (["-o", "-", "--draws", "2"], 2, "several files cannot go to the standard output"),
        (["-o", "-", "--json"], 2, "name a file with -o"),
        (["--columns", "siz"], 2, "there is no column 'siz'; did you mean 'size'?"),
        (["--label", "nothing"], 3, "no column 'nothing' for the label"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(place, capsys, words, status, message):
    before = sorted(place.iterdir())
    words = [place / word if word.endswith((".csv", ".parquet")) else word for word in words]
    words = words if "-o" in words else [*words, "-o", place / "never.csv"]
    assert run(place / "holes.csv", *words) == status
    assert message in capsys.readouterr().err
    assert sorted(place.iterdir()) == before


@pytest.fixture(scope="module")
def model(place):
    frame = pd.read_csv(
        place / "holes.csv", sep=";", decimal=",", na_values="?", parse_dates=["day"], dayfirst=True
    )
    vae = VariationalAutoencoder(2, network="mlp:hidden=16", drop="id,name", epochs=10, random_state=0)
    vae.fit(frame.drop(columns=["empty"]))
    vae.save(place / "pumps.vae")
    return place / "pumps.vae"


def test_a_model_fills_without_training(place, model, capsys):
    out = place / "by-model.csv"
    assert run(place / "holes.csv", "--model", model, "-o", out, "--interval", "0.8", "--drop", "day") == 0
    told = capsys.readouterr().out
    assert "in 90 % interval" in told
    assert all(way in told for way in ("mean", "linear", "kNN", "trees"))
    assert "they have a weight" not in told
    assert "may have been fitted to these rows" in told
    filled = cells(out.read_bytes())
    for old, new in zip(cells((place / "holes.csv").read_bytes()), filled, strict=True):
        for j, (was, now) in enumerate(zip(old, new, strict=True)):
            assert was == now or (was in ("", "?") and re.fullmatch(STYLES[j], now))
            assert now not in ("", "?") or j in (1, 6, 7) or len(old) == 1
    assert len(pd.read_csv(place / "by-model-interval.csv")) > 40
    assert run(place / "holes.csv", "--model", model, "-o", place / "by-model.csv", "--draws", "2") == 0
    assert (place / "by-model-1.csv").read_bytes() != (place / "by-model-2.csv").read_bytes()


def test_a_model_is_compared_with_simpler_ways(place, capsys):
    random = np.random.default_rng(0)
    size, kind = random.normal(size=300), random.integers(3, size=300)
    step = np.where(size > 0, 4.0, -4.0) * (kind - 1) + 0.1 * random.normal(size=300)  # only trees see it
    table = pd.DataFrame(
        {"size": size, "kind": np.array(["a", "b", "c"])[kind], "twice": 2 * size, "step": step}
    )
    vae = VariationalAutoencoder(1, network="mlp:hidden=4", epochs=2, random_state=0).fit(table)
    vae.save(place / "steps.vae")
    for j in range(4):
        table.loc[random.random(300) < 0.2, table.columns[j]] = np.nan
    table.to_csv(place / "steps.csv", index=False)
    words = (place / "steps.csv", "--model", place / "steps.vae", "-o", place / "filled-steps.csv")
    assert run(*words, "--json") == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    for name, check in checks.items():
        assert 0 <= check["of_trees"] < 1.2, name
        assert 0 <= check["of_neighbours"] < 1.2, name
    assert 0.8 < checks["step"]["of_mean"] < 1.2
    assert checks["step"]["of_trees"] < 0.85 * checks["step"]["of_linear"]
    assert checks["twice"]["of_linear"] < 0.85 * checks["twice"]["of_mean"]
    assert run(*words) == 0
    told = capsys.readouterr().out
    assert "trees win    in column 'step'" in told
    assert "say little of it" not in told


def test_a_model_refuses_what_it_does_not_know(place, model, capsys):
    other = (place / "holes.csv").read_text().replace("small", "tiny")
    (place / "other.csv").write_text(other)
    assert run(place / "other.csv", "--model", model, "-o", place / "never.csv") == 3
    assert "unknown category 'tiny'" in capsys.readouterr().err
    assert run(place / "holes.csv", "--model", model, "-o", place / "never.csv", "--missing-values", "x") == 2
    assert "the model is fitted" in capsys.readouterr().err
    (place / "few.csv").write_text("a,b\n1,2\n")
    assert run(place / "few.csv", "--model", model, "-o", place / "never.csv") == 3
    assert "other columns than the" in capsys.readouterr().err
    assert not (place / "never.csv").exists()


def test_images_are_no_table(place, capsys):
    assert run("digits", "-o", place / "never.csv") == 3
    assert "images; expected a table" in capsys.readouterr().err


def test_a_saved_imputer_fills_the_file_with_the_same_bytes_and_others(place, capsys, monkeypatch):
    kept, holes = place / "kept.vae", place / "holes.csv"
    words = ["--interval", "0.9", "--drop", "day", "--save", kept, *FAST]
    assert run(holes, "-o", place / "fitted.csv", *words) == 0
    assert f"{kept}: the imputer, for --model" in capsys.readouterr().out
    assert run(holes, "-o", place / "fitted.csv", *words) == 3
    assert "kept.vae exists; choose another --save, or give --force to replace it" in capsys.readouterr().err
    monkeypatch.setattr("vaekit.Imputer.fit", None)
    assert run(holes, "-o", place / "loaded.csv", "--interval", "0.9", "--model", kept) == 0
    printed = capsys.readouterr()
    assert "cells of the fit that were hidden again" in printed.out
    assert "may have been fitted to these rows" not in printed.out
    for name in ("", "-interval"):
        assert (place / f"loaded{name}.csv").read_bytes() == (place / f"fitted{name}.csv").read_bytes()
    some = (place / "holes.csv").read_bytes().split(b"\r\n")
    (place / "some.csv").write_bytes(b"\r\n".join([*some[:1], *some[20:30], b""]))
    assert run(place / "some.csv", "-o", place / "few.csv", "--model", kept, "--json") == 0
    printed = capsys.readouterr()
    assert "next to nothing is known" not in printed.err
    assert json.loads(printed.out)["rows"] == 10
    whole = (place / "fitted.csv").read_bytes().split(b"\r\n")
    assert (place / "few.csv").read_bytes().split(b"\r\n")[1:11] == whole[20:30]
    assert run(place / "some.csv", "-o", place / "draw.csv", "--model", kept, "--draws", "2") == 0
    assert main(["info", str(kept)]) == 0
    assert "imputer           serves `vaekit impute` as its model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            ["holes.csv", "--save", "x.vae", "--model", "y.vae"],
            2,
            "--save is for an imputer that is fitted here",
        ),
        (["holes.csv", "--save", "holes.csv"], 3, "exists and is no vaekit artifact"),
        (["holes.csv", "--model", "little.vae"], 3, "the model was fitted to 2: 'a', 'b'"),
        (["little.csv", "--model", "little.vae", "--steps", "5"], 2, "--steps are of the fit"),
        (["words.csv", "--model", "little.vae"], 3, "'a'"),
    ],
)
def test_what_a_saved_imputer_cannot_do_is_told(place, little, capsys, words, status, message):
    words = [place / word if word.endswith((".csv", ".vae")) else word for word in words]
    assert run(*words, "-o", place / "never.csv") == status
    assert message in capsys.readouterr().err
    assert not (place / "never.csv").exists()


@pytest.fixture(scope="module")
def little(place):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
    frame.iloc[::5, 0] = np.nan
    frame.to_csv(place / "little.csv", index=False)
    frame.assign(a="word").to_csv(place / "words.csv", index=False)
    Imputer(steps=5).fit(frame).save(place / "little.vae")
