"""The Monte Carlo estimate of the Jensen-Shannon divergence."""

import math

import numpy as np
import pytest
import torch

from oracles.gaussian_family import random_pair
from vaekit.gaussian import Gaussian, jensen_shannon


def test_monte_carlo_jensen_shannon_is_reproducible_bounded_and_zero_at_equality():
    p, q = random_pair(13, 4, 2)

    def run(a, b, **options):
        return jensen_shannon(
            a, b, method="monte-carlo", samples=2000, generator=torch.Generator().manual_seed(3), **options
        )

    first, second = run(p, q), run(p, q)
    np.testing.assert_array_equal(first.value, second.value)
    assert first.value.shape == first.standard_error.shape == (4,)
    equal = run(p, p)
    assert (equal.value == 0).all()
    assert (equal.standard_error == 0).all()
    apart = run(Gaussian([1e3], variance=[1.0]), Gaussian([0.0], variance=[1.0]), weight=0.3)
    assert apart.value == pytest.approx(-0.7 * math.log(0.7) - 0.3 * math.log(0.3))


def test_standard_errors_cover_the_truth_as_often_as_they_should():
    p, q = Gaussian([1.0], variance=[2.0]), Gaussian([0.0], variance=[1.0])
    x = np.linspace(-30, 30, 200_001)[:, None]
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    mixture = np.logaddexp(log_p, log_q) - math.log(2)
    cell = float(x[1, 0] - x[0, 0])
    truth = 0.5 * cell * (np.exp(log_p) * (log_p - mixture) + np.exp(log_q) * (log_q - mixture)).sum()
    many = Gaussian(np.ones((400, 1)), variance=[2.0])
    generator = torch.Generator().manual_seed(0)
    estimate = jensen_shannon(many, q, method="monte-carlo", samples=500, generator=generator)
    z = (estimate.value - truth) / estimate.standard_error
    assert np.abs(z).max() < 4
    assert 0.9 < z.std() < 1.1
