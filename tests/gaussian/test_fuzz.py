"""Every parameterisation, condition, scale and dtype against many digits, and the promised bound against the error."""

import itertools
import zlib
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import mpmath
import numpy as np
import pytest

from vaekit.gaussian import (
    Gaussian,
    bhattacharyya,
    cross_entropy,
    entropy,
    hellinger,
    jeffreys,
    jensen_shannon,
    kl_divergence,
    renyi,
    wasserstein,
)

mp = mpmath.mp.clone()
mp.dps = 75
KINDS = ("covariance", "scale_tril", "precision", "variance", "standard_deviation", "scale", "factor")
K = 3
#: Largest relative errors, of what a value of that dtype can tell at all.
TOLERANCE = {np.float64: 1e-12, np.float32: 1.2e-7}


@dataclass(frozen=True)
class Case:
    """What a pair of Gaussians is drawn from; ``ratio`` is the scale of p over that of q."""

    kind_p: str
    kind_q: str
    condition: float
    scale: float
    ratio: float
    near: float | None
    dtype: type


def root(rng: np.random.Generator, condition: float) -> np.ndarray:
    """A random root of a covariance of that condition number."""
    turn = np.linalg.qr(rng.normal(size=(K, K)))[0]
    return turn * np.geomspace(1, condition**-0.5, K)


def parameters(kind: str, A: np.ndarray, scale: float, condition: float, rng: np.random.Generator) -> dict:
    """A Gaussian of that kind with a covariance of the order of `scale^2 A A^T`."""
    S = A @ A.T
    if kind == "covariance":
        return {kind: (S + S.T) / 2 * scale * scale}
    if kind == "scale_tril":
        upper: np.ndarray = np.linalg.qr(A.T)[1]
        return {kind: (upper * np.sign(np.diag(upper))[:, None]).T * scale}
    if kind == "precision":
        inverse = np.linalg.inv(A)
        P = inverse.T @ inverse
        return {kind: (P + P.T) / 2 / scale / scale}
    if kind == "factor":
        # Columns that are nearly parallel, and a small diagonal beside them.
        column = rng.normal(size=(K, 1))
        factor = np.concatenate([column, column * (1 + condition**-0.5 * rng.normal(size=(K, 1)))], 1)
        return {"factor": factor * scale, "diagonal": (0.5 + rng.random(K)) / condition * scale * scale}
    deviation = np.sqrt(np.diag(S)) * scale
    if kind == "variance":
        return {kind: deviation**2}
    return {kind: deviation if kind == "standard_deviation" else deviation[0]}


def pair(case: Case) -> tuple[tuple[np.ndarray, dict], tuple[np.ndarray, dict]]:
    """Means and parameters of p and q, in the dtype of the case."""
    rng = np.random.default_rng(zlib.crc32(repr(case).encode()))
    A, B = root(rng, case.condition), root(rng, case.condition)
    scale_p = case.scale * case.ratio
    first = parameters(case.kind_p, A, scale_p, case.condition, rng)
    second = parameters(case.kind_q, B, case.scale, case.condition, rng)
    mean = case.scale * rng.normal(size=K)
    moved = mean + case.scale * rng.normal(size=K)
    if case.near is not None:
        # The same parameters, each a little different; in the same kind, since others could not be so near.
        second = {n: t * (1 + case.near * (rng.normal() if n != "scale" else 1)) for n, t in first.items()}
        moved = mean + case.near * case.scale * case.condition**-0.5 * rng.normal(size=K)
    return tuple(  # type: ignore[return-value]
        (m.astype(case.dtype), {n: np.asarray(t, case.dtype) for n, t in g.items()})
        for m, g in ((mean, first), (moved, second))
    )


def exact_covariance(theta: dict) -> Any:
    """The covariance of the bits that are given."""
    kind, array = next(iter(theta.items()))
    if kind == "scale":
        return mp.eye(K) * mp.mpf(float(array)) ** 2
    if array.ndim == 1:
        return mp.diag([mp.mpf(float(x)) ** (1 if kind == "variance" else 2) for x in array])
    M = mp.matrix(array.astype(float).tolist())
    if kind == "precision":
        return mp.inverse(M)
    if kind == "scale_tril":
        return M * M.T
    return M * M.T + mp.diag(theta["diagonal"].astype(float).tolist()) if kind == "factor" else M


@cache
def drawn(case: Case) -> tuple[Gaussian, Gaussian, np.ndarray, "Truth"]:
    """Both Gaussians of a case, the mean of the first, and the truth about them."""
    p, q = pair(case)
    return Gaussian(p[0], **p[1]), Gaussian(q[0], **q[1]), p[0], Truth(p, q)


class Truth:
    """Closed forms in many digits, from the textbook."""

    def __init__(self, p: tuple[np.ndarray, dict], q: tuple[np.ndarray, dict]) -> None:
        self.P, self.Q = exact_covariance(p[1]), exact_covariance(q[1])
        self.d = mp.matrix(p[0].astype(float).tolist()) - mp.matrix(q[0].astype(float).tolist())

    @cached_property
    def inverse_p(self) -> Any:
        return mp.inverse(self.P)

    @cached_property
    def inverse_q(self) -> Any:
        return mp.inverse(self.Q)

    def quadratic(self, inverse: Any) -> Any:
        return (self.d.T * inverse * self.d)[0]

    def kl(self) -> Any:
        T = self.inverse_q * self.P
        return (sum(T[i, i] for i in range(K)) - K + self.quadratic(self.inverse_q) - mp.log(mp.det(T))) / 2

    def jeffreys(self) -> Any:
        T, U = self.inverse_q * self.P, self.inverse_p * self.Q
        traces = sum(T[i, i] + U[i, i] for i in range(K))
        return (traces - 2 * K + self.quadratic(self.inverse_q) + self.quadratic(self.inverse_p)) / 2

    def renyi(self, alpha: float) -> Any:
        a = mp.mpf(alpha)
        mixed = a * self.Q + (1 - a) * self.P
        logs = mp.log(mp.det(mixed)) - (1 - a) * mp.log(mp.det(self.P)) - a * mp.log(mp.det(self.Q))
        return a / 2 * self.quadratic(mp.inverse(mixed)) - logs / (2 * (a - 1))

    def geometric(self) -> Any:
        """The geometric Jensen-Shannon divergence of weight one half."""
        R, U = self.inverse_p, self.inverse_q
        G = mp.inverse((R + U) / 2)
        total = mp.mpf(0)
        for S, sign in ((self.P, 1), (self.Q, -1)):
            # The mean of p less that of g is G U d / 2, the mean of q less it is -G R d / 2.
            shift = sign * G * (U if sign == 1 else R) * self.d / 2
            T = mp.inverse(G) * S
            form = (shift.T * mp.inverse(G) * shift)[0]
            total += (sum(T[i, i] for i in range(K)) - K + form - mp.log(mp.det(T))) / 4
        return total

    def entropy(self, S: Any) -> Any:
        return (K * (1 + mp.log(2 * mp.pi)) + mp.log(mp.det(S))) / 2

    def wasserstein(self) -> Any:
        product = self.P * self.Q
        values = mp.eig(product / mp.norm(product), left=False, right=False)
        roots = sum(mp.sqrt(abs(mp.re(e))) for e in values) * mp.sqrt(mp.norm(product))
        traces = sum(self.P[i, i] + self.Q[i, i] for i in range(K))
        return mp.sqrt((self.d.T * self.d)[0] + traces - 2 * roots)

    def log_prob(self) -> Any:
        """Of the mean of p under q."""
        return -(K * mp.log(2 * mp.pi) + mp.log(mp.det(self.Q)) + self.quadratic(self.inverse_q)) / 2


def limits(case: Case) -> bool:
    """Whether the dtype can hold the parameters of the case."""
    info = np.finfo(case.dtype)
    for kind, scale in ((case.kind_p, mp.mpf(case.scale) * case.ratio), (case.kind_q, mp.mpf(case.scale))):
        power = 1 if kind in ("scale_tril", "standard_deviation", "scale") else 2
        size = (scale**power, scale**power / case.condition)
        if kind == "precision":
            size = (1 / size[1], 1 / size[0])
        if size[0] > 1e-2 * info.max or size[1] < 1e6 * info.tiny:
            return False
    return True


def cases(dtype: type, step: int = 48) -> list[Case]:
    """A part of all pairs of kinds, conditions, scales and ratios; and near pairs of one kind."""
    double = dtype is np.float64
    conditions = (1.0, 1e4, 1e8, 1e10, 1e12) if double else (1.0, 1e3)
    scales = (1.0, 1e-150, 1e150, 1e-300, 1e300) if double else (1.0, 1e-18, 1e18, 1e-30, 1e30)
    ratios = (1.0, 1e-6, 1e6, 1e-100, 1e100) if double else (1.0, 1e-6, 1e-12)
    found = []
    for number, (kind_p, kind_q) in enumerate(itertools.product(KINDS, KINDS)):
        grid = list(itertools.product(conditions, scales, ratios))
        for condition, scale, ratio in grid[(7 * number) % step :: step]:
            found.append(Case(kind_p, kind_q, condition, scale, ratio, None, dtype))
        if kind_p == kind_q:
            near_grid = list(itertools.product(conditions[:3], scales[:3], (1e-3, 1e-7)))
            for condition, scale, near in near_grid[number % 4 :: 4]:
                found.append(Case(kind_p, kind_q, condition, scale, 1.0, near if double else 1e-2, dtype))
    return [case for case in dict.fromkeys(found) if limits(case)]


def relative_error(value: object, truth: Any) -> float:
    value = float(value)  # type: ignore[arg-type]
    return float(abs((mp.mpf(value) - truth) / truth)) if np.isfinite(value) else np.inf


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_divergence_and_its_bound(dtype):
    for case in cases(dtype):
        p, q, _, exact = drawn(case)
        truth = exact.kl()
        if truth > np.finfo(dtype).max or (truth == 0 and case.near is not None):
            continue
        value, bound = kl_divergence(p, q, return_error=True)
        assert relative_error(value, truth) <= TOLERANCE[dtype], (case, value)
        assert relative_error(kl_divergence(p, q), truth) <= TOLERANCE[dtype], case
        assert abs(mp.mpf(float(value)) - truth) <= mp.mpf(float(bound)), (case, value, bound)
        assert bound <= 1e3 * TOLERANCE[dtype] * value, (case, value, bound)


def test_the_bound_holds_without_double_double():
    for case in cases(np.float64):
        p, q, _, exact = drawn(case)
        truth = exact.kl()
        if truth < np.finfo(np.float64).max:
            value, bound = kl_divergence(p, q, precision="fast", return_error=True)
            assert abs(mp.mpf(float(value)) - truth) <= mp.mpf(float(bound)), (case, value, bound)


#: Our function, and its closed form.
FAMILY = {
    "jeffreys": (jeffreys, Truth.jeffreys),
    "renyi 0.3": (lambda p, q: renyi(p, q, 0.3), lambda t: t.renyi(0.3)),
    "bhattacharyya": (bhattacharyya, lambda t: t.renyi(0.5) / 2),
    "hellinger": (hellinger, lambda t: mp.sqrt(-mp.expm1(-t.renyi(0.5) / 2))),
    "geometric": (jensen_shannon, Truth.geometric),
    "wasserstein": (wasserstein, Truth.wasserstein),
}


@pytest.mark.parametrize("name", FAMILY)
def test_the_family(name):
    ours, exact = FAMILY[name]
    for case in cases(np.float64):
        p, q, _, known = drawn(case)
        truth = exact(known)
        if truth < np.finfo(np.float64).max:
            value = ours(p, q)
            assert relative_error(value, truth) <= TOLERANCE[np.float64], (case, value)


def test_entropies_and_densities():
    for case in cases(np.float64):
        p, q, m_p, truth = drawn(case)
        # These are sums of terms of both signs: what counts is the error beside the largest of them.
        log_q, square = mp.log(mp.det(truth.Q)), truth.quadratic(truth.inverse_q)
        size = 10 + abs(log_q) + square
        found = {
            "entropy": (entropy(q), truth.entropy(truth.Q), size - square),
            "log_prob": (q.log_prob(m_p), truth.log_prob(), size),
            "cross_entropy": (cross_entropy(p, q), truth.entropy(truth.P) + truth.kl(), size + truth.kl()),
        }
        for name, (value, expected, scale) in found.items():
            if scale < np.finfo(np.float64).max:
                assert abs(mp.mpf(float(value)) - expected) <= TOLERANCE[np.float64] * scale, (
                    name,
                    case,
                    value,
                )


def exact_low_rank_kl(p: tuple[np.ndarray, dict], q: tuple[np.ndarray, dict]) -> Any:
    """The divergence by Woodbury's identity in many digits, for a dimension that is too large to be written out."""
    k = len(p[0])
    (D, W), (C, V) = ((mp.matrix(g["diagonal"].tolist()), mp.matrix(g["factor"].tolist())) for _, g in (p, q))

    def capacitance(d: Any, F: Any) -> Any:
        scaled = mp.matrix([[F[i, j] / d[i] for j in range(F.cols)] for i in range(k)])
        return mp.eye(F.cols) + F.T * scaled

    R = mp.inverse(capacitance(C, V))
    S = mp.matrix([[V[i, j] / C[i] for j in range(V.cols)] for i in range(k)])

    def form(x: Any) -> Any:
        inner = S.T * x
        return sum(x[i] ** 2 / C[i] for i in range(k)) - (inner.T * R * inner)[0]

    trace = sum(D[i] / C[i] for i in range(k)) + sum(form(W[:, j]) for j in range(W.cols))
    trace -= sum(D[i] * (S[i, :] * R * S[i, :].T)[0] for i in range(k))
    logs = [
        sum(mp.log(d[i]) for i in range(k)) + mp.log(mp.det(capacitance(d, F))) for d, F in ((D, W), (C, V))
    ]
    difference = mp.matrix(p[0].tolist()) - mp.matrix(q[0].tolist())
    return (trace - k + form(difference) + logs[1] - logs[0]) / 2


@pytest.mark.parametrize("k", [20, 90])
@pytest.mark.parametrize(("apart", "diagonal"), [(0.0, 1e-14), (1e-12, 1.0), (1e-6, 1e-6), (1.0, 1e-14)])
def test_low_rank_with_nearly_parallel_columns(k, apart, diagonal):
    rng = np.random.default_rng([k, int(-np.log10(diagonal)), int(1e6 * apart)])

    def gaussian(noise: float) -> tuple[np.ndarray, dict]:
        column = rng.normal(size=(k, 1))
        factor = np.concatenate([column, column + apart * rng.normal(size=(k, 1)), noise * column], 1)
        return rng.normal(size=k), {"factor": factor, "diagonal": diagonal * (0.5 + rng.random(k))}

    pairs = [(gaussian(1.0), gaussian(0.5)), (gaussian(1.0), (np.zeros(k), {"factor": np.zeros((k, 1))}))]
    pairs[1][1][1]["diagonal"] = np.ones(k)
    first = gaussian(1.0)
    near = {name: array * (1 + 1e-7 * rng.normal(size=array.shape)) for name, array in first[1].items()}
    pairs.append((first, (first[0] * (1 + 1e-7 * diagonal**0.5), near)))
    for p, q in pairs:
        truth = exact_low_rank_kl(p, q)
        a, b = Gaussian(p[0], **p[1]), Gaussian(q[0], **q[1])
        value, bound = kl_divergence(a, b, return_error=True)
        assert relative_error(value, truth) <= 1e-12
        assert abs(mp.mpf(float(value)) - truth) <= mp.mpf(float(bound))
        assert bound <= 1e-9 * value
        value, bound = kl_divergence(a, b, precision="fast", return_error=True)
        assert abs(mp.mpf(float(value)) - truth) <= mp.mpf(float(bound))
        log_det = 2 * (mp.mpf(float(a.entropy())) - k * mp.mpf(1 + np.log(2 * np.pi)) / 2)
        assert abs(log_det - exact_log_det(p[1])) <= 1e-11 * k * (1 + abs(np.log(diagonal)))


def exact_log_det(theta: dict) -> Any:
    """The log-determinant of `D + W W^T` in many digits."""
    D, W = mp.matrix(theta["diagonal"].tolist()), mp.matrix(theta["factor"].tolist())
    scaled = mp.matrix([[W[i, j] / D[i] for j in range(W.cols)] for i in range(W.rows)])
    return sum(mp.log(d) for d in D) + mp.log(mp.det(mp.eye(W.cols) + W.T * scaled))
