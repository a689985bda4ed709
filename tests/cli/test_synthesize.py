"""``vaekit synthesize``: files, text, JSON, and what it says of what cannot be."""

import json

import numpy as np
import pandas as pd
import pytest

from narrowing import untyped
from vaekit import Synthesizer
from vaekit.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthesize")
    random, n = np.random.default_rng(0), 120
    low = random.integers(1, 50, n)
    frame = pd.DataFrame(
        {
            "note": [f"text {i}" for i in random.permutation(n)],
            "low": low,
            "high": low + random.integers(0, 30, n),
            "customer": [f"C{i:04d}" for i in random.permutation(n)],
            "price": np.round(random.gamma(2, 30, n), 2),
            "home town": random.choice(["Köln am Rhein", "Bonn"], n),
            "since": pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), unit="D"),
        }
    )
    frame.loc[::9, "price"] = np.nan
    frame.loc[0, "high"] = 0
    frame.to_csv(folder / "shop.csv", index=False)
    frame.to_parquet(folder / "shop.parquet", index=False)
    return folder


def run(*words):
    return main(["synthesize", *map(str, words)])


def test_a_table_of_made_up_rows_is_written_in_the_form_of_the_source(place, capsys):
    out = place / "new.csv"
    words = (place / "shop.csv", "-n", 30, "-o", out, "--unique", "customer", "--constraint", "low <= high")
    assert run(*words, "--given", "home town=Bonn", "--given", "low=10..30") == 0
    printed = capsys.readouterr()
    assert (
        "column 'note' is left out: text of 120 different values in 120 rows, too many to be" in printed.err
    )
    assert "; --unique note makes up new values" in printed.err
    assert "column 'customer'" not in printed.err
    assert "constraint 'low <= high': 1 of 120 rows breaks it, the first is row 0" in printed.err
    assert "of the rows drawn; the others are left out" in printed.out
    assert "none, but in the data in price; --keep-missing leaves as many cells empty" in printed.out
    assert f"{out}: 30 rows x 6 columns" in printed.out
    made, source = pd.read_csv(out), pd.read_csv(place / "shop.csv")
    assert list(made.columns) == ["low", "high", "customer", "price", "home town", "since"]
    assert made.dtypes.equals(source.drop(columns="note").dtypes)
    assert set(made["home town"]) == {"Bonn"}
    assert untyped(made["low"]).between(10, 30).all()
    assert untyped(made["low"] <= made["high"]).all()
    assert untyped(made["since"]).str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    assert not set(made["customer"]) & set(source["customer"])
    first = out.read_bytes()
    assert run(*words, "--given", "home town=Bonn", "--given", "low=10..30") == 0
    assert out.read_bytes() == first


def test_types_of_parquet_and_json_of_the_result(place, capsys):
    out = place / "new.parquet"
    assert run(place / "shop.parquet", "-n", 12, "-o", out, "--keep-missing", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["fitted_rows"], told["acceptance"], told["filled"]) == (12, 120, 1.0, [])
    source = pd.read_parquet(place / "shop.parquet").drop(columns=["note", "customer"])
    assert pd.read_parquet(out).dtypes.equals(source.dtypes)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-n", "0"], 2, "-n 0: give a whole number of at least 1"),
        (
            ["-n", "3", "--given", "home town=Boon"],
            2,
            "--given 'home town=Boon': no such value in the data; did you",
        ),
        (["-n", "3", "--given", "low"], 2, "--given 'low': write NAME=VALUE"),
        (["-n", "3", "--given", "low=1", "--given", "low=2"], 2, "--given: low is given twice"),
        (["-n", "3", "--given", "low=200"], 2, "--given low=200: the data hold 1 to 49, whole numbers only"),
        (["-n", "3", "--unique", "custmer"], 3, "no column 'custmer' to keep; did you mean 'customer'?"),
        (["-n", "3", "--unique", "low"], 3, "unique column 'low': "),
        (["-n", "3", "--constraint", "low <"], 2, "constraint 'low <'"),
        (["-n", "3", "--constraint", "low > 90"], 3, "no row meets it"),
        (["-n", "3", "--constraint", "low > 40", "--constraint", "low < 5"], 3, "contradict each other"),
    ],
)
def test_what_cannot_be_is_told_before_training(place, capsys, monkeypatch, words, code, said):
    monkeypatch.setattr("vaekit.jobs.synthesis.synthesizer.train_rows", lambda *_: pytest.fail("trained"))
    assert run(place / "shop.csv", "-o", place / "no.csv", *words) == code
    assert said in capsys.readouterr().err
    assert not (place / "no.csv").exists()


def test_what_is_no_table_of_many_rows_is_told(place, capsys):
    assert run("digits", "-n", 3, "-o", place / "no.csv") == 3
    assert "images; expected a table" in capsys.readouterr().err
    pd.DataFrame({"a": [1, 2, 3]}).to_csv(place / "three.csv", index=False)
    assert run(place / "three.csv", "-n", 3, "-o", place / "no.csv") == 3
    assert "could only repeat them" in capsys.readouterr().err
    assert run(place / "shop.csv", "-n", 3, "-o", place / "no.xyz") == 3
    assert "unknown ending '.xyz'" in capsys.readouterr().err


def test_numbers_and_dates_are_written_as_in_the_source(tmp_path):
    random = np.random.default_rng(0)
    lines = ["nr;tag;preis;stadt"]
    for i in range(60):
        day, price = random.integers(1, 29), random.integers(10, 2000)
        lines.append(
            f"{i:04d};{day:02d}.{day % 12 + 1:02d}.2025;{price},{price % 10}0;{'Köln' if i % 3 else 'Bonn'}"
        )
    (tmp_path / "de.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run(tmp_path / "de.csv", "-n", 20, "-o", tmp_path / "out.csv", "--unique", "nr") == 0
    made = untyped(pd.read_csv(tmp_path / "out.csv", dtype=str))
    assert made["nr"].tolist() == [f"{i:04d}" for i in range(60, 80)]
    assert made["tag"].str.fullmatch(r"\d\d\.\d\d\.2025").all()
    assert made["preis"].str.fullmatch(r"\d+,\d0").all()


def test_the_report_stands_beside_rows_held_out_of_the_fit(place, capsys):
    words = (place / "shop.csv", "-n", 60, "-o", place / "new.csv", "--unique", "customer")
    assert run(*words, "--report", "--target", "home town") == 0
    printed = capsys.readouterr().out
    assert "fitted to    98 rows, 5 columns" in printed
    assert "60 synthetic rows beside 98 training rows; 'real rows' are 22 held-out ones" in printed
    assert "told apart (C2ST)" in printed
    assert "membership, by the model's log p" in printed
    assert "no formal privacy guarantee" in printed
    assert printed.endswith("new.report.html: the same with pictures\n")
    page = (place / "new.report.html").read_text(encoding="utf-8")
    assert "<h1>shop.csv</h1>" in page
    assert "60 rows that a model made up after it had seen 98 real ones" in page
    made = pd.read_csv(place / "new.csv")["customer"]
    assert not set(made) & set(pd.read_csv(place / "shop.csv")["customer"])
    assert run(*words, "--target", "home town") == 2
    assert "--target 'home town': it is what the report asks for: give --report" in capsys.readouterr().err
    assert run(*words, "--report", "--target", "town") == 2
    assert "--target town: there is no column of that name" in capsys.readouterr().err


@pytest.fixture(scope="module")
def artifact(place):
    short = [
        "--epochs",
        "2",
        "--network",
        "mlp:hidden=8",
        "--condition",
        "home town",
    ]
    assert main(["fit", str(place / "shop.csv"), "-o", str(place / "shop.vae"), *short]) == 0
    return place / "shop.vae"


def test_a_model_that_was_fitted_before_makes_rows_up_too(place, artifact, capsys):
    out = place / "by_model.csv"
    words = (place / "shop.csv", "--model", artifact, "-n", 25, "-o", out)
    given = ("--given", "home town=Bonn", "--constraint", "low <= high", "--unique", "customer", "--report")
    assert run(*words, *given) == 0
    printed = capsys.readouterr()
    assert "constraint 'low <= high': 1 of" in printed.err
    assert "25 synthetic rows beside" in printed.out
    made = pd.read_csv(out)
    assert list(made.columns) == ["low", "high", "customer", "price", "home town", "since"]
    assert set(made["home town"]) == {"Bonn"}
    assert untyped(made["low"] <= made["high"]).all()
    assert not set(made["customer"]) & set(pd.read_csv(place / "shop.csv")["customer"])
    for more, said in [
        (["--given", "low=3"], "no condition 'low'"),
        (["--keep-missing"], "--keep-missing: a model's rows have no holes"),
    ]:
        assert run(*words, *more) == 2
        assert said in capsys.readouterr().err


def test_a_saved_synthesizer_makes_up_rows_without_the_table(place, capsys, monkeypatch):
    kept, shop = place / "kept.vae", place / "shop.csv"
    words = ["-n", 25, "--unique", "customer", "--constraint", "low <= high + 60", "--save", kept]
    assert run(shop, *words, "-o", place / "fitted.csv") == 0
    assert f"{kept}: the synthesizer, for --model" in capsys.readouterr().out
    assert run(shop, *words, "-o", place / "fitted.csv") == 3
    assert "kept.vae exists; choose another --save, or give --force to replace it" in capsys.readouterr().err
    monkeypatch.setattr("vaekit.Synthesizer.train", None)
    assert run(shop, "-n", 25, "--model", kept, "-o", place / "loaded.csv") == 0
    assert (place / "loaded.csv").read_bytes() == (place / "fitted.csv").read_bytes()
    assert run("-n", 25, "--model", kept, "-o", place / "alone.parquet") == 0
    assert "fitted to    120 rows, 5 columns" in capsys.readouterr().out
    alone, source = pd.read_parquet(place / "alone.parquet"), pd.read_csv(place / "loaded.csv")
    assert list(alone.columns) == list(source.columns)
    np.testing.assert_allclose(alone["price"], source["price"])
    given = ["--given", "home town=Bonn", "--seed", 5, "--json"]
    assert run("-n", 9, "--model", kept, "-o", place / "given.csv", *given) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 9
    assert set(pd.read_csv(place / "given.csv")["home town"]) == {"Bonn"}
    assert main(["info", str(kept)]) == 0
    assert "synthesizer       serves `vaekit synthesize` as its model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "no data: give a table to make up rows like its own, or a synthesizer that was saved"),
        (["shop.csv", "--save", "x.vae", "--given", "low=3"], 2, "--save keeps a synthesizer for any rows"),
        (
            ["shop.csv", "--save", "x.vae", "--model", "y.vae"],
            2,
            "--save is for a synthesizer that is fitted here",
        ),
        (["shop.csv", "--save", "shop.csv"], 3, "exists and is no vaekit artifact"),
        (["--model", "small.vae", "--report"], 2, "no row is left that it has not seen"),
        (["--model", "small.vae", "--keep-missing"], 2, "--keep-missing is of the fit"),
        (["--model", "small.vae", "--given", "x0=99"], 2, "the data hold"),
        (["--model", "small.vae", "-n", "0"], 2, "give a whole number of at least 1"),
    ],
)
def test_what_saving_cannot_be_is_told(place, small, capsys, words, status, message):
    words = [place / word if word.endswith((".csv", ".vae")) else word for word in words]
    assert run(*(words if "-n" in words else [*words, "-n", 5]), "-o", place / "never.csv") == status
    assert message in capsys.readouterr().err
    assert not (place / "never.csv").exists()


@pytest.fixture(scope="module")
def small(place):
    Synthesizer(passes=1).fit(np.random.default_rng(0).normal(size=(40, 2))).save(place / "small.vae")
