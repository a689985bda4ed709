"""Log-densities at both ends of the floating-point range: a number where the type holds it, else an infinity."""

import math

import mpmath
import pytest
import torch

from vaekit.distributions import OneHotCodes, VonMisesFisher
from vaekit.posteriors import (
    CategoricalPosterior,
    ChainPosterior,
    DiagonalPosterior,
    FullPosterior,
    InverseAutoregressivePosterior,
    LowRankPosterior,
    MaskedAutoregressivePosterior,
    PlanarPosterior,
    SplinePosterior,
    VonMisesFisherPosterior,
    WrappedNormalPosterior,
)
from vaekit.priors import CategoricalPrior, UniformSpherePrior, WrappedNormalPrior
from vaekit.sentence import PARTS, Sentence, build_vae, parse

SIZES = [
    *(
        (torch.float32, e, s)
        for e, s in ((-38, 1), (0, -1), (15, 1), (19, -1), (20, 1), (30, -1), (38, 1), (38, -1))
    ),
    *((torch.float64, e, s) for e, s in ((-300, -1), (0, 1), (100, -1), (155, 1), (300, 1), (300, -1))),
]
mpmath.mp.dps = 400


@pytest.fixture(params=SIZES, ids=lambda p: f"{str(p[0])[6:]}-{'-' * (p[2] < 0)}1e{p[1]}")
def x(request):
    """One number at the end of a type's range, or on the way there."""
    dtype, exponent, sign = request.param
    return torch.tensor(sign * 10.0**exponent, dtype=dtype)


def held(value, dtype):
    """The number, or the infinity that stands for it in a type."""
    value = mpmath.mpf(value)
    if abs(value) > torch.finfo(dtype).max:
        return math.copysign(math.inf, value)
    return float(value)


def check(found, right, dtype):
    right = held(right, dtype)
    if math.isinf(right):
        assert float(found) == right
    else:
        tolerance = 2e-5 if dtype == torch.float32 else 1e-12
        assert float(found) == pytest.approx(right, rel=tolerance, abs=tolerance)


def exact(number):
    return mpmath.mpf(float(number))


def normal(x, mean, scale):
    return -(((x - mean) / scale) ** 2) / 2 - mpmath.log(scale) - mpmath.log(2 * mpmath.pi) / 2


def degrees(likelihood):
    raw = exact(likelihood.log_degrees)
    return 2 + mpmath.exp(raw / mpmath.sqrt(1 + (raw / 12) ** 2))


def student_constant(nu):
    return mpmath.loggamma((nu + 1) / 2) - mpmath.loggamma(nu / 2) - mpmath.log(mpmath.pi * nu) / 2


SCALES = (1e-5, 1.0, 1e5)


@pytest.mark.parametrize("centre", [0.0, 1.0, -1.0])  # of the size of x
@pytest.mark.parametrize("value", SCALES)
@pytest.mark.parametrize("kind", ["gaussian", "laplace", "student-t", "mixed"])
def test_likelihoods_of_real_numbers(kind, value, centre, x):
    options = "" if kind == "mixed" else f":scale=fixed,value={value}"
    likelihood = parse("likelihood", kind + options).build(event_shape=(1,)).to(x.dtype)
    scale = exact(likelihood(x.reshape(1)).mean.new_tensor(1.0 if kind == "mixed" else value))
    mean = centre * x
    with torch.no_grad():
        found = likelihood(mean.reshape(1)).log_prob(x.reshape(1))
        deviation = (exact(x) - exact(mean)) / scale
        if kind == "laplace":
            right = -abs(deviation) - mpmath.log(2 * scale)
        elif kind == "student-t":
            nu = degrees(likelihood)
            right = student_constant(nu)
            right += -mpmath.log(scale) - (nu + 1) / 2 * mpmath.log1p(deviation**2 / nu)
        else:
            right = normal(exact(x), exact(mean), scale)
    check(found, right, x.dtype)


@pytest.mark.parametrize("kind", ["gaussian", "laplace", "student-t"])
def test_a_scale_of_each_example_may_run_to_its_bounds(kind, x):
    """Raw log-scales of any size are bounded at exp(12), and never become NaN or another number."""
    likelihood = parse("likelihood", f"{kind}:scale=per-example").build(event_shape=(1,)).to(x.dtype)
    with torch.no_grad():
        found = likelihood(torch.stack([torch.zeros_like(x), x])).log_prob(torch.ones(1, dtype=x.dtype))
        bounded = exact(x) / mpmath.sqrt(1 + (exact(x) / 12) ** 2)
        deviation = 1 / mpmath.exp(bounded)
        if kind == "gaussian":
            right = -(deviation**2) / 2 - mpmath.log(2 * mpmath.pi) / 2
        elif kind == "laplace":
            right = -deviation - mpmath.log(2)
        else:
            nu = degrees(likelihood)
            right = student_constant(nu)
            right -= (nu + 1) / 2 * mpmath.log1p(deviation**2 / nu)
    check(found, right - bounded, x.dtype)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.999, 1.0])
@pytest.mark.parametrize("kind", ["bernoulli", "continuous-bernoulli"])
def test_logits_of_any_size(kind, share, x):
    likelihood = parse("likelihood", kind).build(event_shape=(1,)).to(x.dtype)
    share = torch.tensor([share], dtype=x.dtype)
    found = likelihood(x.reshape(1)).log_prob(share)
    logit = exact(x)
    with mpmath.workdps(700):
        if kind == "bernoulli":
            normaliser = logit if logit > 1000 else mpmath.log1p(mpmath.exp(logit)) if logit > -1000 else 0
        elif abs(logit) > 1000:
            normaliser = max(logit, 0) - mpmath.log(abs(logit))
        else:
            normaliser = mpmath.log((mpmath.exp(logit) - 1) / logit)
        right = exact(share) * logit - normaliser
    check(found, right, x.dtype)


@pytest.mark.parametrize("count", [0.0, 3.0, 2.0**24])
@pytest.mark.parametrize("kind", ["poisson", "negative-binomial", "zero-inflated-negative-binomial"])
def test_log_means_of_counts_of_any_size(kind, count, x):
    """They are bounded between -20 and 20; the logits of dropping out are not."""
    likelihood = parse("likelihood", kind).build(event_shape=(1,)).to(x.dtype)
    inflated = kind.startswith("zero")
    with torch.no_grad():
        found = likelihood(torch.stack([x, -x]) if inflated else x.reshape(1)).log_prob(
            torch.tensor([count], dtype=x.dtype)
        )
    with mpmath.workdps(700):
        log_mean = exact(x) / mpmath.sqrt(1 + (exact(x) / 20) ** 2)
        mean = mpmath.exp(log_mean)
        if kind == "poisson":
            right = count * log_mean - mean - mpmath.loggamma(mpmath.mpf(count) + 1)
        else:  # theta is 1: geometric
            right = count * (log_mean - mpmath.log1p(mean)) - mpmath.log1p(mean)
        if inflated:
            size = exact(x)  # the logit of counting
            counted = right + (
                0 if size > 1000 else size if size < -1000 else -mpmath.log1p(mpmath.exp(-size))
            )
            dropped = -size if size > 1000 else 0 if size < -1000 else -mpmath.log1p(mpmath.exp(size))
            right = counted
            if count == 0:
                larger, smaller = max(dropped, counted), min(dropped, counted)
                right = larger + (
                    mpmath.log1p(mpmath.exp(smaller - larger)) if smaller - larger > -1000 else 0
                )
    check(found, right, x.dtype)


@pytest.mark.parametrize("kind", ["categorical:levels=3", "mixed:columns=categorical3"])
def test_logits_of_levels_of_any_size(kind, x):
    likelihood = parse("likelihood", kind).build(event_shape=(1,)).to(x.dtype)
    p = likelihood(torch.stack([x, x, -x]))
    with mpmath.workdps(700):
        gap = -2 * exact(x)  # of the third level to the first two
        others = mpmath.log(2) if gap < -1000 else gap if gap > 1000 else mpmath.log(2 + mpmath.exp(gap))
        for level, right in ((0.0, -others), (1.0, -others), (2.0, gap - others)):
            check(p.log_prob(torch.tensor([level], dtype=x.dtype)), right, x.dtype)


@pytest.mark.parametrize("level", [0.0, 1.0, 3.0])
def test_locations_of_a_discretised_logistic_of_any_size(level, x):
    likelihood = (
        parse("likelihood", "discretized-logistic:mixture=1,levels=4").build(event_shape=(1,)).to(x.dtype)
    )
    zero = torch.zeros_like(x)
    found = likelihood(torch.stack([zero, x, zero])).log_prob(torch.tensor([level], dtype=x.dtype))
    with mpmath.workdps(700):

        def log_sigmoid(a):
            return a if a < -1000 else mpmath.mpf(0) if a > 1000 else -mpmath.log1p(mpmath.exp(-a))

        upper = (mpmath.mpf(level) + 0.5) / 1.5 - 1 - exact(x)
        lower = upper - mpmath.mpf(2) / 3
        right = mpmath.log(1 - mpmath.exp(-mpmath.mpf(2) / 3)) if 0 < level < 3 else 0
        right += (log_sigmoid(upper) if level < 3 else 0) + (log_sigmoid(-lower) if level > 0 else 0)
    check(found, right, x.dtype)


def test_the_pseudo_likelihoods_are_finite_for_logits_of_any_size(x):
    kinds = [kind for kind, part in PARTS["likelihood"].items() if part.traits.measure == "none"]
    for kind in kinds:
        likelihood = parse("likelihood", kind).build(event_shape=(1, 4, 4)).to(x.dtype)
        found = likelihood(x.expand(1, 4, 4)).log_prob(torch.rand(1, 4, 4, dtype=x.dtype))
        assert bool(found.isfinite())


RAW_SCALES = (-25.0, 0.0, 25.0)  # raw log-variances


def bounded(raw, limit):
    return mpmath.mpf(raw) / mpmath.sqrt(1 + (mpmath.mpf(raw) / limit) ** 2)


@pytest.mark.parametrize("centre", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("raw", RAW_SCALES)
@pytest.mark.parametrize("kind", [DiagonalPosterior, FullPosterior, LowRankPosterior])
def test_gaussian_posteriors(kind, raw, centre, x):
    """Means and latents of any size: (x, -x, 1) under covariances exp(v) I, or with a few correlations."""
    posterior = kind(3)
    mean, below = centre * x * torch.tensor([1, 1, 0]), torch.tensor([0.5, -0.25, 0.5])
    features = [mean, torch.full_like(mean, raw), *([] if kind is DiagonalPosterior else [below.to(x.dtype)])]
    z = torch.stack([x, -x, torch.ones_like(x)])
    found = posterior(torch.cat(features)).log_prob(z)
    variance = mpmath.exp(bounded(raw, 24))
    covariance = mpmath.diag([variance] * 3)
    if kind is FullPosterior:
        scale = mpmath.sqrt(variance)
        factor = mpmath.matrix([[scale, 0, 0], [0.5, scale, 0], [-0.25, 0.5, scale]])
        covariance = factor * factor.T
    elif kind is LowRankPosterior:
        factor = mpmath.matrix([0.5, -0.25, 0.5])
        covariance = covariance + factor * factor.T
    deviation = mpmath.matrix([exact(a) - exact(b) for a, b in zip(z, mean, strict=True)])
    squared = (deviation.T * mpmath.lu_solve(covariance, deviation))[0]
    right = -squared / 2 - mpmath.log(mpmath.det(covariance)) / 2 - 1.5 * mpmath.log(2 * mpmath.pi)
    # A low rank beside variances of exp(-17) leaves few digits in single precision, at any size of the latent.
    if (
        kind is LowRankPosterior
        and raw < 0
        and x.dtype == torch.float32
        and not math.isinf(held(right, x.dtype))
    ):
        assert float(found) == pytest.approx(held(right, x.dtype), rel=1e-3, abs=1e-3)
    elif kind is FullPosterior and raw < 0 and not math.isinf(held(right, x.dtype)):
        assert float(found) == pytest.approx(held(right, x.dtype), rel=1e-3)
    else:
        check(found, right, x.dtype)


FLOWS = [
    InverseAutoregressivePosterior,
    MaskedAutoregressivePosterior,
    SplinePosterior,
    PlanarPosterior,
    ChainPosterior,
]


@pytest.mark.parametrize("kind", FLOWS)
def test_posteriors_with_networks_are_never_nan_and_fall_to_minus_infinity(kind, x):
    """Beyond the root of the largest number a density with Gaussian tails is less than the type can hold."""
    torch.manual_seed(0)
    posterior = kind(4).to(x.dtype)
    q = posterior(torch.randn(5, *posterior.feature_shape, dtype=x.dtype))
    k = q.event_shape[0]
    for direction in torch.cat([torch.eye(k), torch.ones(1, k), torch.linspace(-1, 1, k)[None]]).to(x.dtype):
        with torch.no_grad():
            found = q.log_prob(x * direction)
        assert not found.isnan().any()
        if x.abs() >= 1e10 * torch.finfo(x.dtype).max ** 0.5:
            assert (found == -torch.inf).all()
        elif x.abs() < 1e15:
            assert found.isfinite().all()


EUCLIDEAN = [
    "standard",
    "gaussian",
    "mixture",
    "gmm",
    "vamp:components=5",
    "flow",
    "flow:kind=spline",
    "two-stage",
]


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (1.0, -1.0, 1.0), (-1.0, 1.0, 0.5)])
@pytest.mark.parametrize("kind", EUCLIDEAN)
def test_priors(kind, direction, x):
    torch.manual_seed(0)
    sentence = Sentence.parse(network="mlp:hidden=8", prior=kind)
    model = build_vae(sentence, (3,), latent=3).to(x.dtype).eval()
    z = x * torch.tensor(direction, dtype=x.dtype)
    with torch.no_grad():
        found = model.prior().log_prob(z)
    if kind in ("standard", "gaussian"):
        check(found, sum(normal(exact(v), 0, 1) for v in z), x.dtype)
    assert not found.isnan().any()
    if x.abs() >= 1e10 * torch.finfo(x.dtype).max ** 0.5:
        assert (found == -torch.inf).all()
    elif x.abs() < 1e15:
        assert found.isfinite().all()


def test_mixtures_are_right_to_the_overflow(x):
    """Far out a mixture is its widest component there; here all are standard and equal."""
    for kind in ("mixture:components=2", "gmm:components=2"):
        prior = parse("prior", kind).build(latent_shape=(2,)).to(x.dtype)
        with torch.no_grad():
            prior.means.zero_()
            found = prior().log_prob(torch.stack([x, -x]))
        check(found, 2 * normal(exact(x), 0, 1), x.dtype)


def test_the_chain_prior_and_codes(x):
    chain = parse("prior", "chain:sizes=2").build(latent_shape=(5,)).to(x.dtype)
    with torch.no_grad():
        found = chain().log_prob(x * torch.tensor([1, -1, 1, 1, -1], dtype=x.dtype))
    assert not found.isnan().any()
    space = OneHotCodes(1, 2, x.dtype)
    q = CategoricalPosterior(1, categories=2).to(x.dtype)(torch.stack([x, -x]))
    gap = 2 * exact(x)
    with mpmath.workdps(700):
        right = 0 if gap > 1000 else gap if gap < -1000 else -mpmath.log1p(mpmath.exp(-gap))
    check(q.log_prob(space.embed(torch.tensor([0]))), right, x.dtype)
    assert q.log_prob(x.expand(2)) == -torch.inf or abs(float(x)) == 1
    assert CategoricalPrior(1, 2).to(x.dtype)(codebook=space).log_prob(x.expand(2)) == -torch.inf


def test_the_sphere(x):
    """Concentrations of any size, against the closed form in three dimensions; features of any length."""
    size = x.abs()
    q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0], dtype=x.dtype), size.reshape(1))
    with mpmath.workdps(700):
        kappa = exact(size)
        integral = mpmath.log(kappa) - (0 if kappa > 1000 else mpmath.log(-mpmath.expm1(-2 * kappa)))
        for z, gap in (((0.0, 0.0, 1.0), 0), ((1.0, 0.0, 0.0), 1), ((0.0, 0.0, -1.0), 2)):
            found = q.log_prob(torch.tensor(z, dtype=x.dtype))
            check(found, integral - mpmath.log(2 * mpmath.pi) - gap * kappa, x.dtype)
        kl = q.kl_to_uniform()
        mean_gap = 1 / kappa if kappa > 1000 else 1 / kappa - 2 / mpmath.expm1(2 * kappa)
        entropy = kappa * mean_gap - integral + mpmath.log(2 * mpmath.pi)
        if kappa > 0.1:
            check(kl, mpmath.log(4 * mpmath.pi) - entropy, x.dtype)
        else:
            check(kl, kappa**2 / 6, x.dtype)
    q = VonMisesFisherPosterior(3).to(x.dtype)(torch.stack([x, 0 * x, 0 * x, 0 * x])[None])
    assert torch.equal(q.mode, torch.tensor([[1.0, 0.0, 0.0]], dtype=x.dtype) * x.sign())
    prior = UniformSpherePrior((3,)).to(x.dtype)()
    check(prior.log_prob(x.expand(3)), -mpmath.log(4 * mpmath.pi), x.dtype)


@pytest.mark.parametrize("place", [(0, 1), (1, 1), (2, 1), (1, 2), (-1, 1), (1, -0.5)])
@pytest.mark.parametrize("dimension", [2, 5])
def test_hyperbolic_space(dimension, place, x):
    """Centre and point on one ray, where the distance is a difference and the density has a closed form."""
    centre, point = (torch.zeros(dimension, dtype=x.dtype) for _ in range(2))
    centre[1], point[1] = 0.25 * place[0] * x, 0.25 * place[1] * x
    posterior = WrappedNormalPosterior(dimension).to(x.dtype)
    found = posterior(torch.cat([centre, torch.zeros_like(centre)])).log_prob(point)
    distance, size = abs(exact(point[1]) - exact(centre[1])), abs(exact(point[1]))

    def log_stretch(r):
        if r == 0:
            return mpmath.mpf(0)
        return r - mpmath.log(2 * r) if r > 1000 else mpmath.log(mpmath.sinh(r) / r)

    right = -(distance**2) / 2 - dimension * mpmath.log(2 * mpmath.pi) / 2
    right += (dimension - 1) * (log_stretch(size) - log_stretch(distance))
    check(found, right, x.dtype)
    prior = WrappedNormalPrior((dimension,), 1.0).to(x.dtype)()
    alone = -(size**2) / 2 - dimension * mpmath.log(2 * mpmath.pi) / 2
    check(prior.log_prob(point), alone, x.dtype)
