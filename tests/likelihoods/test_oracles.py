"""Likelihoods against independent implementations, in float64; and float32 against float64."""

from math import log

import mpmath
import numpy as np
import pytest
import torch
from scipy import special, stats

from likelihoods.cases import SPECS, build, outcomes, random_features
from vaekit.errors import UsageError
from vaekit.likelihoods.bernoulli import ContinuousBernoulli
from vaekit.likelihoods.negative_binomial import NegativeBinomial
from vaekit.networks.bounded import inverse_soft_bound
from vaekit.sentence import PARTS, parse


def bound(raw, limit):
    return raw / np.sqrt(1 + (raw / limit) ** 2)


def reference(kind, likelihood, features, x):
    """SciPy's log-probability of every dimension, from features (n, parameters * columns)."""
    first, *more = np.split(features, likelihood.feature_shape[0] // x.shape[1], axis=1)
    if kind == "bernoulli":
        return stats.bernoulli.logpmf(x, special.expit(first))
    if kind == "continuous-bernoulli":
        return stats.truncexpon.logpdf(np.where(first < 0, x, 1 - x), np.abs(first), scale=1 / np.abs(first))
    if kind == "gaussian":
        return stats.norm.logpdf(
            x, first, np.exp(bound(more[0] + likelihood.start, 12)) if more else likelihood.value
        )
    if kind == "laplace":
        return stats.laplace.logpdf(
            x, first, np.exp(bound(more[0] + likelihood.start, 12)) if more else likelihood.value
        )
    if kind == "student-t":
        scale = np.exp(bound(more[0] + likelihood.start, 12)) if more else likelihood.value
        nu = 2 + np.exp(bound(likelihood.log_degrees.detach().numpy(), 12))
        return stats.t.logpdf(x, nu, first, scale)
    if kind == "mixed":  # all Gaussian, by default
        return stats.norm.logpdf(x, first, 1.0)
    if kind == "poisson":
        return stats.poisson.logpmf(x, np.exp(bound(first, 20)))
    if kind in ("negative-binomial", "zero-inflated-negative-binomial"):
        mean = np.exp(bound(first, 20))
        inflated = kind.startswith("zero")
        logits, more = (more[0], more[1:]) if inflated else (None, more)
        theta = np.exp(bound(more[0], 12)) if more else 1.0
        counted = stats.nbinom.pmf(x, theta, theta / (theta + mean))
        dropped = special.expit(logits) if inflated else 0.0
        return np.log(dropped * (x == 0) + (1 - dropped) * counted)
    if kind == "categorical":
        table = special.log_softmax([first, *more], axis=0)  # (levels, n, columns)
        return np.take_along_axis(table, x[None].astype(int), 0)[0]
    if kind == "discretized-logistic":
        logits, means, scales = np.split(np.array([first, *more]), 3)
        half, size = (likelihood.levels - 1) / 2, len(means)
        means = half * (1 + means + ((2 * np.arange(size) + 1) / size - 1)[:, None, None])
        scales = half * np.exp(bound(scales, 12))
        upper = np.where(x == likelihood.levels - 1, 1, stats.logistic.cdf(x + 0.5, means, scales))
        lower = np.where(x == 0, 0, stats.logistic.cdf(x - 0.5, means, scales))
        return np.log((special.softmax(logits, axis=0) * (upper - lower)).sum(0))
    raise NotImplementedError(f"give {kind} an independent implementation here")


@pytest.mark.parametrize("spec", SPECS)
def test_scipy_agrees(spec):
    likelihood = build(spec, (3,))
    features = random_features(likelihood, 200, seed=5)
    with torch.no_grad():
        x = likelihood(features).sample()
        found = likelihood(features).log_prob(x).numpy()
    kind = parse("likelihood", spec).kind
    expected = reference(kind, likelihood, features.numpy(), x.numpy()).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if "value=" in spec or "degrees=" in spec else 1e-6)


@pytest.mark.parametrize("spec", SPECS)
def test_float32_is_as_good_as_its_input(spec):
    """The same features and data, in float32 and in float64: half of float32's digits at least."""
    exact, rounded = build(spec, (3,)), build(spec, (3,), dtype=torch.float32)
    features = (random_features(rounded, 100, seed=6, dtype=torch.float32) * 3).requires_grad_()
    wide = features.detach().double().requires_grad_()
    x = rounded(features).sample().detach()
    a, b = rounded(features).log_prob(x), exact(wide).log_prob(x.double())
    assert a.dtype == torch.float32
    torch.testing.assert_close(a.double(), b, rtol=2e-5, atol=2e-4)
    slope, expected = torch.autograd.grad(a.sum(), features)[0], torch.autograd.grad(b.sum(), wide)[0]
    torch.testing.assert_close(slope.double(), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("eta", [0.0, 1e-12, -1e-6, 1e-3, 0.4999, -0.4999, 0.5001, -3.0, 40.0, -1e4])
def test_continuous_bernoulli_to_the_last_digits_near_one_half_and_far_away(eta):
    logits = torch.tensor([eta], dtype=torch.float64, requires_grad=True)
    distribution = ContinuousBernoulli(logits)
    with mpmath.workdps(60):
        exact = mpmath.mpf(eta)
        shift = mpmath.log(mpmath.expm1(exact) / exact) if eta else mpmath.mpf(0)
        mean = 1 / (1 - mpmath.exp(-exact)) - 1 / exact if eta else mpmath.mpf("0.5")
        variance = 1 / exact**2 - 1 / (4 * mpmath.sinh(exact / 2) ** 2) if eta else mpmath.mpf(1) / 12
        for x in (0.0, 0.3, 1.0):
            expected = float(exact * mpmath.mpf(x) - shift)
            value = distribution.log_prob(torch.tensor([x], dtype=torch.float64))
            assert value.item() == pytest.approx(expected, rel=1e-13, abs=1e-13)
            (slope,) = torch.autograd.grad(value, logits)
            assert slope.item() == pytest.approx(float(x - mean), rel=1e-9, abs=1e-12)
        assert distribution.mean.item() == pytest.approx(float(mean), rel=1e-11)
        assert distribution.variance.item() == pytest.approx(float(variance), rel=1e-8)


@pytest.mark.parametrize("count", [0, 3, 1000, 10**6, 2**24])
def test_large_counts_keep_their_digits_in_float32(count):
    """Terms of the size of the count cancel: computed in float32 this is off by a nat at a million."""
    features = torch.tensor([inverse_soft_bound(log(count + 1), 20.0)])
    expected = stats.poisson.logpmf(count, np.exp(bound(features.double().item(), 20)))
    found = build("poisson", dtype=torch.float32)(features).log_prob(torch.tensor([float(count)]))
    assert found.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("log_mean", "log_theta"), [(2.0, 11.0), (-6.0, 8.0), (9.0, -9.0), (0.0, 0.0)])
@pytest.mark.parametrize("x", [0, 1, 7, 5000])
def test_negative_binomials_from_nearly_poisson_to_nearly_always_zero(log_mean, log_theta, x):
    mean, theta = mpmath.exp(bound(log_mean, 20)), mpmath.exp(bound(log_theta, 12))
    with mpmath.workdps(40):
        expected = (
            mpmath.loggamma(x + theta)
            - mpmath.loggamma(theta)
            - mpmath.loggamma(x + 1)
            + theta * mpmath.log(theta / (theta + mean))
            + x * mpmath.log(mean / (theta + mean))
        )
    found = NegativeBinomial(torch.tensor([log_mean]).double(), torch.tensor([log_theta]).double())
    assert found.log_prob(torch.tensor([float(x)])).item() == pytest.approx(
        float(expected), rel=1e-9, abs=1e-9
    )
    assert found.variance.item() == pytest.approx(float(mean + mean**2 / theta), rel=1e-9)


def test_student_t_with_many_degrees_of_freedom_is_the_gaussian():
    likelihood = build("student-t:degrees=1e5", (2,), dtype=torch.float32)
    features, x = torch.randn(2, 20, 2, generator=torch.Generator().manual_seed(0))
    gaussian = build("gaussian:scale=fixed", (2,), dtype=torch.float32)
    torch.testing.assert_close(
        likelihood(features).log_prob(x), gaussian(features).log_prob(x), atol=1e-3, rtol=0
    )


def test_discretized_logistic_keeps_its_digits_far_from_its_mean():
    """In float32, the difference of the two sigmoids would be 0, and its logarithm -inf."""
    likelihood = build("discretized-logistic:mixture=1", dtype=torch.float32)
    distribution = likelihood(torch.tensor([0.0, 0.9, -6.0]))  # about level 242, scale 0.5
    scale = 127.5 * np.exp(bound(-6.0, 12))
    tail = (
        242.25 - 0.5 - 100
    ) / scale  # log P(x = 100) = -(mean - upper edge) / s + log(1 - e^(-1/s)), nearly
    expected = -(242.25 - 100.5) / scale + np.log(-np.expm1(-1 / scale))
    assert tail > 100
    assert distribution.log_prob(torch.tensor([100.0])).item() == pytest.approx(expected, rel=1e-5)


def test_a_start_value_is_where_the_likelihood_starts():
    for spec in ("gaussian", "laplace", "student-t"):
        for scale in ("learned", "per-dimension", "per-example", "fixed"):
            likelihood = build(f"{spec}:scale={scale},value=0.02", (2,))
            distribution = likelihood(torch.zeros(1, *likelihood.feature_shape, dtype=torch.float64))
            factor = {"gaussian": 1, "laplace": 2, "student-t": 5 / 3}[spec]
            torch.testing.assert_close(
                distribution.variance[0, 0].item(), 0.02**2 * factor, rtol=1e-5, atol=0
            )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("laplace:value=0", "laplace: value=0 is no mean absolute deviation"),
        ("student-t:degrees=2", "degrees=2; .* no variance"),
        ("student-t:value=nan", "value=nan is no scale"),
        ("categorical:levels=1", "levels=1; give a whole number from 2"),
        ("discretized-logistic:levels=100000", "levels=100000"),
        ("discretized-logistic:mixture=0", "mixture=0; give at least 1"),
    ],
)
def test_options_out_of_range(spec, message):
    with pytest.raises(UsageError, match=message):
        parse("likelihood", spec).build(event_shape=(3,))


def test_the_last_level_and_no_further():
    for kind in ("categorical", "discretized-logistic"):
        likelihood = build(f"{kind}:levels=5")
        assert len(outcomes(likelihood)) == 5
        assert likelihood.support.contains([0, 4])
        assert not likelihood.support.contains([5])
        assert not likelihood.support.contains([0.5])


def test_every_kind_says_what_it_measures():
    for kind, part in PARTS["likelihood"].items():
        assert part.traits.measure in ("density", "unit", "counts", "levels", "mixed", "none"), kind
        assert part.traits.scaling in ("standardize", "unit", "levels", "none", "mixed"), kind
