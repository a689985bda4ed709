"""Exact answers for discrete latents: few codes can be added up."""

from itertools import product

import pytest
import torch
from torch import nn

from narrowing import untyped
from vaekit.conformance import check
from vaekit.distributions import CategoricalCodes
from vaekit.evaluation import Estimate, evaluate_bound, log_likelihood
from vaekit.likelihoods import BernoulliLikelihood
from vaekit.objectives import Elbo, ImportanceWeighted
from vaekit.posteriors import CategoricalPosterior
from vaekit.priors import CategoricalPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.vae import VAE

POSTERIORS = [
    "categorical:categories=3",
    "categorical:categories=3,straight_through=false",
    "quantized:codes=3",
    "quantized:codes=3,codebook=gradient,dimension=2",
    "residual-quantized:codes=3,levels=2,dimension=2",
]
PRIORS = ["categorical", "categorical:masses=learned", "autoregressive:hidden=8"]


def make(posterior, prior):
    sentence = Sentence.parse(network="mlp:hidden=8", posterior=posterior, prior=prior)
    with seeded(0):
        model = build_vae(sentence, (4,), latent=2).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.4)
    return model


def every_row():
    return torch.tensor(list(product([0.0, 1.0], repeat=4)), dtype=torch.float64)


def exact_evidence(model, x):
    """log p(x) by adding up all codes."""
    space = model.parts["posterior"].codebook
    z = space.embed(torch.tensor(list(product(range(space.codes), repeat=space.positions))))
    return (
        model.decode(z[:, None].expand(-1, len(x), -1)).log_prob(x) + model.prior().log_prob(z)[:, None]
    ).logsumexp(0)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_every_bound_is_below_the_evidence_that_all_codes_add_up_to(posterior, prior):
    model, x = make(posterior, prior), every_row()
    with torch.no_grad():
        exact = exact_evidence(model, x)
    assert exact.exp().sum() == pytest.approx(1, abs=1e-12), "the model is a distribution over rows"
    with seeded(1):
        gap = exact - evaluate_bound(model, Elbo(), x.repeat(200, 1)).values.reshape(200, -1)
        many = log_likelihood(model, x, samples=3000)
    mean, error = Estimate.of(gap.flatten().numpy())
    assert mean > -4 * error
    if posterior.startswith("categorical"):
        error = (1 / many.effective_sample_size - 1 / 3000).clamp_min(0).sqrt()
        assert ((many.values - exact).abs() <= 5 * error + 1e-9).all()
        assert error.max() < 0.2
    else:
        assert (gap >= 0).all()
        torch.testing.assert_close(many.values, exact - gap[0])


def test_with_the_exact_posterior_every_bound_is_the_evidence():
    class Table(nn.Module):
        """log p(k | x), or logits of x given k, looked up."""

        def __init__(self, table):
            super().__init__()
            self.table = nn.Parameter(table)

        def forward(self, value):
            if value.shape[1] == 5:  # one-hot z
                return value @ self.table
            return self.table[(value @ torch.tensor([2.0, 1.0], dtype=torch.float64)).long()]

    with seeded(0):
        logits = torch.randn(5, 2, dtype=torch.float64)
        prior = CategoricalPrior(1, 5, masses="learned").double()
        nn.init.normal_(prior.logits)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    likelihood = BernoulliLikelihood((2,))
    joint = likelihood(logits[:, None].expand(5, 4, 2)).log_prob(x) + prior.logits.log_softmax(-1).T
    exact = joint.logsumexp(0).detach()
    encoder, decoder = Table((joint - exact).T.detach()), Table(logits)
    model = VAE(encoder, CategoricalPosterior(1, categories=5), prior, decoder, likelihood).double()
    with seeded(1):
        for samples in (1, 7):
            estimate = log_likelihood(model, x, samples=samples)
            torch.testing.assert_close(estimate.values, exact, rtol=0, atol=1e-12)
            bound = evaluate_bound(model, ImportanceWeighted(samples=samples), x).values
            torch.testing.assert_close(bound, exact, rtol=0, atol=1e-12)
        estimate = log_likelihood(model, x, samples=7, common_noise=True)
        torch.testing.assert_close(estimate.values, exact, rtol=0, atol=1e-12)
        # The ELBO has its KL in closed form, and noise in its reconstruction alone.
        elbo = evaluate_bound(model, Elbo(), x.repeat(20_000, 1)).values.reshape(-1, 4)
    error = elbo.std(0) / 20_000**0.5
    assert ((elbo.mean(0) - exact).abs() < 4 * error).all()
    assert (error < 0.01).all()


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_discrete_models_are_held_to_the_laws(posterior, prior):
    model = make(posterior, prior)
    findings = check(model, every_row().repeat(2, 1))
    assert [f for f in findings if f.outcome == "broken"] == []
    held = {f.law for f in findings if f.outcome == "holds"}
    assert {f"the {part}'s draws and log_prob belong together" for part in ("prior", "posterior")} <= held


@pytest.mark.parametrize("wrong", ["a constant", "other draws"])
def test_a_wrong_mass_breaks_the_law(wrong):
    model = make("quantized:codes=3", "categorical:masses=learned")

    class Wrong(CategoricalCodes):
        def log_prob(self, value):
            return super().log_prob(value) + (0.3 if wrong == "a constant" else 0.0)

        def sample(self, sample_shape=()):
            flat = CategoricalCodes(3 * self.log_masses, self.codebook)
            return super().sample(sample_shape) if wrong == "a constant" else flat.sample(sample_shape)

    right = model.parts["prior"]
    model.prior = lambda c=None: Wrong(untyped(right.logits), untyped(model.parts["posterior"].codebook))
    broken = [f for f in check(model, every_row()) if f.outcome == "broken"]
    assert [f.law for f in broken] == ["the prior's draws and log_prob belong together"]
    assert "the masses do not sum to one" in broken[0].detail
