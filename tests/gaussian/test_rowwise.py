"""Sums over diagonal Gaussians, fused and in blocks of torch, against many digits."""

from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from vaekit.gaussian import Gaussian, kl_divergence, use_lanes

ROWS = 40


def parameters(k: int) -> list[np.ndarray]:
    """Means and deviations of rows that differ by factors from 1e-12 to 1e6, some at extreme scales."""
    rng = np.random.default_rng(k)
    size = np.resize(np.logspace(-12, 0.5, 10), ROWS)[:, None]
    unit = np.where(np.arange(ROWS) % 7 == 0, 10.0 ** rng.choice([-200, -100, 100, 200], ROWS), 1.0)[:, None]
    scale_q = unit * np.exp(rng.normal(size=(ROWS, k)))
    scale_p = scale_q * np.exp(size * rng.normal(size=(ROWS, k)))
    mean_q = unit * rng.normal(size=(ROWS, k))
    # Copies of the rows make the batch large enough for the fused loop.
    arrays = [mean_q + size * scale_q * rng.normal(size=(ROWS, k)), scale_p, mean_q, scale_q]
    return [np.tile(a, (-(-600 // (ROWS * k)), 1)) for a in arrays]


def truth(mean_p, scale_p, mean_q, scale_q) -> Any:
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        for row in zip(mean_p, scale_p, mean_q, scale_q, strict=True):
            m, s, n, t = (mpmath.mpf(float(x)) for x in row)
            total += (s / t) ** 2 / 2 - mpmath.mpf(1) / 2 - mpmath.log(s / t) + ((m - n) / t) ** 2 / 2
        return total


@pytest.mark.parametrize("k", [1, 3, 8, 13, 64])
def test_every_row_keeps_its_digits_in_both_ways(k):
    arrays = parameters(k)
    expected = [truth(*(a[row] for a in arrays)) for row in range(ROWS)]
    p, q = (Gaussian(m, standard_deviation=s) for m, s in (arrays[:2], arrays[2:]))
    try:
        for lanes in (True, False):
            use_lanes(lanes)
            value = kl_divergence(p, q)
            assert (kl_divergence(p, p) == 0).all()
            assert (value >= 0).all()
            for row in range(ROWS):
                assert abs(mpmath.mpf(float(value[row])) / expected[row] - 1) < 4e-15
    finally:
        use_lanes(True)


@pytest.mark.parametrize("k", [3, 64])
def test_gradients_are_the_same_in_both_ways_and_in_threads(k):
    leaves = [torch.tensor(a).repeat(200, 1).requires_grad_() for a in parameters(k)]
    weight = torch.rand(len(leaves[0]), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradients():
        p, q = (Gaussian(m, standard_deviation=s) for m, s in (leaves[:2], leaves[2:]))
        return torch.autograd.grad((weight * kl_divergence(p, q)).sum(), leaves)

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        fused = gradients()
        torch.set_num_threads(1)
        for one, other in zip(fused, gradients(), strict=True):
            assert torch.equal(one, other)
        use_lanes(False)
        for one, other in zip(fused, gradients(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-13, atol=0)
    finally:
        use_lanes(True)
        torch.set_num_threads(threads)


def test_rows_that_are_no_gaussians_are_not_numbers_and_degenerate_ones_infinite():
    scale = torch.ones(20, 64, dtype=torch.float64)
    scale[1, 5] = -1.0
    scale[2, 63] = 0.0
    mean = torch.zeros(20, 64, dtype=torch.float64)
    p = Gaussian(mean, standard_deviation=scale, validate=False)
    try:
        for lanes in (True, False):
            use_lanes(lanes)
            value = kl_divergence(p, Gaussian.standard(64, dtype=torch.float64), on_error="nan")
            assert value[1].isnan()
            assert value[2] == torch.inf
            assert (value[3:] == 0).all()
    finally:
        use_lanes(True)
