"""The family of each column by held-out nats, and the columns that are not modelled at all."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tests.cli.test_command_line import run

from narrowing import known, untyped
from vaekit import VariationalAutoencoder, load
from vaekit.data import from_object
from vaekit.data.column_selection import notes_on_values, telling_rows_apart
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.estimator.family_choice import table_families
from vaekit.estimator.likelihood_choice import choose_likelihood
from vaekit.evaluation.column_families import REAL_FAMILIES, compare, fit_marginal
from vaekit.evaluation.column_models import fit_column
from vaekit.likelihoods.histogram_cells import ColumnFacts

SMALL = {"network": "mlp:hidden=16", "epochs": 3, "random_state": 0}


def family(column):
    return table_families(np.asarray(column, dtype=float)[:, None], [None])[0].kind


@pytest.mark.parametrize("seed", range(3))
def test_the_true_family_is_found(seed):
    rng, n = np.random.default_rng(seed), 3000
    assert family(rng.normal(5, 2, n)) == "gaussian"
    assert family(np.exp(rng.normal(10, 0.8, n))) == "log-normal"
    assert family(rng.laplace(size=n)) in ("laplace", "student-t"), "they differ by 0.01 nats"
    assert family(rng.standard_t(3, size=n)) == "student-t"
    assert family(np.sinh(3 * rng.normal(size=n))) == "asinh-normal"
    assert family(rng.poisson(60, n)) in ("gaussian", "poisson")
    assert family(rng.negative_binomial(1, 0.02, n)) == "negative-binomial"
    assert family(rng.integers(0, 5, n)) == "categorical5"
    assert family(rng.random(n)).startswith("histogram"), "bounded on both sides"
    assert family(np.where(rng.random(n) < 0.4, 40, rng.integers(1, 99, n))).startswith("histogram")
    assert family(rng.choice([100, 200, 700], n)).startswith("histogram")
    assert family(np.clip(np.round(rng.normal(38, 14, n)), 17, 90)).startswith("histogram"), "ages"


def test_densities_are_scipys():
    rng = np.random.default_rng(0)
    x = rng.lognormal(1.0, 0.5, 4000)
    facts = ColumnFacts(lower=0.0)
    at = np.array([0.5, 2.0, 9.0])
    for kind, truth in (
        ("gaussian", stats.norm(*stats.norm.fit(x))),
        ("laplace", stats.laplace(*stats.laplace.fit(x))),
        ("log-normal", stats.lognorm(np.log(x).std(), scale=np.exp(np.log(x).mean()))),
    ):
        found = fit_marginal(kind, x, facts)
        np.testing.assert_allclose(untyped(found).log_density(at), untyped(truth).logpdf(at), rtol=1e-9)
        np.testing.assert_allclose(stats.norm.cdf(untyped(found).score(at)), truth.cdf(at), rtol=1e-7)
    t = fit_marginal("student-t", rng.standard_t(4, size=4000), ColumnFacts())
    grid = np.linspace(-400, 400, 400_001)
    for found in (t, fit_marginal("asinh-normal", x - 3, ColumnFacts())):
        density = np.exp(untyped(found).log_density(grid))
        assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)
        below = np.cumsum(density)[grid.searchsorted(at)] * (grid[1] - grid[0])
        np.testing.assert_allclose(stats.norm.cdf(untyped(found).score(at)), below, atol=2e-3)


def test_nats_are_in_the_units_of_the_data():
    x = np.random.default_rng(0).lognormal(size=1500)
    kinds = ["gaussian", "student-t", "log-normal", "asinh-normal", "histogram"]
    here = compare(x, ColumnFacts(lower=0.0), kinds)
    there = compare(1000 * x, ColumnFacts(lower=0.0), kinds)
    for kind in kinds:
        np.testing.assert_allclose(here[kind] - there[kind], np.log(1000), atol=1e-6)


def people(n=400, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "id": np.arange(1000, 1000 + n),
            "name": [f"person {i}" for i in range(n)],
            "age": np.clip(np.round(38 + 13 * z + 5 * rng.normal(size=n)), 17, 90).astype(int),
            "income": np.exp(10 + 0.8 * z + 0.4 * rng.normal(size=n)).round(2),
            "score": np.where(rng.random(n) < 0.05, -999, rng.integers(0, 100, n)),
            "group": np.where(z > 0, "a", "b"),
        }
    )


def test_tables_of_gaussians_stay_and_integers_are_chosen_alike_alone_and_beside_text():
    rng = np.random.default_rng(0)
    assert choose_likelihood(from_object(rng.normal(size=(500, 4)))).spec == "gaussian"
    ages = people(2000)[["age", "score"]]
    alone = choose_likelihood(from_object(ages)).spec
    beside = choose_likelihood(from_object(ages.assign(t=people(2000)["group"])))
    assert beside.spec == alone + "xbernoulli"
    assert "by held-out nats a row: score histogram +" in beside.reason


def test_samples_keep_to_the_range_of_the_data():
    frame = people(1000)[["age", "income", "group"]]
    vae = VariationalAutoencoder(2, **{**SMALL, "epochs": 4}).fit(frame)
    drawn = np.asarray(vae.sample(4000, random_state=0, noise=True))
    age, income = drawn[:, 0].astype(float), drawn[:, 1].astype(float)
    assert np.mean(age < 17) < 0.01
    assert age.max() < 120
    assert income.min() > 0


def test_ids_and_text_that_tells_rows_apart_are_left_out_with_a_note():
    frame = people()
    with pytest.warns(DataWarning) as told:
        vae = VariationalAutoencoder(2, **SMALL).fit(frame)
    messages = [str(w.message) for w in told]
    assert any("'id' is left out: a whole number that differs in all" in m for m in messages)
    assert any("'score': -999 stands in" in m and "code for a missing value" in m for m in messages)
    assert vae.left_out_ == ("name", "id")
    assert vae.schema_.column_names == ("age", "income", "score", "group")
    scores = vae.score_samples(frame, samples=5)
    assert np.array_equal(scores, vae.score_samples(frame.drop(columns=["id", "name"]), samples=5))
    dataset = from_object(frame[["id", "age"]])
    assert list(telling_rows_apart(dataset)) == ["id"]
    assert telling_rows_apart(dataset, keep=["id"]) == {}
    assert telling_rows_apart(from_object(frame[["id"]])) == {}, "something must be left"
    assert telling_rows_apart(from_object(np.arange(60.0).reshape(30, 2))) == {}, "no name, no id"


def test_codes_of_missing_values_are_named_and_ordinary_ends_are_not():
    rng = np.random.default_rng(0)
    for ordinary in (
        rng.lognormal(size=500),
        rng.poisson(3, 500),
        np.where(rng.random(500) < 0.9, 0, rng.random(500)),
    ):
        assert notes_on_values(from_object(pd.DataFrame({"a": ordinary}))) == []
    coded = pd.DataFrame({"a": np.where(rng.random(500) < 0.1, 9999, rng.normal(50, 9, 500).round(1))})
    (note,) = notes_on_values(from_object(coded))
    assert "9999" in note


def test_columns_are_chosen_by_name_in_python():
    frame = people().drop(columns=["name", "score"])
    vae = VariationalAutoencoder(2, only="age,group", **SMALL).fit(frame)
    assert vae.schema_.column_names == ("age", "group")
    with pytest.warns(DataWarning, match="'id' is left out"):
        vae = VariationalAutoencoder(2, drop=["income"], **SMALL).fit(frame)
    assert vae.schema_.column_names == ("age", "group")
    kept = VariationalAutoencoder(2, columns={"id": "gaussian"}, **SMALL).fit(frame)
    assert "id" in known(kept.schema_.column_names)
    with pytest.raises(UsageError, match="no column 'incme'; did you mean 'income'"):
        VariationalAutoencoder(2, drop="incme", **SMALL).fit(frame)
    with pytest.raises(UsageError, match="which have no columns"):
        VariationalAutoencoder(2, drop="a", **SMALL).fit(np.zeros((20, 1, 4, 4), np.uint8))


def test_the_command_line_leaves_columns_out_and_later_files_may_have_them(capsys, tmp_path):
    people().drop(columns="score").to_csv(tmp_path / "p.csv", index=False)
    people(30, 1).drop(columns="score").to_csv(tmp_path / "q.csv", index=False)
    model = tmp_path / "m.vae"
    fast = ["--epochs", "2", "--network", "mlp:hidden=16", "--latent", "2", "--samples", "5", "--json"]
    status, out, err = run(capsys, "fit", tmp_path / "p.csv", "-o", model, "--drop", "income", *fast)
    assert status == 0, err
    assert "column 'id' is left out" in err
    assert "column 'name': left out" in err
    assert load(model).schema_.column_names == ("age", "group")
    status, out, err = run(capsys, "evaluate", model, tmp_path / "p.csv", "--samples", "5", "--json")
    assert status == 0, err
    assert json.loads(out)["split"] == "test", "it is the data of the fit"
    assert run(capsys, "score", model, tmp_path / "q.csv", "-o", tmp_path / "s.csv", "--samples", "5")[0] == 0
    both = ["fit", tmp_path / "p.csv", "-o", model, "--force", *fast]
    assert run(capsys, *both, "--columns", "age,group")[0] == 0
    assert run(capsys, *both, "--columns", "age,grup")[0] == 2


def test_no_density_beats_the_resolution_of_what_is_recorded():
    """Of 95 % zeros a peak that shrinks onto them would claim any density; none may exceed one over the step."""
    generator = np.random.default_rng(0)
    column = np.where(generator.random(3000) < 0.95, 0.0, generator.integers(1, 4000, 3000))
    facts = ColumnFacts(1.0, lower=0.0)
    for kind in REAL_FAMILIES:
        found = fit_marginal(kind, column, facts)
        assert found is None or kind == "gaussian" or found.log_density(column).max() <= 0
    best = fit_column("gaussian", column, facts).best
    assert best.kind == "histogram"
    assert best.log_density(column).mean() < 0


@pytest.mark.parametrize("rows", [100, 2000])
def test_one_far_value_does_not_hide_heavy_tails(rows):
    """The error of a mean difference that one row decides is as large as the difference."""
    found = [family(np.random.default_rng(seed).standard_cauchy(rows)) for seed in range(4)]
    assert set(found) <= {"student-t", "asinh-normal"}


def test_levels_of_which_others_may_follow_are_no_categories():
    """A count of 11 in a held-out row ended the fit: the column was taken for the eleven categories of training."""
    rng = np.random.default_rng(3)
    counts = np.concatenate([rng.integers(0, 8, 200), [9]]).astype(float)
    assert family(counts).startswith("histogram")
    assert family(counts[:-1]) == "categorical8"
    short = np.array([0.0, 1.0, 2.0, 2.0, 1.0, 7.0])
    assert family(short) == "histogram8"
    table = np.stack([rng.normal(size=201), counts], 1)
    vae = VariationalAutoencoder(latent=2, epochs=1, random_state=0)
    vae.fit(table, validation=np.array([[0.1, 11.0], [0.0, 3.0]]))
    assert np.isfinite(vae.evaluate(np.array([[0.1, 11.0]]), samples=10).log_likelihood.mean)


def test_a_held_out_row_without_probability_is_left_out_and_named():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=300), rng.integers(0, 2, 300)], 1)
    held_out = x[:20].copy()
    held_out[4, 1] = 2.0
    vae = VariationalAutoencoder(latent=2, epochs=1, random_state=0)
    with pytest.warns(DataWarning, match=r"the validation rows: 1 row of 20 .* row 4 .*, column 'x1': 2"):
        vae.fit(x, validation=held_out)
    with pytest.warns(DataWarning, match=r"the test rows: 1 row of 20"):
        found = vae.evaluate(held_out, samples=10, split="test", outside="leave out")
    assert found.examples == 19
    with pytest.raises(DataError, match="zeros and ones"):
        vae.evaluate(held_out[4:5], samples=10, outside="leave out")
    with pytest.raises(DataError, match="zeros and ones"):
        vae.evaluate(held_out, samples=10)
