"""Bounds of the total variation distance against quadrature, and where they are exact."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf

from vaekit.gaussian import Gaussian, total_variation_bounds
from vaekit.gaussian.variation import univariate_total_variation


def by_quadrature(m, s):
    def difference(x):
        p = math.exp(-0.5 * ((x - m) / s) ** 2) / s
        return abs(p - math.exp(-0.5 * x * x)) / math.sqrt(2 * math.pi)

    width = 10 * max(1, s) + abs(m)
    pieces = np.linspace(-width, width, 41)
    return 0.5 * sum(quad(difference, a, b, limit=200)[0] for a, b in pairwise(pieces))


@pytest.mark.parametrize(
    ("m", "s"), [(0.0, 2.0), (0.0, 0.3), (1.0, 1.0), (1.0, 2.0), (-2.0, 0.5), (5.0, 1.01)]
)
def test_univariate_distance_is_exact(m, s):
    truth = by_quadrature(m, s)
    one = torch.ones((), dtype=torch.float64)
    assert float(univariate_total_variation((s * s - 1) * one, s * s * one, m * one)) == pytest.approx(
        truth, abs=1e-7
    )
    lower, upper = total_variation_bounds(Gaussian([m], variance=[s * s]), Gaussian([0.0], variance=[1.0]))
    assert lower == pytest.approx(truth, abs=1e-7)
    assert lower <= upper <= 1


def test_equal_covariances_are_exact_in_any_dimension():
    S = np.array([[2.0, 0.5], [0.5, 1.0]])
    delta = np.array([0.3, -0.7])
    z = math.sqrt(delta @ np.linalg.solve(S, delta))
    lower, upper = total_variation_bounds((delta, S), (np.zeros(2), S))
    assert lower == upper == pytest.approx(erf(z / math.sqrt(8)), rel=1e-14)


def test_bounds_enclose_the_truth_in_two_dimensions():
    rng = np.random.default_rng(0)
    axis = np.linspace(-12, 12, 601)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    cell = (axis[1] - axis[0]) ** 2
    q = Gaussian(np.zeros(2), covariance=np.eye(2))
    g = np.exp(q.log_prob(grid))
    for size in (0.1, 0.5, 1.0):
        A = np.eye(2) + size * rng.normal(size=(2, 2))
        p = Gaussian(size * rng.normal(size=2), covariance=A @ A.T + 0.05 * np.eye(2))
        truth = 0.5 * cell * np.abs(np.exp(p.log_prob(grid)) - g).sum()
        lower, upper = total_variation_bounds(p, q)
        assert lower <= truth + 1e-4
        assert upper >= truth - 1e-4
        assert lower > 0.6 * truth
        assert upper < 2 * truth


def test_close_pairs_have_a_narrow_bracket_too():
    for difference in (1e-4, 1e-8, 1e-12):
        S = np.diag([1.0, 2.0])
        lower, upper = total_variation_bounds((np.zeros(2), S * (1 + difference)), (np.zeros(2), S))
        assert 0.1 * difference < lower < upper < difference


def test_points_at_infinity_of_each_other():
    lower, upper = total_variation_bounds(Gaussian([100.0], variance=[2.0]), Gaussian([0.0], variance=[1.0]))
    assert lower == pytest.approx(1)
    assert upper == 1
