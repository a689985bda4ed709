"""Baselines for whole numbers: probabilities that sum to one, against independent implementations."""

import numpy as np
import pytest
from scipy import stats

from narrowing import untyped
from vaekit.evaluation import fit_baselines
from vaekit.evaluation.column_baselines import count_baselines, level_baselines


def test_every_column_sums_to_one():
    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(2, 0.2, size=(50, 1)).astype(float)
    for name, values in count_baselines(counts, np.arange(5000.0)[:, None]):
        assert np.exp(values).sum() == pytest.approx(1, abs=1e-9), name
    levels = np.minimum(counts, 15)
    for name, values in level_baselines(levels, np.arange(16.0)[:, None], 16):
        assert np.exp(values).sum() == pytest.approx(1, abs=1e-9), name


def test_columns_are_independent():
    rng = np.random.default_rng(0)
    x = rng.poisson([1.0, 5.0, 9.0], size=(100, 3)).astype(float)
    for baselines in (count_baselines, lambda a, b: level_baselines(a, b, 32)):
        together = baselines(x[:60], x[60:])
        alone = [baselines(x[:60, [j]], x[60:, [j]]) for j in range(3)]
        for which, (_, values) in enumerate(together):
            np.testing.assert_allclose(values, sum(a[which][1] for a in alone))


def test_scipy_agrees():
    rng = np.random.default_rng(0)
    x = rng.negative_binomial(3, 0.1, size=(4000, 2)).astype(float)
    train, held_out = x[:3000], x[3000:]
    (_, poisson), (_, negative_binomial) = count_baselines(train, held_out)
    np.testing.assert_allclose(poisson, stats.poisson.logpmf(held_out, train.mean(0)).sum(1), rtol=1e-3)
    truth = stats.nbinom.logpmf(held_out, 3, 0.1).sum(1)
    # two parameters of each of two columns are estimated: 2 * 2 / (2 * 3000) nats are lost, or about as many
    assert negative_binomial.mean() == pytest.approx(truth.mean(), abs=0.01)
    levels = np.minimum(x, 255)
    (_, categorical), (_, gaussian) = level_baselines(levels[:3000], levels[3000:], 256)
    mean, sd = levels[:3000].mean(0), np.sqrt(levels[:3000].var(0) + 1 / 12)
    inside = (levels[3000:] > 0) & (levels[3000:] < 255)
    mass = stats.norm.cdf(levels[3000:] + 0.5, mean, sd) - stats.norm.cdf(levels[3000:] - 0.5, mean, sd)
    rows = inside.all(1)
    np.testing.assert_allclose(gaussian[rows], np.log(mass[rows]).sum(1), rtol=1e-8)
    frequency = np.array([(levels[:3000] == k).mean(0) for k in range(256)])
    seen = np.array([frequency[levels[3000:, j].astype(int), j] for j in range(2)]).T
    rows = (seen > 0.01).all(1)
    assert rows.any()
    np.testing.assert_allclose(categorical[rows], np.log(seen[rows]).sum(1), atol=2e-3)


def test_a_column_of_zeros_and_a_value_never_seen_are_not_impossible():
    train = np.zeros((40, 2))
    held_out = np.array([[0.0, 0.0], [3.0, 0.0], [15.0, 15.0]])
    for _, values in [*count_baselines(train, held_out), *level_baselines(train, held_out, 16)]:
        assert np.isfinite(values).all()
        assert values[0] > values[1] > values[2]


def test_a_column_that_varies_less_than_a_poisson_gets_the_poisson():
    train = np.tile([[4.0], [5.0], [6.0]], (30, 1))
    (_, poisson), (_, negative_binomial) = count_baselines(train, train)
    np.testing.assert_allclose(poisson, negative_binomial, atol=1e-3)


def test_each_measure_has_its_own_and_probabilities_take_no_jacobian():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=(60, 3)).astype(float)
    for measure in ("density", "unit", "counts", "levels"):
        options = {"latent": 1, "measure": measure, "levels": 2}
        plain = fit_baselines(x[:40], x[40:], **options)
        moved = fit_baselines(x[:40], x[40:], **options, log_jacobian=-5.0)
        shift = -5.0 if measure == "density" else 0.0
        for a, b in zip(plain, moved, strict=True):
            assert b.log_likelihood.mean == pytest.approx(a.log_likelihood.mean + shift)
    for wrong in ({"measure": "probability"}, {"measure": "levels"}):
        with pytest.raises(ValueError, match="expected density, unit, counts, levels and how many, or mixed"):
            fit_baselines(x, x, latent=1, **untyped(wrong))
