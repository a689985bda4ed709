r"""The value of every line of the derivation of the Gaussian divergence.

Each function is one line, written as literally as possible, with the arguments ``(m_p, S_p, m_q, S_q)`` and an
:class:`Arithmetic`, so that the same code runs in float64, in any number of digits, and on symbols. The expectation
under :math:`p` of a function that is quadratic in x is exact: it is the mean over the :math:`2k` points
:math:`m_p \pm \sqrt k L e_i` with :math:`S_p = L L^T`, which have the mean and the covariance of p.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FLOAT64",
    "Arithmetic",
    "closed_form",
    "constants",
    "definition",
    "densities",
    "diagonal",
    "displacement",
    "non_negative",
    "own_covariance",
    "second_moment",
    "standard_normal",
    "trace",
    "vae_term",
]

Array = NDArray[Any]


@dataclass(frozen=True)
class Arithmetic:
    """The functions and the constant that the lines need beyond plus, minus, times and divide.

    Parameters
    ----------
    cholesky, inverse
        The lower Cholesky factor and the inverse (k, k) of a symmetric positive definite matrix (k, k).
    sqrt, log, log1p
        Functions of one positive number (``log1p``: of a number above -1).
    pi
        The number pi.
    """

    cholesky: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    sqrt: Callable[[Any], Any]
    log: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    pi: Any


FLOAT64 = Arithmetic(np.linalg.cholesky, np.linalg.inv, math.sqrt, math.log, math.log1p, math.pi)


def definition(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return E_p[log p(x) - log q(x)]."""
    log_p, log_q = _log_density(m_p, S_p, a), _log_density(m_q, S_q, a)
    return _expectation(lambda x: log_p(x) - log_q(x), m_p, S_p, a)


def densities(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the expectation with both densities written out."""
    constant = len(m_p) * a.log(2 * a.pi) / 2
    half_p, half_q = _log_determinant(S_p, a) / 2, _log_determinant(S_q, a) / 2
    to_p, to_q = _quadratic(m_p, S_p, a), _quadratic(m_q, S_q, a)
    return _expectation(
        lambda x: -constant - half_p - to_p(x) / 2 + constant + half_q + to_q(x) / 2, m_p, S_p, a
    )


def constants(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the value with only what depends on x inside the expectations."""
    to_q = _expectation(_quadratic(m_q, S_q, a), m_p, S_p, a)
    to_p = _expectation(_quadratic(m_p, S_p, a), m_p, S_p, a)
    return (_log_ratio(S_p, S_q, a) + to_q - to_p) / 2


def trace(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the value with each quadratic form as a trace."""
    about_q = _expectation(lambda x: np.outer(x - m_q, x - m_q), m_p, S_p, a)
    about_p = _expectation(lambda x: np.outer(x - m_p, x - m_p), m_p, S_p, a)
    to_q, to_p = np.trace(a.inverse(S_q) @ about_q), np.trace(a.inverse(S_p) @ about_p)
    return (_log_ratio(S_p, S_q, a) + to_q - to_p) / 2


def own_covariance(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the value with k in place of the trace for p itself."""
    about_q = _expectation(lambda x: np.outer(x - m_q, x - m_q), m_p, S_p, a)
    return (_log_ratio(S_p, S_q, a) + np.trace(a.inverse(S_q) @ about_q) - len(m_p)) / 2


def second_moment(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the value with the second moment about m_q multiplied out."""
    about_q = S_p + np.outer(m_p, m_p) - np.outer(m_p, m_q) - np.outer(m_q, m_p) + np.outer(m_q, m_q)
    return (_log_ratio(S_p, S_q, a) + np.trace(a.inverse(S_q) @ about_q) - len(m_p)) / 2


def displacement(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the value with the four products of means as one."""
    about_q = S_p + np.outer(m_p - m_q, m_p - m_q)
    return (_log_ratio(S_p, S_q, a) + np.trace(a.inverse(S_q) @ about_q) - len(m_p)) / 2


def closed_form(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the closed form."""
    spread = np.trace(a.inverse(S_q) @ S_p)
    return (_log_ratio(S_p, S_q, a) + spread - len(m_p) + _quadratic(m_q, S_q, a)(m_p)) / 2


def non_negative(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the closed form as a sum of terms that are never negative."""
    k = len(m_p)
    L_p, L_q = a.cholesky(S_p), a.cholesky(S_q)
    solved = _forward_substitution(L_q, np.column_stack([L_p, m_p - m_q]))
    A, b = solved[:, :k], solved[:, k]
    excess = 0 * A[0, 0]
    for i in range(k):
        t = (A[i, i] - 1) * (A[i, i] + 1)
        excess = excess + (t - a.log1p(t))
    below = sum((A[i, j] ** 2 for i in range(k) for j in range(i)), start=0 * A[0, 0])
    return (excess + below + b @ b) / 2


def _forward_substitution(L: Array, B: Array) -> Array:
    """Return X with L X = B, for a lower triangular L."""
    X = B.copy()
    for i in range(len(L)):
        X[i] = (X[i] - L[i, :i] @ X[:i]) / L[i, i] if i else X[i] / L[i, i]
    return X


def diagonal(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the divergence for diagonal covariances."""
    terms = [
        (S_p[j, j] + (m_p[j] - m_q[j]) ** 2) / S_q[j, j] - 1 + a.log(S_q[j, j]) - a.log(S_p[j, j])
        for j in range(len(m_p))
    ]
    return sum(terms[1:], start=terms[0]) / 2


def standard_normal(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the divergence from N(0, I)."""
    return (np.trace(S_p) + m_p @ m_p - len(m_p) - _log_determinant(S_p, a)) / 2


def vae_term(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    """Return the divergence of a Gaussian with diagonal covariance from N(0, I)."""
    terms = [m_p[j] ** 2 + S_p[j, j] - 1 - a.log(S_p[j, j]) for j in range(len(m_p))]
    return sum(terms[1:], start=terms[0]) / 2


def _log_determinant(S: Array, a: Arithmetic) -> Any:
    """Return log|S| from the Cholesky factor: the determinant overflows long before its logarithm does."""
    L = a.cholesky(S)
    return sum((2 * a.log(L[i, i]) for i in range(len(S))), start=0 * S[0, 0])


def _expectation(f: Callable[[Array], Any], mean: Array, S: Array, a: Arithmetic) -> Any:
    """Return E[f(x)] for x ~ N(mean, S); exact if f is at most quadratic."""
    k = len(mean)
    spokes = (a.cholesky(S) * a.sqrt(k)).T
    values = [f(mean + spoke) + f(mean - spoke) for spoke in spokes]
    return sum(values[1:], start=values[0]) / (2 * k)


def _log_density(mean: Array, S: Array, a: Arithmetic) -> Callable[[Array], Any]:
    constant, quadratic = len(mean) * a.log(2 * a.pi) + _log_determinant(S, a), _quadratic(mean, S, a)
    return lambda x: -(constant + quadratic(x)) / 2


def _quadratic(mean: Array, S: Array, a: Arithmetic) -> Callable[[Array], Any]:
    inverse = a.inverse(S)
    return lambda x: (x - mean) @ inverse @ (x - mean)


def _log_ratio(S_p: Array, S_q: Array, a: Arithmetic) -> Any:
    return _log_determinant(S_q, a) - _log_determinant(S_p, a)
