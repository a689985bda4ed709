r"""Cells that are hidden again: what weighs and calibrates an imputation, and measures it.

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
    "RehiddenCells",
    "choose_weights",
    "conformal_factor",
    "error_of",
    "hide_again",
    "mean_of_nearest",
    "measured_coverage",
]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]

_NEIGHBOURS = 10
_MOST_ROWS = 5_000
_MOST_CELLS = 400  # of a column
_WEIGHT_OF_ALL = 100.0  # the weight of all columns counts as so many cells of a column
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


@dataclass(frozen=True)
class RehiddenCells:
    """Observed cells that were hidden again, one of a row at a time.

    Parameters
    ----------
    rows, columns
        Where they are, ``(cells,)``.
    """

    rows: Positions
    columns: Positions

    def of_column(self, j: int) -> Positions:
        """Return the numbers of the cells of a column."""
        return np.flatnonzero(self.columns == j)


def mean_of_nearest(base: Floats, target: Floats, asked: Floats, rows: Positions) -> Floats:
    """Return for each row the mean of a column over the nearest other rows that have it.

    Parameters
    ----------
    base
        ``(n, features)``: all rows.
    target
        ``(n, positions)``: the column, NaN in a hole.
    asked
        ``(cells, features)``: the rows that are asked about.
    rows
        ``(cells,)``: their positions, which do not count as near.

    Examples
    --------
    >>> base = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> mean_of_nearest(base, np.array([[7.0], [1.0], [2.0], [np.nan]]), base[:1], np.array([0])).tolist()
    [[1.5]]
    """
    have = np.flatnonzero(~np.isnan(target[:, 0]))[:_MOST_ROWS]
    search = NearestNeighbors(n_neighbors=min(_NEIGHBOURS + 1, len(have))).fit(base[have])
    near = have[search.kneighbors(asked, return_distance=False)]
    counts = near != rows[:, None]
    counts &= counts.cumsum(1) <= _NEIGHBOURS
    return (target[near] * counts[..., None]).sum(1) / np.maximum(counts.sum(1), 1)[:, None]


def hide_again(completed: list[Floats], observed: Flags, seed: int) -> RehiddenCells:
    """Choose observed cells to hide again: for holes of a column, cells of rows that are near in the other columns.

    Parameters
    ----------
    completed
        For each column its values in rows that are filled in, ``(n, positions)``.
    observed
        ``(n, columns)``.
    seed
        Of the choice.

    Examples
    --------
    >>> a, b = np.array([[0.0], [0.1], [5.0]]), np.array([[3.0], [3.0], [3.0]])
    >>> cells = hide_again([a, b], np.array([[True, True], [True, False], [True, True]]), 0)
    >>> cells.columns.tolist()
    [1]
    """
    random = np.random.default_rng(seed)
    some = random.permutation(len(observed))[:_MOST_ROWS]
    rows, columns = [], []
    for j in np.flatnonzero(~observed.all(0)):
        others = [column[some] for k, column in enumerate(completed) if k != j]
        place = np.concatenate(others, 1) if others else np.zeros((len(some), 1))
        here = observed[some, j]
        if not here.any() or here.all():
            continue
        holes = random.permutation(np.flatnonzero(~here))[:_MOST_CELLS]
        have = np.flatnonzero(here)
        search = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(have))).fit(place[have])
        like = search.kneighbors(place[holes], return_distance=False)
        chosen = np.unique(have[like[np.arange(len(holes)), random.integers(like.shape[1], size=len(holes))]])
        rows.append(some[chosen])
        columns.append(np.full(len(chosen), j))
    if not rows:
        nothing = np.zeros(0, dtype=np.int64)
        return RehiddenCells(nothing, nothing)
    return RehiddenCells(np.concatenate(rows), np.concatenate(columns))


def choose_weights(losses: dict[int, Floats], cells: dict[int, int], columns: int) -> Floats:
    """Choose a weight of trees for each column on a grid from 0 to 1, drawn towards the best one for all of them.

    Parameters
    ----------
    losses
        For each column that has trees the loss at every weight, ``(weights,)``.
    cells
        The number of cells in each.
    columns
        The number of all columns; those without trees get 0.

    Examples
    --------
    >>> choose_weights({0: np.array([3.0, 2.0, 4.0])}, {0: 50}, 2).tolist()
    [0.5, 0.0]
    """
    weights = np.zeros(columns)
    if losses:
        of_all = np.sum([*losses.values()], axis=0) / sum(cells.values())
        for j, loss in losses.items():
            weights[j] = np.linspace(0, 1, len(loss))[np.argmin(loss + _WEIGHT_OF_ALL * of_all)]
    return weights


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
        ``(cells, 1)`` numbers, or ``(cells, positions)`` probabilities; NaN where there is no guess.
    truth
        ``(cells,)`` numbers, or positions.

    Examples
    --------
    >>> error_of(np.array([[1.0], [1.0]]), np.array([3.0, 3.0]))
    2.0
    >>> error_of(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1.0, 1.0]))
    0.5
    """
    known = ~np.isnan(guess).any(1)
    if guess.size == 0 or not known.any():
        return nan
    if guess.shape[1] == 1:
        return float(np.sqrt(np.square(guess[known, 0] - truth[known]).mean()))
    return float((guess[known].argmax(1) != truth[known]).mean())
