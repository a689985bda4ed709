"""``vaekit detect``: files, text, JSON, and what it says of what cannot be."""

import json

import numpy as np
import pandas as pd
import pytest

from narrowing import untyped
from vaekit import OutlierDetector, VariationalAutoencoder
from vaekit.cli import main

FAST = ["--members", "4", "--false-alarm-rate", "0.05"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detect")
    generator = np.random.default_rng(0)
    size = generator.normal(size=200)
    frame = pd.DataFrame(
        {
            "size": size,
            "weight": 2 * size + 0.1 * generator.normal(size=200),
            "kind": np.where(size > 0, "large", "small"),
            "one": 1,
            "ok": "yes",
        }
    )
    frame.loc[[7, 11], "weight"] = [9.0, -8.0]
    frame.loc[[7, 11], "ok"] = "no"
    frame.loc[5::20, "size"] = np.nan
    frame.to_csv(folder / "all.csv", index=False)
    frame.drop(columns="ok")[:20].to_csv(folder / "new.csv", index=False)
    frame.drop(columns=["ok", "weight"]).to_csv(folder / "other.csv", index=False)
    frame.drop(columns="ok").assign(one=2)[:20].to_csv(folder / "changed.csv", index=False)
    return folder


def run(*words):
    return main(["detect", *map(str, words)])


def test_the_odd_rows_are_written_and_told_with_the_values_to_blame(place, capsys):
    out = place / "odd.csv"
    assert run(place / "all.csv", "--label", "ok", "-o", out, *FAST) == 0
    printed = capsys.readouterr()
    assert "column 'one' plays no part: it has only one value" in printed.err
    assert "of 200 good rows, 10 would be flagged on average" in printed.out
    assert "AUROC" in printed.out
    assert "of the label 'no', the rarest" in printed.out
    written = pd.read_csv(out)
    assert list(written.columns) == ["surprise", "p_value", "flagged", "reason_1", "reason_2", "reason_3"]
    assert len(written) == 200
    assert untyped(written)["flagged"][[7, 11]].all()
    assert untyped(written)["reason_1"][7].startswith("weight 9, expected ")
    assert untyped(written)["reason_1"][~untyped(written)["flagged"]].isna().all()
    first = out.read_bytes()
    assert run(place / "all.csv", "--label", "ok", "-o", out, *FAST) == 0
    assert out.read_bytes() == first


def test_the_label_changes_nothing_but_the_auroc(place, capsys):
    frame = pd.read_csv(place / "all.csv")
    frame["ok"] = frame["ok"].to_numpy()[::-1]
    frame.to_csv(place / "relabelled.csv", index=False)
    for name in ("all", "relabelled"):
        assert (
            run(place / f"{name}.csv", "--label", "ok", "--reasons", "0", "-o", place / f"{name}.tsv", *FAST)
            == 0
        )
    assert (place / "all.tsv").read_bytes() == (place / "relabelled.tsv").read_bytes()


def test_new_rows_are_tested_against_the_others(place, capsys):
    words = [place / "all.csv", place / "new.csv", "--label", "ok", "--json", "--reasons", "1"]
    assert run(*words, "-o", place / "new_odd.csv", *FAST) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == 20
    assert document["fitted_rows"] == 200
    assert document["auroc"] is None
    assert {row["row"] for row in document["flagged"]} >= {7, 11}
    assert all(
        row["reasons"][0]["column"] == "weight" for row in document["flagged"] if row["row"] in (7, 11)
    )
    assert document["left_out"] == {"one": "it has only one value"}
    changed = [place / "all.csv", place / "changed.csv", "--label", "ok", "--reasons", "0"]
    assert run(*changed, "-o", place / "changed_odd.csv", *FAST) == 0
    assert "column 'one' has other values than the one in" in capsys.readouterr().err


def test_false_discoveries_are_controlled_instead(place, capsys):
    assert (
        run(place / "all.csv", "--label", "ok", "--fdr", "0.5", "-o", place / "fdr.csv", "--members", "4")
        == 0
    )
    assert "in expectation (Benjamini and Hochberg)" in capsys.readouterr().out


def test_values_that_stand_for_missing_ones_are_no_evidence(place, capsys):
    frame = pd.read_csv(place / "all.csv")
    frame.loc[frame["size"].isna(), "size"] = -999
    frame.to_csv(place / "coded.csv", index=False)
    quick = ["--label", "ok", "--reasons", "0", *FAST]
    assert run(place / "coded.csv", "--missing-values=-999", "-o", place / "coded.tsv", *quick) == 0
    assert run(place / "all.csv", "-o", place / "empty.tsv", *quick) == 0
    assert (place / "coded.tsv").read_bytes() == (place / "empty.tsv").read_bytes()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["other.csv", "--label", "ok"], 3, "no column 'weight', which the data of the fit have"),
        (
            ["--false-alarm-rate", "0.001"],
            2,
            "--false-alarm-rate 0.001 needs at least 999 rows, and there are 200",
        ),
        (["--false-alarm-rate", "0"], 2, "between 0 and 1"),
        (["--false-alarm-rate", "1"], 2, "between 0 and 1"),
        (["--members", "3"], 2, "an even number"),
        (["--reasons", "-1"], 2, "reasons"),
        (["--label", "nothing"], 3, "no column 'nothing' for the label"),
        (["-o", "odd.npy"], 3, "unknown ending '.npy' for odd rows"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(place, capsys, words, status, message):
    words = [place / word if word.endswith(".csv") else word for word in words]
    if "-o" not in words:
        words += ["-o", place / "never.csv"]
    defaults = [] if "--members" in words else ["--members", "2"]
    assert run(place / "all.csv", *words, *defaults) == status
    assert message in capsys.readouterr().err
    assert not (place / "never.csv").exists()


def test_a_saved_detector_tests_new_rows_without_another_fit(place, capsys, monkeypatch):
    frame = pd.read_csv(place / "all.csv")
    frame.loc[frame["size"].isna(), "size"] = -999
    frame.to_csv(place / "coded.csv", index=False)
    frame[:20].to_csv(place / "coded_new.csv", index=False)
    odd, there = place / "odd.vae", [place / "coded.csv", place / "coded_new.csv"]
    fitted = ["--label", "ok", "--missing-values=-999", "--save", odd, *FAST]
    assert run(*there, "-o", place / "fitted.csv", *fitted) == 0
    assert f"{odd}: the detector, for --model" in capsys.readouterr().out
    assert run(*there, "-o", place / "fitted.csv", *fitted) == 3
    assert "odd.vae exists; choose another --save, or give --force to replace it" in capsys.readouterr().err
    monkeypatch.setattr("vaekit.OutlierDetector.fit", None)
    assert run(there[1], "--model", odd, "-o", place / "loaded.csv") == 0
    printed = capsys.readouterr()
    assert "fitted to    200 rows, 3 columns" in printed.out
    assert "p <= 0.05" in printed.out
    assert "AUROC" in printed.out
    assert (place / "loaded.csv").read_bytes() == (place / "fitted.csv").read_bytes()
    assert run(place / "changed.csv", "--model", odd, "-o", place / "changed_odd.csv", "--json") == 0
    printed = capsys.readouterr()
    assert "changed.csv: column 'one' has other values than the one in" in printed.err
    assert json.loads(printed.out)["left_out"] == {"one": "it has only one value"}
    assert run(there[1], "--model", odd, "-o", place / "strict.csv", "--false-alarm-rate", "0.005") == 0
    strict, usual = (untyped(pd.read_csv(place / f"{name}.csv")) for name in ("strict", "loaded"))
    assert strict["flagged"].sum() < usual["flagged"].sum()
    assert main(["info", str(odd)]) == 0
    told = capsys.readouterr().out
    assert "outlier detector  serves `vaekit detect` as its model, and OutlierDetector.load" in told
    assert f"200 rows of 4 columns, from {there[0]}" in told
    assert main(["info", str(odd), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["missing_values"] == ["-999"]


def test_a_detector_of_python_flags_what_its_contamination_says(place, capsys):
    rows = pd.read_csv(place / "all.csv").drop(columns="ok")
    detector = OutlierDetector(4, contamination=0.1, steps=40).fit(rows)
    detector.save(place / "contaminated.vae")
    assert (
        run(place / "all.csv", "--label", "ok", "--model", place / "contaminated.vae", "-o", place / "c.csv")
        == 0
    )
    assert "flagged      20 of 200 rows: p <= 0.104" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            ["all.csv", "new.csv", "--model"],
            2,
            "the model is a detector, which knows the rows that it was fitted to",
        ),
        (["other.csv", "--model"], 3, "no column 'weight', which the data of the fit have"),
        (
            ["new.csv", "--false-alarm-rate", "0.001", "--model"],
            2,
            "needs at least 999 rows, and there are 200",
        ),
        (["new.csv", "--missing-values=-1", "--model"], 2, "--missing-values is of the fit"),
        (["all.csv", "--label", "nothing", "--model"], 3, "no column 'nothing' for the label"),
        (["new.csv", "--save", "x.vae", "--model"], 2, "--save is for a detector that is fitted here"),
    ],
)
def test_what_a_saved_detector_cannot_do_is_told(place, saved, capsys, words, status, message):
    words = [place / word if word.endswith((".csv", ".vae")) else word for word in words]
    assert run(*words, saved, "-o", place / "never.csv") == status
    assert message in capsys.readouterr().err
    assert not (place / "never.csv").exists()


def test_other_verbs_say_what_a_saved_detector_is_for(place, saved, capsys):
    for words, said in (
        (
            ["score", saved, place / "new.csv"],
            "is no model but a fitted outlier detector, which serves `vaekit detect`",
        ),
        (
            ["impute", place / "new.csv", "--model", saved],
            "is an outlier detector, which serves `vaekit detect`",
        ),
    ):
        assert main([*map(str, words), "-o", str(place / "never.csv")]) == 3
        assert said in capsys.readouterr().err


@pytest.fixture(scope="module")
def saved(place):
    rows = pd.read_csv(place / "all.csv").drop(columns="ok")
    OutlierDetector(2, false_alarm_rate=0.05, steps=20).fit(rows).save(place / "saved.vae")
    return place / "saved.vae"


@pytest.fixture(scope="module")
def model(place):
    good = untyped(pd.read_csv(place / "all.csv"))
    good = good[good["ok"] == "yes"].drop(columns="ok")
    vae = VariationalAutoencoder(2, network="mlp:hidden=32", epochs=60, random_state=0).fit(good[:150])
    vae.save(place / "good.vae")
    good[150:].to_csv(place / "held-out.csv", index=False)
    return place / "good.vae"


def test_a_model_finds_odd_rows_without_training(place, model, capsys):
    words = [place / "held-out.csv", place / "new.csv", "--model", model, "--false-alarm-rate", "0.05"]
    assert run(*words, "-o", place / "by_model.csv") == 0
    told = capsys.readouterr().out
    assert "ranks among  48 rows, 3 columns" in told
    assert "exact only if the model was not fitted to these" in told
    written = untyped(pd.read_csv(place / "by_model.csv"))
    assert list(written.columns) == ["surprise", "p_value", "flagged", "reason_1", "reason_2", "reason_3"]
    assert written["flagged"][[7, 11]].all()
    assert written["flagged"].sum() <= 5
    assert written["reason_1"][7].startswith("weight 9, expected ")
    assert written["p_value"].min() == pytest.approx(1 / 49)
    first = (place / "by_model.csv").read_bytes()
    assert run(*words, "-o", place / "by_model.csv") == 0
    assert (place / "by_model.csv").read_bytes() == first


def test_values_that_a_model_gives_no_probability_are_to_blame(place, model, capsys):
    frame = pd.read_csv(place / "new.csv")
    frame.loc[3, "kind"] = "huge"
    frame.loc[5, "one"] = 2
    frame.to_csv(place / "strange.csv", index=False)
    words = [place / "held-out.csv", place / "strange.csv", "--model", model, "--false-alarm-rate", "0.05"]
    assert run(*words, "--json", "-o", place / "strange_odd.csv") == 0
    printed = capsys.readouterr()
    assert "have no probability under the model" in printed.err
    document = json.loads(printed.out)
    reasons = {row["row"]: row["reasons"][0] for row in document["flagged"]}
    assert (reasons[3]["column"], reasons[3]["value"]) == ("kind", "huge")
    assert (reasons[5]["column"], reasons[5]["value"], reasons[5]["expected"]) == ("one", 2, 1)
    assert document["false_alarm_rate"] == 0.05
    assert run(*words[:5], "0.001", "-o", place / "never.csv") == 2
    assert "needs at least 999 rows, and there are 48" in capsys.readouterr().err


def test_images_are_no_table(place, capsys):
    assert run("digits", "-o", place / "never.csv") == 3
    assert "images; expected a table" in capsys.readouterr().err
