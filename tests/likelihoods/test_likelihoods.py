"""Normalised, with every constant, in the units of the data."""

from math import log

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from vaekit.errors import DataError
from vaekit.likelihoods import BernoulliLikelihood, GaussianLikelihood


@pytest.mark.parametrize("scale", ["learned", "per-dimension", "fixed"])
def test_gaussian_agrees_with_scipy(scale):
    likelihood = GaussianLikelihood((3,), scale=scale, value=0.7).double()
    mean, x = torch.randn(2, 5, 3, dtype=torch.float64)
    expected = stats.norm.logpdf(x.numpy(), mean.numpy(), 0.7).sum(1)
    np.testing.assert_allclose(likelihood(mean).log_prob(x).detach().numpy(), expected, rtol=1e-6)


def test_gaussian_in_data_units_integrates_to_one_over_the_data():
    # The model sees y = (x - 3) / 200.
    likelihood = GaussianLikelihood((1,), -log(200), scale="fixed", value=0.5).double()
    distribution = likelihood(torch.tensor([0.3], dtype=torch.float64))

    def density(x: float) -> float:
        y = torch.tensor([(x - 3) / 200], dtype=torch.float64)
        return float(distribution.log_prob(y).exp())

    total, _ = integrate.quad(density, -1000, 1200, points=[63])
    assert total == pytest.approx(1, abs=1e-9)


def test_units_change_the_measure_and_nothing_else():
    plain = GaussianLikelihood((2,), scale="fixed")
    scaled = GaussianLikelihood((2,), -5.0, scale="fixed")
    features = torch.randn(4, 2)
    a, b = plain(features), scaled(features)
    torch.testing.assert_close(a.mean, b.mean)
    torch.testing.assert_close(a.variance, b.variance)
    torch.testing.assert_close(a.log_prob(features) - 5, b.log_prob(features))
    assert b.event_shape == a.event_shape
    assert b.batch_shape == a.batch_shape
    torch.manual_seed(0)
    first = a.sample((3,))
    torch.manual_seed(0)
    torch.testing.assert_close(b.sample((3,)), first)


def test_bernoulli_sums_to_one_over_all_outcomes():
    distribution = BernoulliLikelihood((4,))(torch.randn(4, dtype=torch.float64) * 3)
    outcomes = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4)
    assert float(distribution.log_prob(outcomes).exp().sum()) == pytest.approx(1, abs=1e-12)


def test_bernoulli_from_extreme_logits_stays_finite():
    likelihood = BernoulliLikelihood((2,))
    features = torch.tensor([[1000.0, -1000.0]], requires_grad=True)
    wrong = likelihood(features).log_prob(torch.tensor([[0.0, 1.0]]))
    assert wrong.item() == pytest.approx(-2000)
    (slope,) = torch.autograd.grad(wrong.sum(), features)
    torch.testing.assert_close(slope, torch.tensor([[-1.0, 1.0]]))


def test_bernoulli_on_grey_levels_is_the_expected_log_likelihood():
    likelihood = BernoulliLikelihood((1,))
    distribution = likelihood(torch.tensor([0.4]))
    on, off = distribution.log_prob(torch.ones(1)), distribution.log_prob(torch.zeros(1))
    torch.testing.assert_close(distribution.log_prob(torch.tensor([0.3])), 0.3 * on + 0.7 * off)


def test_bernoulli_says_what_it_accepts():
    with pytest.raises(
        DataError, match=r"accepts zeros and ones, or grey levels .* run from -1 to 255; .*gaussian"
    ):
        BernoulliLikelihood.support.check([-1, 255], "bernoulli")
    BernoulliLikelihood.support.check([0.0, 0.5, 1.0], "bernoulli")


@pytest.mark.parametrize("shape", [(3,), (1, 4, 5), (3, 4, 4)])
def test_sampling_agrees_with_the_moments(shape):
    torch.manual_seed(0)
    for likelihood in (BernoulliLikelihood(shape), GaussianLikelihood(shape, scale="fixed", value=0.5)):
        distribution = likelihood(torch.randn(shape))
        draws = distribution.sample((4000,))
        error = (distribution.variance / 4000).sqrt()
        assert ((draws.mean(0) - distribution.mean).abs() < 5 * error).all()
