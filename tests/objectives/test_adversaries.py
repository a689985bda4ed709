"""FactorVAE, adversarial autoencoder and VAE/GAN against what is known, and each part's gradient as in its paper."""

from math import log

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.nn.functional import logsigmoid

from narrowing import known, untyped
from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.errors import UsageError
from vaekit.objectives import Adversarial, Elbo, FactorizedPosterior, VaeGan, permute_dimensions, prior_fit
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.training import OpponentSteps, TrainingSettings, train


def make(objective, shape=(5,), latent=3, **parts):
    parts = {"network": "mlp:hidden=8", "likelihood": "gaussian"} | parts
    with seeded(0):
        return build_vae(Sentence.parse(objective=objective, **parts), shape, latent).double()


def gradients(model, objective, x, value):
    """Of each part, for what ``value`` makes of objective, model and data, with the same noise."""
    model.zero_grad(set_to_none=True)
    with seeded(1):
        value(objective, model, x).mean().backward()
    return {
        name: torch.cat(
            [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in part.parameters()]
        )
        for name, part in model.parts.items()
        if list(part.parameters())
    }


class Correlated(nn.Module, Posterior):
    """A posterior that is the same Gaussian for every example."""

    latent_shape, feature_shape = (2,), (4,)

    def __init__(self, correlation):
        super().__init__()
        self.correlation = correlation

    def forward(self, features):
        S = torch.tensor([[1.0, self.correlation], [self.correlation, 1.0]])
        return MultivariateNormal(features[:, :2] * 0, S)


def test_the_discriminator_measures_the_total_correlation():
    model = make("elbo", (2,), 2).float()
    model.parts["posterior"] = Correlated(0.8)
    objective = FactorizedPosterior(hidden=(32, 32))
    steps = OpponentSteps(objective, model, learning_rate=3e-3, seed=0)
    x = torch.zeros(512, 2)
    with seeded(1):
        for _ in range(300):
            steps.step(x)
        z = model.encode(torch.zeros(20_000, 2)).sample()
        with torch.no_grad():
            ratio = objective.judge(z).squeeze(1)
    exact = -0.5 * log(1 - 0.8**2)  # 0.511 nats
    assert float(ratio.mean()) == pytest.approx(exact, abs=0.06)
    truth = model.encode(torch.zeros(20_000, 2)).log_prob(z) - Normal(0.0, 1.0).log_prob(z).sum(1)
    assert torch.corrcoef(torch.stack([ratio, truth]))[0, 1] > 0.95


def test_independent_dimensions_have_none():
    model = make("elbo", (2,), 2).float()
    model.parts["posterior"] = Correlated(0.0)
    objective = FactorizedPosterior(hidden=(16,))
    steps = OpponentSteps(objective, model, learning_rate=3e-3, seed=0)
    with seeded(1):
        for _ in range(100):
            steps.step(torch.zeros(512, 2))
        assert objective.judge(model.encode(torch.zeros(5000, 2)).sample()).mean().abs() < 0.05


def test_permuted_dimensions_keep_their_marginals_and_lose_their_company():
    with seeded(0):
        z = torch.randn(4000, 1) * torch.ones(4000, 3) + 0.1 * torch.randn(4000, 3)
        mixed = permute_dimensions(z)
    for j in range(3):
        assert torch.equal(mixed[:, j].sort().values, z[:, j].sort().values)
    assert torch.corrcoef(mixed.T).tril(-1).abs().max() < 4 / 4000**0.5
    assert torch.corrcoef(z.T)[0, 1] > 0.9


def test_factor_with_no_weight_is_the_elbo_and_each_nat_costs_gamma():
    model, x = make("factor"), torch.randn(6, 5, dtype=torch.float64)
    objectives = [FactorizedPosterior(gamma=gamma) for gamma in (0.0, 2.5)]
    for objective in objectives:
        with seeded(3):
            objective.build_opponent(model)
    with seeded(1):
        elbo = Elbo()(model, x)
    with seeded(1):
        z = model.encode(x).rsample()
    results = []
    for objective in objectives:
        with seeded(1):
            results.append(objective(model, x))
    torch.testing.assert_close(results[0].surrogate, elbo.bound)
    logit = known(objectives[1].opponent)(z).squeeze(1)
    torch.testing.assert_close(results[1].surrogate, elbo.bound - 2.5 * logit)
    torch.testing.assert_close(results[1].bound, elbo.bound)


@pytest.mark.parametrize("posterior", ["point", "diagonal"])
def test_adversarial_is_reconstruction_and_the_verdict_on_the_latents(posterior):
    model, x = make("adversarial", posterior=posterior), torch.randn(6, 5, dtype=torch.float64)
    objective = Adversarial(weight=3.0)
    objective.build_opponent(model)
    with seeded(1):
        result = objective(model, x)
    with seeded(1):
        z = model.encode(x).rsample()
    verdict = logsigmoid(known(objective.opponent)(z)).squeeze(1)
    reconstruction = model.decode(z).log_prob(x)
    torch.testing.assert_close(result.surrogate, reconstruction + 3 * verdict)
    if posterior == "point":
        torch.testing.assert_close(result.bound, result.surrogate)
        assert result.kl.isinf().all()


@pytest.mark.parametrize("objective", ["adversarial:hidden=64x64", "mmd:weight=300"])
def test_an_adversary_brings_the_aggregate_posterior_to_the_prior_as_a_discrepancy_does(objective):
    sentence = Sentence.parse(
        network="mlp:hidden=32",
        posterior="point",
        likelihood="gaussian:scale=fixed,value=1",
        objective=objective,
    )
    with seeded(0):
        x = torch.randn(1000, 2) @ torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0]]) + 4.0
        model = build_vae(sentence, (3,), latent=2)
    settings = TrainingSettings(epochs=40, batch_size=100, learning_rate=1e-2, schedule="cosine")
    train(model, sentence.objective.build(), x, settings=settings, seed=0)
    with torch.no_grad():
        z = model.encode(x).mean
    assert z.mean(0).abs().max() < 0.25
    assert (z.std(0) - 1).abs().max() < 0.25


def test_what_a_prior_learns_from_draws_is_what_the_elbo_teaches_it():
    for prior in ("gaussian", "mixture:components=3"):
        model, x = make("elbo", prior=prior), torch.randn(6, 5, dtype=torch.float64)

        def fitted(_, model, x):
            return prior_fit(model.prior(), model.encode(x).rsample())

        ours = gradients(model, None, x, fitted)
        assert (ours["encoder"] == 0).all()

        def elbo(_, model, x):
            q, p = model.encode(x), model.prior()
            z = q.rsample()
            return model.decode(z).log_prob(x) + p.log_prob(z) - q.log_prob(z)

        torch.testing.assert_close(ours["prior"], gradients(model, None, x, elbo)["prior"])


def surrogate(objective, model, x):
    return objective(model, x).surrogate


@pytest.fixture
def game():
    model, x = make("vae-gan"), torch.randn(6, 5, dtype=torch.float64)
    return model, x


def vae_gan(model, **options):
    objective = VaeGan(hidden=(8, 7), **options)
    with seeded(3):
        objective.build_opponent(model)
    return objective


def paper(objective, model, x, gamma=None):
    """Algorithm 1, term by term: what the encoder and what the decoder minimise, each written on its own."""
    q, p = model.encode(x), model.prior()
    z = q.rsample()
    drawn = p.sample((len(x),))
    D = objective.opponent
    kl = Elbo()(model, x).kl
    seen, likeness = D(x)[0], D(model.decode(z).mean)
    llike = 0.5 * (seen.detach() - likeness[0]).square().sum(1)
    gan = -logsigmoid(-likeness[1]) - logsigmoid(-D(model.decode(drawn).mean)[1])
    return (kl + llike) if gamma is None else (gamma * llike - gan)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 5.0])
def test_each_part_of_vae_gan_follows_the_papers_gradient(game, gamma):
    model, x = game
    objective = vae_gan(model, gamma=gamma)
    ours = gradients(model, objective, x, surrogate)
    encoder = gradients(model, objective, x, lambda *a: -paper(*a))["encoder"]
    decoder = gradients(model, objective, x, lambda *a: -paper(*a, gamma=gamma))["decoder"]
    torch.testing.assert_close(ours["encoder"], encoder)
    torch.testing.assert_close(ours["decoder"], decoder)


def test_the_encoder_gets_none_of_the_gan_loss_and_gamma_does_not_scale_it(game):
    model, x = game
    first, second = (gradients(model, vae_gan(model, gamma=g), x, surrogate) for g in (0.5, 50.0))
    assert torch.equal(first["encoder"], second["encoder"])
    assert not torch.allclose(first["decoder"], second["decoder"], rtol=0.1)

    objective = vae_gan(model)  # a discriminator whose logit is louder, with the same features
    quiet = gradients(model, objective, x, surrogate)
    with torch.no_grad():
        untyped(known(objective.opponent).head)[-1].weight.mul_(100)
    loud = gradients(model, objective, x, surrogate)
    assert torch.equal(quiet["encoder"], loud["encoder"])
    assert not torch.allclose(quiet["decoder"], loud["decoder"], rtol=0.1)


def test_a_scale_of_noise_is_fitted_to_the_likelihood_that_is_reported(game):
    model, x = game
    ours = gradients(model, vae_gan(model), x, surrogate)["likelihood"]
    torch.testing.assert_close(ours, gradients(model, Elbo(), x, surrogate)["likelihood"])


def test_the_bound_of_vae_gan_is_the_plain_elbo(game):
    model, x = game
    with seeded(1):
        expected = Elbo()(model, x)
    with seeded(1):
        result = vae_gan(model)(model, x)
    for name in ("bound", "reconstruction", "kl", "kl_per_dimension"):
        torch.testing.assert_close(getattr(result, name), getattr(expected, name))


@pytest.mark.parametrize("network", ["convolutional:channels=8,hidden=16"])
def test_vae_gan_learns_images(network):
    with seeded(0):
        z = torch.rand(200, 1, 1, 1)
        x = (z * torch.linspace(-4, 4, 64).reshape(1, 1, 8, 8)).sigmoid()
        x = x if "conv" in network else x.flatten(1)
    sentence = Sentence.parse(
        network=network,
        likelihood="bernoulli",
        objective="vae-gan:hidden=32,channels=8,gamma=10",
    )
    with seeded(1):
        model = build_vae(sentence, x.shape[1:], latent=2)
    settings = TrainingSettings(epochs=20, batch_size=20, learning_rate=3e-3)
    train(model, sentence.objective.build(), x, settings=settings, seed=0)
    error = (model.reconstruct(x) - x).square().mean()
    assert error < 0.5 * (x - x.mean(0)).square().mean(), "better than the mean: the latents are used"


def test_vae_gan_learns_tables():
    with seeded(0):
        z = torch.randn(500, 2)
        x = (z @ torch.randn(2, 8)).tanh() + 0.1 * torch.randn(500, 8)
        x = (x - x.mean(0)) / x.std(0)
    sentence = Sentence.parse(network="mlp:hidden=64", likelihood="gaussian", objective="vae-gan:hidden=128")
    with seeded(1):
        model = build_vae(sentence, x.shape[1:], latent=2)
    settings = TrainingSettings(epochs=40, batch_size=25, learning_rate=3e-3)
    train(model, sentence.objective.build(), x, settings=settings, seed=0)
    error = (model.reconstruct(x) - x).square().mean()
    assert error < 0.2, "of a variance of 1, two of eight dimensions and the noise apart"


@pytest.mark.parametrize("kind", [kind for kind in PARTS["likelihood"] if kind != "ms-ssim"])  # images alone
def test_vae_gan_takes_every_likelihood_or_says_why_not(kind):
    try:
        model = make("vae-gan:hidden=8", likelihood=kind)
    except UsageError as refusal:
        assert "vae-gan" in str(refusal)  # noqa: PT017
        assert kind not in ("bernoulli", "continuous-bernoulli", "gaussian", "poisson", "laplace")
        return
    with seeded(1):
        x = model.sample(6)
    objective = vae_gan(model)
    objective(model, x).surrogate.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    with pytest.raises(UsageError, match="compares means"):
        make("vae-gan", likelihood="gaussian:scale=per-example")


def test_objectives_that_need_what_a_posterior_lacks_refuse_it():
    with pytest.raises(UsageError, match=r"factor.*needs the density"):
        make("factor", posterior="point")
    with pytest.raises(UsageError, match=r"vae-gan.*needs the density"):
        make("vae-gan", posterior="point")

    class NotReparameterised(Independent):
        @property
        def has_rsample(self):
            return False

    model = make("adversarial")
    forward = model.parts["posterior"].forward
    model.parts["posterior"].forward = lambda f: NotReparameterised(forward(f).base_dist, 1)
    with pytest.raises(UsageError, match="adversarial: no gradient flows"):
        Adversarial().check(model)
    untyped(model.parts["posterior"]).traits = PosteriorTraits(space="sphere")
    with pytest.raises(UsageError, match=r"factor: latents .* 'sphere'"):
        FactorizedPosterior().check(model)
