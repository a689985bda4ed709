r"""Columns that determine each other, and the combinations of their values that a table has.

The columns A, one or two of them, determine a column B where B is next to certain once A is known:

.. math:: H(B \mid A) \le \tfrac 1 {50}\, H(B' \mid A), \qquad n\, H(B' \mid A) \ge 50\ \text{nats},

with the entropies H of the rows' shares, and the same values B' in random order: they say what so many groups of so few
rows would seem to tell by chance. Huhtala et al. (1999), "TANE", call it an approximate functional dependency. Columns
that are tied so belong together, and made-up rows take only combinations of their values that rows of the table have.

Among more than 24 columns of few values no pairs are looked at, and among more than 300 no dependence at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.data.messages import few
from vaekit.errors import UsageError
from vaekit.jobs.synthesis.discrete_columns import Codes, DiscreteColumn, Floats

__all__ = ["FixedCombinations", "StillPossible", "find_fixed"]

_LEFT_UNCERTAIN, _LEAST_NATS = 0.02, 50.0
_LEFT_BY_ONE_OF_TWO = 0.2  # at least, where two columns together are to determine a third
_MOST_VALUES = 1_000  # of a column that may be tied to others
_MOST_COMBINATIONS = 5_000
_ROWS_OF_ONE = 4  # rows for each value and each combination, on average
_FIRST_LOOK = 2_000  # rows in which a dependence must show before all are looked at
_MOST_FOR_PAIRS = 24  # columns of few values, up to which pairs of them are looked at
_MOST_FOR_ONES = 300  # and up to which single ones are
_COUNTED_AT_ONCE = 4  # codes for each row, up to which counting in place is faster than sorting


@dataclass(frozen=True)
class FixedCombinations:
    """Some columns, and all combinations of values that they may take together.

    Parameters
    ----------
    columns
        Their positions among the coded columns.
    names
        Their names.
    values
        ``(combinations, columns)``: each combination in the units of the data.
    codes
        ``(combinations, columns)``: its codes.
    counts
        ``(combinations,)``: the rows that have it.
    known
        For each column the number of codes that stand for values; any further one is that of a hole.
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    values: Floats
    codes: Codes
    counts: Codes
    known: tuple[int, ...]

    def between(self, ends: Mapping[int, tuple[float, float]]) -> "FixedCombinations":
        """Return those combinations whose values lie from one number to another, by position of the column.

        Raises
        ------
        UsageError
            Where there is none.
        """
        told = {k: ends[column] for k, column in enumerate(self.columns) if column in ends}
        keep = np.ones(len(self.values), dtype=bool)
        for k, (low, high) in told.items():
            keep &= (self.values[:, k] >= low) & (self.values[:, k] <= high)
        if not keep.any():
            raise UsageError(
                f"given: no row of the data has these values of {few([self.names[k] for k in told])}; "
                f"{few(self.names)} determine each other, and are made up in combinations that the data have"
            )
        return replace(self, values=self.values[keep], codes=self.codes[keep], counts=self.counts[keep])


class StillPossible:
    """The combinations that rows may yet have, while their columns are drawn one after another.

    Parameters
    ----------
    fixed
        The columns that belong together.
    sizes
        The number of codes of every column.
    n
        The number of rows.

    Examples
    --------
    >>> values = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> fixed = FixedCombinations((0, 1), ("a", "b"), values, values.astype(int), np.array([5, 3, 2]), (2, 3))
    >>> still = StillPossible([fixed], (2, 4), 2)
    >>> still.tell(0, torch.tensor([0, 1]))
    >>> still.allowed(1).tolist()  # the last code is that of a hole
    [[True, False, False, True], [False, True, True, True]]
    """

    def __init__(self, fixed: Sequence[FixedCombinations], sizes: Sequence[int], n: int) -> None:
        self._fixed, self._sizes = fixed, sizes
        self._alive = [torch.ones(n, len(each.values), dtype=torch.bool) for each in fixed]
        self._place = {j: (i, k) for i, each in enumerate(fixed) for k, j in enumerate(each.columns)}

    def allowed(self, column: int) -> Tensor:
        """Return which codes of a column are possible, ``(n, codes)``; one row for all where nothing ties it."""
        size = self._sizes[column]
        if column not in self._place:
            return torch.ones(1, size, dtype=torch.bool)
        i, k = self._place[column]
        codes = torch.from_numpy(self._fixed[i].codes[:, k])
        has = torch.nn.functional.one_hot(codes, size).to(torch.float32)
        found = self._alive[i].to(torch.float32) @ has > 0
        return found | ~self._of_values(column)

    def tell(self, column: int, codes: Tensor) -> None:
        """Take in the codes ``(n,)`` of a column; a hole leaves everything possible."""
        if column not in self._place:
            return
        i, k = self._place[column]
        same = torch.from_numpy(self._fixed[i].codes[:, k]) == codes[:, None]
        self._alive[i] &= same | ~self._of_values(column)[codes][:, None]

    def chosen(self, generator: torch.Generator) -> list[Codes]:
        """Return one of the combinations that each row may have, ``(n,)`` for each kind, as often as rows have it."""
        found = []
        for each, alive in zip(self._fixed, self._alive, strict=True):
            weight = alive * torch.from_numpy(each.counts).to(torch.float32)
            found.append(torch.multinomial(weight, 1, generator=generator)[:, 0].numpy())
        return found

    def _of_values(self, column: int) -> Tensor:
        """Return which codes of a tied column stand for values, ``(codes,)``."""
        i, k = self._place[column]
        return torch.arange(self._sizes[column]) < self._fixed[i].known[k]


def find_fixed(
    columns: Sequence[DiscreteColumn], values: Floats, seed: int = 0
) -> tuple[FixedCombinations, ...]:
    """Return the groups of columns of a table that determine each other.

    Parameters
    ----------
    columns
        The columns.
    values
        ``(n, columns)``: the rows, NaN in a hole.
    seed
        Of the random orders.

    Examples
    --------
    >>> from vaekit.jobs.synthesis.discrete_columns import CategoryColumn
    >>> town = np.arange(600.0) % 6
    >>> values = np.stack([town, np.arange(600.0) // 7 % 2, town // 2], 1)
    >>> sizes = {"town": 6, "sex": 2, "land": 3}
    >>> kinds = [CategoryColumn(name, 600, False, "abcdef"[:size]) for name, size in sizes.items()]
    >>> [each.names for each in find_fixed(kinds, values)]
    [('town', 'land')]
    """
    n = len(values)
    codes = np.full(values.shape, -1, dtype=np.int64)
    few_values = []
    for j, column in enumerate(values.T):
        known = ~np.isnan(column)
        different, codes[known, j] = np.unique(column[known], return_inverse=True)
        if 1 < len(different) <= min(_MOST_VALUES, known.sum() // _ROWS_OF_ONE):
            few_values.append(j)
    random = np.random.default_rng(seed)
    first = random.permutation(n)[:_FIRST_LOOK]
    groups = [{j} for j in range(values.shape[1])]
    for tied in _dependences(codes, few_values, first, random):
        touched = [group for group in groups if group & tied]
        together = set[int]().union(*touched)
        if len(touched) > 1 and _combinations_of(values, sorted(together)) is not None:
            groups = [group for group in groups if not group & tied] + [together]
    found = []
    for group in sorted(sorted(group) for group in groups if len(group) > 1):
        combined = _combinations_of(values, group)
        if combined is None:
            continue
        own = np.stack([columns[j].encode(combined[0][:, k].copy())[0] for k, j in enumerate(group)], 1)
        tied = [columns[j] for j in group]
        found.append(
            FixedCombinations(
                columns=tuple(group),
                names=tuple(column.name for column in tied),
                values=combined[0],
                codes=own,
                counts=combined[1],
                known=tuple(column.values for column in tied),
            )
        )
    return tuple(found)


def _dependences(
    codes: Codes, few_values: Sequence[int], first: Codes, random: np.random.Generator
) -> Iterator[set[int]]:
    """Yield the columns of every dependence, those of one column on one other first."""
    if len(few_values) > _MOST_FOR_ONES:
        return
    some = codes[first]
    least = _LEAST_NATS * len(some) / len(codes)

    def determines(by: tuple[int, ...], column: int, left: float) -> bool:
        return left <= 2 * _LEFT_UNCERTAIN and (
            _left_uncertain(codes, by, column, _LEAST_NATS, random) <= _LEFT_UNCERTAIN
        )

    pairs = [(a, b) for a in few_values for b in few_values if a != b]
    left = {(a, b): _left_uncertain(some, (a,), b, least, random) for a, b in pairs}
    yield from ({a, b} for a, b in pairs if determines((a,), b, left[a, b]))
    if len(few_values) > _MOST_FOR_PAIRS:
        return
    for a, c in combinations(few_values, 2):
        for b in few_values:
            if b not in (a, c) and min(left[a, b], left[c, b]) > _LEFT_BY_ONE_OF_TWO:
                both = _left_uncertain(some, (a, c), b, least, random)
                if determines((a, c), b, both):
                    yield {a, b, c}


def _left_uncertain(
    codes: Codes, by: tuple[int, ...], column: int, least: float, random: np.random.Generator
) -> float:
    """Return the share of a column's uncertainty that others leave; infinite where chance leaves hardly any.

    >>> generator = np.random.default_rng(0)
    >>> codes = generator.integers(0, 4, (400, 2))
    >>> float(_left_uncertain(np.stack([codes[:, 0], codes[:, 0] // 2], 1), (0,), 1, 50, generator))
    0.0
    >>> 0.9 < _left_uncertain(codes, (0,), 1, 50, generator) < 1.1
    True
    """
    there = (codes[:, [*by, column]] >= 0).all(1)
    if not there.any():
        return np.inf
    told, asked = np.zeros(int(there.sum()), dtype=np.int64), codes[there, column]
    for j in by:
        told = told * (codes[:, j].max() + 1) + codes[there, j]
    if len(by) > 1:
        _, told = np.unique(told, return_inverse=True)
    by_chance = _conditional_entropy(told, random.permutation(asked))
    if by_chance * len(told) < least:
        return np.inf
    return max(_conditional_entropy(told, asked), 0.0) / by_chance


def _conditional_entropy(told: Codes, asked: Codes) -> float:
    """Return the entropy of codes given others, in nats.

    >>> bool(np.isclose(_conditional_entropy(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])), 0.5 * np.log(2)))
    True
    """
    return _entropy(told * (int(asked.max()) + 1) + asked) - _entropy(told)


def _entropy(codes: Codes) -> float:
    few_codes = int(codes.max()) < _COUNTED_AT_ONCE * len(codes)
    counts = np.bincount(codes) if few_codes else np.unique(codes, return_counts=True)[1]
    shares = counts[counts > 0] / len(codes)
    return float(-(shares * np.log(shares)).sum())


def _combinations_of(values: Floats, group: Sequence[int]) -> "tuple[Floats, npt.NDArray[np.int64]] | None":
    """Return the combinations of complete rows and their counts; None for too many, or where they miss a value."""
    mine = values[:, list(group)]
    whole = mine[~np.isnan(mine).any(1)]
    found, counts = np.unique(whole, axis=0, return_counts=True)
    if not 0 < len(found) <= min(_MOST_COMBINATIONS, len(whole) // _ROWS_OF_ONE):
        return None
    for k in range(len(group)):
        known = mine[:, k][~np.isnan(mine[:, k])]
        if len(np.unique(known)) > len(np.unique(found[:, k])):
            return None
    return found, counts
