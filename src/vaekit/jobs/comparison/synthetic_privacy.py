r"""Traces of the training rows in a synthetic table: nearest records, exact copies, rare categories, membership.

None of these figures is a proof: each is an attack that is easy to make, and a table that withstands it may fall to
another. Each is worth something beside what real rows get that the model has never seen.

*Nearest record.* Of a training and a held-out sample of one size, which holds the record that is nearest to a synthetic
row? A model that has learned the distribution, and not the rows, finds it in either equally often. The distance of two
rows is

.. math:: d^2 = \sum_{\text{numbers}} \bigl(F_j(x_j) - F_j(y_j)\bigr)^2 + \sum_{\text{categories}} [x_j \neq y_j],

with F the share of the two samples' rows below a value, linear between values, so that no unit and no far value rules
it. Rows with one nearest record fall together. With :math:`c_i` rows at record i of the N in both samples, n in all,
and the records dealt to the samples by chance, the variance of the share is

.. math:: \frac{1}{4 n^2} \frac{N}{N - 1} \Bigl(\sum_i c_i^2 - \frac{n^2}{N}\Bigr),

about the binomial one, 1/(4 n), where the rows fall on the records by chance.
"""

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import pairwise_distances_argmin_min
from threadpoolctl import threadpool_limits

from vaekit.jobs.comparison.compared_tables import ComparedColumn
from vaekit.jobs.comparison.synthetic_fidelity import Auroc, auroc

if TYPE_CHECKING:
    import pandas

__all__ = [
    "RareCategories",
    "Share",
    "copied_share",
    "membership",
    "nearest_record_share",
    "rare_categories",
]

Floats = npt.NDArray[np.float64]

_MOST_CODES = 100  # of a column of categories in the distance; the rarer ones are one
_LEVEL = 1e-12  # difference of squared distances below which two records are equally near
_RARE = 2  # rows of a category that is rare


class Share(NamedTuple):
    """A share of rows, from 0 to 1, and its standard error."""

    value: float
    standard_error: float


@threadpool_limits.wrap(limits=1)  # threads that wait for one another are slow on a busy machine
def nearest_record_share(
    rows: Floats, train: Floats, held_out: Floats, columns: tuple[ComparedColumn, ...]
) -> Share:
    """Return the share of rows whose nearest record is a training row rather than a held-out one.

    Parameters
    ----------
    rows
        ``(n, columns)``: synthetic rows, or other real ones.
    train, held_out
        ``(m, columns)`` each: as many of the one as of the other, or the share has another expectation than .5.
    columns
        The columns.

    Examples
    --------
    >>> columns = (ComparedColumn("a"),)
    >>> train, held_out = np.array([[0.0], [1.0]]), np.array([[5.0], [0.0]])
    >>> rows = np.array([[0.9], [1.1], [0.0], [7.0]])  # the third is as near to a row of each, and counts one half
    >>> nearest_record_share(rows, train, held_out, columns).value
    0.625
    """
    both = np.concatenate([train, held_out])
    spaces = [_space(both, column, j) for j, column in enumerate(columns)]
    here, near, far = (
        np.concatenate([space(x) for space in spaces], axis=1) for x in (rows, train, held_out)
    )
    (at_train, to_train), (at_held_out, to_held_out) = (
        pairwise_distances_argmin_min(here, there, metric="sqeuclidean") for there in (near, far)
    )
    level = np.abs(to_train - to_held_out) <= _LEVEL
    nearer = (to_train < to_held_out) & ~level
    at = np.where(nearer, at_train, len(near) + at_held_out)[~level]
    records = len(near) + len(far)
    shared = np.bincount(at, minlength=records).astype(float)
    spread = float(((shared - shared.mean()) ** 2).sum()) * records / (records - 1)
    value = float((nearer.sum() + level.sum() / 2) / len(rows))
    return Share(value, sqrt(spread) / (2 * len(rows)))


def _space(records: Floats, column: ComparedColumn, j: int) -> Callable[[Floats], Floats]:
    """Return the map of a column to the coordinates of the distance, ``(n, columns)`` to ``(n, coordinates)``."""
    known, counts = np.unique(records[~np.isnan(records[:, j]), j], return_counts=True)
    shares = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)

    def numbers(x: Floats) -> Floats:
        values, hole = x[:, j], np.isnan(x[:, j])
        share = np.interp(np.where(hole, 0.0, values), known, shares) if len(known) else np.zeros(len(x))
        return np.stack([np.where(hole, 0.5, share), hole.astype(float)], axis=1)

    def codes(x: Floats) -> Floats:
        hole = np.isnan(x[:, j])
        position = np.where(hole, -1, np.minimum(x[:, j], _MOST_CODES)).astype(int)
        size = min(len(column.categories or ()), _MOST_CODES + 1) + 1
        return np.eye(size)[position] / sqrt(2)

    return codes if column.discrete else numbers


def copied_share(rows: Floats, train: Floats) -> tuple[int, Share]:
    """Return the number and the share of rows that equal a training row in every cell, holes included.

    Examples
    --------
    >>> train = np.array([[1.0, np.nan], [2.0, 0.0]])
    >>> copied_share(np.array([[1.0, np.nan], [1.0, 0.0]]), train)[0]
    1
    """
    seen = _bytes_of(train)
    count = sum(row in seen for row in _listed(rows))
    return count, _share(count, len(rows))


def _share(count: int, rows: int) -> Share:
    value = count / rows
    return Share(value, sqrt(value * (1 - value) / rows))


def _listed(rows: Floats) -> list[bytes]:
    plain = np.where(np.isnan(rows), np.inf, rows) + 0.0  # one kind of hole, one kind of zero
    return [row.tobytes() for row in plain]


def _bytes_of(rows: Floats) -> set[bytes]:
    return set(_listed(rows))


class RareCategories(NamedTuple):
    """Categories that one or two training rows have, and how many of them a table has too.

    Parameters
    ----------
    known
        The number of rare categories in the training rows, over all columns.
    leaked
        The number of them that stand in the table.
    examples
        Some of these, as ``column: category``.
    """

    known: int
    leaked: int
    examples: tuple[str, ...]


def rare_categories(rows: Floats, train: Floats, columns: tuple[ComparedColumn, ...]) -> RareCategories:
    """Return the rare categories of the training rows, and those that other rows have too.

    Examples
    --------
    >>> train = np.array([[0.0]] * 9 + [[1.0]] + [[2.0]])
    >>> rare_categories(np.array([[0.0], [2.0]]), train, (ComparedColumn("town", ("A", "B", "C")),))
    RareCategories(known=2, leaked=1, examples=('town: C',))
    """
    known, leaked, examples = 0, 0, list[str]()
    for j, column in enumerate(columns):
        if column.categories is None:
            continue
        counts, there = (
            np.bincount(x[~np.isnan(x[:, j]), j].astype(int), minlength=len(column.categories))
            for x in (train, rows)
        )
        rare = (counts > 0) & (counts <= _RARE)
        found = np.flatnonzero(rare & (there > 0))
        known, leaked = known + int(rare.sum()), leaked + len(found)
        examples += [f"{column.name}: {column.categories[k]}" for k in found[:3].tolist()]
    return RareCategories(known, leaked, tuple(examples[:6]))


def membership(
    log_density: "Callable[[pandas.DataFrame], npt.ArrayLike]",
    train: "pandas.DataFrame",
    held_out: "pandas.DataFrame",
) -> Auroc | None:
    """Return how well the model's own log p tells training rows from held-out ones; None where it has none of them.

    An attacker who holds the model does at least as well; .5 means that log p gives nothing away.
    """
    scores = [np.asarray(log_density(frame), dtype=float).ravel() for frame in (train, held_out)]
    scores = [values[~np.isnan(values)] for values in scores]
    return auroc(*scores) if all(map(len, scores)) else None
