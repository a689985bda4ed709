"""Tables with columns of different types, from the file to the artifact and back to a file."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.cli.test_command_line import fails, run

from narrowing import known, untyped
from vaekit import VariationalAutoencoder, load
from vaekit.data import Schema, from_object, read
from vaekit.errors import ArtifactError, DataError, DataWarning, UsageError
from vaekit.estimator.likelihood_choice import choose_likelihood

COLOURS = np.array(["blue", "green", "red"])


def table(n=400, seed=0):
    """Columns that depend on one another, of five types, one of them constant."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "size": 100 + 20 * z + rng.normal(size=n),
            "colour": COLOURS[np.clip(np.round(z + 1 + 0.3 * rng.normal(size=n)), 0, 2).astype(int)],
            "on": (z + 0.5 * rng.normal(size=n) > 0).astype(int),
            "always": "same",
            "visits": rng.poisson(np.exp(2.5 + 0.8 * z)),
            "sex": np.where(rng.random(n) < 0.5, "F", "M"),
        }
    )


@pytest.fixture(scope="module")
def fitted():
    return VariationalAutoencoder(2, network="mlp:hidden=32", epochs=40, random_state=0).fit(table())


def test_the_likelihood_is_chosen_column_by_column_with_a_reason():
    chosen = choose_likelihood(from_object(table()))
    assert chosen.spec == "mixed:columns=gaussianxcategorical3xbernoullixnegative-binomialxbernoulli"
    assert chosen.reason.startswith("a table whose columns are of different types: 1 gaussian, 1 categorical")
    numbers = from_object(table()[["size", "on"]])
    assert choose_likelihood(numbers).spec == "mixed:columns=gaussianxbernoulli"
    assert choose_likelihood(from_object(table()[["size"]])).spec == "gaussian"


def test_it_beats_independent_columns_and_comes_back_in_the_datas_words(fitted, tmp_path):
    test = table(200, seed=1)
    result = fitted.evaluate(test, samples=50, train=table())
    baseline = result.baselines[0]
    assert baseline.name == "independent columns"
    assert baseline.advantage.mean > 5 * baseline.advantage.standard_error
    again = fitted.reconstruct(test)
    assert fitted.schema_.categories[1] == ("blue", "green", "red")
    assert (again["colour"] == test["colour"]).mean() > 0.7
    assert (again["always"] == "same").all(), "the constant column is restored"
    assert again.dtypes.equals(test.dtypes)
    codes = fitted.reconstruct(test, as_frame=False)
    assert (COLOURS[codes[:, 1].astype(int)] == again["colour"]).all()
    sampled = fitted.sample(500, random_state=0, noise=True)
    assert set(sampled["colour"]) <= set(COLOURS)
    assert sampled.dtypes.equals(test.dtypes)
    as_array = fitted.sample(500, random_state=0, noise=True, as_frame=False)
    assert (as_array[:, 4] == sampled["visits"]).all()
    fitted.save(tmp_path / "m.vae")
    loaded = load(tmp_path / "m.vae")
    assert loaded.sentence_ == fitted.sentence_
    assert loaded.schema_ == fitted.schema_
    assert np.array_equal(loaded.score_samples(test, samples=5), fitted.score_samples(test, samples=5))


def test_a_real_column_in_other_units_moves_the_score_by_the_logarithm_of_the_factor(fitted):
    scaled = table()
    scaled["size"] *= 1000
    other = VariationalAutoencoder(2, network="mlp:hidden=32", epochs=40, random_state=0).fit(scaled)
    difference = fitted.score_samples(table(50, 1), samples=5) - other.score_samples(
        table(50, 1).assign(size=lambda t: 1000 * t["size"]), samples=5
    )
    np.testing.assert_allclose(difference, np.log(1000), atol=2e-2)


def test_a_later_table_is_read_by_the_categories_of_the_model(fitted):
    few = table(60, seed=2)
    reds = few[few["colour"] == "red"].reset_index(
        drop=True
    )  # "red" is category 0 of this table, 2 of the model
    together = fitted.score_samples(few, samples=5)[(few["colour"] == "red").to_numpy()]
    np.testing.assert_allclose(fitted.score_samples(reds, samples=5), together, rtol=1e-4)
    unknown = few.assign(colour=["purple", *few["colour"][1:]])
    with pytest.raises(
        DataError, match=r"'colour' has the unknown category 'purple'.*knows 'blue', 'green', 'red'"
    ):
        fitted.transform(unknown)
    with pytest.warns(DataWarning, match=r"^1 row of 60 .* row 0 \(column 'colour' is 'purple'\)"):
        scores = fitted.score_samples(unknown, samples=5)
    assert (scores == -np.inf).tolist() == [True] + [False] * 59
    with pytest.raises(DataError, match="'size' holds text"):
        fitted.score_samples(few.assign(size="large"))


def test_missing_text_is_no_category_and_an_infinite_number_is_refused():
    few = table(60)
    few.loc[3, "colour"] = None
    dataset = from_object(few)
    assert known(dataset.categories)[1] == ("blue", "green", "red")
    assert np.isnan(dataset.values[3, 1])
    few.loc[4, "size"] = np.inf
    with pytest.raises(DataError, match="1 value of 360 infinite"):
        from_object(few).require_finite()


def test_text_that_is_no_category_is_refused():
    rows = pd.DataFrame({"name": [f"row {i}" for i in range(60)], "x": np.arange(60.0)})
    with pytest.raises(
        DataError, match=r"text of 60 different values, and there are 5\d rows to learn from: too many"
    ):
        VariationalAutoencoder(2, epochs=1, random_state=0).fit(rows)
    with pytest.raises(UsageError, match="likelihood gaussian: columns colour, always, sex with text"):
        VariationalAutoencoder(2, epochs=1, likelihood="gaussian").fit(table(60))


def test_the_schema_is_read_strictly_and_an_older_one_without_categories_loads():
    schema = Schema.fit(from_object(table()), scaling="mixed", continuous=[True, False, False, False, False])
    document = json.loads(json.dumps(schema.to_json()))
    assert Schema.from_json(document) == schema
    assert "categories" not in document["columns"][0]
    document["columns"][1]["categories"] = ["red", "red"]
    with pytest.raises(ArtifactError, match="stand more than once"):
        Schema.from_json(document)


def test_kinds_of_columns_can_be_asked_for_by_name():
    asked = {"size": "student-t", "visits": "zero-inflated-negative-binomial", "on": "categorical"}
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0, columns=asked)
    vae.fit(table(60))
    kinds = "student-txcategorical3xcategorical2xzero-inflated-negative-binomialxbernoulli"
    assert str(vae.sentence_.likelihood) == f"mixed:columns={kinds}"
    assert vae.likelihood_reason_.endswith("; size, visits, on as asked for")
    plain = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    both = VariationalAutoencoder(
        1, network="mlp:hidden=8", epochs=1, random_state=0, columns={"b": "laplace"}
    )
    assert str(both.fit(plain).sentence_.likelihood) == "mixed:columns=gaussianxlaplace"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"columns": {"sise": "gaussian"}},
            UsageError,
            r"no such column; did you mean 'size'\?\. Columns, .*: size \(gauss",
        ),
        (
            {"columns": {"size": "normal"}},
            UsageError,
            "column size: unknown kind 'normal'; .*There are: gaussian, lap",
        ),
        (
            {"columns": {"always": "categorical"}},
            UsageError,
            "column always=categorical: it has the same value in all",
        ),
        ({"columns": {"colour": "poisson"}}, UsageError, "column colour=poisson: it holds text of 3 values"),
        ({"columns": {"size": "categorical"}}, UsageError, "categories are whole numbers from 0"),
        ({"columns": {"size": "poisson"}}, DataError, "in column 0 .* which is poisson"),
        (
            {"columns": {"size": "gaussian"}, "likelihood": "gaussian"},
            UsageError,
            "go with likelihood auto or mixed",
        ),
        ({"columns": ["size"]}, UsageError, "expected kinds by name of column"),
    ],
)
def test_kinds_that_columns_cannot_have_are_refused_with_what_there_is(options, error, message):
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0, **options)
    with pytest.raises(error, match=message):
        vae.fit(table(60))


def test_kinds_of_columns_are_for_tables():
    vae = VariationalAutoencoder(2, epochs=1, random_state=0, columns={"a": "laplace"})
    with pytest.raises(UsageError, match="kinds of column are for tables, and the data are images"):
        vae.fit(np.zeros((20, 1, 4, 4), np.uint8))


FAST = ["--epochs", "2", "--network", "mlp:hidden=16", "--latent", "2", "--samples", "5"]


def test_every_verb_from_file_to_file(capsys, tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    model = tmp_path / "t.vae"
    status, out, err = run(capsys, "fit", tmp_path / "t.csv", "-o", model, *FAST, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["likelihood"].startswith("mixed:columns=gaussianxcategorical3x")
    names = [b["name"] for b in document["test"]["baselines"]]
    assert names[:2] == ["independent columns", "Gaussian copula"]
    assert names[2].startswith("a Gaussian for each category of ")
    assert names[3].endswith(" latent classes")
    for verb, extra in (("sample", ["-n", "20"]), ("reconstruct", [tmp_path / "t.csv"])):
        assert run(capsys, verb, model, *extra, "-o", tmp_path / "out.csv")[0] == 0
        written = pd.read_csv(tmp_path / "out.csv")
        assert list(written.columns) == list(table().columns)
        assert set(written["colour"]) <= set(COLOURS)
        assert set(written["always"]) == {"same"}
    assert run(capsys, "score", model, tmp_path / "t.csv", "-o", tmp_path / "s.csv", "--samples", "5")[0] == 0
    table(20).assign(sex="X").to_csv(tmp_path / "x.csv", index=False)
    message = fails(capsys, 3, "encode", model, tmp_path / "x.csv", "-o", tmp_path / "s.csv")
    assert "unknown category 'X'" in message
    status, _, err = run(capsys, "score", model, tmp_path / "x.csv", "-o", tmp_path / "s.csv")
    assert status == 0
    assert "20 rows of 20" in err
    assert "column 'sex' is 'X'" in err
    assert untyped(pd.read_csv(tmp_path / "s.csv")["log_likelihood"] == -np.inf).all()


def test_census_rows_with_missing_occupations(shared_data):
    path = shared_data / "tables" / "adult.data"
    if not path.is_file():
        pytest.skip(f"no {path}")
    dataset = read(path)
    assert len(dataset) == 32_561
    assert known(known(dataset.categories)[6])[0] == "Adm-clerical"
    assert np.isnan(dataset.values[:, 6]).any(), "a question mark is a missing value"
    few = dataset.take(np.arange(0, 32_561, 12))
    vae = VariationalAutoencoder(4, network="mlp:hidden=64", epochs=25, random_state=0).fit(few)
    assert str(vae.sentence_.likelihood).count("categorical") >= 8
    held_out = dataset.take(np.arange(5, 32_561, 40))
    result = vae.evaluate(held_out, samples=20, train=few)
    baseline = result.baselines[0]
    assert baseline.name == "independent columns"
    assert known(baseline.advantage).mean > 5 * known(baseline.advantage).standard_error


def test_the_command_line_takes_kinds_of_columns(capsys, tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    fit = ["fit", tmp_path / "t.csv", "-o", tmp_path / "t.vae", *FAST]
    status, out, err = run(capsys, *fit, "--column", "size=student-t", "--column", "on=categorical", "--json")
    assert status == 0, err
    assert json.loads(out)["likelihood"].startswith("mixed:columns=student-txcategorical3xcategorical2x")
    assert "write NAME=KIND" in fails(capsys, 2, *fit, "--force", "--column", "size")
    assert "size is given twice" in fails(
        capsys, 2, *fit, "--force", "--column", "size=laplace", "--column", "size=gaussian"
    )
    assert "no such column" in fails(capsys, 2, *fit, "--force", "--column", "sise=laplace")
