r"""Columns of a table as codes: categories, cells of numbers, and holes; and codes back to values.

A number's code is its cell: a value that comes often, or a bin of the others (:func:`find_cells`). A bin of many rows
is cut into pieces of equal frequency, and a value in it has the density

.. math:: p(x) = (1 - \epsilon)\, p(k)\, s_{ki} / w_{ki}

in piece i of cell k, with the piece's share s of the rows of the cell, its width w, and the probability
:math:`\epsilon` of the tails beyond the rows of the fit. Over whole numbers that is a probability. A category has the
probability of its code, less the share 1/(n + 1) for one that is yet unseen. So nats compare with those of other
models.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vaekit.likelihoods.histogram_cells import Cells, ColumnFacts, find_cells

__all__ = ["CategoryColumn", "DiscreteColumn", "NumberColumn"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_PIECES, _ROWS_OF_A_PIECE = 8, 10


@dataclass(frozen=True)
class DiscreteColumn(ABC):
    """One column as codes from 0 to ``size - 1``. Abstract.

    Parameters
    ----------
    name
        Its name in the table.
    rows
        The number of rows that it has a value in.
    keeps_missing
        Whether a hole has a code, the last one; otherwise holes are left out.
    """

    name: str
    rows: int
    keeps_missing: bool

    @property
    @abstractmethod
    def values(self) -> int:
        """The number of codes that stand for values."""

    @property
    def size(self) -> int:
        """The number of codes, with that of a hole."""
        return self.values + self.keeps_missing

    def encode(self, values: Floats) -> tuple[Codes, Floats]:
        """Return the code of each value, and the log-density of the value given its code, in nats.

        A value that no row of the fit resembles (a hole that has no code, a category that is unseen, a number beyond
        the range) has the code -1, and the second number is then all its log-density: 0 for a hole.
        """
        codes, within = self._encode_known(values)
        hole = np.isnan(values)
        codes[hole] = self.values if self.keeps_missing else -1
        within[hole] = 0.0
        return codes, within

    def decode(self, codes: Codes, generator: np.random.Generator) -> Floats:
        """Return a value for each code, drawn where it stands for many, and NaN for a hole."""
        return self.decode_between(codes, -np.inf, np.inf, generator)

    def ranks(self) -> Floats | None:
        """Return where codes stand in the order of their numbers, from 0 to 1, NaN for a hole; None for categories."""
        return None

    @abstractmethod
    def share_between(self, low: float, high: float) -> Floats:
        """Return the share of each code's rows with a value from low to high, ``(size,)``."""

    @abstractmethod
    def decode_between(self, codes: Codes, low: float, high: float, generator: np.random.Generator) -> Floats:
        """Return values from low to high; every code has some."""

    @abstractmethod
    def _encode_known(self, values: Floats) -> tuple[Codes, Floats]:
        """Return codes and log-densities within them, as :meth:`encode` does, of values that are no holes."""


@dataclass(frozen=True)
class CategoryColumn(DiscreteColumn):
    """A column of categories: codes are their positions.

    Parameters
    ----------
    categories
        Their names.

    Examples
    --------
    >>> column = CategoryColumn("pet", 3, True, ("cat", "dog"))
    >>> column.size, column.encode(np.array([1.0, np.nan, 2.0]))[0].tolist()
    (3, [1, 2, -1])
    """

    categories: Sequence[str]

    @property
    def values(self) -> int:
        """The number of categories."""
        return len(self.categories)

    def share_between(self, low: float, high: float) -> Floats:
        """Return 1 for the categories with positions from low to high."""
        position = np.arange(self.size)
        return ((position >= low) & (position <= high) & (position < self.values)).astype(np.float64)

    def decode_between(self, codes: Codes, low: float, high: float, generator: np.random.Generator) -> Floats:
        """Return the positions themselves, NaN for a hole."""
        return np.where(codes < self.values, codes, np.nan)

    def _encode_known(self, values: Floats) -> tuple[Codes, Floats]:
        unseen = ~(values < self.values)
        codes = np.where(unseen, -1, np.nan_to_num(values)).astype(np.int64)
        return codes, np.where(unseen, -np.log(self.rows + 1), np.log1p(-1 / (self.rows + 1)))


@dataclass(frozen=True)
class NumberColumn(DiscreteColumn):
    """A column of numbers: codes are cells.

    Parameters
    ----------
    cells
        Its cells.
    edges
        ``(pieces + 1,)``: the ends of the pieces, ascending.
    owner
        ``(pieces,)``: the cell that each is a piece of.
    share
        ``(pieces,)``: its share of the rows of the cell.
    single
        ``(cells,)``: the value of a cell with only one, NaN for others.
    first, step
        Values stand at ``first`` plus whole multiples of ``step``; a step of 0: anywhere.
    decimals
        That values are rounded to; None: to none.

    Examples
    --------
    >>> ages = np.repeat([20.0, 21.0, 40.0, 45.0], [10, 30, 20, 1])
    >>> column = NumberColumn.fit("age", ages, ColumnFacts(resolution=1.0), decimals=0, keeps_missing=False)
    >>> column.encode(np.array([20.0, 21.0, 30.0]))[0].tolist(), column.size
    ([0, 1, 3], 4)
    >>> column.share_between(21, 40).round(2).tolist()
    [0.0, 1.0, 1.0, 0.39]
    """

    cells: Cells
    edges: Floats = field(repr=False)
    owner: Codes = field(repr=False)
    share: Floats = field(repr=False)
    single: Floats = field(repr=False)
    first: float
    step: float
    decimals: int | None

    @classmethod
    def fit(
        cls, name: str, values: Floats, facts: ColumnFacts, *, decimals: int | None, keeps_missing: bool
    ) -> "NumberColumn":
        """Learn the cells of a column of numbers.

        Parameters
        ----------
        name
            Its name.
        values
            ``(n,)``, NaN for a hole.
        facts
            Its resolution and bounds.
        decimals
            That values are rounded to; None: to none.
        keeps_missing
            Whether holes are to have a code.
        """
        known = np.sort(values[~np.isnan(values)])
        cells = find_cells(known, facts)
        step = facts.resolution
        place = cells.place(known)
        smallest = np.full(len(cells.counts), np.inf)
        largest = np.full(len(cells.counts), -np.inf)
        np.minimum.at(smallest, place, known)
        np.maximum.at(largest, place, known)
        # a bin with one value in it still covers all its width
        single = np.where((smallest == largest) & (cells.width <= cells.step * (1 + 1e-9)), smallest, np.nan)
        edges, owner = _pieces(cells, known, place, step)
        inside = (np.searchsorted(edges, known, side="right") - 1).clip(0, len(owner) - 1)
        counts = np.bincount(inside, minlength=len(owner)).astype(np.float64)
        # one more row, spread over the whole cell: no place in it is impossible
        counts += np.diff(edges) / np.bincount(owner, np.diff(edges))[owner]
        share = counts / np.bincount(owner, counts)[owner]
        return cls(
            name,
            len(known),
            keeps_missing,
            cells,
            edges,
            owner,
            share,
            single,
            float(known[0]),
            step,
            decimals,
        )

    @property
    def values(self) -> int:
        """The number of cells."""
        return len(self.cells.counts)

    def ranks(self) -> Floats:
        """Return the share of the rows below each cell, and half of its own."""
        lengths = np.diff(self.edges)
        middle = np.bincount(self.owner, lengths * (self.edges[:-1] + self.edges[1:]) / 2) / np.bincount(
            self.owner, lengths
        )
        order = np.argsort(middle, kind="stable")
        counts = self.cells.counts[order] / self.cells.counts.sum()
        found = np.full(self.size, np.nan)
        found[order] = np.cumsum(counts) - counts / 2
        return found

    def share_between(self, low: float, high: float) -> Floats:
        """Return the share of each cell's rows with a value from low to high; 0 for a hole."""
        found = np.zeros(self.size)
        mass = self.share * self._overlap(low, high)
        np.add.at(found, self.owner, mass)
        known = ~np.isnan(self.single)
        found[: self.values][known] = (self.single[known] >= low) & (self.single[known] <= high)
        return found

    def decode_between(self, codes: Codes, low: float, high: float, generator: np.random.Generator) -> Floats:
        """Return for each code a number from low to high that its cell may hold, NaN for a hole."""
        mass = self.share * self._overlap(low, high)
        order = np.argsort(self.owner, kind="stable")
        total = np.cumsum(mass[order])
        ends = np.searchsorted(self.owner[order], np.arange(self.values + 1))
        before = np.concatenate([[0.0], total])
        cell = np.minimum(codes, self.values - 1)
        start, end = before[ends[cell]], before[ends[cell + 1]]
        at, within = generator.random(len(codes)), generator.random(len(codes))
        rank = np.searchsorted(total, start + at * (end - start), side="right")
        piece = order[rank.clip(ends[cell], np.maximum(ends[cell], ends[cell + 1] - 1))]
        lower, upper = self._ends(low, high)
        left, right = np.maximum(self.edges[piece], lower), np.minimum(self.edges[piece + 1], upper)
        found = left + within * (right - left)
        if self.step:
            found = self.first + self.step * np.rint((found - self.first) / self.step)
        # a value halfway between two steps must not be rounded out of the range
        found = found.clip(max(low, self.first), min(high, self._last))
        single = self.single[cell]
        found = np.where(np.isnan(single), found, single)
        found = found if self.decimals is None else np.round(found, self.decimals) + 0.0
        return np.where(codes < self.values, found, np.nan)

    def has(self, value: float) -> bool:
        """Return whether a value is as the column's are: on their steps, of their decimals.

        >>> ages = NumberColumn.fit(
        ...     "age", np.arange(20.0, 60.0), ColumnFacts(resolution=1.0), decimals=0, keeps_missing=False
        ... )
        >>> ages.has(30), ages.has(30.5)
        (True, False)
        """
        steps = (value - self.first) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-6

    @property
    def _last(self) -> float:
        return float(self.edges[-1])

    def _ends(self, low: float, high: float) -> tuple[float, float]:
        """Return a range widened to the intervals that its values stand for."""
        if not self.step:
            return low, high
        lower = self.first + self.step * (np.ceil((low - self.first) / self.step - 1e-9) - 0.5)
        upper = self.first + self.step * (np.floor((high - self.first) / self.step + 1e-9) + 0.5)
        return lower, upper

    def _overlap(self, low: float, high: float) -> Floats:
        """Return the share of each piece's width that lies from low to high."""
        lower, upper = self._ends(low, high)
        left, right = np.maximum(self.edges[:-1], lower), np.minimum(self.edges[1:], upper)
        return np.maximum(right - left, 0.0) / np.diff(self.edges)

    def _encode_known(self, values: Floats) -> tuple[Codes, Floats]:
        piece = np.searchsorted(self.edges, values, side="right") - 1
        outside = (piece < 0) | (piece >= len(self.owner))
        inside = piece.clip(0, len(self.owner) - 1)
        codes = np.where(outside, -1, self.owner[inside])
        width = np.where(np.isnan(self.single)[self.owner], np.diff(self.edges), self.cells.step)
        within = (np.log1p(-sum(self.cells.tails)) + np.log(self.share) - np.log(width))[inside]
        if outside.any():
            within[outside] = np.where(
                np.isnan(values[outside]), 0.0, self.cells.log_density(values[outside])
            )
        return codes, within


def _pieces(cells: Cells, known: Floats, place: Codes, step: float) -> tuple[Floats, Codes]:
    """Return the edges of the cells' intervals and further ones within bins of many rows, and their owners."""
    cuts = [cells.edges]
    for cell in np.flatnonzero(cells.counts >= 2 * _ROWS_OF_A_PIECE):
        mine = known[place == cell]
        pieces = min(_PIECES, len(mine) // _ROWS_OF_A_PIECE)
        targets = len(mine) * np.arange(1, pieces) // pieces
        left = mine[targets - 1]
        # the next larger value, so that equal ones are never parted
        right = mine[np.searchsorted(mine, left, side="right").clip(max=len(mine) - 1)]
        apart = right > left
        left, right = left[apart], right[apart]
        middle = 0.5 * left + 0.5 * right
        if step:
            middle = left + step * (0.5 + np.floor((np.rint((right - left) / step) - 1) / 2))
        cuts.append(middle)
    edges = np.unique(np.concatenate(cuts))
    middle = 0.5 * edges[:-1] + 0.5 * edges[1:]
    owner = cells.owner[
        (np.searchsorted(cells.edges, middle, side="right") - 1).clip(0, len(cells.owner) - 1)
    ]
    return edges, owner
