r"""P-values that mean what they say, by ranks among rows that were scored in the same way.

.. math:: p(s) = \frac{1 + \#\{i : s_i \ge s\}}{n + 1}

for the surprise s of a row among the n surprises of the rows of the fit. If a row is exchangeable with those, and its
surprise was computed in the same way, then :math:`P(p \le \alpha) \le \alpha`, whatever the distribution and however
good the model: Vovk, Gammerman and Shafer (2005), "Algorithmic Learning in a Random World", chapter 2.

Here a row of the fit is scored by the members that were trained without it, and a new row by as many members, trained
on as many rows. All scores have the same law, but different rows are scored by different members, as in Vovk (2015),
"Cross-conformal predictors": that the rate holds is measured (``benchmarks/tables/false_alarms.py``), not proven.
"""

import math
from collections.abc import Sequence

import numpy as np

from vaekit.errors import UsageError

__all__ = ["benjamini_hochberg", "check_rate", "p_values", "threshold"]


def p_values(calibration: np.ndarray, surprise: np.ndarray) -> np.ndarray:
    """Return the p-value of each surprise among those of the calibration.

    Parameters
    ----------
    calibration
        ``(n,)``: surprises of the rows of the fit, each by members that have not seen the row.
    surprise
        ``(m,)``: surprises of the rows to test.

    Returns
    -------
    ndarray of shape (m,)
        From 1/(n + 1), for a row that is odder than all, to 1.

    Examples
    --------
    >>> p_values(np.array([1.0, 2.0, 3.0]), np.array([0.5, 3.0, 4.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    ascending = np.sort(calibration)
    at_least = len(ascending) - np.searchsorted(ascending, surprise, side="left")
    return (1 + at_least) / (len(ascending) + 1)


def threshold(calibration: np.ndarray, rate: float) -> float:
    r"""Return the surprise above which :math:`p \le` ``rate``.

    Examples
    --------
    >>> threshold(np.array([1.0, 2.0, 3.0]), 0.25), threshold(np.array([1.0, 2.0, 3.0]), 0.5)
    (3.0, 2.0)
    """
    n = len(calibration)
    # rounding must not lose a row: 0.07 (n + 1) may lie a digit below a whole number
    allowed = min(math.floor(rate * (n + 1) * (1 + 1e-12)) - 1, n - 1)
    return float(np.sort(calibration)[n - 1 - allowed])


def check_rate(rate: float, n: int, *, name: str = "false_alarm_rate") -> None:
    """Refuse a rate of false alarms that p-values of ``n`` rows cannot reach.

    Raises
    ------
    UsageError
        For a rate that is not between 0 and 1, or below 1/(n + 1), with the number of rows that it needs.

    Examples
    --------
    >>> check_rate(0.01, 99)
    >>> check_rate(0.01, 50)
    Traceback (most recent call last):
    vaekit.errors.UsageError: false_alarm_rate=0.01 needs at least 99 rows, and there are 50: ...
    """
    if not 0 < rate < 1:
        raise UsageError(
            f"{name}={rate:g}: give a number between 0 and 1, such as 0.01; at 0 nothing and at 1 everything would be "
            "flagged"
        )
    needed = math.ceil(1 / rate * (1 - 1e-12)) - 1
    if n < needed:
        raise UsageError(
            f"{name}={rate:g} needs at least {needed:,} rows, and there are {n:,}: the smallest p-value of {n:,} rows "
            f"is 1/{n + 1:,} = {1 / (n + 1):.2g}; give a rate of at least that, or more rows"
        )


def benjamini_hochberg(p: Sequence[float] | np.ndarray, rate: float) -> np.ndarray:
    r"""Return which hypotheses are rejected when the expected share of false ones among them may be ``rate``.

    The k smallest p-values are rejected for the largest k with :math:`p_{(k)} \le k \cdot \text{rate} / m`. Benjamini
    and Hochberg (1995), "Controlling the false discovery rate", equation 1.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.9, 0.03, 0.04], 0.1).tolist()
    [True, False, True, True]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    passes = np.flatnonzero(values[order] <= rate * np.arange(1, len(values) + 1) / len(values) * (1 + 1e-12))
    rejected = np.zeros(len(values), dtype=bool)
    rejected[order[: passes[-1] + 1 if len(passes) else 0]] = True
    return rejected
