r"""The closed form of the Kullback-Leibler divergence between two Gaussians, line by line.

For :math:`p = N(m_p, S_p)` and :math:`q = N(m_q, S_q)` over :math:`R^k`, nine lines lead from the definition

.. math:: KL(p \| q) = E_p[\log p(x) - \log q(x)]

to the closed form, and on to the form that is best computed. Each line is stored once, here: its formula (``latex``,
``text``), why it equals the line before (``reason``), and its value for given numbers (``value``, from
`vaekit.classroom.derivation_formulas`). The page ``docs/explanation/gaussian-kl.md`` and
``docs/derivation/gaussian_kl.tex`` are tested against this list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import vaekit.classroom.derivation_formulas as formulas
from vaekit.errors import UsageError

__all__ = ["DERIVATION", "SPECIAL_CASES", "Step", "derive", "render_derivation"]

Array = NDArray[Any]


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
    value: Callable[..., Any]


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
        Each line with its value in nats. The values agree up to rounding, as they should.

    Raises
    ------
    UsageError
        If the shapes do not fit, or a covariance is not symmetric and positive definite.

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
    """Return the lines as text, each with its reason and its value.

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
            f"the covariance of {name} is not symmetric: give (S + S.T) / 2 if that is what you mean"
        )
    try:
        np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(S)[0]
        raise UsageError(
            f"the covariance of {name} is not positive definite: its smallest eigenvalue is {smallest:.3g}"
        ) from None
    return m, S


DERIVATION: tuple[Step, ...] = (
    Step(
        "definition",
        "the definition",
        r"E_p\left[ \log p(x) - \log q(x) \right]",
        "E_p[ log p(x) - log q(x) ]",
        formulas.definition,
    ),
    Step(
        "densities",
        "both densities written out",
        r"E_p\left[ -\tfrac{k}{2} \log 2\pi - \tfrac12 \log |S_p| - \tfrac12 (x - m_p)^T S_p^{-1} (x - m_p)"
        r" + \tfrac{k}{2} \log 2\pi + \tfrac12 \log |S_q| + \tfrac12 (x - m_q)^T S_q^{-1} (x - m_q) \right]",
        "E_p[ - k/2 log 2pi - 1/2 log|S_p| - 1/2 (x - m_p)' S_p^-1 (x - m_p)\n"
        "         + k/2 log 2pi + 1/2 log|S_q| + 1/2 (x - m_q)' S_q^-1 (x - m_q) ]",
        formulas.densities,
    ),
    Step(
        "constants",
        "the 2 pi cancels, and what does not depend on x leaves the expectation",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + E_p\left[ (x - m_q)^T S_q^{-1} (x - m_q) \right]"
        r" - E_p\left[ (x - m_p)^T S_p^{-1} (x - m_p) \right] \right)",
        "1/2 ( log |S_q|/|S_p| + E_p[ (x - m_q)' S_q^-1 (x - m_q) ] - E_p[ (x - m_p)' S_p^-1 (x - m_p) ] )",
        formulas.constants,
    ),
    Step(
        "trace",
        "a number is its own trace, a trace may be turned round, and it changes places with the expectation",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|}"
        r" + \operatorname{tr}\left( S_q^{-1} E_p\left[ (x - m_q)(x - m_q)^T \right] \right)"
        r" - \operatorname{tr}\left( S_p^{-1} E_p\left[ (x - m_p)(x - m_p)^T \right] \right) \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 E_p[ (x - m_q)(x - m_q)' ] )\n"
        "                        - tr( S_p^-1 E_p[ (x - m_p)(x - m_p)' ] ) )",
        formulas.trace,
    ),
    Step(
        "own-covariance",
        "about its own mean, p has the covariance S_p, and tr(S_p^-1 S_p) = k",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|}"
        r" + \operatorname{tr}\left( S_q^{-1} E_p\left[ (x - m_q)(x - m_q)^T \right] \right) - k \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 E_p[ (x - m_q)(x - m_q)' ] ) - k )",
        formulas.own_covariance,
    ),
    Step(
        "second-moment",
        "multiplied out, with E_p[x] = m_p and E_p[x x'] = S_p + m_p m_p'",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + \operatorname{tr}\left( S_q^{-1}"
        r" \left( S_p + m_p m_p^T - m_p m_q^T - m_q m_p^T + m_q m_q^T \right) \right) - k \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 (S_p + m_p m_p' - m_p m_q' - m_q m_p' + m_q m_q') ) - k )",
        formulas.second_moment,
    ),
    Step(
        "displacement",
        "the four products are one",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + \operatorname{tr}\left( S_q^{-1}"
        r" \left( S_p + (m_p - m_q)(m_p - m_q)^T \right) \right) - k \right)",
        "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 (S_p + (m_p - m_q)(m_p - m_q)') ) - k )",
        formulas.displacement,
    ),
    Step(
        "closed-form",
        "the trace of a sum is the sum of traces, and the second turns back into a number: the closed form",
        r"\tfrac12 \left( \log \tfrac{|S_q|}{|S_p|} + \operatorname{tr}\left( S_q^{-1} S_p \right) - k"
        r" + (m_p - m_q)^T S_q^{-1} (m_p - m_q) \right)",
        "1/2 ( log |S_q|/|S_p| + tr(S_q^-1 S_p) - k + (m_p - m_q)' S_q^-1 (m_p - m_q) )",
        formulas.closed_form,
    ),
    Step(
        "non-negative",
        "with S = L L', A = L_q^-1 L_p, b = L_q^-1 (m_p - m_q): no term is negative; compute this",
        r"\tfrac12 \left( \sum_i \left( A_{ii}^2 - 1 - \log A_{ii}^2 \right) + \sum_{i > j} A_{ij}^2"
        r" + \sum_i b_i^2 \right)",
        "1/2 ( sum_i (A_ii^2 - 1 - log A_ii^2) + sum_i>j A_ij^2 + sum_i b_i^2 )",
        formulas.non_negative,
    ),
)

SPECIAL_CASES: tuple[Step, ...] = (
    Step(
        "diagonal",
        "S_p and S_q diagonal, with variances s_p^2 and s_q^2: a sum over dimensions",
        r"\tfrac12 \sum_j \left( \frac{\sigma_{p,j}^2 + (m_{p,j} - m_{q,j})^2}{\sigma_{q,j}^2} - 1"
        r" + \log \frac{\sigma_{q,j}^2}{\sigma_{p,j}^2} \right)",
        "1/2 sum_j ( (s_pj^2 + (m_pj - m_qj)^2) / s_qj^2 - 1 + log s_qj^2 / s_pj^2 )",
        formulas.diagonal,
    ),
    Step(
        "standard-normal",
        "q = N(0, I)",
        r"\tfrac12 \left( \operatorname{tr} S_p + m_p^T m_p - k - \log |S_p| \right)",
        "1/2 ( tr S_p + m_p' m_p - k - log|S_p| )",
        formulas.standard_normal,
    ),
    Step(
        "vae-term",
        "both: the term of a variational autoencoder",
        r"\tfrac12 \sum_j \left( \mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2 \right)",
        "1/2 sum_j ( mu_j^2 + s_j^2 - 1 - log s_j^2 )",
        formulas.vae_term,
    ),
)
