"""Laws of every likelihood: normalised, sampled as scored, differentiable, broadcasting, particular about its data."""

import re

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from likelihoods.cases import DENSITIES, PROBABILITIES, PSEUDO, SPECS, build, outcomes, random_features, shape
from narrowing import untyped
from vaekit.errors import DataError
from vaekit.likelihoods import InDataUnits
from vaekit.sentence import PARTS, Sentence, build_vae, parse

SMALL = 1e-3  # p-value below which a test with a fixed seed fails


@pytest.mark.parametrize("spec", PROBABILITIES)
def test_probabilities_sum_to_one(spec):
    likelihood = build(spec)
    distribution = likelihood(random_features(likelihood, 6))
    total = distribution.log_prob(outcomes(likelihood)[:, None, None]).exp().sum(0)
    np.testing.assert_allclose(total.detach().numpy(), 1, rtol=1e-9)


@pytest.mark.parametrize("spec", DENSITIES)
def test_densities_integrate_to_one(spec):
    likelihood = build(spec)
    for features in random_features(likelihood, 4):
        distribution = likelihood(features)

        def density(x, distribution=distribution):
            return distribution.log_prob(torch.tensor([x], dtype=torch.float64)).exp().item()

        middle, low, high = distribution.mean.item(), likelihood.support.lower, likelihood.support.upper
        total = sum(
            integrate.quad(density, a, b, epsabs=1e-11)[0] for a, b in [(low, middle), (middle, high)]
        )
        assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("spec", PROBABILITIES)
def test_samples_follow_the_probabilities(spec):
    likelihood = build(spec)
    distribution = likelihood(random_features(likelihood, seed=1))
    torch.manual_seed(0)
    draws = distribution.sample((20_000,)).squeeze(-1).numpy()
    probability = distribution.log_prob(outcomes(likelihood)[:, None]).exp().detach().numpy()
    # outcomes that are rare are counted together with their neighbours
    edges = [0]
    for outcome in range(1, len(probability) + 1):
        if probability[edges[-1] : outcome].sum() * len(draws) >= 8:
            edges.append(outcome)
    edges[-1] = len(probability)
    expected = np.add.reduceat(probability, edges[:-1]) * len(draws)
    found, _ = np.histogram(draws, bins=np.array(edges) - 0.5)
    assert found.sum() == len(draws), "a draw outside of the support"
    assert len(expected) > 1
    assert stats.chisquare(found, expected * found.sum() / expected.sum()).pvalue > SMALL


@pytest.mark.parametrize("spec", DENSITIES)
def test_samples_follow_the_density(spec):
    likelihood = build(spec)
    distribution = likelihood(random_features(likelihood, seed=1))
    torch.manual_seed(0)
    draws = distribution.sample((5000,)).squeeze(-1).detach().numpy()
    if np.isfinite(likelihood.support.upper):
        x = u = np.linspace(likelihood.support.lower, likelihood.support.upper, 20_001)
        slope = np.ones_like(x)
    else:  # evenly in the area hyperbolic sine, out to 80,000 standard deviations
        u = np.linspace(-12, 12, 20_001)
        x = distribution.mean.item() + distribution.stddev.item() * np.sinh(u)
        slope = distribution.stddev.item() * np.cosh(u)
    density = distribution.log_prob(torch.from_numpy(x)[:, None]).exp().detach().numpy() * slope
    cumulative = integrate.cumulative_trapezoid(density, u, initial=0)
    assert cumulative[-1] == pytest.approx(1, abs=1e-4)
    assert stats.kstest(draws, lambda at: np.interp(at, x, cumulative)).pvalue > SMALL


@pytest.mark.parametrize("spec", SPECS)
def test_mean_and_variance_are_those_of_the_samples(spec):
    likelihood = build(spec, (2, 3, 1))
    with torch.no_grad():
        distribution = likelihood(random_features(likelihood, seed=2))
        torch.manual_seed(0)
        draws = distribution.sample((20_000,))
    assert draws.dtype == torch.float64
    deviation = draws - distribution.mean
    error = (distribution.variance / len(draws)).sqrt()
    assert (deviation.mean(0).abs() < 5 * error).all()
    error_of_variance = (deviation.square().var(0) / len(draws)).sqrt()
    assert ((deviation.square().mean(0) - distribution.variance).abs() < 5 * error_of_variance).all()


@pytest.mark.parametrize("spec", SPECS)
def test_extreme_features_have_finite_values_and_gradients(spec):
    likelihood = build(spec, dtype=torch.float32)
    low, high = max(likelihood.support.lower, -3.0), min(likelihood.support.upper, 3e4)
    x = torch.tensor([low, high, (low + high) // 2])[:, None]
    count = likelihood.feature_shape[0]
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(-1, 2, (16, 1, count), generator=generator).float()
    features = torch.cat([signs, torch.ones(1, 1, count), -torch.ones(1, 1, count)]) * 1e4
    features.requires_grad_()
    log_prob = likelihood(features).log_prob(x)
    assert log_prob.shape == (18, 3)
    assert log_prob.isfinite().all()
    slopes = torch.autograd.grad(log_prob.sum(), [features, *likelihood.parameters()])
    assert all(slope.isfinite().all() for slope in slopes)
    with torch.no_grad():
        distribution = likelihood(features)
        assert distribution.mean.isfinite().all()
        assert distribution.variance.isfinite().all()
        assert distribution.sample().isfinite().all()


@pytest.mark.parametrize("spec", SPECS)
def test_gradients_agree_with_differences(spec):
    likelihood = build(spec, (2,))
    features = random_features(likelihood, 3, seed=3).requires_grad_()
    x = likelihood(features).sample().detach()
    names = [name for name, _ in likelihood.named_parameters()]

    def log_prob(features, *parameters):
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(likelihood, state, (features,)).log_prob(x)

    inputs = (features, *(p.detach().clone().requires_grad_() for p in likelihood.parameters()))
    assert torch.autograd.gradcheck(log_prob, inputs, fast_mode=features.numel() > 100)


@pytest.mark.parametrize(
    ("spec", "event_shape"),
    [(spec, (3,)) for spec in SPECS] + [(spec, (2, 4, 3)) for spec in [*SPECS, *PSEUDO]],
)
def test_batches_and_samples_broadcast(spec, event_shape):
    likelihood = build(spec, event_shape)
    features = random_features(likelihood, 4, 5)
    distribution = likelihood(features)
    assert distribution.event_shape == event_shape
    assert distribution.batch_shape == (4, 5)
    assert distribution.mean.shape == distribution.variance.shape == (4, 5, *event_shape)
    assert distribution.sample((2,)).shape == (2, 4, 5, *event_shape)
    x = distribution.sample()[0]
    together = distribution.log_prob(x)
    assert together.shape == (4, 5)
    for sample in range(4):
        for row in range(5):
            alone = likelihood(features[sample, row]).log_prob(x[row])
            torch.testing.assert_close(together[sample, row], alone)
    more_data = likelihood(features[0]).log_prob(torch.stack([x, x, x]))
    torch.testing.assert_close(more_data, together[0].expand(3, 5))


@pytest.mark.parametrize("spec", SPECS)
def test_dimensions_are_independent_and_find_their_own_features(spec):
    """A change of one dimension's features moves that dimension, and no other."""
    likelihood = build(spec, (2, 3, 2))
    features = random_features(likelihood)
    before = likelihood(features).mean
    changed = features.clone()
    own = (slice(0, None, 2), 1, 0) if features.dim() == 3 else slice(2, 3)  # of dimension (0, 1, 0)
    changed[own] += torch.linspace(0.1, 1, len(changed[own]), dtype=torch.float64)
    moved = (likelihood(changed).mean != before).nonzero()
    assert moved.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("kind", PARTS["likelihood"])
def test_other_data_are_refused_with_what_was_seen_expected_and_would_fit(kind):
    support = build(kind).support
    for wrong in ([-1.0, 2.5], [0.0, 1e12], [0.25, 0.5], [np.nan, 1.0], [0.0, np.inf]):
        if support.contains(wrong):
            continue
        seen = (
            re.escape(f"the data run from {min(wrong):.6g}") if np.isfinite(wrong).all() else "the data run"
        )
        with pytest.raises(
            DataError, match=f"^{kind} accepts .* {seen}.*fit these data: ([a-z-]+)"
        ) as caught:
            support.check(wrong, kind)
        suggested = str(caught.value).rpartition(": ")[2].split(", ")
        assert kind not in suggested
        if np.isfinite(wrong).all():
            assert all(build(name).support.contains(wrong) for name in suggested)


@pytest.mark.parametrize("kind", PARTS["likelihood"])
def test_probabilities_have_no_units_and_densities_do(kind):
    part = parse("likelihood", kind).part
    if part.traits.measure in ("density", "mixed"):
        likelihood = part((2,), -3.0)
        distribution = likelihood(random_features(likelihood, dtype=torch.float32))
        assert isinstance(distribution, InDataUnits)
        x = distribution.sample()
        torch.testing.assert_close(distribution.log_prob(x), distribution.base.log_prob(x) - 3.0)
    else:
        with pytest.raises(
            ValueError, match=f"{kind}: log_jacobian=-3, but a (probability|similarity) has no units"
        ):
            part(shape(kind, 2), -3.0)


@pytest.mark.parametrize("spec", [*SPECS, *PSEUDO])
def test_a_model_is_built_and_what_its_encoder_sees_is_of_order_one(spec):
    sentence = Sentence.parse(network="mlp:hidden=8", likelihood=spec)
    model = build_vae(sentence, shape(spec, 4), 2, log_jacobian=-1.0)
    assert repr(model.decode(torch.zeros(3, 2)))
    transform = model.parts["likelihood"].encoder_input
    if transform is None:
        return
    assert not list(untyped(transform).parameters())
    assert not list(untyped(transform).buffers())
    highest = (model.likelihood_part.levels or 1e6) - 1
    x = torch.tensor([[0.0, 1.0, highest / 2, highest]], requires_grad=True)
    seen = untyped(transform)(x)
    assert seen.abs().max() < (14 if model.likelihood_part.traits.measure == "counts" else 1.001)
    assert (torch.autograd.grad(seen.sum(), x)[0] > 0).all()
    inner = model.parts["encoder"].network
    torch.testing.assert_close(model.parts["encoder"](x), untyped(inner)(seen))
