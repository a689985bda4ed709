r"""Pooling estimates over several imputed tables: one estimate with an honest standard error.

A table with its holes filled in m times gives m estimates :math:`\hat Q_i` of a number, each with a variance
:math:`U_i`. Rubin (1987), "Multiple Imputation for Nonresponse in Surveys", equations 3.1.2 to 3.1.7:

.. math::

    \bar Q = \tfrac 1 m \sum_i \hat Q_i, \qquad
    T = \bar U + \bigl(1 + \tfrac 1 m\bigr) B, \qquad
    \bar U = \tfrac 1 m \sum_i U_i, \quad B = \tfrac 1 {m - 1} \sum_i (\hat Q_i - \bar Q)^2.

The interval is Student's, with the degrees of freedom of Barnard and Rubin (1999), "Small-sample degrees of freedom
with multiple imputation", equations 3 to 5: with the share :math:`\lambda = (1 + 1/m) B / T` of the variance that the
holes cause, and :math:`\nu_c` degrees of freedom of the whole table,

.. math::

    \nu = \Bigl(\frac 1 {\nu_m} + \frac 1 {\nu_o}\Bigr)^{-1}, \qquad
    \nu_m = \frac{m - 1}{\lambda^2}, \qquad \nu_o = \frac{\nu_c + 1}{\nu_c + 3} \nu_c (1 - \lambda).
"""

from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from vaekit.errors import UsageError

__all__ = ["Pooled", "pool"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    r"""An estimate from several imputed tables; every field is of the shape of one estimate.

    Parameters
    ----------
    estimate
        The mean of the estimates.
    standard_error
        The square root of the total variance.
    degrees_of_freedom
        Of Student's distribution of ``(estimate - truth) / standard_error``; infinite where the tables agree, and the
        whole table's degrees of freedom are.
    missing_information
        The share of the information that the holes took, with the correction for finite m:
        :math:`(r + 2 / (\nu + 3)) / (r + 1)` where r is the relative increase in variance.
    within, between
        The mean of the variances, and the variance between the estimates.
    """

    estimate: Floats
    standard_error: Floats
    degrees_of_freedom: Floats
    missing_information: Floats
    within: Floats
    between: Floats

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return both ends of the interval that covers the truth in a share ``level`` of all samples.

        Raises
        ------
        UsageError
            For a level that is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise UsageError(f"level={level!r}: give a number between 0 and 1, such as 0.95")
        half = student_t.ppf(0.5 + level / 2, self.degrees_of_freedom) * self.standard_error
        return self.estimate - half, self.estimate + half


def pool(estimates: npt.ArrayLike, variances: npt.ArrayLike, *, degrees_of_freedom: float = inf) -> Pooled:
    """Pool the estimates from several imputed tables by Rubin's rules.

    Parameters
    ----------
    estimates
        ``(m, ...)``: the estimate, or a vector of them, from each of m tables, at least 2.
    variances
        ``(m, ...)``: their squared standard errors.
    degrees_of_freedom
        Those of the estimate if no value were missing, such as n - k for a regression of n rows on k columns; infinite
        for a large table.

    Returns
    -------
    Pooled

    Raises
    ------
    UsageError
        For one table, other shapes, a negative variance, or a number that is not finite.

    Examples
    --------
    >>> pooled = pool([10.0, 12.0, 11.0], [4.0, 4.0, 4.0], degrees_of_freedom=50)
    >>> float(pooled.estimate), round(float(pooled.standard_error), 3), round(float(pooled.degrees_of_freedom), 2)
    (11.0, 2.309, 16.96)
    >>> [round(float(end), 2) for end in pooled.interval(0.95)]
    [6.13, 15.87]
    """
    estimate, variance = np.asarray(estimates, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if estimate.shape != variance.shape or estimate.ndim < 1 or len(estimate) < 2:
        raise UsageError(
            f"estimates of shape {estimate.shape} and variances of shape {variance.shape}: expected one of each for "
            "every imputed table, and at least two tables"
        )
    if not (np.isfinite(estimate).all() and np.isfinite(variance).all() and (variance >= 0).all()):
        raise UsageError(
            "an estimate is not finite, or a variance is negative or not finite; give squared standard errors"
        )
    if not degrees_of_freedom > 0:
        raise UsageError(f"degrees_of_freedom={degrees_of_freedom!r}: give a number above 0, or leave it out")
    m = len(estimate)
    within, between = variance.mean(0), estimate.var(0, ddof=1)
    excess = (1 + 1 / m) * between
    total = within + excess
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, excess / total, 0.0)
        of_tables = np.where(share > 0, (m - 1) / share**2, inf)
        if np.isinf(degrees_of_freedom):
            freedom = of_tables
        else:
            of_rows = (degrees_of_freedom + 1) / (degrees_of_freedom + 3) * degrees_of_freedom * (1 - share)
            freedom = np.where(of_rows > 0, 1 / (1 / of_tables + 1 / of_rows), 0.0)
        increase = np.where(within > 0, excess / within, np.where(excess > 0, inf, 0.0))
        lost = np.where(np.isinf(increase), 1.0, (increase + 2 / (freedom + 3)) / (increase + 1))
    missing = np.where(share > 0, lost, 0.0)
    return Pooled(estimate.mean(0), np.sqrt(total), freedom, missing, within, between)
