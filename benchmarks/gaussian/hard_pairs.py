"""Divergences and gradients to 60 digits with mpmath, and generators of hard pairs of exact floats."""

from dataclasses import dataclass

import mpmath
import numpy as np

DIGITS = 60


@dataclass(frozen=True)
class Pair:
    """Two Gaussians whose parameters are exact floats of the dtype they were made for."""

    name: str
    family: str
    mean_p: np.ndarray
    covariance_p: np.ndarray
    mean_q: np.ndarray
    covariance_q: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.mean_p, self.covariance_p, self.mean_q, self.covariance_q


def exact_matrix(values: np.ndarray) -> mpmath.matrix:
    """The exact values of an array of one or two dimensions."""
    return mpmath.matrix(np.asarray(values, dtype=np.float64).tolist())


def unit_scaled(S: mpmath.matrix, *others: mpmath.matrix) -> list[mpmath.matrix]:
    """All of them in units of the deviations of `S`: keeps mpmath's pivoting sound at any scale."""
    root = [mpmath.sqrt(S[i, i]) for i in range(S.rows)]
    scaled = []
    for T in (S, *others):
        one = T.cols == 1
        scaled.append(
            mpmath.matrix(
                [[T[i, j] / root[i] / (1 if one else root[j]) for j in range(T.cols)] for i in range(T.rows)]
            )
        )
    return scaled


def log_determinant(S: mpmath.matrix) -> mpmath.mpf:
    """By Cholesky, whose pivots never vanish for a positive definite matrix."""
    L = mpmath.cholesky(S)
    return 2 * mpmath.fsum(mpmath.log(L[i, i]) for i in range(S.rows))


def true_kl(mean_p: np.ndarray, S_p: np.ndarray, mean_q: np.ndarray, S_q: np.ndarray) -> mpmath.mpf:
    """`KL(p || q)` from the textbook formula, with digits to spare."""
    if np.array_equal(mean_p, mean_q) and np.array_equal(S_p, S_q):
        return mpmath.mpf(0)
    with mpmath.workdps(DIGITS + 160):
        P, Q = exact_matrix(S_p), exact_matrix(S_q)
        difference = exact_matrix(mean_p) - exact_matrix(mean_q)
        Q, P, difference = unit_scaled(Q, P, difference)
        solved = mpmath.inverse(Q)
        T = solved * P
        trace = mpmath.fsum(T[i, i] for i in range(T.rows))
        quadratic = (difference.T * solved * difference)[0]
        ratio = log_determinant(Q) - log_determinant(unit_scaled(P)[0])
        own = mpmath.fsum(mpmath.log(P[i, i]) for i in range(P.rows))
        return (trace + quadratic + ratio - own - T.rows) / 2


def true_gradients(
    mean_p: np.ndarray, S_p: np.ndarray, mean_q: np.ndarray, S_q: np.ndarray
) -> tuple[mpmath.matrix, ...]:
    """By the mean and covariance of p, then of q; for inputs of moderate scale."""
    with mpmath.workdps(DIGITS + 100):
        P, Q = exact_matrix(S_p), exact_matrix(S_q)
        inverse_p, inverse_q = mpmath.inverse(P), mpmath.inverse(Q)
        difference = exact_matrix(mean_p) - exact_matrix(mean_q)
        by_mean = inverse_q * difference
        by_p = inverse_q * (P - Q) * inverse_p / 2
        by_q = -(inverse_q * (P - Q) * inverse_q + by_mean * by_mean.T) / 2
        return by_mean, by_p, -by_mean, by_q


def relative_error(value: float, truth: mpmath.mpf) -> float:
    """Zero where both are; infinite where only the truth is."""
    if truth == 0:
        return 0.0 if value == 0 else float("inf")
    return float(abs(mpmath.mpf(float(value)) - truth) / truth)


def orthogonal(rng: np.random.Generator, k: int) -> np.ndarray:
    """A random rotation."""
    return np.linalg.qr(rng.normal(size=(k, k)))[0]


def with_spectrum(rng: np.random.Generator, spectrum: np.ndarray) -> np.ndarray:
    """A random covariance with these eigenvalues."""
    rotation = orthogonal(rng, len(spectrum))
    S = (rotation * spectrum) @ rotation.T
    return (S + S.T) / 2


def well_posed(rng: np.random.Generator, k: int) -> np.ndarray:
    """A covariance of condition about 10."""
    return with_spectrum(rng, np.exp(rng.uniform(-1.1, 1.1, k)))


def nudged(rng: np.random.Generator, S: np.ndarray, size: float) -> np.ndarray:
    """`S` changed by ``size`` relative to the deviations of its coordinates."""
    root = np.linalg.cholesky(S)
    step = rng.normal(size=S.shape)
    return S + size * root @ (step + step.T) @ root.T / (2 * len(S))


def rounded(name: str, family: str, dtype: type, *arrays: np.ndarray) -> Pair:
    """Inputs as exact values of the dtype, covariances symmetric to the bit."""
    arrays = tuple(a.astype(dtype) for a in arrays)
    arrays = tuple(np.tril(a) + np.tril(a, -1).T if a.ndim == 2 else a for a in arrays)
    return Pair(name, family, *arrays)


def hard_pairs(seed: int, dtype: type = np.float64) -> list[Pair]:
    """Fresh pairs of the families of the hard cases: few, so that their truth is quick."""
    rng = np.random.default_rng(seed)
    double = dtype is np.float64
    pairs = []

    def add(
        name: str, family: str, m_p: np.ndarray, S_p: np.ndarray, m_q: np.ndarray, S_q: np.ndarray
    ) -> None:
        pairs.append(rounded(name, family, dtype, m_p, S_p, m_q, S_q))

    for k in (4, 9):
        for size in (1e-2, 1e-5, 1e-9, 1e-13) if double else (1e-1, 1e-3, 1e-5):
            S, m = well_posed(rng, k), rng.normal(size=k)
            add(f"near_{size}_k{k}", "near", m + size * rng.normal(size=k), nudged(rng, S, size), m, S)
            spectrum = np.logspace(0, -4 if double else -2, k)
            S = with_spectrum(rng, spectrum)
            shift = size * np.linalg.cholesky(S) @ rng.normal(size=k)
            add(f"nearcond_{size}_k{k}", "near_cond", m + shift, nudged(rng, S, size / 4), m, S)
        S = well_posed(rng, k)
        add(f"identical_k{k}", "identical", m, S, m, S)
    for scale in (1e-300, 1e-80, 1e80, 1e300) if double else (1e-30, 1e30):
        root = np.sqrt(scale)
        A, B = well_posed(rng, 4), well_posed(rng, 4)
        add(
            f"scale_{scale}",
            "scale",
            root * rng.normal(size=4),
            scale * A,
            root * rng.normal(size=4),
            scale * B,
        )
    units = np.logspace(-50, 50, 6) if double else np.logspace(-4, 4, 6)
    A, B = well_posed(rng, 6), well_posed(rng, 6)
    m = [units * rng.normal(size=6) for _ in range(2)]
    outer = units[:, None] * units
    add("mixed_scale", "mixed_scale", m[0], outer * A, m[1], outer * B)
    for ratio in (1e-5, 1e-40, 1e8) if double else (1e-5, 1e4):
        m_p, m_q = rng.normal(size=(2, 4))
        add(f"far_{ratio}", "far", m_p, ratio * well_posed(rng, 4), m_q, well_posed(rng, 4))
    for condition in (1e3, 1e8, 1e13) if double else (1e3, 1e5):
        spectrum = np.logspace(0, -np.log10(condition), 5)
        m_p, m_q = rng.normal(size=(2, 5))
        add(f"cond_q_{condition}", "cond_q", m_p, well_posed(rng, 5), m_q, with_spectrum(rng, spectrum))
        A, B = with_spectrum(rng, spectrum), with_spectrum(rng, spectrum)
        add(f"cond_both_{condition}", "cond_both", m_p, A, m_q, B)
    return pairs
