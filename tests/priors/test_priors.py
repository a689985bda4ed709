"""Priors: normalised, sampled as they are scored, and trained by what they are scored on."""

import copy

import pytest
import torch
from torch.distributions import Independent, Normal

from narrowing import untyped
from vaekit.errors import UsageError
from vaekit.priors import GaussianMixturePrior, GaussianPrior, MixturePrior, StandardPrior, VampPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


def encode(u):
    return Independent(Normal(u[:, :1], 0.3 + u[:, 1:].abs()), 1)


def make(kind):
    """A prior over one dimension, away from its start."""
    with seeded(0):
        prior = {
            "standard": lambda: StandardPrior((1,)),
            "gaussian": lambda: GaussianPrior((1,)),
            "mixture": lambda: MixturePrior((1,), components=3),
            "gmm": lambda: GaussianMixturePrior((1,), components=3),
            "vamp": lambda: VampPrior((2,), components=4),
        }[kind]()
        for parameter in prior.parameters():
            torch.nn.init.normal_(parameter)
    return (lambda: prior(encode=encode)) if kind == "vamp" else prior


@pytest.mark.parametrize("kind", ["standard", "gaussian", "mixture", "gmm", "vamp"])
def test_density_integrates_to_one_and_agrees_with_draws(kind):
    p = make(kind)()
    grid = torch.linspace(-15, 15, 6001)[:, None]
    density = p.log_prob(grid).exp()
    assert torch.trapezoid(density.detach(), grid[:, 0]) == pytest.approx(1, abs=1e-4)
    with seeded(1):
        draws = p.sample(torch.Size((5000,)))[:, 0].sort().values
    cumulative = torch.cumsum(density.detach(), 0) * 0.005
    at = cumulative[((draws + 15) / 0.005).long().clamp(0, 6000)]
    distance = (at - (torch.arange(5000) + 0.5) / 5000).abs().max()
    assert distance < 1.63 / 5000**0.5, "Kolmogorov-Smirnov at 1 %"


def test_a_gaussian_prior_learns_mean_and_covariance():
    prior = GaussianPrior((2,))
    with seeded(0):
        z = torch.randn(4000, 2) @ torch.tensor([[1.0, 0.8], [0.0, 0.5]]) + 1
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        (-prior().log_prob(z).mean()).backward()
        optimizer.step()
    torch.testing.assert_close(prior().mean, z.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(prior().covariance_matrix, z.T.cov(), atol=0.03, rtol=0)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_vamp_is_the_average_posterior_of_its_pseudo_inputs_inside_the_data_range(likelihood):
    sentence = Sentence.parse(network="mlp:hidden=8", prior="vamp:components=5", likelihood=likelihood)
    model = build_vae(sentence, (3,), latent=2)
    inputs = untyped(model.parts["prior"].pseudo_inputs)
    if likelihood == "bernoulli":
        assert ((inputs > 0) & (inputs < 1)).all()
    z = torch.randn(7, 2)
    q = model.encode(inputs)
    expected = q.log_prob(z[:, None]).logsumexp(1) - torch.log(torch.tensor(5.0))
    torch.testing.assert_close(model.prior().log_prob(z), expected)


def test_a_copy_of_a_vamp_model_is_tied_to_its_own_encoder():
    model = build_vae(Sentence.parse(network="mlp:hidden=8", prior="vamp:components=5"), (3,), latent=2)
    clone = copy.deepcopy(model)
    z = torch.zeros(1, 2)
    before = model.prior().log_prob(z)
    with torch.no_grad():
        for parameter in clone.parts["encoder"].parameters():
            parameter.add_(0.3)
    assert torch.equal(model.prior().log_prob(z), before)
    assert not torch.equal(clone.prior().log_prob(z), before)


@pytest.mark.parametrize(
    "wrong", [lambda: MixturePrior((2,), components=0), lambda: VampPrior((2,), components=0)]
)
def test_a_prior_has_a_component(wrong):
    with pytest.raises(UsageError, match="components=0"):
        wrong()
