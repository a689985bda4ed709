"""What must hold between the members of the family, and for every member alike."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaekit.gaussian import (
    Gaussian,
    alpha_divergence,
    bhattacharyya,
    chi_squared,
    cross_entropy,
    entropy,
    fisher_rao,
    fisher_rao_bounds,
    hellinger,
    jeffreys,
    jensen_shannon,
    kl_divergence,
    relative_spectrum,
    renyi,
    total_variation_bounds,
    wasserstein,
)
from vaekit.gaussian.errors import GaussianError, GaussianShapeError, GaussianTypeError

DIVERGENCES = {
    "jeffreys": jeffreys,
    "renyi 0.3": lambda p, q: renyi(p, q, 0.3),
    "renyi 1": lambda p, q: renyi(p, q, 1.0),
    "renyi 1.5": lambda p, q: renyi(p, q, 1.5),
    "alpha -0.5": lambda p, q: alpha_divergence(p, q, -0.5),
    "alpha 0.3": lambda p, q: alpha_divergence(p, q, 0.3),
    "alpha 2": lambda p, q: alpha_divergence(p, q, 2.0),
    "chi_squared": chi_squared,
    "bhattacharyya": bhattacharyya,
    "hellinger": hellinger,
    "hellinger squared": lambda p, q: hellinger(p, q, squared=True),
    "geometric": lambda p, q: jensen_shannon(p, q, weight=0.3),
    "dual geometric": lambda p, q: jensen_shannon(p, q, method="dual-geometric"),
}
#: Not divergences of densities: no common affine map leaves them alone.
DISTANCES = {"wasserstein": wasserstein, "wasserstein squared": lambda p, q: wasserstein(p, q, squared=True)}
BOUNDS = {
    "fisher_rao lower": lambda p, q: fisher_rao_bounds(p, q).lower,
    "fisher_rao upper": lambda p, q: fisher_rao_bounds(p, q).upper,
    "total variation lower": lambda p, q: total_variation_bounds(p, q).lower,
    "total variation upper": lambda p, q: total_variation_bounds(p, q).upper,
}
EVERYTHING = DIVERGENCES | DISTANCES | BOUNDS
SYMMETRIC = ("jeffreys", "bhattacharyya", "hellinger", "wasserstein", *BOUNDS)


def covariance(rng, *shape, spread=0.3):
    k = shape[-1]
    A = np.eye(k) + spread * rng.normal(size=(*shape[:-1], k, k)) / math.sqrt(k)
    return A @ np.swapaxes(A, -1, -2)


def random_pair(seed, *shape, spread=0.3):
    rng = np.random.default_rng(seed)
    return (
        Gaussian(spread * rng.normal(size=shape), covariance=covariance(rng, *shape, spread=spread)),
        Gaussian(spread * rng.normal(size=shape), covariance=covariance(rng, *shape, spread=spread)),
    )


PARAMETERISATIONS = {
    "covariance": lambda S: {"covariance": S},
    "scale_tril": lambda S: {"scale_tril": np.linalg.cholesky(S)},
    "precision": lambda S: {"precision": (lambda P: (P + P.swapaxes(-1, -2)) / 2)(np.linalg.inv(S))},
    "variance": lambda S: {"variance": np.diagonal(S, axis1=-2, axis2=-1).copy()},
    "standard_deviation": lambda S: {"standard_deviation": np.sqrt(np.diagonal(S, axis1=-2, axis2=-1))},
    "scale": lambda S: {"scale": np.sqrt(S[..., 0, 0])},
    "factor": lambda S: {"factor": S[..., :2], "diagonal": np.diagonal(S, axis1=-2, axis2=-1).copy()},
}


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("kind", PARAMETERISATIONS)
def test_equal_gaussians_are_at_exactly_zero(name, kind):
    rng = np.random.default_rng(5)
    S = covariance(rng, 4, 3)
    mean = rng.normal(size=(4, 3))
    p, q = (Gaussian(mean.copy(), **PARAMETERISATIONS[kind](S.copy())) for _ in range(2))
    assert (EVERYTHING[name](p, q) == 0).all()


@pytest.mark.parametrize("name", EVERYTHING)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), logarithm=st.floats(-14, 0), k=st.integers(1, 4))
def test_never_negative(name, seed, logarithm, k):
    rng = np.random.default_rng(seed)
    S = covariance(rng, k)
    near = S + 10.0**logarithm * (covariance(rng, k) - S)
    mean = rng.normal(size=k)
    floor = 1e-3 * np.eye(k)
    p = Gaussian(mean + 10.0**logarithm * rng.normal(size=k), covariance=near + floor)
    assert EVERYTHING[name](p, Gaussian(mean, covariance=S + floor)) >= 0


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_members_are_symmetric(name):
    p, q = random_pair(0, 5, 3)
    np.testing.assert_allclose(EVERYTHING[name](p, q), EVERYTHING[name](q, p), rtol=1e-11)


@pytest.mark.parametrize("name", EVERYTHING)
def test_batches_broadcast(name):
    p, _ = random_pair(1, 3, 1, 2)
    _, q = random_pair(2, 4, 2)
    whole = EVERYTHING[name](p, q)
    assert whole.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(whole[i, j], EVERYTHING[name](p[i, 0], q[j]), rtol=1e-10)


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_pair_of_parameterisations_agrees_with_matrices(name):
    rng = np.random.default_rng(7)
    mean_p, mean_q = 0.3 * rng.normal(size=3), np.zeros(3)
    for left, right in ((a, b) for a in PARAMETERISATIONS for b in PARAMETERISATIONS):
        p = Gaussian(mean_p, **PARAMETERISATIONS[left](covariance(rng, 3)))
        q = Gaussian(mean_q, **PARAMETERISATIONS[right](covariance(rng, 3)))
        dense = [Gaussian(g.mean, covariance=(g.covariance + g.covariance.T) / 2) for g in (p, q)]
        mine = EVERYTHING[name](p, q)
        np.testing.assert_allclose(mine, EVERYTHING[name](*dense), rtol=1e-9, err_msg=f"{left}, {right}")


@pytest.mark.parametrize("name", EVERYTHING)
def test_arrays_give_arrays_and_tensors_give_tensors_of_the_same_kind(name):
    p, q = random_pair(3, 5, 2)
    value = EVERYTHING[name](p, q)
    assert isinstance(value, np.ndarray)
    assert value.dtype == np.float64
    tensors = [
        Gaussian(torch.tensor(g.mean), covariance=torch.tensor(g.covariance)).to(torch.float32)
        for g in (p, q)
    ]
    single = EVERYTHING[name](*tensors)
    assert single.dtype == torch.float32
    exact = EVERYTHING[name](*(g.to(torch.float64) for g in tensors))
    torch.testing.assert_close(single, exact.float(), rtol=2e-7, atol=0)
    assert (
        EVERYTHING[name](*(g.to(torch.bfloat16) for g in (Gaussian.standard(2), Gaussian.standard(2)))) == 0
    )
    mvn = [torch.distributions.MultivariateNormal(g.mean, g.covariance) for g in tensors]
    torch.testing.assert_close(EVERYTHING[name](*mvn), single)


@pytest.mark.parametrize("name", EVERYTHING)
def test_pairs_that_do_not_fit_are_refused(name):
    with pytest.raises(GaussianShapeError, match="size 2 but q over size 3"):
        EVERYTHING[name](Gaussian.standard(2), Gaussian.standard(3))
    with pytest.raises(GaussianTypeError, match="float32 but q is"):
        EVERYTHING[name](Gaussian.standard(2), Gaussian.standard(2, dtype=torch.float64))
    with pytest.raises(GaussianTypeError, match="p is int"):
        EVERYTHING[name](1, Gaussian.standard(3))


# Gradients.

GRADIENTS = DIVERGENCES | DISTANCES


def loss(function, kind, shape):
    def value(mean_p, a, mean_q, b):
        def gaussian(mean, raw):
            S = raw @ raw.mT + torch.eye(shape[-1], dtype=raw.dtype)
            made = {
                "covariance": lambda: {"covariance": S},
                "scale_tril": lambda: {"scale_tril": torch.linalg.cholesky(S)},
                "precision": lambda: {"precision": torch.linalg.inv(S)},
                "variance": lambda: {"variance": S.diagonal(dim1=-2, dim2=-1)},
                "factor": lambda: {"factor": raw[..., :1], "diagonal": S.diagonal(dim1=-2, dim2=-1)},
            }[kind]()
            return Gaussian(mean, validate=False, **made)

        return function(gaussian(mean_p, a), gaussian(mean_q, b))

    return value


def inputs(shape, seed=0, spread=0.3):
    generator = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(2):
        out.append(spread * torch.randn(*shape, generator=generator, dtype=torch.float64))
        out.append(spread * torch.randn(*shape, shape[-1], generator=generator, dtype=torch.float64))
    return [x.requires_grad_() for x in out]


@pytest.mark.parametrize("kind", ["covariance", "scale_tril", "precision", "variance", "factor"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_finite_differences(name, kind):
    assert torch.autograd.gradcheck(loss(GRADIENTS[name], kind, (2, 3)), inputs((2, 3)), atol=1e-7)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_second_derivatives_are_those_of_finite_differences(name):
    assert torch.autograd.gradgradcheck(loss(DIVERGENCES[name], "covariance", (2,)), inputs((2,)), atol=1e-7)
    assert torch.autograd.gradgradcheck(loss(DIVERGENCES[name], "variance", (2,)), inputs((2,)), atol=1e-7)


@pytest.mark.parametrize("spread", [1e-3, 3.0])
@pytest.mark.parametrize("name", ["jeffreys", "renyi 0.3", "geometric", "wasserstein squared"])
def test_gradients_near_and_far(name, spread):
    assert torch.autograd.gradcheck(
        loss(GRADIENTS[name], "covariance", (2, 3)), inputs((2, 3), spread=spread), atol=1e-7
    )


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("kind", ["covariance", "variance"])
def test_gradients_at_equality_are_zero(name, kind):
    mean = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    S = (2 * (torch.eye(3) if kind == "covariance" else torch.ones(3))).double().requires_grad_()
    q = Gaussian(torch.zeros(3, dtype=torch.float64), **{kind: S.detach().clone()})
    GRADIENTS[name](Gaussian(mean, **{kind: S}), q).backward()
    assert (mean.grad == 0).all()
    assert (S.grad == 0).all()


@pytest.mark.parametrize("name", ["jeffreys", "renyi 0.3", "renyi 1.5", "geometric", "wasserstein squared"])
def test_gradients_between_nearly_equal_gaussians_keep_their_digits(name):
    # To first order in a small difference the gradient is linear in it.
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    S = raw @ raw.mT + torch.eye(3, dtype=torch.float64)
    change = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    change = change + change.mT

    def gradient(size):
        other = (S + size * change).requires_grad_()
        zero = torch.zeros(3, dtype=torch.float64)
        (found,) = torch.autograd.grad(
            GRADIENTS[name](Gaussian(zero, covariance=other), Gaussian(zero, covariance=S)), other
        )
        return found / (((S + size * change) - S) / change).mean()

    small, tiny = gradient(2.0**-26), gradient(2.0**-33)
    assert (small - tiny).abs().max() < 1e-5 * tiny.abs().max()


@pytest.mark.parametrize("name", GRADIENTS)
def test_vmap_gives_the_same(name):
    p, q = random_pair(4, 5, 3)
    stacks = [torch.tensor(x) for g in (p, q) for x in (g.mean, g.covariance)]

    def one(a, A, b, B):
        return GRADIENTS[name](Gaussian(a, covariance=A), Gaussian(b, covariance=B))

    torch.testing.assert_close(torch.func.vmap(one)(*stacks), one(*stacks), rtol=1e-12, atol=0)


# Tracing an autograd function makes an instance of it, which torch itself warns about.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", ["hellinger", "wasserstein squared"])
def test_compiles_to_one_graph(name):
    p, q = random_pair(4, 5, 3)
    tensors = [torch.tensor(x) for g in (p, q) for x in (g.mean, g.covariance)]

    def value(a, A, b, B):
        first, second = (Gaussian(m, covariance=S, validate=False) for m, S in ((a, A), (b, B)))
        return GRADIENTS[name](first, second)

    torch._dynamo.reset()
    compiled = torch.compile(value, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), value(*tensors), rtol=1e-12, atol=0)


# Identities.


@pytest.mark.parametrize("side", [-1, 1])
def test_renyi_tends_to_kl_from_both_sides(side):
    p, q = random_pair(5, 20, 3)
    kl = kl_divergence(p, q)
    errors = [np.abs(renyi(p, q, 1 + side * step) - kl).max() for step in (1e-2, 1e-4, 1e-6, 1e-12)]
    assert errors[1] < 2e-2 * errors[0]
    assert errors[2] < 2e-2 * errors[1]
    assert errors[3] < 2e-6 * errors[2]


def test_renyi_grows_with_its_order_and_is_skew_symmetric():
    p, q = random_pair(6, 50, 3, spread=0.2)
    orders = (0.0, 1e-3, 0.2, 0.499, 0.501, 0.8, 1.0, 1.1, 1.2)
    values = np.stack([renyi(p, q, a) for a in orders])
    assert (np.diff(values, axis=0) > 0).all()
    for a in (0.1, 0.5, 0.9):
        np.testing.assert_allclose((1 - a) * renyi(p, q, a), a * renyi(q, p, 1 - a), rtol=1e-12)


def test_the_members_are_one_another():
    p, q = random_pair(7, 20, 3, spread=0.2)
    np.testing.assert_allclose(jeffreys(p, q), kl_divergence(p, q) + kl_divergence(q, p), rtol=1e-12)
    np.testing.assert_allclose(hellinger(p, q) ** 2, 1 - np.exp(-bhattacharyya(p, q)), rtol=1e-10)
    np.testing.assert_allclose(hellinger(p, q, squared=True), hellinger(p, q) ** 2, rtol=1e-13)
    np.testing.assert_allclose(alpha_divergence(p, q, 0.5), 4 * hellinger(p, q) ** 2, rtol=1e-12)
    np.testing.assert_allclose(2 * alpha_divergence(p, q, 2.0), chi_squared(p, q), rtol=1e-12)
    np.testing.assert_allclose(np.log1p(chi_squared(p, q)), renyi(p, q, 2.0), rtol=1e-12)
    np.testing.assert_allclose(alpha_divergence(p, q, 1.0), kl_divergence(p, q), rtol=1e-14)
    np.testing.assert_allclose(alpha_divergence(p, q, 0.0), kl_divergence(q, p), rtol=1e-14)
    np.testing.assert_allclose(alpha_divergence(p, q, -0.3), alpha_divergence(q, p, 1.3), rtol=1e-14)
    np.testing.assert_allclose(
        jensen_shannon(p, q, method="dual-geometric", weight=0.2), 0.2 * renyi(p, q, 0.8), rtol=1e-14
    )
    np.testing.assert_allclose(cross_entropy(p, q), entropy(p) + kl_divergence(p, q), rtol=1e-12)
    excess, ratio, shift = relative_spectrum(p, q)
    by_spectrum = 0.5 * (excess - np.log(ratio) + shift**2).sum(-1)
    np.testing.assert_allclose(kl_divergence(p, q), by_spectrum, rtol=1e-12)
    np.testing.assert_allclose(wasserstein(p, q, squared=True), wasserstein(p, q) ** 2, rtol=1e-13)


@pytest.mark.parametrize("name", DIVERGENCES | BOUNDS)
def test_a_common_affine_map_changes_nothing(name):
    p, q = random_pair(8, 10, 3)
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(3, 3)) + 3 * np.eye(3), rng.normal(size=3)
    np.testing.assert_allclose(
        EVERYTHING[name](p, q), EVERYTHING[name](p.affine(A, b), q.affine(A, b)), rtol=1e-10
    )


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_is_not_looked_at_can_not_tell_them_apart(name):
    p, q = random_pair(9, 50, 4)
    for kept in ([0], [1, 3], [0, 1, 2]):
        assert (EVERYTHING[name](p.marginal(kept), q.marginal(kept)) <= EVERYTHING[name](p, q)).all()


@pytest.mark.parametrize("name", ["hellinger", "wasserstein"])
def test_triangle_inequality(name):
    p, q = random_pair(10, 200, 3, spread=0.8)
    r, _ = random_pair(11, 200, 3, spread=0.8)
    d = EVERYTHING[name]
    assert (d(p, r) <= d(p, q) + d(q, r)).all()
    assert (d(p, r) >= np.abs(d(p, q) - d(q, r))).all()


def test_pinsker_and_bretagnolle_huber():
    p, q = random_pair(12, 200, 2, spread=0.8)
    lower, upper = total_variation_bounds(p, q)
    kl = kl_divergence(p, q)
    assert (lower <= np.sqrt(kl / 2)).all()
    assert (lower <= np.sqrt(-np.expm1(-kl))).all()
    assert (upper <= np.sqrt(kl / 2) * (1 + 1e-12)).all()
    assert (upper <= np.sqrt(-np.expm1(-kl)) * (1 + 1e-12)).all()
    assert (hellinger(p, q) ** 2 <= lower * (1 + 1e-12)).all()


# Where it is infinite or undefined.


def test_heavy_orders_diverge_where_the_mixed_covariance_is_not_positive_definite():
    q = Gaussian([0.0, 0.0], covariance=[[1.0, 0.3], [0.3, 1.0]])
    S = np.array([[1.0, 0.3], [0.3, 1.0]])
    for scale, finite in ((1.9, True), (2.0, False), (3.0, False)):
        for p in (Gaussian([0.5, 0.0], covariance=scale * S),):
            assert np.isfinite(renyi(p, q, 2.0)) == finite
            assert np.isfinite(chi_squared(p, q)) == finite
            assert np.isfinite(alpha_divergence(q, p, -1.0)) == finite
            assert np.isfinite(renyi(p, q, 1.01))
    narrow = Gaussian([0.0, 0.0], covariance=1e-6 * S)
    assert np.isfinite(chi_squared(narrow, q))
    diagonal = Gaussian([0.0], variance=[2.5])
    assert renyi(diagonal, Gaussian([0.0], variance=[1.0]), 2.0) == math.inf
    assert np.isfinite(renyi(diagonal, Gaussian([0.0], variance=[1.0]), 1.5))


def test_a_batch_may_hold_both_finite_and_infinite_items():
    variance = torch.tensor([[1.5], [2.5]], dtype=torch.float64, requires_grad=True)
    for made in ({"variance": variance}, {"covariance": variance.unsqueeze(-1)}):
        p = Gaussian(torch.zeros(2, 1, dtype=torch.float64), **made)
        value = chi_squared(p, Gaussian.standard(1, dtype=torch.float64))
        assert value[0].isfinite()
        assert value[1] == math.inf
        (gradient,) = torch.autograd.grad(value[0], variance)
        assert gradient[0].isfinite().all()
        assert gradient[1] == 0


EXTREMES = {
    "jeffreys": math.inf,
    "renyi 0.3": math.inf,
    "renyi 1.5": math.inf,
    "alpha 0.3": 1 / 0.21,
    "alpha 2": math.inf,
    "chi_squared": math.inf,
    "bhattacharyya": math.inf,
    "hellinger": 1.0,
    "geometric": math.inf,
    "dual geometric": math.inf,
    "fisher_rao lower": math.inf,
    "fisher_rao upper": math.inf,
    "total variation lower": 1.0,
    "total variation upper": 1.0,
}
LINE = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("name", EXTREMES)
def test_different_supports_are_as_far_apart_as_can_be(name):
    d = EVERYTHING[name]
    line, plane = Gaussian([0.0, 0.0], covariance=LINE), Gaussian([0.0, 0.0], covariance=np.eye(2))
    off = Gaussian([1.0, 0.0], covariance=LINE)
    other = Gaussian([0.0, 0.0], covariance=[[1.0, -2.0], [-2.0, 4.0]])
    for p, q in ((line, plane), (plane, line), (line, off), (line, other)):
        assert d(p, q) == pytest.approx(EXTREMES[name])
    flat = Gaussian([0.0, 0.0], variance=[1.0, 0.0])
    assert d(flat, Gaussian([0.0, 0.0], variance=[1.0, 1.0])) == pytest.approx(EXTREMES[name])
    assert d(flat, Gaussian([0.0, 1.0], variance=[1.0, 0.0])) == pytest.approx(EXTREMES[name])


@pytest.mark.parametrize("name", DIVERGENCES | BOUNDS)
def test_on_a_common_support_only_the_support_counts(name):
    d = EVERYTHING[name]
    direction = np.array([1.0, 2.0])
    p = Gaussian(0.5 * direction, covariance=1.2 * LINE)
    q = Gaussian([0.0, 0.0], covariance=LINE)
    one = Gaussian([0.5], variance=[1.2]), Gaussian([0.0], variance=[1.0])
    assert d(p, q) == pytest.approx(d(*one), rel=1e-9)
    assert d(q, q) == 0
    flat = Gaussian([0.5, 3.0], variance=[1.2, 0.0]), Gaussian([0.0, 3.0], variance=[1.0, 0.0])
    assert d(*flat) == pytest.approx(d(*one), rel=1e-12)


def test_orders_and_weights_outside_their_range_are_refused():
    p = Gaussian.standard(2)
    for alpha in (-0.1, math.inf, math.nan):
        with pytest.raises(GaussianError, match="expected a finite order"):
            renyi(p, p, alpha)
    with pytest.raises(GaussianError, match="expected a finite order"):
        alpha_divergence(p, p, math.nan)
    for weight in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(GaussianError, match="between 0 and 1"):
            jensen_shannon(p, p, weight=weight)
    with pytest.raises(GaussianError, match="expected 'geometric'"):
        jensen_shannon(p, p, method="arithmetic")  # type: ignore[arg-type]
    with pytest.raises(GaussianError, match="at least 2"):
        jensen_shannon(p, p, method="monte-carlo", samples=1)


def test_an_item_that_is_no_gaussian_is_not_a_number_and_spoils_no_other():
    S = torch.eye(2, dtype=torch.float64).repeat(2, 1, 1)
    S[1, 0, 0] = -1
    p = Gaussian(torch.ones(2, 2, dtype=torch.float64), covariance=S, validate=False)
    q = Gaussian.standard(2, dtype=torch.float64)
    for name in ("jeffreys", "renyi 0.3", "geometric"):
        value = EVERYTHING[name](p, q)
        assert value[0].isfinite()
        assert value[1].isnan()


# Monte Carlo.


def test_monte_carlo_jensen_shannon_is_reproducible_bounded_and_zero_at_equality():
    p, q = random_pair(13, 4, 2)

    def run(a, b, **options):
        return jensen_shannon(
            a, b, method="monte-carlo", samples=2000, generator=torch.Generator().manual_seed(3), **options
        )

    first, second = run(p, q), run(p, q)
    np.testing.assert_array_equal(first.value, second.value)
    assert first.value.shape == first.standard_error.shape == (4,)
    equal = run(p, p)
    assert (equal.value == 0).all()
    assert (equal.standard_error == 0).all()
    apart = run(Gaussian([1e3], variance=[1.0]), Gaussian([0.0], variance=[1.0]), weight=0.3)
    assert apart.value == pytest.approx(-0.7 * math.log(0.7) - 0.3 * math.log(0.3))


def test_standard_errors_cover_the_truth_as_often_as_they_should():
    p, q = Gaussian([1.0], variance=[2.0]), Gaussian([0.0], variance=[1.0])
    x = np.linspace(-30, 30, 200_001)[:, None]
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    mixture = np.logaddexp(log_p, log_q) - math.log(2)
    cell = float(x[1, 0] - x[0, 0])
    truth = 0.5 * cell * (np.exp(log_p) * (log_p - mixture) + np.exp(log_q) * (log_q - mixture)).sum()
    many = Gaussian(np.ones((400, 1)), variance=[2.0])
    generator = torch.Generator().manual_seed(0)
    estimate = jensen_shannon(many, q, method="monte-carlo", samples=500, generator=generator)
    z = (estimate.value - truth) / estimate.standard_error
    assert np.abs(z).max() < 4
    assert 0.9 < z.std() < 1.1


CURVATURES = {
    "jeffreys": 1.0,
    "renyi 0.3": 0.15,
    "renyi 1": 0.5,
    "renyi 1.5": 0.75,
    "alpha -0.5": 0.5,
    "alpha 0.3": 0.5,
    "alpha 2": 0.5,
    "chi_squared": 1.0,
    "bhattacharyya": 0.125,
    "hellinger squared": 0.125,
    "geometric": 0.5 * 0.3 * 0.7,
    "dual geometric": 0.125,
}


@pytest.mark.parametrize("name", CURVATURES)
def test_fisher_information_is_the_curvature(name):
    """Every f-divergence is f''(1) / 2 times the squared Fisher-Rao distance, to second order."""
    S = np.array([[1.0, 0.3], [0.3, 2.0]])
    q = Gaussian([0.0, 0.0], covariance=S)
    for p in (Gaussian([0.0, 0.0], covariance=S * (1 + 1e-6)), Gaussian([1e-6, 2e-6], covariance=S)):
        assert GRADIENTS[name](p, q) == pytest.approx(CURVATURES[name] * fisher_rao(p, q) ** 2, rel=1e-5)
