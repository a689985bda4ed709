"""Conditional models: exact answers on p(x | z, c) = N(W z + B c + m, s^2 I), and laws of c."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from narrowing import untyped
from vaekit.aggregate import fit_prior
from vaekit.contracts import Posterior
from vaekit.errors import UsageError
from vaekit.evaluation import evaluate_bound, log_likelihood
from vaekit.likelihoods import GaussianLikelihood
from vaekit.networks import ConditionedInput
from vaekit.objectives import Elbo, ImportanceWeighted
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import GaussianPrior, MixturePrior, StandardPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.vae import VAE

COLUMNS, LATENT, WIDTH, SCALE = 4, 2, 3, 1.5
ROWS = 150


def conditional_linear_gaussian(prior):
    """The true decoder, any encoder, and the exact log p(x | c)."""
    with seeded(0):
        encoder = ConditionedInput(nn.Linear(COLUMNS + WIDTH, 2 * LATENT), width=WIDTH)
        decoder = ConditionedInput(nn.Linear(LATENT + WIDTH, COLUMNS), width=WIDTH)
        nn.init.normal_(untyped(encoder.network.weight), std=0.02)
        nn.init.normal_(untyped(decoder.network.weight), std=0.6)
        nn.init.zeros_(untyped(encoder.network.bias))
        if isinstance(prior, GaussianPrior):
            nn.init.normal_(prior.of_condition)
            with torch.no_grad():  # proposals near the prior: importance sampling is to have an easy time
                untyped(encoder.network.weight)[:LATENT, COLUMNS:] = prior.of_condition.T
    likelihood = GaussianLikelihood((COLUMNS,), scale="fixed", value=SCALE)
    model = VAE(encoder, DiagonalPosterior(LATENT), prior, decoder, likelihood).double().requires_grad_(False)

    def exact(x, c):
        W, B = untyped(decoder.network.weight).split([LATENT, WIDTH], 1)
        mean = c @ B.T + decoder.network.bias
        if isinstance(prior, GaussianPrior):
            mean = mean + c @ prior.of_condition @ W.T
        covariance = W @ W.T + SCALE**2 * torch.eye(COLUMNS, dtype=torch.float64)
        return MultivariateNormal(mean, covariance_matrix=covariance).log_prob(x)

    return model, exact


def conditions(rows=ROWS, dtype=torch.float64):
    with seeded(1):
        return torch.randn(rows, WIDTH, dtype=dtype)


@pytest.mark.parametrize("prior", [StandardPrior((LATENT,)), GaussianPrior((LATENT,), condition=WIDTH)])
def test_bounds_and_importance_sampling_meet_the_exact_evidence_given_the_condition(prior):
    model, exact = conditional_linear_gaussian(prior)
    c = conditions()
    with seeded(2):
        x = model.sample(ROWS, c)
        truth = exact(x, c)
        assert (truth - exact(x, c.flip(0))).mean() > 0.3, "the condition matters"
        bounds = [
            evaluate_bound(model, objective, x, c=c).values for objective in (Elbo(), ImportanceWeighted())
        ]
        for bound in bounds:
            gap = truth - bound
            assert gap.mean() > -4 * gap.std() / ROWS**0.5
        assert bounds[1].mean() > bounds[0].mean()
        for common_noise in (False, True):
            found = log_likelihood(model, x, samples=1500, c=c, common_noise=common_noise, memory=2**23)
            error = found.values - truth
            standard_error = (1 / found.effective_sample_size - 1 / 1500).sqrt()
            assert (error.abs() < 6 * standard_error + 1e-3).all()


def data(model, n=6):
    with seeded(3):
        c = torch.eye(WIDTH)[torch.arange(n) % WIDTH]
        return model.sample(n, c), c


@pytest.mark.parametrize("prior", [*PARTS["prior"], "categorical:masses=learned"])
@pytest.mark.parametrize("network", list(PARTS["network"]))
def test_laws_of_conditional_sentences(network, prior):
    small = {
        "mlp": "mlp:hidden=6",
        "gated": "gated:hidden=6",
        "convolutional": "convolutional:channels=3,hidden=6",
    }
    posterior = {
        "uniform-sphere": "von-mises-fisher",
        "wrapped-normal": "wrapped-normal",
        "chain": "chain",
        "categorical": "categorical",
        "categorical:masses=learned": "categorical",
        "autoregressive": "categorical",
    }
    sentence = Sentence.parse(
        network=small.get(network, network), prior=prior, posterior=posterior.get(prior, "diagonal")
    )
    with seeded(0):
        model = build_vae(sentence, (1, 4, 4), 3, condition=WIDTH).eval()
    x, c = data(model)
    with torch.no_grad():
        q = model.encode(x, c)
        mean = q.mean
        torch.testing.assert_close(
            model.encode(x.flip(0), c.flip(0)).mean, mean.flip(0), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(model.encode(x[:1], c[:1]).mean, mean[:1], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model.encode(x, c.roll(1, 1)).mean, mean), "the encoder hears the condition"
        z = q.sample(torch.Size((5,)))
        several = model.decode(z, c).log_prob(x)
        assert several.shape == (5, len(x))
        torch.testing.assert_close(several[3], model.decode(z[3], c).log_prob(x), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(model.decode(z, c.roll(1, 1)).log_prob(x), several), (
            "and so does the decoder"
        )
    model.zero_grad()
    with seeded(4):
        Elbo()(model, x, c).surrogate.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    with pytest.raises(UsageError, match="conditional"):
        model.encode(x)
    with pytest.raises(UsageError, match=r"shape \(6, 2\); expected \(6, 3\)"):
        model.encode(x, c[:, :2])


def test_a_learned_prior_begins_the_same_for_all_conditions_and_can_tell_them_apart():
    for prior in ("gaussian", "mixture:components=4"):
        with seeded(0):
            model = build_vae(Sentence.parse(prior=prior, network="mlp:hidden=4"), (5,), 2, condition=WIDTH)
        c = torch.eye(WIDTH)
        z = torch.zeros(WIDTH, 2)
        before = model.prior(c).log_prob(z)
        assert torch.equal(before, before[:1].expand(WIDTH))
        for name, value in model.parts["prior"].named_parameters():
            if "of_condition" in name:
                with seeded(1), torch.no_grad():
                    value.normal_()
                    assert model.prior(c).log_prob(z).unique().numel() == WIDTH, name
                    assert model.prior(c).sample().shape == (WIDTH, 2)
                    value.zero_()


class Told(nn.Module, Posterior):
    """An encoder that says where latents are: around one of two places of their class, three classes."""

    latent_shape, feature_shape = (2,), (2,)

    def forward(self, features):
        return Independent(Normal(features, 0.3), 1)


class First(nn.Module):
    def forward(self, x, c=None):
        return x


def test_priors_fitted_afterwards_know_the_condition():
    """Aggregate posteriors that differ by class: the conditional density is known, and the shared one is worse."""
    with seeded(0):
        c = torch.eye(WIDTH)[torch.arange(1500) % WIDTH]
        places = 1.5 * torch.randn(WIDTH, 2, 2)
        x = places[torch.arange(1500) % WIDTH, torch.randint(2, (1500,))]
        model = build_vae(Sentence.parse(network="mlp:hidden=4"), (2,), 2, condition=WIDTH)
        model.parts["encoder"], model.parts["posterior"] = First(), Told()
        mixture, gaussian = MixturePrior((2,), WIDTH, components=4), GaussianPrior((2,), WIDTH)
    truth = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(len(c), 2)),
        Independent(Normal(places[torch.arange(1500) % WIDTH], 0.3), 1),
    )
    with seeded(2):
        z = truth.sample()
    fit_prior(model, mixture, x, x, c=c, held_out_c=c, seed=0)
    found = model.prior(c).log_prob(z).detach()
    gap = (truth.log_prob(z) - found).mean()
    shared = MixturePrior((2,), components=4)
    fit_prior(model, shared, x, x, c=c, held_out_c=c, seed=0)
    shared_gap = (truth.log_prob(z) - model.prior(c).log_prob(z).detach()).mean()
    assert gap < 0.2, (gap, shared_gap)
    assert shared_gap > 0.8

    fit_prior(model, gaussian, x, x, c=c, held_out_c=c, seed=0)
    means = gaussian(condition=torch.eye(WIDTH)).mean
    for label in range(WIDTH):
        expected = x[label::WIDTH].mean(0)
        torch.testing.assert_close(means[label], expected, atol=0.02, rtol=0)
