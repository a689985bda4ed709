"""Where a divergence is infinite or undefined, and on singular covariances."""

import math

import numpy as np
import pytest
import torch

from narrowing import untyped
from oracles.gaussian_family import BOUNDS, DIVERGENCES, EVERYTHING
from vaekit.gaussian import (
    Gaussian,
    alpha_divergence,
    chi_squared,
    jensen_shannon,
    renyi,
)
from vaekit.gaussian.exceptions import GaussianError


def test_heavy_orders_diverge_where_the_mixed_covariance_is_not_positive_definite():
    q = Gaussian([0.0, 0.0], covariance=[[1.0, 0.3], [0.3, 1.0]])
    S = np.array([[1.0, 0.3], [0.3, 1.0]])
    for scale, finite in ((1.9, True), (2.0, False), (3.0, False)):
        for p in (Gaussian([0.5, 0.0], covariance=scale * S),):
            assert np.isfinite(renyi(p, q, 2.0)) == finite
            assert np.isfinite(chi_squared(p, q)) == finite
            assert np.isfinite(alpha_divergence(q, p, -1.0)) == finite
            assert np.isfinite(renyi(p, q, 1.01))
    narrow = Gaussian([0.0, 0.0], covariance=1e-6 * S)
    assert np.isfinite(chi_squared(narrow, q))
    diagonal = Gaussian([0.0], variance=[2.5])
    assert renyi(diagonal, Gaussian([0.0], variance=[1.0]), 2.0) == math.inf
    assert np.isfinite(renyi(diagonal, Gaussian([0.0], variance=[1.0]), 1.5))


def test_a_batch_may_hold_both_finite_and_infinite_items():
    variance = torch.tensor([[1.5], [2.5]], dtype=torch.float64, requires_grad=True)
    for made in ({"variance": variance}, {"covariance": variance.unsqueeze(-1)}):
        p = Gaussian(torch.zeros(2, 1, dtype=torch.float64), **untyped(made))
        value = chi_squared(p, Gaussian.standard(1, dtype=torch.float64))
        assert value[0].isfinite()
        assert value[1] == math.inf
        (gradient,) = torch.autograd.grad(value[0], variance)
        assert gradient[0].isfinite().all()
        assert gradient[1] == 0


EXTREMES = {
    "jeffreys": math.inf,
    "renyi 0.3": math.inf,
    "renyi 1.5": math.inf,
    "alpha 0.3": 1 / 0.21,
    "alpha 2": math.inf,
    "chi_squared": math.inf,
    "bhattacharyya": math.inf,
    "hellinger": 1.0,
    "geometric": math.inf,
    "dual geometric": math.inf,
    "fisher_rao lower": math.inf,
    "fisher_rao upper": math.inf,
    "total variation lower": 1.0,
    "total variation upper": 1.0,
}
LINE = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("name", EXTREMES)
def test_different_supports_are_as_far_apart_as_can_be(name):
    d = EVERYTHING[name]
    line, plane = Gaussian([0.0, 0.0], covariance=LINE), Gaussian([0.0, 0.0], covariance=np.eye(2))
    off = Gaussian([1.0, 0.0], covariance=LINE)
    other = Gaussian([0.0, 0.0], covariance=[[1.0, -2.0], [-2.0, 4.0]])
    for p, q in ((line, plane), (plane, line), (line, off), (line, other)):
        assert d(p, q) == pytest.approx(EXTREMES[name])
    flat = Gaussian([0.0, 0.0], variance=[1.0, 0.0])
    assert d(flat, Gaussian([0.0, 0.0], variance=[1.0, 1.0])) == pytest.approx(EXTREMES[name])
    assert d(flat, Gaussian([0.0, 1.0], variance=[1.0, 0.0])) == pytest.approx(EXTREMES[name])


@pytest.mark.parametrize("name", DIVERGENCES | BOUNDS)
def test_on_a_common_support_only_the_support_counts(name):
    d = EVERYTHING[name]
    direction = np.array([1.0, 2.0])
    p = Gaussian(0.5 * direction, covariance=1.2 * LINE)
    q = Gaussian([0.0, 0.0], covariance=LINE)
    one = Gaussian([0.5], variance=[1.2]), Gaussian([0.0], variance=[1.0])
    assert d(p, q) == pytest.approx(d(*one), rel=1e-9)
    assert d(q, q) == 0
    flat = Gaussian([0.5, 3.0], variance=[1.2, 0.0]), Gaussian([0.0, 3.0], variance=[1.0, 0.0])
    assert d(*flat) == pytest.approx(d(*one), rel=1e-12)


def test_orders_and_weights_outside_their_range_are_refused():
    p = Gaussian.standard(2)
    for alpha in (-0.1, math.inf, math.nan):
        with pytest.raises(GaussianError, match="expected a finite order"):
            renyi(p, p, alpha)
    with pytest.raises(GaussianError, match="expected a finite order"):
        alpha_divergence(p, p, math.nan)
    for weight in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(GaussianError, match="between 0 and 1"):
            jensen_shannon(p, p, weight=weight)
    with pytest.raises(GaussianError, match="expected 'geometric'"):
        jensen_shannon(p, p, method="arithmetic")  # type: ignore[arg-type]
    with pytest.raises(GaussianError, match="at least 2"):
        jensen_shannon(p, p, method="monte-carlo", samples=1)


def test_an_item_that_is_no_gaussian_is_not_a_number_and_spoils_no_other():
    S = torch.eye(2, dtype=torch.float64).repeat(2, 1, 1)
    S[1, 0, 0] = -1
    p = Gaussian(torch.ones(2, 2, dtype=torch.float64), covariance=S, validate=False)
    q = Gaussian.standard(2, dtype=torch.float64)
    for name in ("jeffreys", "renyi 0.3", "geometric"):
        value = EVERYTHING[name](p, q)
        assert value[0].isfinite()
        assert value[1].isnan()
