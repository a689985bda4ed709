"""Exact answers on the linear-Gaussian model: zero error bar, no training."""

import pytest
import torch
from torch import nn

from oracles.linear_gaussian import LinearGaussian
from vaekit.evaluation import Estimate, evaluate_bound, log_likelihood
from vaekit.likelihoods import BernoulliLikelihood
from vaekit.objectives import Elbo
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE


@pytest.mark.parametrize(("columns", "latent", "scale"), [(1, 1, 1.0), (5, 2, 0.5), (12, 5, 0.05)])
def test_exact_posterior_makes_every_bound_equal_to_the_evidence(columns, latent, scale):
    truth = LinearGaussian.random(columns, latent, scale)
    x = truth.draw(50)
    exact = truth.log_evidence(x)
    model = truth.vae(exact=True)
    with seeded(0):
        elbo = evaluate_bound(model, Elbo(), x).values
        for samples in (1, 7, 100):
            estimate = log_likelihood(model, x, samples=samples)
            torch.testing.assert_close(estimate.values, exact, rtol=0, atol=1e-9)
            torch.testing.assert_close(estimate.elbo, exact, rtol=0, atol=1e-9)
            torch.testing.assert_close(
                estimate.effective_sample_size, torch.full_like(exact, samples), rtol=1e-8, atol=0
            )
    torch.testing.assert_close(elbo, exact, rtol=0, atol=1e-9)


def test_elbo_of_a_wrong_posterior_is_below_the_evidence_and_importance_sampling_closes_the_gap():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(400)
    exact = truth.log_evidence(x)
    model = truth.vae(exact=False)
    with seeded(0):
        gaps = [Estimate.of(exact - evaluate_bound(model, Elbo(), x).values)]
        for samples in (1, 10, 100, 1000):
            estimate = log_likelihood(model, x, samples=samples)
            assert (estimate.elbo <= estimate.values + 1e-12).all()
            gaps.append(Estimate.of(exact - estimate.values))
    assert gaps[0].mean > 4 * gaps[0].standard_error
    assert abs(gaps[0].mean - gaps[1].mean) < 4 * (gaps[0].standard_error + gaps[1].standard_error)
    for looser, tighter in zip(gaps[1:-1], gaps[2:], strict=True):
        assert tighter.mean < looser.mean
    assert abs(gaps[-1].mean) < 4 * gaps[-1].standard_error + 1e-3


def test_importance_sampling_meets_the_exact_value_within_its_standard_error():
    truth = LinearGaussian.random(4, 2, scale=1.0)
    x = truth.draw(100)
    model = truth.vae(exact=False)
    with seeded(0):
        estimate = log_likelihood(model, x, samples=2000)
    error = estimate.values - truth.log_evidence(x)
    # The variance of a mean weight, relative to its square, is 1 / ESS - 1 / K.
    standard_error = (1 / estimate.effective_sample_size - 1 / 2000).sqrt()
    assert (error.abs() < 5 * standard_error).all()
    assert error.mean().abs() < 4 * standard_error.square().sum().sqrt() / len(x)
    assert standard_error.max() < 0.1


def test_common_noise_estimates_the_same_evidence():
    truth = LinearGaussian.random(4, 2, scale=1.0)
    x = truth.draw(20)
    model = truth.vae(exact=False)
    with seeded(0):
        estimate = log_likelihood(model, x, samples=5000, common_noise=True)
    assert (estimate.values - truth.log_evidence(x)).abs().max() < 0.05


def test_with_common_noise_a_value_does_not_depend_on_order_company_or_chunks():
    truth = LinearGaussian.random(4, 2, scale=1.0)
    x = truth.draw(12)
    model = truth.vae(exact=False)

    def score(rows, memory=6 * 8 * 256 * 120):
        with seeded(3):
            return log_likelihood(model, rows, samples=40, common_noise=True, memory=memory).values

    values = score(x)
    torch.testing.assert_close(score(x.flip(0)), values.flip(0), rtol=0, atol=1e-10)
    torch.testing.assert_close(score(x[7:8]), values[7:8], rtol=0, atol=1e-10)
    torch.testing.assert_close(score(x, memory=6 * 8 * 256 * 10_000), values, rtol=0, atol=1e-10)


def test_a_decoder_that_ignores_z_has_every_bound_equal_to_the_evidence():
    class Constant(nn.Module):
        def forward(self, z):
            return torch.full((*z.shape[:-1], 3), 0.3, dtype=z.dtype)

    encoder = nn.Linear(3, 4, dtype=torch.float64)
    nn.init.zeros_(encoder.weight)
    nn.init.zeros_(encoder.bias)
    likelihood = BernoulliLikelihood((3,))
    model = VAE(encoder, DiagonalPosterior(2), StandardPrior((2,)), Constant(), likelihood).double()
    x = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    p = torch.sigmoid(torch.tensor(0.3, dtype=torch.float64))
    exact = (x * p.log() + (1 - x) * (1 - p).log()).sum(1)
    torch.testing.assert_close(evaluate_bound(model, Elbo(), x).values, exact, rtol=0, atol=1e-12)
    for samples in (1, 13):
        torch.testing.assert_close(
            log_likelihood(model, x, samples=samples).values, exact, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("common_noise", [False, True])
def test_chunking_under_a_memory_cap_uses_exactly_the_samples_asked_for(common_noise):
    truth = LinearGaussian.random(4, 2)
    x = truth.draw(7)
    calls = []
    model = truth.vae(exact=False)
    decode = model.decode

    def counted(z, c=None):
        calls.append(z.shape[:-1])
        return decode(z, c)

    model.decode = counted
    log_likelihood(model, x, samples=23, common_noise=common_noise, memory=6 * 8 * 256 * 5)
    assert sum(shape[0] * shape[1] for shape in calls) == 23 * 7
    assert max(shape[0] * shape[1] for shape in calls) <= 5
