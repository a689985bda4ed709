"""Posteriors made by transformation, as parts of a model: bounds, evaluation, training, saving."""

import copy

import pytest
import torch
from torch import nn

from narrowing import known, untyped
from oracles.linear_gaussian import LinearGaussian
from vaekit.errors import UsageError
from vaekit.evaluation import Estimate, log_likelihood
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae, parse
from vaekit.vae import VAE

FLOWS = ["iaf", "maf", "spline", "planar"]
WITH_CONTEXT = ["iaf", "maf", "spline"]
SMALL = {
    "iaf": "iaf:context=4,hidden=16",
    "maf": "maf:context=4,hidden=16",
    "spline": "spline:context=4,hidden=16",
    "planar": "planar:layers=4",
}


def on_linear_gaussian(kind, truth):
    """The true decoder with a flow posterior of an untrained linear encoder that is somewhat off."""
    model = truth.vae(exact=False)
    with seeded(0):
        posterior = parse("posterior", SMALL[kind]).build(latent=truth.latent).double()
        encoder = nn.Linear(truth.columns, *posterior.feature_shape, dtype=torch.float64)
    with torch.no_grad():
        encoder.weight.mul_(0.1 if kind == "planar" else 0.3)
        encoder.weight[: 2 * truth.latent] = model.parts["encoder"].weight
        encoder.bias[: 2 * truth.latent] = model.parts["encoder"].bias
        encoder.bias[truth.latent : 2 * truth.latent] += 0.5  # wide, so that weights have no tail
        if kind == "iaf":  # its gates, at their start, shrink everything twice
            shrink = torch.tensor(1.5).sigmoid() ** 2
            encoder.weight[: truth.latent] /= shrink
            encoder.bias[: truth.latent] /= shrink
            encoder.bias[truth.latent : 2 * truth.latent] -= 2 * shrink.log()
    parts = model.parts
    return VAE(encoder, posterior, parts["prior"], parts["decoder"], parts["likelihood"])


@pytest.mark.parametrize("kind", FLOWS)
def test_bounds_are_below_the_evidence_and_importance_sampling_meets_it(kind):
    truth = LinearGaussian.random(4, 2, scale=1.0)
    model, x = on_linear_gaussian(kind, truth), truth.draw(1000)
    exact = truth.log_evidence(x)
    with seeded(11), torch.no_grad():  # not the seed that drew x
        gaps = [
            Estimate.of(exact - parse("objective", text).build()(model, x).bound)
            for text in ("elbo", "iwae:samples=5", "iwae:samples=200")
        ]
        many = log_likelihood(model, x[:50], samples=4000)
    assert gaps[0].mean > 4 * gaps[0].standard_error
    assert gaps[0].mean > gaps[1].mean > gaps[2].mean > -4 * gaps[2].standard_error
    standard_error = (1 / many.effective_sample_size - 1 / 4000).sqrt()
    assert ((many.values - exact[:50]).abs() < 5 * standard_error).all()


@pytest.mark.parametrize("kind", FLOWS)
def test_scores_with_common_noise_estimate_the_same_and_depend_on_their_row_alone(kind):
    truth = LinearGaussian.random(4, 2, scale=1.0)
    model, x = on_linear_gaussian(kind, truth), truth.draw(12)

    def score(rows):
        with seeded(12):
            return log_likelihood(model, rows, samples=3000, common_noise=True)

    values = score(x)
    standard_error = (1 / values.effective_sample_size - 1 / 3000).sqrt()
    assert ((values.values - truth.log_evidence(x)).abs() < 5 * standard_error).all()
    values = values.values
    torch.testing.assert_close(score(x.flip(0)).values, values.flip(0), rtol=0, atol=1e-10)
    torch.testing.assert_close(score(x[:1]).values, values[:1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("gradient", ["dreg", "stl"])
def test_reparameterised_gradients_have_the_mean_of_the_standard_one(kind, gradient):
    truth = LinearGaussian.random(3, 2)
    model, x = on_linear_gaussian(kind, truth), truth.draw(8)
    samples = 1 if gradient == "stl" else 4
    parameters = [*model.parts["encoder"].parameters(), *model.parts["posterior"].parameters()]

    def draws(name):
        objective = parse("objective", f"iwae:samples={samples},gradient={name}").build()
        with seeded(3):
            found = []
            for _ in range(150):
                gradients = torch.autograd.grad(objective(model, x).surrogate.mean(), parameters)
                found.append(torch.cat([g.flatten() for g in gradients]))
        return torch.stack(found)

    standard, other = draws("standard"), draws(gradient)
    error = ((standard.var(0) + other.var(0)) / 150).sqrt()
    share = ((standard.mean(0) - other.mean(0)).abs() > 4 * error + 1e-12).double().mean()
    assert share < 0.01
    assert (standard.mean(0).abs() > 4 * error).any(), "a gradient of zero would have passed"


class Banana(nn.Module):
    """A decoder whose posterior is bent: x_2 = z_2 + z_1^2 up to noise, x_1 tells little of z_1."""

    def forward(self, z):
        return torch.cat([z[..., :1], z[..., 1:] + z[..., :1].square()], -1)


def exact_evidence(model, x):
    """By quadrature over the two latent dimensions."""
    axis = torch.linspace(-6, 6, 301, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)[:, None]
    log_joint = model.log_joint(x, z.expand(-1, len(x), -1))
    return log_joint.logsumexp(0) + 2 * torch.log(axis[1] - axis[0])


@pytest.mark.parametrize("kind", ["diagonal", *FLOWS])
def test_trained_on_a_bent_posterior_a_flow_comes_closer_than_the_diagonal(kind):
    from vaekit.likelihoods import GaussianLikelihood
    from vaekit.priors import StandardPrior

    x = torch.tensor([[0.0, 1.0], [0.3, 2.0], [-0.5, 0.5]], dtype=torch.float64)
    with seeded(0):
        posterior = parse("posterior", known(SMALL.get(kind, kind))).build(latent=2).double()
        encoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, *posterior.feature_shape)).double()
    likelihood = GaussianLikelihood((2,), scale="fixed", value=0.5)
    model = VAE(encoder, posterior, StandardPrior((2,)), Banana(), likelihood).double()
    objective = parse("objective", "elbo").build()
    optimizer = torch.optim.Adam([*encoder.parameters(), *posterior.parameters()], lr=1e-2)
    rows = x.repeat(20, 1)
    with seeded(1):
        for _ in range(400):
            optimizer.zero_grad()
            (-objective(model, rows).surrogate.mean()).backward()
            optimizer.step()
    with seeded(2), torch.no_grad():
        q = model.encode(x)
        z = q.sample((4000,))
        bound = (model.log_joint(x, z) - q.log_prob(z)).mean(0)
        gap = exact_evidence(model, x) - bound
    assert (gap > -0.01).all()
    assert gap.mean() > 0.15 if kind == "diagonal" else gap.mean() < 0.08


@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("latent", [1, 3])
def test_alone_permuted_copied_and_loaded(kind, latent):
    sentence = Sentence.parse(network="mlp:hidden=8", posterior=SMALL[kind], prior="flow")
    with seeded(0):
        model = build_vae(sentence, (5,), latent)
        x = torch.rand(6, 5).round()
        again = build_vae(sentence, (5,), latent)
    again.load_state_dict(model.state_dict())
    for other in (copy.deepcopy(model), again):
        with seeded(1):
            ours = model.encode(x).rsample((3,))
        with seeded(1):
            assert torch.equal(other.encode(x).rsample((3,)), ours)
        assert torch.equal(other.encode(x).mean, model.encode(x).mean)
    q = model.encode(x)
    z = torch.randn(6, latent)
    torch.testing.assert_close(model.encode(x.flip(0)).log_prob(z.flip(0)), q.log_prob(z).flip(0))
    torch.testing.assert_close(model.encode(x[:1]).log_prob(z[:1]), q.log_prob(z)[:1])


@pytest.mark.parametrize("kind", WITH_CONTEXT)
def test_without_a_context_it_is_refused_as_a_prior_in_disguise(kind):
    with pytest.raises(UsageError, match=f"{kind}: context=0; .*learned prior in disguise"):
        PARTS["posterior"][kind](2, context=0)
    with pytest.raises(UsageError, match="latent=0"):
        PARTS["posterior"][kind](0)
    with pytest.raises(UsageError, match="planar: latent=2, layers=0"):
        PARTS["posterior"]["planar"](2, layers=0)


@pytest.mark.parametrize("kind", FLOWS)
def test_the_shape_of_the_posterior_depends_on_x_and_not_its_place_and_size_alone(kind):
    with seeded(0):
        model = build_vae(Sentence.parse(network="mlp:hidden=8", posterior=SMALL[kind]), (5,), 2).double()
        with torch.no_grad():
            for parameter in model.parts["posterior"].parameters():
                parameter.mul_(3)
        x = torch.rand(2, 5).double()
        noise = torch.randn(20_000, 1, 2).double()
    q = model.encode(3 * x)
    with torch.no_grad():
        z, _ = untyped(q).flow(untyped(q).base.mean + (untyped(q).base.stddev * noise), untyped(q).context)
        standardised = (z - z.mean(0)) / z.std(0)
    third = standardised.pow(3).mean(0), standardised.prod(-1).mean(0)
    assert max((t[0] - t[1]).abs().max() for t in third) > 0.01, "same place and size, same shape"
