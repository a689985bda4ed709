r"""The closed form taken apart: which number comes from which term.

$$ \mathrm{KL}(p \| q) = \tfrac12 \Big( \operatorname{tr}(S_q^{-1} S_p)
   + (m_p - m_q)^\top S_q^{-1} (m_p - m_q) + \log \frac{|S_q|}{|S_p|} - k \Big) $$
"""

from dataclasses import dataclass
from typing import Any

import torch

from vaekit.gaussian import moments
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import GaussianShapeError, SingularCovarianceError
from vaekit.gaussian.kl import kl_divergence, pair_of
from vaekit.gaussian.relative import whitened
from vaekit.gaussian.stable import log_excess

__all__ = ["Explanation", "Term", "explain"]


@dataclass(frozen=True)
class Term:
    """One term of the formula.

    Parameters
    ----------
    name
        "trace", "mahalanobis", "log_determinant" or "dimension"; "mean" or "covariance" for the parts.
    formula
        The term in plain characters.
    value
        What it adds to twice the divergence (a part: to the divergence), in nats.
    line
        The key of the line of the derivation in which it first stands as it is.
    text
        That line, in plain characters.
    meaning
        What it measures.
    """

    name: str
    formula: str
    value: float
    line: str
    text: str
    meaning: str


@dataclass(frozen=True)
class Explanation:
    """A divergence and where it comes from.

    Parameters
    ----------
    value
        `KL(p || q)` in nats, by the way that does not cancel.
    terms
        The four terms of the textbook formula; half their sum is the divergence up to rounding.
    textbook
        Half the sum of the terms as float64 gives it: its distance from ``value`` is what cancelled.
    parts
        What the difference of the means and what the difference of the covariances adds; neither is negative.
    """

    value: float
    terms: tuple[Term, ...]
    textbook: float
    parts: tuple[Term, ...]

    def as_dictionary(self) -> dict[str, Any]:
        """Return everything in plain types, for JSON.

        >>> explain(([1.0], [[1.0]]), ([0.0], [[1.0]])).as_dictionary()["terms"][1]["value"]
        1.0
        """
        return {
            "value": self.value,
            "textbook": self.textbook,
            "terms": [vars(term) for term in self.terms],
            "parts": [vars(part) for part in self.parts],
        }

    def __str__(self) -> str:
        lines = ["KL(p || q) = 1/2 ( " + " + ".join(t.formula for t in self.terms[:3]) + " - k )"]
        lines += [f"  {t.formula:34s} {t.value:+.12g}   ({t.meaning}; line {t.line!r})" for t in self.terms]
        lines += [f"  half the sum, as it stands         {self.textbook:+.12g}"]
        lines += ["In parts that are never negative:"]
        lines += [f"  {t.formula:34s} {t.value:+.12g}   ({t.meaning}; line {t.line!r})" for t in self.parts]
        lines += [f"KL(p || q) = {self.value:.12g} nats"]
        return "\n".join(lines)


def explain(p: Any, q: Any) -> Explanation:
    """Take `KL(p || q)` apart into the terms of its formula.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        One Gaussian each, neither singular.

    Returns
    -------
    Explanation
        Prints as text, one term a line.

    Raises
    ------
    GaussianShapeError
        For a batch: take the item you want, ``p[0]``.
    SingularCovarianceError
        Where a covariance is singular: the formula has no determinant then.

    Examples
    --------
    >>> print(explain(([2.0], [[1.0]]), ([0.0], [[4.0]])))
    KL(p || q) = 1/2 ( tr(S_q^-1 S_p) + (m_p - m_q)' S_q^-1 (m_p - m_q) + log |S_q|/|S_p| - k )
      tr(S_q^-1 S_p)                     +0.25   (the spread of p, as q measures; line 'closed-form')
      (m_p - m_q)' S_q^-1 (m_p - m_q)    +1   (the distance of the means, as q measures; line 'closed-form')
      log |S_q|/|S_p|                    +1.38629436112   (the ratio of the volumes; line 'constants')
      -k                                 -1   (the trace if p were q; line 'own-covariance')
      half the sum, as it stands         +0.81814718056
    In parts that are never negative:
      |L_q^-1 (m_p - m_q)|^2 / 2         +0.5   (the means; line 'non-negative')
      sum_i (e_i - log(1 + e_i)) / 2     +0.31814718056   (the covariances; line 'non-negative')
    KL(p || q) = 0.81814718056 nats
    """
    p, q = pair_of(p, q)
    for name, g in (("p", p), ("q", q)):
        if g.batch_shape:
            raise GaussianShapeError(
                f"{name} is a batch of shape {tuple(g.batch_shape)}; expected one Gaussian; try {name}[0]"
            )
        if bool(g.is_singular):
            raise SingularCovarianceError(
                f"the covariance of {name} is singular, so the formula has no determinant to take; "
                "kl_divergence knows what is left then"
            )
    with torch.no_grad():
        return _explain(p.detach().promoted(), q.detach().promoted())


def _explain(p: Gaussian, q: Gaussian) -> Explanation:
    pair = whitened(p, q)
    squared = float(pair.shift.square().sum(-1))
    trace = float(pair.ratio.sum(-1))
    volume = float(moments.log_determinant(q) - moments.log_determinant(p))
    k = p.dimension
    closed = "1/2 ( log |S_q|/|S_p| + tr(S_q^-1 S_p) - k + (m_p - m_q)' S_q^-1 (m_p - m_q) )"
    constants = (
        "1/2 ( log |S_q|/|S_p| + E_p[ (x - m_q)' S_q^-1 (x - m_q) ] - E_p[ (x - m_p)' S_p^-1 (x - m_p) ] )"
    )
    own = "1/2 ( log |S_q|/|S_p| + tr( S_q^-1 E_p[ (x - m_q)(x - m_q)' ] ) - k )"
    stable = "1/2 ( sum_i (A_ii^2 - 1 - log A_ii^2) + sum_i>j A_ij^2 + sum_i b_i^2 )"
    spread = 0.5 * float(log_excess(pair.excess, pair.ratio).sum(-1))
    terms = (
        Term("trace", "tr(S_q^-1 S_p)", trace, "closed-form", closed, "the spread of p, as q measures"),
        Term(
            "mahalanobis",
            "(m_p - m_q)' S_q^-1 (m_p - m_q)",
            squared,
            "closed-form",
            closed,
            "the distance of the means, as q measures",
        ),
        Term(
            "log_determinant", "log |S_q|/|S_p|", volume, "constants", constants, "the ratio of the volumes"
        ),
        Term("dimension", "-k", -float(k), "own-covariance", own, "the trace if p were q"),
    )
    parts = (
        Term("mean", "|L_q^-1 (m_p - m_q)|^2 / 2", 0.5 * squared, "non-negative", stable, "the means"),
        Term(
            "covariance",
            "sum_i (e_i - log(1 + e_i)) / 2",
            spread,
            "non-negative",
            stable,
            "the covariances",
        ),
    )
    textbook = 0.5 * (trace + squared + volume - k)
    return Explanation(float(kl_divergence(p, q)), terms, textbook, parts)
