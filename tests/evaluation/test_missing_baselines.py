"""Baselines of rows with holes against closed forms, SciPy, and those of whole rows where nothing is missing."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from narrowing import untyped
from vaekit.evaluation import fit_baselines
from vaekit.evaluation.missing_baselines import Gaussian, fit_gaussian, gaussian_baselines, mixture_baseline

EXACT = {"steps": 20_000, "tolerance": 1e-14}


def rows(n: int = 300, columns: int = 4, rate: float = 0.3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns)) @ rng.normal(size=(columns, columns)) + rng.normal(size=columns)
    x[rng.random(x.shape) < rate] = np.nan
    return x


def test_a_monotone_pattern_has_a_closed_form():
    """Anderson (1957): the second column is regressed on the first where both are there."""
    x = rows(columns=2, rate=0.0)
    x[np.random.default_rng(1).random(len(x)) < 0.5 * (x[:, 0] > 0) + 0.2, 1] = np.nan  # missing at random
    both = ~np.isnan(x[:, 1])
    slope = np.cov(x[both].T, bias=True)[0, 1] / x[both, 0].var()
    residual = (x[both, 1] - x[both, 1].mean() - slope * (x[both, 0] - x[both, 0].mean())).var()
    mean = np.array([x[:, 0].mean(), x[both, 1].mean() + slope * (x[:, 0].mean() - x[both, 0].mean())])
    variance = x[:, 0].var()
    covariance = np.array([[variance, slope * variance], [slope * variance, residual + slope**2 * variance]])
    found = fit_gaussian(x, **EXACT)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-6)


def test_any_pattern_ends_where_the_likelihood_is_stationary():
    x = rows(columns=3)
    found = fit_gaussian(x, **EXACT)
    upper = np.triu_indices(3)

    def log_likelihood(parameters):
        covariance = np.zeros((3, 3))
        covariance[upper] = parameters[3:]
        covariance = np.triu(covariance) + np.triu(covariance, 1).T
        total = 0.0
        for row in x:  # an independent evaluation, row by row
            there = ~np.isnan(row)
            if there.any():
                marginal = multivariate_normal(
                    parameters[:3][there], untyped(covariance[np.ix_(there, there)])
                )
                total += marginal.logpdf(row[there])
        return total / len(x)

    at = np.concatenate([found.mean, found.covariance[upper]])
    assert np.abs(untyped(approx_fprime(at, log_likelihood, 1e-6))).max() < 1e-4
    assert log_likelihood(at) == pytest.approx(found.log_density(x).mean(), rel=1e-10)


def test_densities_are_those_of_the_observed_block():
    x = rows(40)
    x[3] = np.nan
    root = np.random.default_rng(5).normal(size=(4, 4))
    gaussian = Gaussian(np.arange(4.0), root @ root.T + np.eye(4))
    found = gaussian.log_density(x)
    assert found[3] == 0
    for row, value in zip(x, found, strict=True):
        there = ~np.isnan(row)
        if there.any():
            block = gaussian.covariance[np.ix_(there, there)]
            exact = multivariate_normal(gaussian.mean[there], untyped(block)).logpdf(row[there])
            assert value == pytest.approx(exact, rel=1e-10)


def test_of_whole_rows_they_are_the_usual_ones(monkeypatch):
    x = rows(rate=0.0)
    usual = {b.name: b.log_likelihood for b in fit_baselines(x[:200], x[200:], latent=2, measure="density")}
    full, pca = gaussian_baselines(x[:200], x[200:], 2, 0)
    assert full[1].mean() == pytest.approx(usual["full Gaussian"].mean, rel=1e-9)
    assert pca[1].mean() == pytest.approx(usual["probabilistic PCA (2 components)"].mean, rel=1e-9)
    monkeypatch.setattr("vaekit.evaluation.missing_baselines._AT_ONCE", 16 * 7)
    again = gaussian_baselines(x[:200], x[200:], 2, 0)
    np.testing.assert_allclose(again[0][1], full[1], rtol=1e-9)


def test_many_rows_are_fitted_in_part_and_many_columns_not_at_all(monkeypatch):
    x = rows(2000)
    monkeypatch.setattr("vaekit.evaluation.missing_baselines._MOST_WORK", 100 * 64 * 500)
    assert gaussian_baselines(x, x, 2, 0)[0][0] == "full Gaussian (EM of 500 rows)"
    monkeypatch.setattr("vaekit.evaluation.missing_baselines._MOST_WORK", 100 * 64 * 19)
    assert gaussian_baselines(x, x, 2, 0) == []


def _fitted(measure, x, **options):
    return {
        b.name: b.log_likelihood.mean
        for b in fit_baselines(x[:200], x[200:], latent=2, measure=measure, **options)
    }


def test_a_column_in_other_units_moves_its_observed_cells_alone():
    x = rows()
    scale = np.array([1.0, 30.0, 1.0, 0.1])
    first = _fitted("density", x, log_jacobian=[0.0] * 4)
    second = _fitted("density", x * scale, log_jacobian=[0.0] * 4)
    told = _fitted("density", x, log_jacobian=(-np.log(scale)).tolist())
    moved = (~np.isnan(x[200:]) @ np.log(scale)).mean()
    assert set(first) == {
        "independent Gaussians",
        "full Gaussian (EM)",
        "probabilistic PCA (2 components, EM)",
    }
    for name, value in first.items():
        assert told[name] == pytest.approx(value - moved, rel=1e-10)
        if "PCA" not in name:  # whose noise is the same in all columns
            assert second[name] == pytest.approx(value - moved, rel=1e-3)


@pytest.mark.parametrize(
    ("measure", "options"),
    [
        ("counts", {}),
        ("levels", {"levels": 9}),
        ("mixed", {"columns": ["gaussian", "categorical9", "poisson"]}),
    ],
)
def test_independent_columns_are_those_of_whole_rows(measure, options):
    """Where the held-out rows have holes only in one column, its term alone is gone."""
    x = np.random.default_rng(0).poisson(2.0, size=(300, 3)).clip(0, 8).astype(float)
    whole = _fitted(measure, x, **options)
    holes = x.copy()
    holes[200:, 1] = np.nan
    kept = (
        {**options, "columns": [options["columns"][0], options["columns"][2]]}
        if "columns" in options
        else options
    )
    without = _fitted(measure, x[:, [0, 2]], **kept)
    found = _fitted(measure, holes, **options)
    joint = {
        name for name in (*whole, *without) if "PCA" in name or "factors" in name
    }  # these need whole rows
    assert set(found) == set(whole) - joint == set(without) - joint
    for name in found:
        assert found[name] == pytest.approx(without[name], rel=1e-9)
        assert found[name] > whole[name]


def test_a_mixture_of_bernoullis_finds_the_true_one():
    rng = np.random.default_rng(0)
    centres = np.array([[0.9, 0.9, 0.9, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.9, 0.9, 0.9]])
    x = (rng.random((3000, 6)) < centres[rng.integers(2, size=3000)]).astype(float)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[-1] = np.nan
    there = ~np.isnan(x)
    terms = np.where(x[:, None] == 1, np.log(centres), np.log1p(-centres)) * there[:, None]
    truth = np.log(np.exp(terms.sum(2)).mean(1))
    ((name, found),) = mixture_baseline(x[:2000], x[2000:], 0)
    assert name.startswith("mixture of ")
    assert found[-1] == 0
    assert abs((found - truth[2000:]).mean()) < 0.03
    assert set(_fitted("unit", x[2700:])) == {"independent Bernoullis", "mixture of 5 Bernoullis (EM)"}
