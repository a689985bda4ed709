"""Every member of the family against 50 digits, against quadrature, and against Monte Carlo."""

import itertools
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
import torch

from vaekit.gaussian import (
    Gaussian,
    alpha_divergence,
    bhattacharyya,
    chi_squared,
    cross_entropy,
    entropy,
    fisher_rao,
    hellinger,
    jeffreys,
    jensen_shannon,
    relative_spectrum,
    renyi,
    total_variation_bounds,
    wasserstein,
)

mp = mpmath.mp.clone()
mp.dps = 50
EPSILON = 2.0**-52


@dataclass(frozen=True)
class Pair:
    """Two means and covariances in float64."""

    mean_p: np.ndarray
    covariance_p: np.ndarray
    mean_q: np.ndarray
    covariance_q: np.ndarray

    def gaussians(self) -> tuple[Gaussian, Gaussian]:
        return (
            Gaussian(self.mean_p, covariance=self.covariance_p),
            Gaussian(self.mean_q, covariance=self.covariance_q),
        )

    def exact(self):
        return tuple(
            mp.matrix(x.tolist()) for x in (self.mean_p, self.covariance_p, self.mean_q, self.covariance_q)
        )


def make_pair(k: int, *, difference: float, condition: float = 10.0, seed: int = 0) -> Pair:
    """A pair whose means and covariances differ by ``difference``, relative to q, in every direction."""
    rng = np.random.default_rng([seed, k])
    basis = np.linalg.qr(rng.normal(size=(k, k)))[0]
    Sq = basis * np.logspace(0, -np.log10(condition), k) @ basis.T
    Sq = (Sq + Sq.T) / 2
    L = np.linalg.cholesky(Sq)
    noise = rng.normal(size=(k, k))
    inner = (noise + noise.T) / (2 * np.sqrt(k))
    values, vectors = np.linalg.eigh(inner)
    relative = vectors * np.expm1(difference * values) @ vectors.T
    change = L @ relative @ L.T
    Sp = Sq + (change + change.T) / 2
    mean_q = rng.normal(size=k)
    return Pair(mean_q + difference * L @ rng.normal(size=k), Sp, mean_q, Sq)


# Closed forms in 50 digits, each from its textbook formula.


def quadratic(d, S):
    return (d.T * (S**-1 * d))[0]


def log_det(S):
    return mp.log(mp.det(S))


def exact_kl(mp_, Sp, mq, Sq):
    product = Sq**-1 * Sp
    trace = sum(product[i, i] for i in range(product.rows))
    return (trace - Sp.rows + quadratic(mp_ - mq, Sq) + log_det(Sq) - log_det(Sp)) / 2


def exact_renyi(mp_, Sp, mq, Sq, alpha):
    mixed = alpha * Sq + (1 - alpha) * Sp
    logs = log_det(mixed) - (1 - alpha) * log_det(Sp) - alpha * log_det(Sq)
    return alpha / mp.mpf(2) * quadratic(mp_ - mq, mixed) - logs / (2 * (alpha - 1))


def exact_geometric(mp_, Sp, mq, Sq, a):
    Pp, Pq = Sp**-1, Sq**-1
    G = ((1 - a) * Pp + a * Pq) ** -1
    g = G * ((1 - a) * Pp * mp_ + a * Pq * mq)
    return (1 - a) * exact_kl(mp_, Sp, g, G) + a * exact_kl(mq, Sq, g, G)


def exact_root(S):
    values, vectors = mp.eighe(S)
    return vectors * mp.diag([mp.sqrt(abs(e)) for e in values]) * vectors.T


def exact_wasserstein(mp_, Sp, mq, Sq):
    root = exact_root(Sp)
    cross = exact_root(root * Sq * root)
    traces = sum(Sp[i, i] + Sq[i, i] - 2 * cross[i, i] for i in range(Sp.rows))
    return mp.sqrt(((mp_ - mq).T * (mp_ - mq))[0] + traces)


def exact_fisher_rao_of_equal_means(mp_, Sp, mq, Sq):
    half = exact_root(Sq) ** -1
    values = mp.eighe(half * Sp * half, eigvals_only=True)
    return mp.sqrt(sum(mp.log(e) ** 2 for e in values) / 2)


def renyi_of(alpha):
    # The order as the float it is: so near 1 its rounding would count.
    return lambda *pair: exact_renyi(*pair, alpha=mp.mpf(alpha))


MEMBERS = {
    "jeffreys": (jeffreys, lambda a, A, b, B: exact_kl(a, A, b, B) + exact_kl(b, B, a, A)),
    **{
        f"renyi {alpha}": (lambda p, q, alpha=alpha: renyi(p, q, alpha), renyi_of(alpha))
        for alpha in (1e-6, 0.2, 0.5, 0.8, 1 - 1e-9, 1 + 1e-9)
    },
    "renyi 1": (lambda p, q: renyi(p, q, 1.0), exact_kl),
    "bhattacharyya": (bhattacharyya, lambda *x: renyi_of(0.5)(*x) / 2),
    "hellinger": (hellinger, lambda *x: mp.sqrt(-mp.expm1(-renyi_of(0.5)(*x) / 2))),
    "alpha 0.3": (
        lambda p, q: alpha_divergence(p, q, 0.3),
        lambda *x: mp.expm1((mp.mpf(0.3) - 1) * renyi_of(0.3)(*x)) / (mp.mpf(0.3) * (mp.mpf(0.3) - 1)),
    ),
    "alpha 0": (lambda p, q: alpha_divergence(p, q, 0.0), lambda a, A, b, B: exact_kl(b, B, a, A)),
    "geometric 0.5": (jensen_shannon, lambda *x: exact_geometric(*x, a=mp.mpf(0.5))),
    "geometric 0.25": (
        lambda p, q: jensen_shannon(p, q, weight=0.25),
        lambda *x: exact_geometric(*x, a=mp.mpf(0.25)),
    ),
    "dual geometric": (
        lambda p, q: jensen_shannon(p, q, method="dual-geometric"),
        lambda *x: renyi_of(0.5)(*x) / 2,
    ),
    "wasserstein": (wasserstein, exact_wasserstein),
}
#: Orders whose integral diverges for distant pairs.
HEAVY = {
    "renyi 1.5": (lambda p, q: renyi(p, q, 1.5), renyi_of(1.5)),
    "chi_squared": (chi_squared, lambda *x: mp.expm1(renyi_of(2)(*x))),
    "alpha 3": (lambda p, q: alpha_divergence(p, q, 3.0), lambda *x: mp.expm1(2 * renyi_of(3)(*x)) / 6),
    "alpha -1": (
        lambda p, q: alpha_divergence(p, q, -1.0),
        lambda a, A, b, B: mp.expm1(renyi_of(2)(b, B, a, A)) / 2,
    ),
}


def relative_error(value, truth) -> float:
    return float(abs((mp.mpf(float(value)) - truth) / truth))


@pytest.mark.parametrize("difference", [1e-10, 1e-8, 1e-4, 0.1])
@pytest.mark.parametrize("name", [*MEMBERS, *HEAVY])
def test_nearly_identical_pairs_keep_their_digits(name, difference):
    ours, exact = (MEMBERS | HEAVY)[name]
    for k in (1, 2, 5):
        pair = make_pair(k, difference=difference)
        assert relative_error(ours(*pair.gaussians()), exact(*pair.exact())) < 1e-13


@pytest.mark.parametrize("name", MEMBERS)
def test_distant_pairs_keep_their_digits(name):
    ours, exact = MEMBERS[name]
    for k, difference in itertools.product((1, 2, 5), (1.0, 3.0, 8.0)):
        pair = make_pair(k, difference=difference)
        # What the rounding of the entries alone can change is the condition number times epsilon.
        condition = max(np.linalg.cond(pair.covariance_p), np.linalg.cond(pair.covariance_q))
        assert relative_error(ours(*pair.gaussians()), exact(*pair.exact())) < 5 * EPSILON * (1 + condition)


@pytest.mark.parametrize("name", [*MEMBERS, *HEAVY])
def test_ill_conditioned_pairs_lose_only_what_the_condition_number_takes(name):
    ours, exact = (MEMBERS | HEAVY)[name]
    pair = make_pair(4, difference=1e-3, condition=1e8)
    assert relative_error(ours(*pair.gaussians()), exact(*pair.exact())) < 40 * EPSILON * 1e8**0.5


@pytest.mark.parametrize("name", [*MEMBERS, *HEAVY])
def test_variances_and_scales_are_compared_without_matrices(name):
    ours, exact = (MEMBERS | HEAVY)[name]
    variance = np.array([1.0, 4.0, 0.25])
    shifted = variance * (1 + np.array([1e-9, -2e-9, 1.5e-9]))
    mean = np.array([1.0, 2.0, 3.0])
    moved = mean + np.array([1e-9, -1e-9, 2e-9])
    pair = Pair(moved, np.diag(shifted), mean, np.diag(variance))
    p, q = Gaussian(moved, variance=shifted), Gaussian(mean, variance=variance)
    assert relative_error(ours(p, q), exact(*pair.exact())) < 1e-13
    deviations = Gaussian(moved, standard_deviation=[1.5, 1.5, 1.5]), Gaussian(mean, scale=1.25)
    far = Pair(moved, 2.25 * np.eye(3), mean, 1.5625 * np.eye(3))
    assert relative_error(ours(*deviations), exact(*far.exact())) < 1e-13


@pytest.mark.parametrize("kind", ["scale_tril", "precision", "factor"])
@pytest.mark.parametrize("name", [*MEMBERS, *HEAVY])
def test_close_factors_and_close_precisions_are_subtracted_as_they_are(name, kind):
    ours, exact = (MEMBERS | HEAVY)[name]
    rng = np.random.default_rng(3)
    k = 3
    L = np.tril(rng.normal(size=(k, k)), -1) + np.diag([1.0, 0.5, 2.0])
    near = L * (1 + 1e-9 * rng.normal(size=(k, k)))
    mean, moved = np.zeros(k), 1e-9 * rng.normal(size=k)
    exact_L, exact_near = mp.matrix(L.tolist()), mp.matrix(near.tolist())
    if kind == "scale_tril":
        p, q = Gaussian(moved, scale_tril=near), Gaussian(mean, scale_tril=L)
        Sp, Sq = exact_near * exact_near.T, exact_L * exact_L.T
    elif kind == "precision":
        P = L @ L.T
        other = P * (1 + 1e-9 * (lambda a: a + a.T)(rng.normal(size=(k, k))))
        p, q = Gaussian(moved, precision=other), Gaussian(mean, precision=P)
        Sp, Sq = mp.matrix(other.tolist()) ** -1, mp.matrix(P.tolist()) ** -1
    else:
        d, e = np.ones(k), np.ones(k) + 1e-9 * rng.normal(size=k)
        p, q = Gaussian(moved, factor=near[:, :2], diagonal=e), Gaussian(mean, factor=L[:, :2], diagonal=d)
        Sp = exact_near[:, :2] * exact_near[:, :2].T + mp.diag(e.tolist())
        Sq = exact_L[:, :2] * exact_L[:, :2].T + mp.diag(d.tolist())
    truth = exact(mp.matrix(moved.tolist()), Sp, mp.matrix(mean.tolist()), Sq)
    assert relative_error(ours(p, q), truth) < 1e-12


def exact_gradient(exact, pair: Pair, which: int):
    """Central differences in 50 digits, each step relative to the entry's scale; symmetric."""
    k = len(pair.mean_p)
    parts = pair.exact()
    found = np.zeros((k, k))
    for i, j in itertools.combinations_with_replacement(range(k), 2):
        step = mp.mpf(10) ** -15 * mp.sqrt(abs(parts[which][i, i] * parts[which][j, j]))
        sides = []
        for sign in (1, -1):
            moved = [part.copy() for part in parts]
            for a, b in {(i, j), (j, i)}:
                moved[which][a, b] += sign * step
            sides.append(exact(*moved))
        slope = float((sides[0] - sides[1]) / (2 * step))
        found[i, j] = found[j, i] = slope if i == j else slope / 2
    return found


@pytest.mark.parametrize("difference", [1e-8, 0.3, 2.0])
@pytest.mark.parametrize("narrow", [1.0, 1e-8], ids=["alike", "p narrow"])
@pytest.mark.parametrize("name", ["jeffreys", "renyi 0.2", "renyi 0.8", "geometric 0.25", "wasserstein"])
def test_gradients_keep_their_digits(name, narrow, difference):
    ours, exact = MEMBERS[name]
    pair = make_pair(3, difference=difference)
    pair = Pair(pair.mean_p, narrow * pair.covariance_p, pair.mean_q, pair.covariance_q)
    tensors = [torch.tensor(x, requires_grad=True) for x in (pair.covariance_p, pair.covariance_q)]
    value = ours(
        Gaussian(torch.tensor(pair.mean_p), covariance=tensors[0]),
        Gaussian(torch.tensor(pair.mean_q), covariance=tensors[1]),
    )
    for which, gradient in zip((1, 3), torch.autograd.grad(value, tensors), strict=True):
        truth = exact_gradient(exact, pair, which)
        assert np.abs((gradient + gradient.mT).numpy() / 2 - truth).max() < 1e-12 * np.abs(truth).max()


@pytest.mark.parametrize("difference", [1e-10, 1e-8, 1e-5])
def test_fisher_rao_of_equal_means_keeps_its_digits(difference):
    pair = make_pair(4, difference=difference)
    pair = Pair(pair.mean_q, pair.covariance_p, pair.mean_q, pair.covariance_q)
    truth = exact_fisher_rao_of_equal_means(*pair.exact())
    assert relative_error(fisher_rao(*pair.gaussians()), truth) < 1e-13


def test_relative_spectrum_is_that_of_the_pencil():
    for difference in (1e-9, 0.1, 4.0):
        pair = make_pair(4, difference=difference)
        excess, ratio, shift = relative_spectrum(*pair.gaussians())
        m, Sp, n, Sq = pair.exact()
        half = exact_root(Sq) ** -1
        values, vectors = mp.eighe(half * Sp * half)
        order = sorted(range(4), key=lambda i: values[i])
        size = max(abs(e - 1) for e in values)
        for i, j in enumerate(order):
            assert float(abs(mp.mpf(excess[i]) - (values[j] - 1)) / size) < 1e-14
            assert relative_error(ratio[i], values[j]) < 1e-13
            w = (vectors[:, j].T * (half * (m - n)))[0]
            assert abs(abs(shift[i]) - float(abs(w))) < 1e-12 * difference


def test_small_and_large_ratios_side_by_side():
    """The spectrum of D alone would know the small one to 1, which is nothing."""
    L = np.array([[1e8, 0.0], [3e7, 0.5]])
    excess, ratio, _ = relative_spectrum(
        Gaussian(np.zeros(2), scale_tril=L), Gaussian(np.zeros(2), scale_tril=np.eye(2))
    )
    exact_L = mp.matrix(L.tolist())
    truth = sorted(mp.eighe(exact_L * exact_L.T, eigvals_only=True))
    for i in range(2):
        assert relative_error(ratio[i], truth[i]) < 1e-14
        assert relative_error(excess[i], truth[i] - 1) < 1e-14


# Quadrature: no formula for the divergence, only the densities.


def densities_on_a_grid(pair: Pair, points: int = 401, width: float = 14.0):
    p, q = pair.gaussians()
    k = len(pair.mean_p)
    center = (pair.mean_p + pair.mean_q) / 2
    spread = np.sqrt(np.maximum(np.diag(pair.covariance_p), np.diag(pair.covariance_q)))
    spread = spread + np.abs(pair.mean_p - pair.mean_q) / width
    axes = [np.linspace(c - width * s, c + width * s, points) for c, s in zip(center, spread, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, k)
    cell = float(np.prod([axis[1] - axis[0] for axis in axes]))
    return p.log_prob(grid), q.log_prob(grid), cell


@pytest.mark.parametrize("k", [1, 2])
def test_quadrature_agrees(k):
    pair = make_pair(k, difference=0.3, condition=2.0, seed=1)
    p, q = pair.gaussians()
    log_p, log_q, cell = densities_on_a_grid(pair, points=100_001 if k == 1 else 401)
    f, g = np.exp(log_p), np.exp(log_q)
    assert cell * f.sum() == pytest.approx(1, abs=1e-10)
    expected = {
        "jeffreys": cell * ((f - g) * (log_p - log_q)).sum(),
        "renyi 0.7": np.log(cell * np.exp(0.7 * log_p + 0.3 * log_q).sum()) / -0.3,
        "renyi 1.3": np.log(cell * np.exp(1.3 * log_p - 0.3 * log_q).sum()) / 0.3,
        "chi_squared": cell * np.exp(2 * log_p - log_q).sum() - 1,
        "alpha 0.4": (cell * np.exp(0.4 * log_p + 0.6 * log_q).sum() - 1) / (0.4 * -0.6),
        "bhattacharyya": -np.log(cell * np.exp((log_p + log_q) / 2).sum()),
        "hellinger": np.sqrt(cell * ((np.sqrt(f) - np.sqrt(g)) ** 2).sum() / 2),
        "cross_entropy": -cell * (f * log_q).sum(),
        "entropy": -cell * (f * log_p).sum(),
    }
    found = {
        "jeffreys": jeffreys(p, q),
        "renyi 0.7": renyi(p, q, 0.7),
        "renyi 1.3": renyi(p, q, 1.3),
        "chi_squared": chi_squared(p, q),
        "alpha 0.4": alpha_divergence(p, q, 0.4),
        "bhattacharyya": bhattacharyya(p, q),
        "hellinger": hellinger(p, q),
        "cross_entropy": cross_entropy(p, q),
        "entropy": entropy(p),
    }
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=1e-9), name
    # The geometric mean is taken from the densities, not from its closed form.
    log_g = (log_p + log_q) / 2
    log_g = log_g - np.log(cell * np.exp(log_g).sum())
    geometric = 0.5 * cell * (f * (log_p - log_g) + g * (log_q - log_g)).sum()
    assert jensen_shannon(p, q) == pytest.approx(geometric, rel=1e-9)
    dual = 0.5 * cell * (np.exp(log_g) * (2 * log_g - log_p - log_q)).sum()
    assert jensen_shannon(p, q, method="dual-geometric") == pytest.approx(dual, rel=1e-9)
    mixture = np.logaddexp(log_p, log_q) - np.log(2)
    ordinary = 0.5 * cell * (f * (log_p - mixture) + g * (log_q - mixture)).sum()
    estimate = jensen_shannon(
        p, q, method="monte-carlo", samples=20_000, generator=torch.Generator().manual_seed(1)
    )
    assert abs(estimate.value - ordinary) < 4 * estimate.standard_error
    assert estimate.standard_error < 0.1 * ordinary
    bounds = total_variation_bounds(p, q)
    assert bounds.lower <= 0.5 * cell * np.abs(f - g).sum() + 1e-3 * (k - 1) + 1e-8
    assert bounds.upper >= 0.5 * cell * np.abs(f - g).sum() - 1e-3 * (k - 1) - 1e-8


def test_monte_carlo_agrees_in_six_dimensions():
    p, q = make_pair(6, difference=0.3, seed=2).gaussians()
    n = 200_000
    x = p.sample((n,), generator=torch.Generator().manual_seed(0))
    ratio = p.log_prob(x) - q.log_prob(x)
    reverse = q.sample((n,), generator=torch.Generator().manual_seed(1))
    back = q.log_prob(reverse) - p.log_prob(reverse)

    def check(draws, truth):
        assert abs(draws.mean() - truth) < 4 * draws.std() / np.sqrt(n)
        assert draws.std() / np.sqrt(n) < 0.05 * abs(truth)

    check(np.exp(-0.5 * ratio), np.exp(-bhattacharyya(p, q)))
    check(np.exp(-0.3 * ratio), np.exp(-0.3 * renyi(p, q, 0.7)))
    check(np.exp(0.2 * ratio), np.exp(0.2 * renyi(p, q, 1.2)))
    check(ratio + back, jeffreys(p, q))
    check(-q.log_prob(x), cross_entropy(p, q))
    check(-p.log_prob(x), entropy(p))
    check(np.expm1(ratio), chi_squared(p, q))
