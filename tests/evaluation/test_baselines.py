"""Baselines against independent implementations."""

from math import log

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from narrowing import untyped
from vaekit.evaluation import Estimate, fit_baselines


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(600, 6)) + 5
    return x[:500], x[500:]


def by_name(baselines):
    return {b.name.split(" (")[0]: b.log_likelihood for b in baselines}


def test_gaussians_agree_with_scipy_and_scikit_learn(rows):
    train, held_out = rows
    found = by_name(fit_baselines(train, held_out, latent=2, measure="density"))
    mean, sd = train.mean(0), train.std(0)
    independent = stats.norm.logpdf(held_out, mean, sd).sum(1)
    full = stats.multivariate_normal.logpdf(held_out, mean, untyped(np.cov(train.T, bias=True)))
    assert found["independent Gaussians"].mean == pytest.approx(independent.mean())
    assert found["full Gaussian"].mean == pytest.approx(full.mean())
    # scikit-learn divides by n - 1, hence a little more variance.
    assert found["probabilistic PCA"].mean == pytest.approx(PCA(2).fit(train).score(held_out), abs=1e-2)
    expected = Estimate.of(full)
    assert found["full Gaussian"].standard_error == pytest.approx(expected.standard_error)


def test_the_jacobian_is_added(rows):
    plain = fit_baselines(*rows, latent=2, measure="density")
    moved = fit_baselines(*rows, latent=2, measure="density", log_jacobian=-log(1000))
    for a, b in zip(plain, moved, strict=True):
        assert b.log_likelihood.mean == pytest.approx(a.log_likelihood.mean - log(1000))


def test_more_columns_than_rows_is_shrunk_and_said():
    rng = np.random.default_rng(0)
    baselines = fit_baselines(
        rng.normal(size=(20, 30)), rng.normal(size=(10, 30)), latent=3, measure="density"
    )
    assert any("Ledoit-Wolf" in b.name for b in baselines)
    assert all(np.isfinite(b.log_likelihood.mean) for b in baselines)


def test_one_column(rows):
    (baseline,) = fit_baselines(rows[0][:, :1], rows[1][:, :1], latent=2, measure="density")
    expected = stats.norm.logpdf(rows[1][:, 0], rows[0][:, 0].mean(), rows[0][:, 0].std())
    assert baseline.log_likelihood.mean == pytest.approx(expected.mean())


def test_bernoullis_find_two_clusters_and_are_normalised():
    rng = np.random.default_rng(0)
    prototypes = np.array([[0.9] * 4 + [0.1] * 4, [0.1] * 4 + [0.9] * 4])
    x = (rng.random((1000, 8)) < prototypes[rng.integers(2, size=1000)]).astype(float)
    found = fit_baselines(x[:800], x[800:], latent=2, measure="unit")
    p = (x[:800].sum(0) + 0.5) / 801
    independent = (x[800:] * np.log(p) + (1 - x[800:]) * np.log(1 - p)).sum(1)
    assert found[0].log_likelihood.mean == pytest.approx(independent.mean())
    truth = np.log(
        np.exp(stats.bernoulli.logpmf(x[800:, None], prototypes).sum(2)).mean(1)  # (n, components)
    ).mean()
    assert found[1].log_likelihood.mean == pytest.approx(truth, abs=0.1)
    assert found[1].log_likelihood.mean > found[0].log_likelihood.mean + 0.5


def test_a_mixture_sums_to_one_over_all_outcomes():
    rng = np.random.default_rng(0)
    x = (rng.random((300, 6)) < 0.4).astype(float)
    outcomes = ((np.arange(64)[:, None] >> np.arange(6)) & 1).astype(float)
    total = []
    for outcome in outcomes:
        baselines = fit_baselines(x, outcome[None], latent=2, measure="unit")
        total.append(np.exp([b.log_likelihood.mean for b in baselines]))
    np.testing.assert_allclose(np.sum(total, 0), 1, rtol=1e-9)


def test_estimate_of_one_value_has_no_error():
    assert np.isnan(Estimate.of([3.0]).standard_error)


def test_the_advantage_is_paired(rows):
    train, held_out = rows
    values = (
        stats.multivariate_normal.logpdf(held_out, train.mean(0), untyped(np.cov(train.T, bias=True))) + 0.25
    )
    full = fit_baselines(train, held_out, latent=2, measure="density", model_values=values)[1]
    assert full.advantage is not None
    assert full.advantage.mean == pytest.approx(0.25)
    assert full.advantage.standard_error == pytest.approx(0, abs=1e-6)
