"""The two-stage prior: an unbiased density and so a lower bound, exact draws, and a shape no Gaussian has."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from tests.oracles.linear_gaussian import LinearGaussian
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from narrowing import untyped
from vaekit import VariationalAutoencoder, load
from vaekit.aggregate import fit_prior
from vaekit.cli.printing import evaluation_lines
from vaekit.contracts import Posterior
from vaekit.errors import UsageError
from vaekit.evaluation import log_likelihood
from vaekit.objectives import ImportanceWeighted
from vaekit.priors import TwoStageDistribution, TwoStagePrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


def disturbed(k, *, hidden=(), samples=64, spread=0.15):
    """A prior away from its start, in float64."""
    with seeded(0):
        prior = TwoStagePrior((k,), hidden=hidden, samples=samples).double().eval().requires_grad_(False)
        for parameter in prior.parameters():
            nn.init.normal_(parameter, std=spread)
        k = len(prior.stage.location)
        untyped(prior.stage.encoder.layers[-1].bias)[k:].add_(
            1.0
        )  # proposals wider than the posterior: weights are bounded
    return prior


def with_noise(prior, noise):
    """Its distribution, with one noise for all latents or one for each."""
    size, samples = noise.shape[-1], len(noise)
    return TwoStageDistribution(prior.stage, size, lambda z: noise, bound_samples=samples)


def linear(k=3):
    """A prior whose networks are linear, and the Gaussian that it is."""
    prior = disturbed(k)
    stage = prior.stage
    q = stage(torch.zeros(k, dtype=torch.float64))
    columns = stage(torch.eye(k, dtype=torch.float64)).mean - q.mean
    return prior, MultivariateNormal(q.mean, columns.T @ columns + q.variance.diag())


@pytest.mark.parametrize("k", [1, 4])
def test_it_starts_as_the_standard_gaussian_exactly(k):
    with seeded(0):
        prior, z = TwoStagePrior((k,)), 2 * torch.randn(50, k)
    torch.testing.assert_close(prior().log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(1))
    prior().log_prob(z).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in prior.parameters())


def test_over_its_noise_the_density_is_unbiased_and_its_logarithm_a_lower_bound():
    prior, exact = linear()
    with seeded(1):
        z = exact.sample(torch.Size((6,)))
        noise = torch.randn(2000, 8, 6, 3, dtype=torch.float64)
    found = torch.stack([with_noise(prior, each).log_prob(z) for each in noise])
    truth = exact.log_prob(z)
    ratio = (found - truth).exp()
    assert ((ratio.mean(0) - 1).abs() < 4 * ratio.std(0) / len(noise) ** 0.5).all()
    gap = truth - found.mean(0)
    assert (gap > 4 * found.std(0) / len(noise) ** 0.5).all(), "strictly below, with eight samples"


def test_a_mean_over_latents_stays_below_the_truth_for_every_set_of_points():
    """With one noise for all, the faulty form, its luck is in the mean, and the standard error does not tell."""

    def errors(noise_of):
        excess = []
        for seed in range(40):
            with seeded(seed):
                prior.points.uniform_()
                z, common = exact.sample(torch.Size((2000,))), torch.randn(8, 1, 3, dtype=torch.float64)
            value = noise_of(common).log_prob(z) - exact.log_prob(z)
            excess.append(float(value.mean() / (value.std() / 2000**0.5)))
        return max(excess)

    prior, exact = linear()
    prior.points = prior.points[:8].clone()
    assert errors(lambda common: prior()) < 0, "the bound of eight samples is loose, and seen to be"
    assert errors(lambda common: with_noise(prior, common)) > 4


def test_the_bound_tightens_with_samples_and_reaches_the_density():
    prior, exact = linear()
    with seeded(2):
        z = exact.sample(torch.Size((200,)))
        noise = torch.randn(10_000, 200, 3, dtype=torch.float64)
    gaps = [
        (exact.log_prob(z) - with_noise(prior, noise[:samples]).log_prob(z)).mean()
        for samples in (4, 40, 10_000)
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    assert abs(gaps[2]) < 0.002


@pytest.mark.parametrize("hidden", [(), (16,)])
def test_it_is_drawn_as_it_is_scored(hidden):
    prior = disturbed(1, hidden=hidden, samples=2000)
    p = prior()
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = p.log_prob(grid[:, None]).exp()
    assert torch.trapezoid(density, grid) == pytest.approx(1, abs=0.01)
    with seeded(3):
        draws = p.sample(torch.Size((3000,)))[:, 0].sort().values
    cumulative = torch.cumsum(density, 0) * 0.004
    at = cumulative[((draws + 8) / 0.004).long().clamp(0, 4000)]
    distance = (at - (torch.arange(3000) + 0.5) / 3000).abs().max()
    assert distance < 1.63 / 3000**0.5 + 0.01, "Kolmogorov-Smirnov at 1 %, and the error of the density"


def test_in_evaluation_it_gives_the_same_twice_and_in_training_fresh_noise():
    prior = disturbed(2, hidden=(8,))
    z = torch.zeros(3, 2, dtype=torch.float64)
    assert torch.equal(prior().log_prob(z), prior().log_prob(z))
    torch.testing.assert_close(prior().log_prob(z)[:1], prior().log_prob(z[:1]), rtol=1e-12, atol=0)
    prior.train()
    with seeded(4):
        assert not torch.equal(prior().log_prob(z), prior().log_prob(z))


def test_held_fixed_it_has_the_gradient_of_the_latent_alone():
    prior = disturbed(2, hidden=(8,)).requires_grad_(True)
    z = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    p = prior()
    (expected,) = torch.autograd.grad(p.log_prob(z).sum(), z)
    p.detached().log_prob(z).sum().backward()
    torch.testing.assert_close(z.grad, expected)
    assert all(parameter.grad is None for parameter in prior.parameters())


def test_in_a_model_it_gives_a_lower_bound_of_the_evidence_that_tightens():
    """Linear-Gaussian model, Gaussian prior: log p(x) is known, and estimates stay below it in expectation."""
    truth = LinearGaussian.random(columns=4, latent=3)
    prior, exact = linear()
    model = truth.vae(exact=False)
    model.parts["prior"] = prior
    covariance = truth.weight @ exact.covariance_matrix @ truth.weight.T
    covariance += truth.scale**2 * torch.eye(4, dtype=torch.float64)
    evidence = MultivariateNormal(truth.weight @ exact.mean + truth.mean, covariance)
    with seeded(5):
        x = evidence.sample(torch.Size((100,)))
        found = log_likelihood(model, x, samples=500)
        short = ImportanceWeighted(samples=5)(model, x).bound
    gap, short_gap = evidence.log_prob(x) - found.values, evidence.log_prob(x) - short
    assert gap.mean() > -4 * gap.std() / 10
    assert gap.mean() < 0.1
    assert short_gap.mean() > gap.mean()


def bent(n):
    z = torch.randn(n, 2)
    return torch.stack([z[:, 0], z[:, 0].square() - 1 + 0.3 * z[:, 1]], 1)


def test_fitted_to_draws_it_has_their_shape():
    """Through fit_prior, with an encoder that gives its input: the entropy of the draws is known."""

    class Still(nn.Module, Posterior):
        latent_shape = feature_shape = (2,)

        def forward(self, features):
            return torch.distributions.Independent(Normal(features, 1e-3), 1)

    truth = LinearGaussian.random(columns=2, latent=2)
    model = truth.vae(exact=False).float()
    model.parts["encoder"], model.parts["posterior"] = nn.Identity(), Still()
    with seeded(6):
        prior, x, test = TwoStagePrior((2,), hidden=(32,), samples=16), bent(4000), bent(2000)
    fit = fit_prior(model, prior, x, bent(400), seed=0)
    assert fit.bound_samples == 16
    with seeded(7), torch.no_grad():
        p = model.prior()
        values, draws = p.log_prob(test), p.sample(torch.Size((5000,)))
    entropy = 2.8378771 + np.log(0.3)
    assert -0.03 < -float(values.mean()) - entropy < 0.6, "a Gaussian is 1.3 nats away"
    residual = (draws[:, 1] - draws[:, 0].square() + 1).std()
    assert 0.25 < residual < 0.8, "of a Gaussian: 1.4"
    with seeded(8), torch.no_grad():
        tighter = with_noise(prior, torch.randn(300, len(test), 2)).log_prob(test)
    difference = values - tighter
    assert difference.mean() < 4 * difference.std() / len(test) ** 0.5


@pytest.mark.parametrize("posterior", ["point", "diagonal"])
def test_an_objective_that_draws_from_it_trains_both_halves(posterior):
    sentence = Sentence.parse(
        network="mlp:hidden=4", posterior=posterior, prior="two-stage:hidden=4", objective="mmd"
    )
    with seeded(0):
        model = build_vae(sentence, (5,), 2)
        for network in (
            untyped(model.parts["prior"].stage).encoder,
            untyped(model.parts["prior"].stage).decoder,
        ):
            nn.init.normal_(untyped(network).layers[-1].weight)
        sentence.objective.build()(model, torch.rand(6, 5)).surrogate.mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parts["prior"].parameters())


@pytest.fixture(scope="module")
def digits():
    x = untyped(load_digits()).data / 16
    vae = VariationalAutoencoder(
        8, network="mlp:hidden=64", likelihood="bernoulli", epochs=20, random_state=0, batch_size=64
    )
    return vae.fit(x[:1400]), x


def test_on_digits_it_improves_held_out_log_likelihood_and_is_saved(digits, tmp_path):
    fitted, x = digits
    test = x[1400:]
    before = fitted.score_samples(test, samples=10)
    vae = copy.deepcopy(fitted).fit_prior("two-stage:hidden=16,samples=4", x[:1400])
    after = vae.score_samples(test, samples=10)
    gain = after - before
    assert gain.mean() > 3 * gain.std() / len(test) ** 0.5
    assert np.array_equal(vae.transform(test), fitted.transform(test))
    vae.save(tmp_path / "m.vae")
    again = load(tmp_path / "m.vae")
    assert np.array_equal(after, again.score_samples(test, samples=10))
    assert np.array_equal(vae.sample(5, random_state=0), again.sample(5, random_state=0))
    evaluation = again.evaluate(test[:50], samples=5)
    assert evaluation.prior_samples == 4
    assert "the prior's log p(z) is itself a lower bound, by 4 importance samples" in "\n".join(
        evaluation_lines(evaluation)
    )
    assert fitted.evaluate(test[:50], samples=5).prior_samples is None


@pytest.mark.parametrize(
    ("options", "message"),
    [({"samples": 0}, "at least 1"), ({"hidden": (0,)}, "without units")],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TwoStagePrior((2,), **options)
