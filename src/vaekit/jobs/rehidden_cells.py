r"""Cells that are hidden again: what calibrates an imputation, and measures it.

An observed cell of a row is hidden again, in a column that a similar row lacks, so that what is hidden is missing as
the holes are. Whoever fills it in must not have seen the row.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

__all__ = [
    "ColumnCheck",
    "conformal_factor",
    "error_of",
    "hide_again",
    "measured_coverage",
]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

_NEIGHBOURS = 10
_MOST_CELLS = 400  # of a column
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


def hide_again(place: Floats, have: Positions, holes: Flags, seed: int) -> Positions:
    """Choose observed cells of a column to hide again: for its holes, cells of rows that are near in other columns.

    Parameters
    ----------
    place
        ``(n, features)``: the other columns, completed.
    have
        ``(m,)``: the numbers of rows that have the column.
    holes
        ``(n,)``: which rows lack it.
    seed
        Of the choice.

    Returns
    -------
    array
        Positions in ``have``, each once.

    Examples
    --------
    >>> place = np.array([[0.0], [0.1], [5.0]])
    >>> hide_again(place, np.array([0, 2]), np.array([False, True, False]), 0).tolist() in ([0], [1])
    True
    """
    random = np.random.default_rng(seed)
    asked = random.permutation(np.flatnonzero(holes))[:_MOST_CELLS]
    search = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(have))).fit(place[have])
    like = search.kneighbors(place[asked], return_distance=False)
    return np.unique(like[np.arange(len(asked)), random.integers(like.shape[1], size=len(asked))])


def conformal_factor(residual: Floats, low: Floats, high: Floats) -> float:
    r"""Return the factor by which intervals around the mean have to be widened to hold 90 % of the residuals.

    It is the :math:`\lceil 0.9 (n + 1) \rceil`-th smallest of how far, beside the end of its interval, each residual
    reaches (Lei et al., 2018, "Distribution-free predictive inference for regression", section 2).

    Examples
    --------
    >>> ends = np.ones(99)
    >>> conformal_factor(np.linspace(0.02, 1.98, 99), -ends, ends)
    1.8
    """
    reach = np.where(residual > 0, residual / np.maximum(high, 1e-9), residual / np.minimum(low, -1e-9))
    rank = min(len(reach), int(np.ceil(_LEVEL * (len(reach) + 1) - 1e-9)))
    return float(np.sort(reach)[rank - 1])


def measured_coverage(residual: Floats, low: Floats, high: Floats) -> float:
    """Return the share of residuals inside intervals that were calibrated on the other half of them."""
    inside: list[Flags] = []
    for half in (np.arange(len(residual)) % 2 == 0, np.arange(len(residual)) % 2 == 1):
        factor = conformal_factor(residual[~half], low[~half], high[~half])
        inside.append((residual[half] >= factor * low[half]) & (residual[half] <= factor * high[half]))
    return float(np.concatenate(inside).mean())


def error_of(guess: Floats, truth: Floats) -> float:
    """Return the root mean square error of numbers, or the share of wrong categories; NaN where nothing is guessed.

    Parameters
    ----------
    guess
        ``(cells, 1)`` numbers, or ``(cells, positions)`` probabilities; without columns where there is no guess.
    truth
        ``(cells, width)``: numbers, or categories as zeros and ones.

    Examples
    --------
    >>> error_of(np.array([[1.0], [1.0]]), np.array([[3.0], [3.0]]))
    2.0
    >>> error_of(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    0.5
    """
    if guess.size == 0:
        return nan
    if guess.shape[1] == 1:
        return float(np.sqrt(np.square(guess - truth).mean()))
    return float((guess.argmax(1) != truth.argmax(1)).mean())
