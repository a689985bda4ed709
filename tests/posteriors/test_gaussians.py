"""Full and low-rank posteriors against torch's Gaussians, and the closed forms of their divergences."""

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vaekit.errors import UsageError
from vaekit.objectives import divergence
from vaekit.posteriors import DiagonalPosterior, FullPosterior, LowRankPosterior

POSTERIORS = [DiagonalPosterior(3), FullPosterior(3), LowRankPosterior(3, rank=2), FullPosterior(1)]


def features_of(posterior, *batch):
    torch.manual_seed(0)
    return torch.randn(*batch, *posterior.feature_shape, dtype=torch.float64)


def covariance(q):
    return torch.diag_embed(q.variance) if isinstance(q, Independent) else q.covariance_matrix


def priors(k):
    torch.manual_seed(1)
    factor = torch.randn(k, k, dtype=torch.float64).tril(-1) + torch.eye(k)
    mean = torch.randn(k, dtype=torch.float64)
    return [
        Independent(Normal(mean, 0.5 + torch.rand(k, dtype=torch.float64)), 1),
        MultivariateNormal(mean, scale_tril=factor),
    ]


@pytest.mark.parametrize("posterior", POSTERIORS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
def test_density_is_that_of_its_own_mean_and_covariance(posterior, batch):
    q = posterior(features_of(posterior, *batch))
    assert (q.batch_shape, q.event_shape) == (batch, posterior.latent_shape)
    reference = MultivariateNormal(q.mean, covariance_matrix=covariance(q))
    z = q.rsample(torch.Size((6,)))
    torch.testing.assert_close(q.log_prob(z), reference.log_prob(z), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("posterior", POSTERIORS, ids=lambda p: type(p).__name__)
def test_draws_have_its_mean_and_covariance(posterior):
    q = posterior(features_of(posterior))
    torch.manual_seed(2)
    draws = q.sample(torch.Size((20_000,)))
    assert ((draws.mean(0) - q.mean).abs() < 5 * (q.variance / 20_000).sqrt()).all()
    scale = q.variance.sqrt()
    error = (draws.T.cov() - covariance(q)).abs() / torch.outer(scale, scale)
    assert error.max() < 0.05


@pytest.mark.parametrize("posterior", POSTERIORS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("which", [0, 1])
def test_closed_divergences_agree_with_torch(posterior, which):
    q = posterior(features_of(posterior, 5))
    p = priors(posterior.latent_shape[0])[which]
    as_full = MultivariateNormal(q.mean, covariance_matrix=covariance(q))
    p_full = p if which else MultivariateNormal(p.mean, covariance_matrix=torch.diag(p.variance))
    found = divergence(q, p, q.sample())
    torch.testing.assert_close(found.total, kl_divergence(as_full, p_full), rtol=1e-6, atol=1e-8)


def test_the_divergence_of_a_full_gaussian_close_to_the_prior_is_never_negative():
    torch.manual_seed(0)
    posterior = FullPosterior(6)
    q = posterior(1e-4 * torch.randn(500, *posterior.feature_shape))
    p = Independent(Normal(torch.zeros(6), torch.ones(6)), 1)
    assert (divergence(q, p, q.sample()).total >= 0).all()
    assert divergence(posterior(torch.zeros(1, *posterior.feature_shape)), p, q.sample()).total == 0


def test_a_full_posterior_holds_the_exact_posterior_of_the_linear_model():
    from oracles.linear_gaussian import LinearGaussian

    truth = LinearGaussian.random(5, 3)
    x = truth.draw(20)
    posterior = FullPosterior(3)
    L = torch.linalg.cholesky(truth.posterior_covariance)
    log_variance = 2 * L.diagonal().log()
    raw = log_variance / (1 - (log_variance / 24) ** 2).sqrt()
    below = L[posterior.places // 3, posterior.places % 3]
    mean = (x - truth.mean) @ truth.posterior_map.T
    q = posterior(torch.cat([mean, raw.expand(20, 3), below.expand(20, 3)], dim=1))
    model = truth.vae(exact=True)
    z = q.sample()
    torch.testing.assert_close(
        model.log_joint(x, z) - q.log_prob(z), truth.log_evidence(x), rtol=0, atol=1e-9
    )


def test_sizes_that_make_no_sense():
    with pytest.raises(UsageError, match="rank=0"):
        LowRankPosterior(2, rank=0)
    with pytest.raises(UsageError, match="latent=0"):
        FullPosterior(0)
