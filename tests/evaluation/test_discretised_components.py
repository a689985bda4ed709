"""Principal components of whole numbers, against quadrature and the sum over all outcomes."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from vaekit.evaluation.discretised_components import component_baselines


def correlated_levels(rows, columns, levels, seed):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(rows, 1))
    values = shared * rng.uniform(0.5, 1.5, columns) + 0.4 * rng.normal(size=(rows, columns))
    return np.clip(np.rint((values + 2) * (levels - 1) / 4), 0, levels - 1)


def test_probabilities_of_all_outcomes_sum_to_one():
    train = correlated_levels(500, 3, 4, 0)
    outcomes = np.array(list(product(range(4), repeat=3)), dtype=float)
    repeated = np.repeat(outcomes, 40, axis=0)  # 50 samples each
    for name, values in component_baselines(train, repeated, 4, 1):
        each = np.exp(values).reshape(len(outcomes), 40)
        error = np.sqrt((each.var(1) / 40).sum())
        assert each.mean(1).sum() == pytest.approx(1, abs=4 * error + 1e-6), name
        assert error < 0.01


def test_one_component_is_that_of_quadrature():
    train, held_out = correlated_levels(800, 4, 9, 1), correlated_levels(30, 4, 9, 2)
    mean = train.mean(0)
    variances, vectors = np.linalg.eigh(np.cov(train, rowvar=False, bias=True))
    left = variances[:-1].mean()
    loading = vectors[:, -1] * np.sqrt(variances[-1] - left)
    z = np.linspace(-7, 7, 4001)
    location = mean + z[:, None] * loading
    names = []
    own = train.var(0) - loading**2 + 1 / 12
    for (name, values), noise in zip(
        component_baselines(train, held_out, 9, 1), (np.full(4, left), own), strict=True
    ):
        names.append(name)
        for row, value in zip(held_out, values, strict=True):
            upper = np.where(row == 8, np.inf, (row + 0.5 - location) / np.sqrt(noise))
            lower = np.where(row == 0, -np.inf, (row - 0.5 - location) / np.sqrt(noise))
            mass = (norm.cdf(upper) - norm.cdf(lower)).prod(1)
            exact = np.log(np.trapezoid(mass * norm.pdf(z), z))
            assert value == pytest.approx(exact, abs=0.05)
    assert names == ["discretized PCA (1 component)", "discretized principal factors (1)"]


def test_too_few_columns_or_rows_have_no_components():
    assert component_baselines(np.array([[1.0], [2.0], [0.0]]), np.array([[1.0]]), 3, 2) == []
