"""Every objective on the linear-Gaussian model, where log p(x) and the posterior are known."""

import pytest
import torch
from torch.distributions import Independent, LogNormal

from narrowing import known, untyped
from oracles.linear_gaussian import LinearGaussian
from vaekit.evaluation import Estimate
from vaekit.objectives import ImportanceWeighted, MultiplyImportanceWeighted
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, parse
from vaekit.training import has_opponent

IMPORTANCE_WEIGHTED = [
    "iwae:samples=7",
    "iwae:samples=7,gradient=dreg",
    "iwae:samples=7,gradient=stl",
    "miwae:samples=4,groups=3",
    "piwae:samples=4,groups=3",
    "ciwae:samples=7,beta=0.3",
    "renyi:samples=7,alpha=0.5",
    "renyi:samples=7,alpha=-2",
    "renyi:samples=7,alpha=3",
]
DRAWS = 300  # of a gradient
OTHERS = [
    "elbo",
    "elbo:beta=4",
    "elbo:free_bits=2",
    "elbo:capacity=10,beta=0.1",
    "elbo:warmup=3",
    "tc",
    "tc:estimator=mws",
    "dip:kind=1",
    "dip:kind=2",
    "mmd",
    "mmd:alpha=1,weight=10,kernel=rbf",
    "factor",
    "vae-gan",
    "adversarial",
]


def run(text, model, x, seed=0):
    objective = parse("objective", text).build()
    if hasattr(objective, "begin"):
        objective.begin(rows=len(x))
    if has_opponent(objective):
        objective.build_opponent(model)
    with seeded(seed):
        return objective(model, x)


def gradients(text, truth, x, seed=0):
    """Of the mean surrogate, with respect to encoder and decoder."""
    model = truth.vae(exact=False)
    run(text, model, x, seed).surrogate.mean().backward()
    return [
        torch.cat([p.grad.flatten() for p in model.parts[name].parameters()])
        for name in ("encoder", "decoder")
    ]


def test_every_kind_is_here():
    # What learns labels is held against an exact model that has some (tests/objectives/test_m2.py); the regularised
    # autoencoder has no bound, for it takes posteriors without a density alone.
    elsewhere = {kind for kind, part in PARTS["objective"].items() if part.traits.needs_classifier} | {"rae"}
    assert {text.partition(":")[0] for text in IMPORTANCE_WEIGHTED + OTHERS} == set(
        PARTS["objective"]
    ) - elsewhere


@pytest.mark.parametrize("text", IMPORTANCE_WEIGHTED + OTHERS)
def test_the_bound_is_below_the_evidence(text):
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(500)
    with torch.no_grad():
        gap = Estimate.of(truth.log_evidence(x) - run(text, truth.vae(exact=False), x).bound)
    assert gap.mean > -4 * gap.standard_error
    assert gap.mean < 2, "and not far below: nothing but the bound is in it"


@pytest.mark.parametrize("text", IMPORTANCE_WEIGHTED)
@pytest.mark.parametrize(("columns", "latent", "scale"), [(1, 1, 1.0), (5, 2, 0.5), (12, 5, 0.05)])
def test_the_exact_posterior_gives_the_evidence_itself(text, columns, latent, scale):
    truth = LinearGaussian.random(columns, latent, scale)
    x = truth.draw(30)
    result = run(text, truth.vae(exact=True), x)
    exact = truth.log_evidence(x)
    torch.testing.assert_close(result.bound, exact, rtol=0, atol=1e-9)
    torch.testing.assert_close(result.surrogate, exact, rtol=0, atol=1e-9)
    kl = result.reconstruction - exact
    torch.testing.assert_close(result.kl.mean(), kl.mean(), rtol=0, atol=1e-9)


def test_iwae_does_not_decrease_with_the_number_of_samples():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(400)
    model = truth.vae(exact=False)
    with torch.no_grad():
        gaps = [
            Estimate.of(truth.log_evidence(x) - run(f"iwae:samples={k}", model, x).bound)
            for k in (1, 3, 10, 100, 1000)
        ]
    for looser, tighter in zip(gaps[:-1], gaps[1:], strict=True):
        assert tighter.mean < looser.mean
    assert gaps[0].mean > 0.1
    assert abs(gaps[-1].mean) < 4 * gaps[-1].standard_error + 1e-3


def test_miwae_of_one_group_is_iwae_and_of_one_sample_is_the_elbo():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(400)
    model = truth.vae(exact=False)
    one_group = run("miwae:samples=20,groups=1", model, x).bound
    assert torch.equal(one_group, run("iwae:samples=20", model, x).bound)
    draws = run("miwae:samples=1,groups=20", model, x).bound
    assert draws.mean() < one_group.mean() - 0.05, "the roles of samples and groups"
    difference = Estimate.of((draws - run("elbo", model, x, seed=100).bound).detach())
    assert abs(difference.mean) < 4 * difference.standard_error


def test_miwae_is_a_mean_of_bounds_of_its_number_of_samples():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(500)
    model = truth.vae(exact=False)
    with torch.no_grad():
        few = Estimate.of(
            run("miwae:samples=3,groups=40", model, x).bound - run("iwae:samples=3", model, x, seed=100).bound
        )
    assert abs(few.mean) < 4 * few.standard_error


def test_piwae_is_iwae_for_the_decoder_and_miwae_for_the_encoder():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(10)
    encoder, decoder = gradients("piwae:samples=4,groups=3", truth, x)
    of_iwae, of_miwae = (
        gradients("iwae:samples=12", truth, x),
        gradients("miwae:samples=4,groups=3", truth, x),
    )
    torch.testing.assert_close(decoder, of_iwae[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(encoder, of_miwae[0], rtol=1e-12, atol=1e-12)
    assert (encoder - of_iwae[0]).abs().max() > 1e-3
    assert (decoder - of_miwae[1]).abs().max() > 1e-3
    model = truth.vae(exact=False)
    expected = run("iwae:samples=12", model, x).bound
    torch.testing.assert_close(run("piwae:samples=4,groups=3", model, x).bound, expected, rtol=0, atol=0)
    torch.testing.assert_close(run("piwae:samples=12,groups=1", model, x).surrogate, expected)


def test_piwae_is_right_where_the_density_at_a_draw_depends_on_the_noise_too():
    # For a location-scale family d log q(z(noise)) is the same for all draws, and any weights would do.
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(10)
    found = {}
    for text in ("piwae:samples=4,groups=3", "miwae:samples=4,groups=3"):
        model = truth.vae(exact=False)
        posterior = model.parts["posterior"]
        posterior.forward = lambda f: Independent(LogNormal(f[:, :2], (0.5 * f[:, 2:]).exp()), 1)
        run(text, model, x).surrogate.mean().backward()
        found[text[0]] = model.parts["encoder"].weight.grad
    torch.testing.assert_close(found["p"], found["m"], rtol=1e-12, atol=1e-12)


def test_piwae_keeps_its_gradients_where_one_group_outweighs_the_others_by_thousands_of_nats():
    truth = LinearGaussian.random(6, 2, scale=0.002)
    x = truth.draw(10) + 5
    encoder, decoder = gradients("piwae:samples=2,groups=3", truth, x)
    torch.testing.assert_close(
        encoder, gradients("miwae:samples=2,groups=3", truth, x)[0], rtol=1e-9, atol=1e-6
    )
    torch.testing.assert_close(decoder, gradients("iwae:samples=6", truth, x)[1], rtol=1e-9, atol=1e-6)


def test_ciwae_goes_from_iwae_to_the_elbo():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(50)
    model = truth.vae(exact=False)
    iwae, elbo = run("iwae:samples=9", model, x).bound, run("miwae:samples=1,groups=9", model, x).bound
    torch.testing.assert_close(run("ciwae:samples=9,beta=0", model, x).surrogate, iwae, rtol=0, atol=1e-12)
    torch.testing.assert_close(run("ciwae:samples=9,beta=1", model, x).surrogate, elbo, rtol=0, atol=1e-12)
    between = run("ciwae:samples=9,beta=0.25", model, x)
    torch.testing.assert_close(between.surrogate, 0.25 * elbo + 0.75 * iwae)
    torch.testing.assert_close(between.bound, iwae, rtol=0, atol=0)


def test_renyi_goes_from_iwae_to_the_elbo_without_a_jump():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(50)
    model = truth.vae(exact=False)

    def renyi(alpha):
        return run(f"renyi:samples=9,alpha={alpha!r}", model, x).surrogate

    elbo = run("miwae:samples=1,groups=9", model, x).bound
    torch.testing.assert_close(renyi(0.0), run("iwae:samples=9", model, x).bound, rtol=0, atol=1e-10)
    torch.testing.assert_close(renyi(1.0), elbo, rtol=0, atol=1e-12)
    for alpha in (1 - 1e-9, 1 + 1e-9, 1 - 1e-13):
        torch.testing.assert_close(renyi(alpha), elbo, rtol=0, atol=1e-6)
    levels = [renyi(alpha) for alpha in (-5.0, -0.5, 0.3, 0.999, 1.001, 2.0, 8.0)]
    for larger, smaller in zip(levels[:-1], levels[1:], strict=True):
        assert (larger >= smaller).all(), "a power mean grows with its power"


def test_renyi_of_known_weights():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(20)
    model = truth.vae(exact=False)
    with seeded(0):
        q = model.encode(x)
        z = q.rsample((9,))
        weights = (model.log_joint(x, z) - q.log_prob(z) + 20).exp()
    for alpha in (-1.0, 0.5, 0.9999, 2.0):
        expected = weights.pow(1 - alpha).mean(0).log() / (1 - alpha) - 20
        torch.testing.assert_close(
            run(f"renyi:samples=9,alpha={alpha}", model, x).surrogate, expected, rtol=0, atol=1e-8
        )


def encoder_gradient_draws(objective, truth, x, draws):
    """Independent gradients of the mean surrogate with respect to the encoder's parameters, (draws, parameters)."""
    model = truth.vae(exact=False)
    parameters = list(model.parts["encoder"].parameters())
    found = []
    with seeded(3):
        for _ in range(draws):
            surrogate = objective(model, x).surrogate.mean()
            found.append(torch.cat([g.flatten() for g in torch.autograd.grad(surrogate, parameters)]))
    return torch.stack(found)


@pytest.mark.parametrize(("samples", "gradient"), [(10, "dreg"), (1, "dreg"), (1, "stl")])
def test_reparameterised_gradients_have_the_standard_mean_and_less_variance(samples, gradient):
    truth = LinearGaussian.random(4, 2)
    x = truth.draw(16)
    standard = encoder_gradient_draws(ImportanceWeighted(samples=samples), truth, x, DRAWS)
    other = encoder_gradient_draws(ImportanceWeighted(samples=samples, gradient=gradient), truth, x, DRAWS)
    error = ((standard.var(0) + other.var(0)) / DRAWS).sqrt()
    assert ((standard.mean(0) - other.mean(0)).abs() < 4 * error).all()
    assert other.var(0).sum() < 0.9 * standard.var(0).sum()
    assert standard.mean(0).abs().max() > 10 * error.max(), "a gradient of zero would have passed"


def test_stl_of_several_samples_is_another_gradient_and_the_test_above_can_tell():
    truth = LinearGaussian.random(4, 2)
    x = truth.draw(16)
    standard = encoder_gradient_draws(ImportanceWeighted(samples=10), truth, x, DRAWS)
    biased = encoder_gradient_draws(ImportanceWeighted(samples=10, gradient="stl"), truth, x, DRAWS)
    error = ((standard.var(0) + biased.var(0)) / DRAWS).sqrt()
    assert ((standard.mean(0) - biased.mean(0)).abs() > 4 * error).any()


@pytest.mark.parametrize("gradient", ["dreg", "stl"])
@pytest.mark.parametrize("samples", [1, 5])
def test_at_the_exact_posterior_the_encoder_is_at_rest_draw_by_draw(gradient, samples):
    truth = LinearGaussian.random(4, 1)
    x = truth.draw(10)
    model = truth.vae(exact=False)
    encoder = model.parts["encoder"]
    with torch.no_grad():  # a single latent dimension: the diagonal posterior contains the exact one
        untyped(encoder.weight)[:1] = truth.posterior_map
        untyped(encoder.bias)[:1] = -truth.posterior_map @ truth.mean
        for _ in range(50):  # the soft bound shrinks log-variances by a hair: undo it
            missing = truth.posterior_covariance.diagonal().log() - model.encode(x[:1]).variance[0].log()
            untyped(encoder.bias)[1:] += missing
    for kind, limit in (("standard", None), (gradient, 1e-10)):
        model.zero_grad()
        with seeded(0):
            ImportanceWeighted(samples=samples, gradient=untyped(kind))(model, x).surrogate.mean().backward()
        largest = max(float(known(p.grad).abs().max()) for p in encoder.parameters())
        assert largest > 1e-3 if limit is None else largest < limit


@pytest.mark.parametrize("gradient", ["dreg", "stl"])
def test_the_decoder_has_the_gradient_of_iwae_whatever_the_encoder_has(gradient):
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(10)
    standard = gradients("iwae:samples=5", truth, x)
    other = gradients(f"iwae:samples=5,gradient={gradient}", truth, x)
    torch.testing.assert_close(other[1], standard[1], rtol=1e-12, atol=1e-12)
    assert (other[0] - standard[0]).abs().max() > 1e-3


def test_a_surrogate_of_dreg_is_never_reported():
    # The textbook surrogate sum(w^2 log w) is no bound: it can lie below -log p(x) or above it.
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(50)
    model = truth.vae(exact=False)
    plain = run("iwae:samples=8", model, x)
    doubly = run("iwae:samples=8,gradient=dreg", model, x)
    torch.testing.assert_close(doubly.bound, plain.bound, rtol=0, atol=0)
    torch.testing.assert_close(doubly.surrogate, plain.bound, rtol=0, atol=1e-12)
    with seeded(0):
        q = model.encode(x)
        z = q.rsample((8,))
        log_weight = model.log_joint(x, z) - q.log_prob(z)
    faulty = (log_weight.softmax(0).square() * log_weight).sum(0)
    assert (faulty > truth.log_evidence(x)).any(), "the faulty form: a bound above the evidence"


def test_groups_and_samples_the_wrong_way_round_are_told_apart():
    truth = LinearGaussian.random(6, 2)
    x = truth.draw(200)
    model = truth.vae(exact=False)
    with seeded(0):
        right = MultiplyImportanceWeighted(samples=50, groups=1)(model, x).bound
    with seeded(0):
        swapped = MultiplyImportanceWeighted(samples=1, groups=50)(model, x).bound
    iwae = run("iwae:samples=50", model, x).bound
    assert torch.equal(right, iwae)
    assert (swapped < iwae).all()
