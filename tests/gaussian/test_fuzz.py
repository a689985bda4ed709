"""Every parameterisation, condition, scale and dtype against many digits, and the promised bound against the error."""

import itertools
import zlib
from dataclasses import dataclass

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
DIAGONAL = ("variance", "standard_deviation", "scale")
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
        upper = np.linalg.qr(A.T, mode="r")
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
    return {kind: {"variance": deviation**2, "standard_deviation": deviation, "scale": deviation[0]}[kind]}


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


def exact_covariance(theta: dict) -> mpmath.matrix:
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


class Truth:
    """Closed forms in many digits, from the textbook."""

    def __init__(self, p: tuple[np.ndarray, dict], q: tuple[np.ndarray, dict]) -> None:
        self.P, self.Q = exact_covariance(p[1]), exact_covariance(q[1])
        self.d = mp.matrix(p[0].astype(float).tolist()) - mp.matrix(q[0].astype(float).tolist())

    def quadratic(self, S: mpmath.matrix) -> mpmath.mpf:
        return (self.d.T * mp.inverse(S) * self.d)[0]

    def kl(self) -> mpmath.mpf:
        T = mp.inverse(self.Q) * self.P
        return (sum(T[i, i] for i in range(K)) - K + self.quadratic(self.Q) - mp.log(mp.det(T))) / 2

    def jeffreys(self) -> mpmath.mpf:
        T, U = mp.inverse(self.Q) * self.P, mp.inverse(self.P) * self.Q
        traces = sum(T[i, i] + U[i, i] for i in range(K))
        return (traces - 2 * K + self.quadratic(self.Q) + self.quadratic(self.P)) / 2

    def renyi(self, alpha: float) -> mpmath.mpf:
        a = mp.mpf(alpha)
        mixed = a * self.Q + (1 - a) * self.P
        logs = mp.log(mp.det(mixed)) - (1 - a) * mp.log(mp.det(self.P)) - a * mp.log(mp.det(self.Q))
        return a / 2 * self.quadratic(mixed) - logs / (2 * (a - 1))

    def geometric(self) -> mpmath.mpf:
        """The geometric Jensen-Shannon divergence of weight one half."""
        R, U = mp.inverse(self.P), mp.inverse(self.Q)
        G = mp.inverse((R + U) / 2)
        total = mp.mpf(0)
        for S, sign in ((self.P, 1), (self.Q, -1)):
            # The mean of p less that of g is G U d / 2, the mean of q less it is -G R d / 2.
            shift = sign * G * (U if sign == 1 else R) * self.d / 2
            T = mp.inverse(G) * S
            form = (shift.T * mp.inverse(G) * shift)[0]
            total += (sum(T[i, i] for i in range(K)) - K + form - mp.log(mp.det(T))) / 4
        return total

    def entropy(self, S: mpmath.matrix) -> mpmath.mpf:
        return (K * (1 + mp.log(2 * mp.pi)) + mp.log(mp.det(S))) / 2

    def wasserstein(self) -> mpmath.mpf:
        product = self.P * self.Q
        values = mp.eig(product / mp.norm(product), left=False, right=False)
        roots = sum(mp.sqrt(abs(mp.re(e))) for e in values) * mp.sqrt(mp.norm(product))
        traces = sum(self.P[i, i] + self.Q[i, i] for i in range(K))
        return mp.sqrt((self.d.T * self.d)[0] + traces - 2 * roots)

    def log_prob(self) -> mpmath.mpf:
        """Of the mean of p under q."""
        return -(K * mp.log(2 * mp.pi) + mp.log(mp.det(self.Q)) + self.quadratic(self.Q)) / 2


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


def cases(dtype: type, step: int = 12) -> list[Case]:
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
            for condition, scale, near in itertools.product(conditions[:3], scales[:3], (1e-3, 1e-7)):
                found.append(Case(kind_p, kind_q, condition, scale, 1.0, near if double else 1e-2, dtype))
    return [case for case in dict.fromkeys(found) if limits(case)]


def relative_error(value: object, truth: mpmath.mpf) -> float:
    value = float(value)  # type: ignore[arg-type]
    return float(abs((mp.mpf(value) - truth) / truth)) if np.isfinite(value) else np.inf


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_divergence_and_its_bound(dtype):
    for case in cases(dtype):
        (m_p, theta_p), (m_q, theta_q) = pair(case)
        truth = Truth((m_p, theta_p), (m_q, theta_q)).kl()
        p, q = Gaussian(m_p, **theta_p), Gaussian(m_q, **theta_q)
        if truth > np.finfo(dtype).max or (truth == 0 and case.near is not None):
            continue
        value, bound = kl_divergence(p, q, return_error=True)
        assert relative_error(value, truth) <= TOLERANCE[dtype], (case, value)
        assert relative_error(kl_divergence(p, q), truth) <= TOLERANCE[dtype], case
        assert abs(mp.mpf(float(value)) - truth) <= mp.mpf(float(bound)), (case, value, bound)
        assert bound <= 1e3 * TOLERANCE[dtype] * value, (case, value, bound)


def test_the_bound_holds_without_double_double():
    for case in cases(np.float64):
        (m_p, theta_p), (m_q, theta_q) = pair(case)
        truth = Truth((m_p, theta_p), (m_q, theta_q)).kl()
        if truth < np.finfo(np.float64).max:
            p, q = Gaussian(m_p, **theta_p), Gaussian(m_q, **theta_q)
            value, bound = kl_divergence(p, q, precision="fast", return_error=True)
            assert abs(mp.mpf(float(value)) - truth) <= mp.mpf(float(bound)), (case, value, bound)


#: Our function, the closed form, and whether what it is judged by is the sum of the sizes of its terms.
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
    for case in cases(np.float64, 36):
        (m_p, theta_p), (m_q, theta_q) = pair(case)
        truth = exact(Truth((m_p, theta_p), (m_q, theta_q)))
        if truth < np.finfo(np.float64).max:
            value = ours(Gaussian(m_p, **theta_p), Gaussian(m_q, **theta_q))
            assert relative_error(value, truth) <= TOLERANCE[np.float64], (case, value)


def test_entropies_and_densities():
    for case in cases(np.float64, 36):
        (m_p, theta_p), (m_q, theta_q) = pair(case)
        truth = Truth((m_p, theta_p), (m_q, theta_q))
        p, q = Gaussian(m_p, **theta_p), Gaussian(m_q, **theta_q)
        # These are sums of terms of both signs: what counts is the error beside the largest of them.
        log_q, square = mp.log(mp.det(truth.Q)), truth.quadratic(truth.Q)
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
