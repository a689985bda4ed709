r"""Columns of which one is never above another, modelled as the distance between them.

Where a constraint says :math:`x_a \le x_b`, and every row meets it, the table is modelled with

.. math:: d = x_b - x_a

in the place of :math:`x_b`, and made-up rows get :math:`x_b = x_a + d`. No distance is smaller than the least one of
the source, so that the constraint holds by construction; and narrow distances between wide columns are learned as they
are, which the cells of two columns, each as wide as the column asks for, would blur.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaekit.data import Column, Dataset
from vaekit.errors import UsageError
from vaekit.jobs.constraints.constraints import Constraint
from vaekit.jobs.synthesis.discrete_columns import Floats

__all__ = ["OrderedColumns", "as_distances", "find_ordered", "from_distances", "refuse_distances"]


@dataclass(frozen=True)
class OrderedColumns:
    """Two columns, the second one modelled as its distance from the first.

    Parameters
    ----------
    low, high
        Their positions in the table.
    decimals
        That distances are rounded to; None: to none.
    largest
        The largest value of the second one.
    """

    low: int
    high: int
    decimals: int | None
    largest: float


def find_ordered(
    constraints: Sequence[Constraint], columns: Sequence[Column], values: Floats
) -> tuple[OrderedColumns, ...]:
    """Return the pairs of columns that constraints put in order, and all rows have in it.

    The first one of a pair must have no holes: a distance from a hole would be one, and what is in the second one lost.

    Parameters
    ----------
    constraints
        Conditions on rows.
    columns
        All columns of the table.
    values
        ``(n, columns)``, NaN in a hole.

    Returns
    -------
    tuple of OrderedColumns
        In an order in which one after the other can be restored.
    """
    place = {column.name: j for j, column in enumerate(columns)}
    under: dict[int, int] = {}
    for rule in constraints:
        for lower, upper in rule.orders():
            low, high = place[lower], place[upper]
            above = [low]
            while above[-1] in under:
                above.append(under[above[-1]])
            if high in under or high in above or not _same_kind(columns[low], columns[high]):
                continue
            distance = values[:, high] - values[:, low]
            if not np.isnan(values[:, low]).any() and not (distance < 0).any():
                under[high] = low
    found: list[OrderedColumns] = []
    while under:
        ready = [high for high, low in under.items() if low not in under]
        for high in ready:
            pair = columns[under[high]], columns[high]
            decimals = [0 if column.integer else column.decimals for column in pair]
            most = None if None in decimals else max(each for each in decimals if each is not None)
            found.append(OrderedColumns(under[high], high, most, pair[1].maximum))
        under = {high: low for high, low in under.items() if high not in ready}
    return tuple(found)


def as_distances(pairs: Sequence[OrderedColumns], table: Dataset) -> Dataset:
    """Return a table with the distance in the place of the second column of each pair.

    >>> pair = OrderedColumns(0, 1, 1, 9.0)
    >>> as_distances([pair], Dataset(np.array([[1.1, 1.3], [2.0, np.nan]]), "table", ("a", "b"))).values.tolist()
    [[1.1, 0.2], [2.0, nan]]
    """
    if not pairs:
        return table
    values = np.asarray(table.values, dtype=np.float64)
    found = values.copy()
    for pair in pairs:
        distance = values[:, pair.high] - values[:, pair.low]
        found[:, pair.high] = distance if pair.decimals is None else np.round(distance, pair.decimals)
    return replace(table, values=found)


def from_distances(pairs: Sequence[OrderedColumns], values: Floats) -> None:
    """Put the second column of each pair in the place of the distance, no larger than any of the source.

    >>> values = np.array([[1.0, 0.5], [7.0, 4.0], [12.0, 0.0]])
    >>> from_distances([OrderedColumns(0, 1, 1, 9.0)], values)
    >>> values[:, 1].tolist()
    [1.5, 9.0, 12.0]
    """
    for pair in pairs:
        low = values[:, pair.low]
        values[:, pair.high] = np.minimum(low + values[:, pair.high], np.maximum(low, pair.largest))


def refuse_distances(
    pairs: Sequence[OrderedColumns], columns: Sequence[Column], given: Collection[str]
) -> None:
    """Refuse to give values to a column that is modelled as its distance from another.

    Raises
    ------
    UsageError
        Naming both.
    """
    for pair in pairs:
        low, high = columns[pair.low].name, columns[pair.high].name
        if high in given:
            raise UsageError(
                f"given: column {high!r} is modelled as what it is above {low!r}, as a constraint of the fit says; "
                "give the constraint to sample instead"
            )


def _same_kind(low: Column, high: Column) -> bool:
    """Return whether both are numbers, or both dates, that vary."""
    dates = [column.stored_as in ("date", "time") for column in (low, high)]
    numbers = all(
        column.categories is None and not column.constant and column.stored_as != "boolean"
        for column in (low, high)
    )
    return numbers and dates[0] == dates[1]
