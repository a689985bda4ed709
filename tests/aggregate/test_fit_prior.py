"""A prior fitted to the aggregate posterior: the right one, to the benefit of log p(x), and nothing else is touched."""

import copy
from math import pi

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from tests.oracles.linear_gaussian import LinearGaussian
from torch.distributions import MultivariateNormal, kl_divergence

from narrowing import untyped
from vaekit import VariationalAutoencoder, load
from vaekit.aggregate import aggregate_draws, fit_prior
from vaekit.errors import UsageError
from vaekit.evaluation import log_likelihood
from vaekit.priors import (
    FlowPrior,
    GaussianMixturePrior,
    GaussianPrior,
    MixturePrior,
    StandardPrior,
    VampPrior,
)
from vaekit.runtime.randomness import seeded
from vaekit.sentence import parse


def shifted(n=4000):
    """A linear-Gaussian model with the exact posterior, and data of another distribution than its own.

    Where z has mean mu and covariance C in the data, q(z|x) has mean A (x - m) and covariance S, and the aggregate
    posterior is Gaussian: mean A W mu, covariance A (W C W' + s^2 I) A' + S.
    """
    truth = LinearGaussian.random(columns=4, latent=2, scale=0.8)
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    factor = torch.tensor([[0.5, 0.0], [0.6, 1.5]], dtype=torch.float64)
    with seeded(5):
        z = mean + torch.randn(n, 2, dtype=torch.float64) @ factor.T
        x = z @ truth.weight.T + truth.mean + truth.scale * torch.randn(n, 4, dtype=torch.float64)
    to_z, weight = truth.posterior_map, truth.weight
    noise = truth.scale**2 * torch.eye(4, dtype=torch.float64)
    covariance = to_z @ (weight @ factor @ factor.T @ weight.T + noise) @ to_z.T + truth.posterior_covariance
    return truth, x, MultivariateNormal(to_z @ weight @ mean, covariance)


def moments(p):
    return MultivariateNormal(p.component_distribution.mean[0], p.component_distribution.covariance_matrix[0])


@pytest.mark.parametrize("kind", ["gmm", "gaussian", "mixture", "flow"])
def test_on_a_linear_gaussian_model_it_is_the_aggregate_posterior(kind):
    truth, x, aggregate = shifted()
    model = truth.vae(exact=True)
    with seeded(0):
        prior = {
            "gmm": lambda: GaussianMixturePrior((2,), components=1),
            "gaussian": lambda: GaussianPrior((2,)),
            "mixture": lambda: MixturePrior((2,), components=8),
            "flow": lambda: FlowPrior((2,), layers=1, hidden=(4,)),
        }[kind]().double()
    fit = fit_prior(model, prior, x[:3600], x[3600:], seed=0)
    with seeded(1):
        z = aggregate.sample(torch.Size((20_000,)))
    difference = (aggregate.log_prob(z) - model.prior().log_prob(z)).detach()
    divergence, error = difference.mean(), difference.std() / len(z) ** 0.5
    # 4,000 rows say where a mean and a covariance are to about (2 + 3) / (2 n) nats; 8 diagonal ones want a curve more.
    assert -4 * error < divergence < {"mixture": 0.03}.get(kind, 0.005) + 4 * error
    if kind == "gaussian":
        torch.testing.assert_close(model.prior().mean, aggregate.mean, rtol=0, atol=0.1)
    if kind == "gmm":
        assert kl_divergence(aggregate, moments(model.prior())) < 0.005
    # The gain in the bound is KL(q(z) || standard) - KL(q(z) || fitted), on other rows of the same distribution.
    standard = MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    wanted = kl_divergence(aggregate, standard) - divergence
    assert abs(fit.advantage.mean - wanted) < 4 * fit.advantage.standard_error
    entropy = 0.5 * torch.logdet(2 * pi * np.e * aggregate.covariance_matrix)
    assert fit.log_density.mean + entropy < 4 * fit.log_density.standard_error


def test_it_draws_each_rows_own_posterior():
    truth, x, aggregate = shifted(2000)
    with seeded(0):
        z = aggregate_draws(truth.vae(exact=True), x, repeats=5)
    assert z.shape == (5, 2000, 2)
    q = truth.vae(exact=True).encode(x)
    # From means alone the covariance would be short of the posterior's own, and this would fail.
    deviation = (z - q.mean).flatten(0, 1)
    products = deviation[:, :, None] * deviation[:, None, :]
    error = 4 * products.std(0) / len(products) ** 0.5
    assert ((products.mean(0) - truth.posterior_covariance).abs() < error).all()
    assert ((z.flatten(0, 1).mean(0) - aggregate.mean).abs() < 0.2).all()


def test_nothing_but_the_prior_is_touched():
    truth, x, _ = shifted(300)
    model = truth.vae(exact=False).train()
    before = copy.deepcopy(model.state_dict())
    x = x[:20]
    prior = VampPrior((4,), components=3).double()  # one that the encoder takes part in
    with seeded(7):
        expected = torch.randn(3)
    with seeded(7):
        fit_prior(model, prior, x, seed=0)
        assert torch.equal(torch.randn(3), expected), "the global generator is put back"
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value), name
    assert untyped(model.prior()).mixture_distribution.probs.shape == (3,)


def test_a_prior_that_has_nothing_to_fit_is_refused():
    truth, x, _ = shifted(30)
    with pytest.raises(UsageError, match="nothing to fit"):
        fit_prior(truth.vae(exact=True), StandardPrior((2,)), x, seed=0)


@pytest.fixture(scope="module")
def digits():
    """A model of digits with a weak bound on its latents, so that the prior has something to gain."""
    x = untyped(load_digits()).data / 16
    vae = VariationalAutoencoder(
        8, network="mlp:hidden=64", likelihood="bernoulli", epochs=40, random_state=0, batch_size=64
    )
    return vae.fit(x[:1400]), x


@pytest.mark.parametrize("prior", ["gmm:components=10", "flow:layers=1,hidden=16", "gaussian"])
def test_it_improves_held_out_log_likelihood_on_digits(digits, prior):
    fitted, x = digits
    test = x[1400:]
    before = fitted.score_samples(test, samples=50)
    refitted = copy.deepcopy(fitted).fit_prior(prior, x[:1400])
    gain = refitted.score_samples(test, samples=50) - before
    assert gain.mean() > -gain.std() / len(test) ** 0.5
    if prior != "gaussian":
        assert gain.mean() > 3 * gain.std() / len(test) ** 0.5
    assert np.array_equal(refitted.transform(test), fitted.transform(test))
    assert np.array_equal(refitted.reconstruct(test), fitted.reconstruct(test))


@pytest.mark.parametrize("prior", ["gmm:components=4", "flow:layers=1,hidden=8"])
def test_the_same_seed_gives_the_same_bytes_and_an_artifact_keeps_them(digits, prior, tmp_path):
    fitted, x = digits
    one, other = (copy.deepcopy(fitted).fit_prior(prior, x[:300], random_state=4) for _ in range(2))
    assert one.prior_fit_ == other.prior_fit_
    scores = one.score_samples(x[:20], samples=5)
    assert np.array_equal(scores, other.score_samples(x[:20], samples=5))
    one.save(tmp_path / "m.vae")
    again = load(tmp_path / "m.vae")
    assert again.sentence_ == one.sentence_
    assert str(again.sentence_.prior) == str(parse("prior", prior))
    assert np.array_equal(scores, again.score_samples(x[:20], samples=5))
    assert np.array_equal(one.sample(5, random_state=0), again.sample(5, random_state=0))


def test_it_is_sampled_by_its_own_law(digits):
    """Draws of the model with a fitted prior have latents of that prior: log p(z) on average is its mean under it."""
    fitted, x = digits
    vae = copy.deepcopy(fitted).fit_prior("gmm:components=3", x)
    prior = vae.model_.prior()
    with seeded(0):
        z = prior.sample(torch.Size((4000,)))
    weights, normal = prior.mixture_distribution.probs, prior.component_distribution
    mean = weights @ normal.mean
    second = torch.einsum(
        "j,jab->ab", weights, normal.covariance_matrix + normal.mean[:, :, None] * normal.mean[:, None, :]
    )
    products = z[:, :, None] * z[:, None, :]
    assert ((z.mean(0) - mean).abs() < 4.5 * z.std(0) / 4000**0.5).all()
    assert ((products.mean(0) - second).abs() < 5 * products.std(0) / 4000**0.5).all()


def test_evaluation_is_of_the_new_prior():
    """log p(x) of a linear-Gaussian model with a Gaussian prior: by importance sampling, and in closed form."""
    truth, x, _ = shifted(2000)
    model = truth.vae(exact=True)
    fit_prior(model, GaussianMixturePrior((2,), components=1).double(), x, seed=0)
    p = moments(model.prior())
    covariance = truth.weight @ p.covariance_matrix @ truth.weight.T + truth.scale**2 * torch.eye(4)
    exact = MultivariateNormal(truth.weight @ p.mean + truth.mean, covariance).log_prob(x[:200])
    with seeded(0):
        found = log_likelihood(model, x[:200], samples=2000)
    difference = found.values - exact
    assert difference.abs().mean() < 0.05
    assert found.values.mean() > truth.log_evidence(x[:200]).mean() + 0.1


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("gm", "unknown prior 'gm'; did you mean 'gmm'"),
        ("standard", "nothing to fit"),
        ("autoregressive", "do not fit together"),
        ("gmm:components=0", "give at least 1"),
    ],
)
def test_priors_that_cannot_be_fitted_are_refused_and_leave_the_model_as_it_was(digits, prior, message):
    fitted, x = digits
    before = fitted.sentence_
    with pytest.raises(UsageError, match=message):
        fitted.fit_prior(prior, x)
    assert fitted.sentence_ == before
    assert isinstance(fitted.model_.parts["prior"], StandardPrior)
