"""Chains of stochastic layers: exact joint densities, and the evidence of a two-layer model that has one."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from narrowing import untyped
from vaekit.distributions import ChainDistribution, GaussianLayer
from vaekit.errors import UsageError
from vaekit.evaluation import Estimate, log_likelihood
from vaekit.likelihoods import GaussianLikelihood
from vaekit.networks import LeadingLatents, TransformedInput
from vaekit.objectives.gradient_paths import stop_gradient
from vaekit.posteriors import ChainPosterior
from vaekit.priors import ChainPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae, parse
from vaekit.vae import VAE

CHAIN = {"network": "mlp:hidden=8", "posterior": "chain:sizes=2x1,hidden=5", "prior": "chain:hidden=5"}


def linear_chain(first_size, sizes, *, last_first):
    """A chain whose layers are linear, hence jointly Gaussian, and that Gaussian."""
    with seeded(0):
        layers = [
            GaussianLayer(a, b, hidden=()).double()
            for a, b in zip((first_size, *sizes[:-1]), sizes, strict=True)
        ]
        mean, scale = torch.randn(first_size).double(), 0.5 + torch.rand(first_size).double()
    with torch.no_grad():
        for layer in layers:  # scales that do not depend on what is given
            linear = untyped(layer.network.layers[0])
            linear.weight[linear.out_features // 2 :] = 0
    first = Independent(Normal(mean, scale), 1)
    chain = ChainDistribution(first, layers, (first_size, *sizes), last_first=last_first)
    covariance = torch.diag(scale**2)
    for layer in layers:
        linear = untyped(layer.network.layers[0])
        size = linear.out_features // 2
        W = linear.weight[:size].detach()
        own = torch.diag(layer(mean.new_zeros(linear.in_features)).variance.detach())
        last = covariance
        cross = last[:, -linear.in_features :] @ W.T
        corner = W @ last[-linear.in_features :, -linear.in_features :] @ W.T + own
        covariance = torch.cat([torch.cat([last, cross], 1), torch.cat([cross.T, corner], 1)])
    drawn = torch.cat(chain.split(chain.mean.detach()))
    return chain, drawn, covariance


@pytest.mark.parametrize("last_first", [False, True])
@pytest.mark.parametrize("sizes", [(2,), (3, 2), (1, 1, 1)])
def test_a_chain_of_linear_layers_is_the_joint_gaussian(sizes, last_first):
    chain, mean, covariance = linear_chain(2, sizes, last_first=last_first)
    joint = MultivariateNormal(mean, covariance_matrix=covariance)
    with seeded(1):
        z = chain.sample((20_000,))
    drawn = torch.cat(chain.split(z), 1)
    with torch.no_grad():
        torch.testing.assert_close(chain.log_prob(z), joint.log_prob(drawn), rtol=0, atol=1e-9)
    error = (drawn.mean(0) - mean) / (covariance.diagonal() / 20_000).sqrt()
    assert error.abs().max() < 4.5
    size = covariance.diagonal().sqrt()
    assert ((drawn.T.cov() - covariance) / torch.outer(size, size)).abs().max() < 0.04
    # side by side, bottom layer first: a prior draws it last
    assert torch.equal(z[:, :2] if not last_first else z[:, -2:], chain.split(z)[0])


def test_nonlinear_layers_integrate_to_one():
    with seeded(0):
        layer = GaussianLayer(1, 1, hidden=(6,)).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.mul_(2)
    first = Independent(Normal(torch.zeros(1).double(), torch.ones(1).double()), 1)
    chain = ChainDistribution(first, [layer], (1, 1), last_first=True)
    axis = torch.linspace(-14, 14, 561, dtype=torch.float64)
    with torch.no_grad():
        density = chain.log_prob(torch.cartesian_prod(axis, axis)).exp().unflatten(0, (561, 561))
    assert torch.trapezoid(torch.trapezoid(density, axis), axis) == pytest.approx(1, abs=1e-6)
    with seeded(1):
        z = chain.sample((40_000,))
    marginal = torch.trapezoid(density, axis, dim=1)  # of the layer that lies first, which is drawn last
    for power in (1, 2):
        moment = torch.trapezoid(marginal * axis**power, axis)
        seen = z[:, 0] ** power
        assert (seen.mean() - moment).abs() < 4 * seen.std() / 200


def test_stopped_it_is_a_function_of_z_alone():
    posterior = ChainPosterior(3, sizes=(2,), hidden=(5,)).double()
    with seeded(0):
        features = torch.randn(4, 6).double().requires_grad_(True)
    q = posterior(features)
    z = q.rsample((5,))
    point = z.detach().requires_grad_(True)
    (expected,) = torch.autograd.grad(q.log_prob(point).sum(), point)
    value = stop_gradient(q).log_prob(point)
    torch.testing.assert_close(value, q.log_prob(point))
    torch.testing.assert_close(torch.autograd.grad(value.sum(), point)[0], expected)
    assert not stop_gradient(q).log_prob(z.detach()).requires_grad


def two_layer_model(rows):
    """x = W h1 + e, h1 = A h2 + b + d e', h2 standard: its evidence is a Gaussian's. The posterior is off."""
    with seeded(0):
        posterior = ChainPosterior(2, sizes=(2,), hidden=()).double()
        prior = ChainPrior((4,), (2, 2), hidden=()).double()
        decoder, encoder = nn.Linear(2, 3).double(), nn.Linear(3, 4).double()
        layer, up = (
            untyped(prior.layers[0].network).layers[0],
            untyped(posterior.layers[0].network).layers[0],
        )
        with torch.no_grad():
            untyped(layer).weight[2:] = 0
            untyped(up).weight[2:] = 0
            encoder.weight[2:] = 0
            encoder.bias[2:] = 1.0  # wide, so that weights have no tail
            untyped(up).bias[2:] = 1.0
        A, b = untyped(layer).weight[:2].detach(), untyped(layer).bias[:2].detach()
        own = torch.diag(prior.layers[0](torch.zeros(2).double()).variance.detach())
    likelihood = GaussianLikelihood((3,), scale="fixed", value=0.8)
    seen = TransformedInput(LeadingLatents(2), decoder)
    model = VAE(encoder, posterior, prior, seen, likelihood).double()
    W = decoder.weight.detach()
    covariance = W @ (A @ A.T + own) @ W.T + 0.64 * torch.eye(3)
    evidence = MultivariateNormal(W @ b + decoder.bias.detach(), covariance_matrix=covariance)
    with seeded(5):
        x = evidence.sample((rows,))
    return model, x, evidence.log_prob(x)


def test_bounds_are_below_the_evidence_of_the_two_layer_model_and_importance_sampling_meets_it():
    model, x, exact = two_layer_model(800)
    with seeded(7), torch.no_grad():
        gaps = [
            Estimate.of(exact - parse("objective", text).build()(model, x).bound)
            for text in ("elbo", "iwae:samples=5", "iwae:samples=100")
        ]
        many = log_likelihood(model, x[:40], samples=5000)
        common = log_likelihood(model, x[:40], samples=5000, common_noise=True)
    assert gaps[0].mean > 4 * gaps[0].standard_error
    assert gaps[0].mean > gaps[1].mean > gaps[2].mean > -4 * gaps[2].standard_error
    for found in (many, common):
        standard_error = (1 / found.effective_sample_size - 1 / 5000).sqrt()
        assert ((found.values - exact[:40]).abs() < 5 * standard_error).all()


def test_the_decoder_sees_the_first_layer_and_the_prior_all_of_them():
    with seeded(0):
        model = build_vae(Sentence.parse(**CHAIN), (5,), latent=3)
        z = torch.randn(4, 6)
    assert (model.latent_shape, model.parts["prior"].sizes) == ((6,), (3, 2, 1))
    moved = z.clone()
    moved[:, 3:] += 1
    assert torch.equal(model.decode(z).mean, model.decode(moved).mean)
    assert not torch.equal(model.prior().log_prob(z), model.prior().log_prob(moved))
    moved = z.clone()
    moved[:, 0] += 1
    assert not torch.equal(model.decode(z).mean, model.decode(moved).mean)
    model.log_joint(torch.rand(4, 5).round(), model.encode(torch.rand(4, 5)).rsample()).mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("prior", ["standard", "gaussian", "vamp:components=3", "chain:hidden=5", "flow"])
def test_copies_and_loaded_models_give_the_same_bytes(prior):
    sentence = Sentence.parse(**{**CHAIN, "prior": prior})
    with seeded(0):
        model, again = build_vae(sentence, (5,), 3), build_vae(sentence, (5,), 3)
        x = torch.rand(6, 5).round()
    again.load_state_dict(model.state_dict())
    for other in (again, copy.deepcopy(model)):
        results = []
        for each in (model, other):
            with seeded(1):
                results.append((each.encode(x).mean, each.encode(x).sample((2,)), each.sample(4)))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    q, z = model.encode(x), torch.randn(6, 6)
    torch.testing.assert_close(model.encode(x.flip(0)).log_prob(z.flip(0)), q.log_prob(z).flip(0))
    torch.testing.assert_close(model.encode(x[:1]).log_prob(z[:1]), q.log_prob(z)[:1])


@pytest.mark.parametrize(
    ("posterior", "prior", "message"),
    [
        ("chain:sizes=none", "chain", "give the further layers"),
        ("chain:sizes=0", "chain", "sizes=0"),
        ("chain:hidden=0", "chain", "hidden=0"),
        ("diagonal", "chain", "lengths of the layers are not known"),
        ("chain:sizes=2", "chain:sizes=3", "sizes=3, but the posterior's further layers have 2"),
        ("diagonal", "chain:sizes=3", "every layer needs at least one dimension"),
        ("diagonal", "chain:sizes=none", "lengths of the layers are not known"),
    ],
)
def test_chains_that_do_not_fit_are_refused(posterior, prior, message):
    with pytest.raises(UsageError, match=message):
        build_vae(Sentence.parse(posterior=posterior, prior=prior), (5,), latent=3)


def test_a_chain_prior_of_one_posterior_layer_gives_its_own_sizes():
    model = build_vae(Sentence.parse(prior="chain:sizes=2"), (5,), latent=3)
    assert model.parts["prior"].sizes == (1, 2)
