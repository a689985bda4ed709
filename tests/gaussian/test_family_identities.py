"""What must hold between the members of the family."""

import numpy as np
import pytest

from oracles.gaussian_family import BOUNDS, DIVERGENCES, EVERYTHING, GRADIENTS, random_pair
from vaekit.gaussian import (
    Gaussian,
    alpha_divergence,
    bhattacharyya,
    chi_squared,
    cross_entropy,
    entropy,
    fisher_rao,
    hellinger,
    jeffreys,
    jensen_shannon,
    kl_divergence,
    relative_spectrum,
    renyi,
    total_variation_bounds,
    wasserstein,
)


@pytest.mark.parametrize("side", [-1, 1])
def test_renyi_tends_to_kl_from_both_sides(side):
    p, q = random_pair(5, 20, 3)
    kl = kl_divergence(p, q)
    errors = [np.abs(renyi(p, q, 1 + side * step) - kl).max() for step in (1e-2, 1e-4, 1e-6, 1e-12)]
    assert errors[1] < 2e-2 * errors[0]
    assert errors[2] < 2e-2 * errors[1]
    assert errors[3] < 2e-6 * errors[2]


def test_renyi_grows_with_its_order_and_is_skew_symmetric():
    p, q = random_pair(6, 50, 3, spread=0.2)
    orders = (0.0, 1e-3, 0.2, 0.499, 0.501, 0.8, 1.0, 1.1, 1.2)
    values = np.stack([renyi(p, q, a) for a in orders])
    assert (np.diff(values, axis=0) > 0).all()
    for a in (0.1, 0.5, 0.9):
        np.testing.assert_allclose((1 - a) * renyi(p, q, a), a * renyi(q, p, 1 - a), rtol=1e-12)


def test_the_members_are_one_another():
    p, q = random_pair(7, 20, 3, spread=0.2)
    np.testing.assert_allclose(jeffreys(p, q), kl_divergence(p, q) + kl_divergence(q, p), rtol=1e-12)
    np.testing.assert_allclose(hellinger(p, q) ** 2, 1 - np.exp(-bhattacharyya(p, q)), rtol=1e-10)
    np.testing.assert_allclose(hellinger(p, q, squared=True), hellinger(p, q) ** 2, rtol=1e-13)
    np.testing.assert_allclose(alpha_divergence(p, q, 0.5), 4 * hellinger(p, q) ** 2, rtol=1e-12)
    np.testing.assert_allclose(2 * alpha_divergence(p, q, 2.0), chi_squared(p, q), rtol=1e-12)
    np.testing.assert_allclose(np.log1p(chi_squared(p, q)), renyi(p, q, 2.0), rtol=1e-12)
    np.testing.assert_allclose(alpha_divergence(p, q, 1.0), kl_divergence(p, q), rtol=1e-14)
    np.testing.assert_allclose(alpha_divergence(p, q, 0.0), kl_divergence(q, p), rtol=1e-14)
    np.testing.assert_allclose(alpha_divergence(p, q, -0.3), alpha_divergence(q, p, 1.3), rtol=1e-14)
    np.testing.assert_allclose(
        jensen_shannon(p, q, method="dual-geometric", weight=0.2), 0.2 * renyi(p, q, 0.8), rtol=1e-14
    )
    np.testing.assert_allclose(cross_entropy(p, q), entropy(p) + kl_divergence(p, q), rtol=1e-12)
    excess, ratio, shift = relative_spectrum(p, q)
    by_spectrum = 0.5 * (excess - np.log(ratio) + shift**2).sum(-1)
    np.testing.assert_allclose(kl_divergence(p, q), by_spectrum, rtol=1e-12)
    np.testing.assert_allclose(wasserstein(p, q, squared=True), wasserstein(p, q) ** 2, rtol=1e-13)


@pytest.mark.parametrize("name", DIVERGENCES | BOUNDS)
def test_a_common_affine_map_changes_nothing(name):
    p, q = random_pair(8, 10, 3)
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(3, 3)) + 3 * np.eye(3), rng.normal(size=3)
    np.testing.assert_allclose(
        EVERYTHING[name](p, q), EVERYTHING[name](p.affine(A, b), q.affine(A, b)), rtol=1e-10
    )


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_is_not_looked_at_can_not_tell_them_apart(name):
    p, q = random_pair(9, 50, 4)
    for kept in ([0], [1, 3], [0, 1, 2]):
        assert (EVERYTHING[name](p.marginal(kept), q.marginal(kept)) <= EVERYTHING[name](p, q)).all()


@pytest.mark.parametrize("name", ["hellinger", "wasserstein"])
def test_triangle_inequality(name):
    p, q = random_pair(10, 200, 3, spread=0.8)
    r, _ = random_pair(11, 200, 3, spread=0.8)
    d = EVERYTHING[name]
    assert (d(p, r) <= d(p, q) + d(q, r)).all()
    assert (d(p, r) >= np.abs(d(p, q) - d(q, r))).all()


def test_pinsker_and_bretagnolle_huber():
    p, q = random_pair(12, 200, 2, spread=0.8)
    lower, upper = total_variation_bounds(p, q)
    kl = kl_divergence(p, q)
    assert (lower <= np.sqrt(kl / 2)).all()
    assert (lower <= np.sqrt(-np.expm1(-kl))).all()
    assert (upper <= np.sqrt(kl / 2) * (1 + 1e-12)).all()
    assert (upper <= np.sqrt(-np.expm1(-kl)) * (1 + 1e-12)).all()
    assert (hellinger(p, q) ** 2 <= lower * (1 + 1e-12)).all()


CURVATURES = {
    "jeffreys": 1.0,
    "renyi 0.3": 0.15,
    "renyi 1": 0.5,
    "renyi 1.5": 0.75,
    "alpha -0.5": 0.5,
    "alpha 0.3": 0.5,
    "alpha 2": 0.5,
    "chi_squared": 1.0,
    "bhattacharyya": 0.125,
    "hellinger squared": 0.125,
    "geometric": 0.5 * 0.3 * 0.7,
    "dual geometric": 0.125,
}


@pytest.mark.parametrize("name", CURVATURES)
def test_fisher_information_is_the_curvature(name):
    """Every f-divergence is f''(1) / 2 times the squared Fisher-Rao distance, to second order."""
    S = np.array([[1.0, 0.3], [0.3, 2.0]])
    q = Gaussian([0.0, 0.0], covariance=S)
    for p in (Gaussian([0.0, 0.0], covariance=S * (1 + 1e-6)), Gaussian([1e-6, 2e-6], covariance=S)):
        assert GRADIENTS[name](p, q) == pytest.approx(CURVATURES[name] * fisher_rao(p, q) ** 2, rel=1e-5)
