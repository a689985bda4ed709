r"""Cells that are hidden again: what calibrates an imputation, and measures it.

An observed cell of a row is hidden again, and counts as much as the column is likelier to be missing from such a row:
so that what is hidden is missing as the holes are. Whoever fills it in must not have seen the row.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

__all__ = [
    "ColumnCheck",
    "conformal_factor",
    "error_of",
    "measured_coverage",
    "weigh_like_holes",
]

Floats = npt.NDArray[np.float64]

_SLOPES = 0.1  # variance of the slopes of the logistic regression, a priori
_MOST_ODDS = 10.0  # beside the median
_LEVEL = 0.9  # of the intervals that are calibrated


@dataclass(frozen=True)
class ColumnCheck:
    """The error of what is filled into a column's holes, measured on cells that were hidden again.

    Parameters
    ----------
    name
        The column.
    missing
        The share of its cells that are holes.
    cells
        The number of cells that were hidden again.
    error
        The root mean square error beside the column's standard deviation; for categories the share of wrong ones.
    of_mean, of_linear, of_neighbours, of_trees
        The same for the mean or the most frequent category, a Gaussian's conditional mean, the mean of the nearest
        rows, and trees; NaN where there is none.
    coverage
        The share of cells inside their 90 % interval, calibrated on the other half of the cells; NaN for categories.
    share_of_trees
        The weight of trees in what is filled in, from 0 to 1.
    """

    name: str
    missing: float
    cells: int
    error: float
    of_mean: float
    of_linear: float
    of_neighbours: float
    coverage: float
    share_of_trees: float
    of_trees: float = nan


def weigh_like_holes(have: Floats, lack: Floats) -> Floats:
    r"""Return weights under which rows that have a column are like those that lack it, ``(n,)`` with the mean 1.

    They are the odds :math:`p(\text{missing} \mid x) / p(\text{observed} \mid x)` of a logistic regression (Bickel,
    Brueckner and Scheffer, 2009, "Discriminative Learning under Covariate Shift"), at most ten times the median.

    Parameters
    ----------
    have, lack
        ``(n, features)`` and ``(m, features)``: what is known of the other columns of such rows.

    Examples
    --------
    >>> have, lack = np.linspace(-2, 2, 81)[:, None], np.linspace(1, 2, 81)[:, None]
    >>> bool((weigh_like_holes(have, lack) @ have).item() / 81 > 0.8)
    True
    """
    both = np.concatenate([have, lack])
    deviation = both.std(0)
    both = (both - both.mean(0)) / np.where(deviation > 0, deviation, 1)
    missing = np.arange(len(both)) >= len(have)
    found = LogisticRegression(C=_SLOPES, max_iter=200).fit(both, missing)
    odds = np.exp(found.decision_function(both[: len(have)]))
    odds = np.minimum(odds, _MOST_ODDS * np.median(odds))
    return odds / odds.mean()


def conformal_factor(residual: Floats, low: Floats, high: Floats, weight: Floats) -> float:
    r"""Return the factor by which intervals around the mean have to be widened to hold 90 % of the residuals.

    With equal weights it is the :math:`\lceil 0.9 (n + 1) \rceil`-th smallest of how far, beside the end of its
    interval, each residual reaches (Lei et al., 2018, "Distribution-free predictive inference for regression");
    otherwise the weighed quantile of Tibshirani et al. (2019), "Conformal prediction under covariate shift", where the
    new cell has the mean weight.

    Parameters
    ----------
    residual, low, high, weight
        ``(cells,)``: the residuals, both ends of the intervals around 0, and the weights.

    Examples
    --------
    >>> ends = np.ones(99)
    >>> conformal_factor(np.linspace(0.02, 1.98, 99), -ends, ends, ends)
    1.8
    """
    reach = np.where(residual > 0, residual / np.maximum(high, 1e-9), residual / np.minimum(low, -1e-9))
    order = np.argsort(reach)
    reached = weight[order].cumsum()
    wanted = _LEVEL * (reached[-1] + weight.mean()) * (1 - 1e-9)
    return float(reach[order[min(len(reach) - 1, int(np.searchsorted(reached, wanted)))]])


def measured_coverage(residual: Floats, low: Floats, high: Floats, weight: Floats) -> float:
    """Return the weighed share of residuals inside intervals that were calibrated on the other half of them."""
    inside = np.zeros(len(residual))
    for half in (np.arange(len(residual)) % 2 == 0, np.arange(len(residual)) % 2 == 1):
        factor = conformal_factor(residual[~half], low[~half], high[~half], weight[~half])
        inside[half] = (residual[half] >= factor * low[half]) & (residual[half] <= factor * high[half])
    return float(np.average(inside, weights=weight))


def error_of(guess: Floats, truth: Floats, weight: Floats) -> float:
    """Return the root mean square error of numbers, or the share of wrong categories; NaN where nothing is guessed.

    Parameters
    ----------
    guess
        ``(cells, 1)`` numbers, or ``(cells, positions)`` probabilities; without columns where there is no guess.
    truth
        ``(cells, width)``: numbers, or categories as zeros and ones.
    weight
        ``(cells,)``.

    Examples
    --------
    >>> error_of(np.array([[1.0], [1.0]]), np.array([[3.0], [3.0]]), np.ones(2))
    2.0
    >>> error_of(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[0.0, 1.0], [0.0, 1.0]]), np.ones(2))
    0.5
    """
    if guess.size == 0:
        return nan
    if guess.shape[1] == 1:
        return float(np.sqrt(np.average(np.square(guess - truth)[:, 0], weights=weight)))
    return float(np.average(guess.argmax(1) != truth.argmax(1), weights=weight))
