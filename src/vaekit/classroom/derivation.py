r"""The closed form of the Kullback-Leibler divergence between two Gaussians, line by line.

For :math:`p = N(m_p, S_p)` and :math:`q = N(m_q, S_q)` over :math:`R^k`, nine lines lead from the definition

.. math:: KL(p \| q) = E_p[\log p(x) - \log q(x)]

to the closed form and on to the form to compute. Every line is kept once, here: what it says (``latex``,
``text``), why it equals the line before (``reason``), and its value for given numbers (``value``). The page
``docs/explanation/gaussian-kl.md`` and ``docs/derivation/gaussian_kl.tex`` are tested against this list.

The lines are written over an :class:`Arithmetic`, so that one and the same code runs in float64, in any
number of digits, and on symbols. An expectation under :math:`p` of anything quadratic in x is taken exactly,
as a mean over :math:`2k` points :math:`m_p \pm \sqrt k L e_i` with :math:`S_p = L L^T`: they have the mean
and the covariance of p.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaekit.errors import UsageError

__all__ = ["DERIVATION", "FLOAT64", "SPECIAL_CASES", "Arithmetic", "Step", "derive", "render_derivation"]

Array = NDArray[Any]
Value = Callable[..., Any]


@dataclass(frozen=True)
class Arithmetic:
    """What the lines need beyond plus, minus, times and divide.

    Parameters
    ----------
    cholesky, inverse
        Of a symmetric positive definite matrix (k, k): its lower Cholesky factor, its inverse (k, k).
    sqrt, log, log1p
        Of one positive number (``log1p`` of a number above -1).
    pi
        The circle's constant, in this arithmetic.
    """

    cholesky: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    sqrt: Callable[[Any], Any]
    log: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    pi: Any


FLOAT64 = Arithmetic(np.linalg.cholesky, np.linalg.inv, math.sqrt, math.log, math.log1p, math.pi)


@dataclass(frozen=True)
class Step:
    """One line of the derivation.

    Parameters
    ----------
    key
        Its name, which is also its label in the documents.
    reason
        Why it equals the line before.
    latex, text
        The right-hand side, as LaTeX and in plain characters.
    value
        The right-hand side as a function ``(mean_p, cov_p, mean_q, cov_q, arithmetic=FLOAT64)``, in nats.
    """

    key: str
    reason: str
    latex: str
    text: str
    value: Value


def derive(
    mean_p: ArrayLike, cov_p: ArrayLike, *, mean_q: ArrayLike, cov_q: ArrayLike
) -> list[tuple[Step, float]]:
    r"""Evaluate every line of the derivation of :math:`KL(p \| q)` for given numbers.

    Parameters
    ----------
    mean_p, mean_q
        Means, (k,).
    cov_p, cov_q
        Covariances, (k, k), symmetric and positive definite.

    Returns
    -------
    list of (Step, float)
        Each line with its value in nats. They agree up to rounding: this is the point.

    Raises
    ------
    UsageError
        For shapes that do not fit, or a covariance that is not symmetric and positive definite.

    Examples
    --------
    >>> for step, value in derive([1.0], [[4.0]], mean_q=[0.0], cov_q=[[1.0]]):
    ...     print(f"{step.key:15s} {value:.6f}")
    definition      1.306853
    densities       1.306853
    constants       1.306853
    trace           1.306853
    own-covariance  1.306853
    second-moment   1.306853
    displacement    1.306853
    closed-form     1.306853
    non-negative    1.306853
    """
    p = _gaussian(mean_p, cov_p, "p")
    q = _gaussian(mean_q, cov_q, "q")
    if len(p[0]) != len(q[0]):
        raise UsageError(f"p has {len(p[0])} dimensions and q has {len(q[0])}; they must have the same")
    return [(step, float(step.value(*p, *q))) for step in DERIVATION]


def render_derivation(lines: list[tuple[Step, float]]) -> str:
    """Set the lines as text, each with its reason and its value.

    >>> print(render_derivation(derive([1.0], [[4.0]], mean_q=[0.0], cov_q=[[1.0]])[:1]))
    KL(p || q)   with p = N(m_p, S_p), q = N(m_q, S_q), in nats
    <BLANKLINE>
      = E_p[ log p(x) - log q(x) ]
        1.30685281944      the definition
    """
    text = ["KL(p || q)   with p = N(m_p, S_p), q = N(m_q, S_q), in nats"]
    for step, value in lines:
        text += ["", f"  = {step.text}", f"    {value:<18.12g} {step.reason}"]
    return "\n".join(text)


def _gaussian(mean: ArrayLike, cov: ArrayLike, name: str) -> tuple[Array, Array]:
    m, S = np.asarray(mean, dtype=float), np.asarray(cov, dtype=float)
    if m.ndim != 1 or S.shape != (len(m), len(m)):
        raise UsageError(f"{name} needs a mean (k,) and a covariance (k, k); got {m.shape} and {S.shape}")
    if not (np.isfinite(m).all() and np.isfinite(S).all()):
        raise UsageError(f"the mean and covariance of {name} must be finite numbers")
    if not np.allclose(S, S.T, rtol=1e-10, atol=0):
        raise UsageError(
            f"the covariance of {name} is not symmetric: make it so by (S + S.T) / 2, if that is meant"
        )
    try:
        np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(S)[0]
        raise UsageError(
            f"the covariance of {name} is not positive definite: its smallest eigenvalue is {smallest:.3g}"
        ) from None
    return m, S


# What the lines are built of.


def _log_determinant(S: Array, a: Arithmetic) -> Any:
    """log|S| from the Cholesky factor: the determinant itself overflows long before its logarithm does."""
    L = a.cholesky(S)
    return sum((2 * a.log(L[i, i]) for i in range(len(S))), start=0 * S[0, 0])


def _expectation(f: Callable[[Array], Any], mean: Array, S: Array, a: Arithmetic) -> Any:
    """E[f(x)] for x ~ N(mean, S), exact where f is at most quadratic."""
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


# The lines. Each is its formula, written as literally as it can be.


def _definition(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    log_p, log_q = _log_density(m_p, S_p, a), _log_density(m_q, S_q, a)
    return _expectation(lambda x: log_p(x) - log_q(x), m_p, S_p, a)


def _densities(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    constant = len(m_p) * a.log(2 * a.pi) / 2
    half_p, half_q = _log_determinant(S_p, a) / 2, _log_determinant(S_q, a) / 2
    to_p, to_q = _quadratic(m_p, S_p, a), _quadratic(m_q, S_q, a)
    return _expectation(
        lambda x: -constant - half_p - to_p(x) / 2 + constant + half_q + to_q(x) / 2, m_p, S_p, a
    )


def _constants(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    to_q = _expectation(_quadratic(m_q, S_q, a), m_p, S_p, a)
    to_p = _expectation(_quadratic(m_p, S_p, a), m_p, S_p, a)
    return (_log_ratio(S_p, S_q, a) + to_q - to_p) / 2


def _trace(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    about_q = _expectation(lambda x: np.outer(x - m_q, x - m_q), m_p, S_p, a)
    about_p = _expectation(lambda x: np.outer(x - m_p, x - m_p), m_p, S_p, a)
    to_q, to_p = np.trace(a.inverse(S_q) @ about_q), np.trace(a.inverse(S_p) @ about_p)
    return (_log_ratio(S_p, S_q, a) + to_q - to_p) / 2


def _own_covariance(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    about_q = _expectation(lambda x: np.outer(x - m_q, x - m_q), m_p, S_p, a)
    return (_log_ratio(S_p, S_q, a) + np.trace(a.inverse(S_q) @ about_q) - len(m_p)) / 2


def _second_moment(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    about_q = S_p + np.outer(m_p, m_p) - np.outer(m_p, m_q) - np.outer(m_q, m_p) + np.outer(m_q, m_q)
    return (_log_ratio(S_p, S_q, a) + np.trace(a.inverse(S_q) @ about_q) - len(m_p)) / 2


def _displacement(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    about_q = S_p + np.outer(m_p - m_q, m_p - m_q)
    return (_log_ratio(S_p, S_q, a) + np.trace(a.inverse(S_q) @ about_q) - len(m_p)) / 2


def _closed_form(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    spread = np.trace(a.inverse(S_q) @ S_p)
    return (_log_ratio(S_p, S_q, a) + spread - len(m_p) + _quadratic(m_q, S_q, a)(m_p)) / 2


def _non_negative(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
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
    """Solve L X = B for lower triangular L."""
    X = B.copy()
    for i in range(len(L)):
        X[i] = (X[i] - L[i, :i] @ X[:i]) / L[i, i] if i else X[i] / L[i, i]
    return X


def _diagonal(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    terms = [
        (S_p[j, j] + (m_p[j] - m_q[j]) ** 2) / S_q[j, j] - 1 + a.log(S_q[j, j]) - a.log(S_p[j, j])
        for j in range(len(m_p))
    ]
    return sum(terms[1:], start=terms[0]) / 2


def _standard_normal(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    return (np.trace(S_p) + m_p @ m_p - len(m_p) - _log_determinant(S_p, a)) / 2


def _vae_term(m_p: Array, S_p: Array, m_q: Array, S_q: Array, a: Arithmetic = FLOAT64) -> Any:
    terms = [m_p[j] ** 2 + S_p[j, j] - 1 - a.log(S_p[j, j]) for j in range(len(m_p))]
    return sum(terms[1:], start=terms[0]) / 2


DERIVATION: tuple[Step, ...] = (
    Step(
        "definition",
        "the definition",
        r"E_p\left[ \log p(x) - \log q(x) \right]",
        "E_p[ log p(x) - log q(x) ]",
        _definition,
    ),
    Step(
        "densities",
        "both densities written out",
        r"E_p\left[ -\tfrac{k}{2} \log 2\pi - \tfrac12 \log |S_p| - \tfrac12 (x - m_p)^T S_p^{-1} (x - m_p)"
        r" + \tfrac{k}{2} \log 2\pi + \tfrac12 \log |S_q| + \tfrac12 (x - m_q)^T S_q^{-1} (x - m_q) \right]",
        "E_p[ - k/2 log 2pi - 1/2 log|S_p| - 1/2 (x - m_p)' S_p^-1 (x - m_p)\n"
        "         + k/2 log 2pi + 1/2 log|S_q| + 1/2 (x - m_q)' S_q^-1 (x - m_q) ]",
        _densities,
    ),
    Step(
        "constants",
        "the 2 pi cancels, and what does not depend on x leaves the expectation",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + E_p\left[ (x - m_q)^T S_q^{-1} (x - m_q) \right]"
        r" - E_p\left[ (x - m_p)^T S_p^{-1} (x - m_p) \right] \right)",
        "1/2 ( log |S_q|/|S_p| + E_p[ (x - m_q)' S_q^-1 (x - m_q) ] - E_p[ (x - m_p)' S_p^-1 (x - m_p) ] )",
        _constants,
    ),
    Step(
        "trace",
        "a number is its own trace, a trace may be turned round, and it changes places with the expectation",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|}"
        r" + \operatorname{tr}\left( S_q^{-1} E_p\left[ (x - m_q)(x - m_q)^T \right] \right)"
        r" - \operatorname{tr}\left( S_p^{-1} E_p\left[ (x - m_p)(x - m_p)^T \right] \right) \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 E_p[ (x - m_q)(x - m_q)' ] )\n"
        "                        - tr( S_p^-1 E_p[ (x - m_p)(x - m_p)' ] ) )",
        _trace,
    ),
    Step(
        "own-covariance",
        "about its own mean, p has the covariance S_p, and tr(S_p^-1 S_p) = k",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|}"
        r" + \operatorname{tr}\left( S_q^{-1} E_p\left[ (x - m_q)(x - m_q)^T \right] \right) - k \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 E_p[ (x - m_q)(x - m_q)' ] ) - k )",
        _own_covariance,
    ),
    Step(
        "second-moment",
        "multiplied out, with E_p[x] = m_p and E_p[x x'] = S_p + m_p m_p'",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + \operatorname{tr}\left( S_q^{-1}"
        r" \left( S_p + m_p m_p^T - m_p m_q^T - m_q m_p^T + m_q m_q^T \right) \right) - k \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 (S_p + m_p m_p' - m_p m_q' - m_q m_p' + m_q m_q') ) - k )",
        _second_moment,
    ),
    Step(
        "displacement",
        "the four products are one",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + \operatorname{tr}\left( S_q^{-1}"
        r" \left( S_p + (m_p - m_q)(m_p - m_q)^T \right) \right) - k \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 (S_p + (m_p - m_q)(m_p - m_q)') ) - k )",
        _displacement,
    ),
    Step(
        "closed-form",
        "the trace of a sum is the sum of traces, and the second turns back into a number: the closed form",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + \operatorname{tr}\left( S_q^{-1} S_p \right) - k"
        r" + (m_p - m_q)^T S_q^{-1} (m_p - m_q) \right)",
        "1/2 ( log |S_q|/|S_p| + tr(S_q^-1 S_p) - k + (m_p - m_q)' S_q^-1 (m_p - m_q) )",
        _closed_form,
    ),
    Step(
        "non-negative",
        "with S = L L', A = L_q^-1 L_p, b = L_q^-1 (m_p - m_q): no term is negative; compute this",
        r"\tfrac12 \left( \sum_i \left( A_{ii}^2 - 1 - \log A_{ii}^2 \right) + \sum_{i > j} A_{ij}^2"
        r" + \sum_i b_i^2 \right)",
        "1/2 ( sum_i (A_ii^2 - 1 - log A_ii^2) + sum_i>j A_ij^2 + sum_i b_i^2 )",
        _non_negative,
    ),
)

SPECIAL_CASES: tuple[Step, ...] = (
    Step(
        "diagonal",
        "S_p and S_q diagonal, with variances s_p^2 and s_q^2: a sum over dimensions",
        r"\tfrac12 \sum_j \left( \frac{\sigma_{p,j}^2 + (m_{p,j} - m_{q,j})^2}{\sigma_{q,j}^2} - 1"
        r" + \log \frac{\sigma_{q,j}^2}{\sigma_{p,j}^2} \right)",
        "1/2 sum_j ( (s_pj^2 + (m_pj - m_qj)^2) / s_qj^2 - 1 + log s_qj^2 / s_pj^2 )",
        _diagonal,
    ),
    Step(
        "standard-normal",
        "q = N(0, I)",
        r"\tfrac12 \left( \operatorname{tr} S_p + m_p^T m_p - k - \log |S_p| \right)",
        "1/2 ( tr S_p + m_p' m_p - k - log|S_p| )",
        _standard_normal,
    ),
    Step(
        "vae-term",
        "both: the term of a variational autoencoder",
        r"\tfrac12 \sum_j \left( \mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2 \right)",
        "1/2 sum_j ( mu_j^2 + s_j^2 - 1 - log s_j^2 )",
        _vae_term,
    ),
)
