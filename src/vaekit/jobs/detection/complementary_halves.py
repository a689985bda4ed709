"""The rows that each member is trained on: pairs of complementary halves, so that every row is new to some members.

Rows are dealt to groups at random. The columns of a Hadamard matrix cut the groups into halves, in such a way that two
groups are parted by as many pairs as any other two; of every pair of members, one is trained on either half.
"""

from dataclasses import dataclass

import numpy as np

from vaekit.data.messages import plural
from vaekit.errors import DataError, UsageError

__all__ = ["Halves"]

_GROUPS = 16
_FEWEST_ROWS = 4


@dataclass(frozen=True)
class Halves:
    """Groups of rows, and the groups that each member is trained on.

    Parameters
    ----------
    group
        ``(n,)``: the group of each row.
    trained
        ``(members, groups)``: whether the member is trained on the group. The first half of the members are the first
        ones of their pairs, the other half the second ones, in the same order.

    Examples
    --------
    >>> halves = Halves.deal(100, members=4, generator=np.random.default_rng(0))
    >>> bool((halves.trained[:2] ^ halves.trained[2:]).all())
    True
    >>> halves.unseen().sum(0).tolist() == [2] * 100
    True
    """

    group: np.ndarray
    trained: np.ndarray

    @classmethod
    def deal(cls, n: int, *, members: int, generator: np.random.Generator) -> "Halves":
        """Deal ``n`` rows.

        Raises
        ------
        UsageError
            For an odd number of members, or less than two.
        DataError
            For fewer than four rows.
        """
        if members < 2 or members % 2:
            raise UsageError(
                f"members={members}: give an even number of at least 2, for they are trained in pairs"
            )
        if n < _FEWEST_ROWS:
            raise DataError(f"{plural(n, 'row')} (n_samples = {n}): at least {_FEWEST_ROWS} are needed")
        groups = min(_GROUPS, 1 << (n.bit_length() - 2))
        group = np.empty(n, dtype=np.int64)
        group[generator.permutation(n)] = np.arange(n) % groups
        signs = _hadamard(groups)[:, 1:]
        pairs = members // 2
        order = np.concatenate([generator.permutation(groups - 1) for _ in range(-(-pairs // (groups - 1)))])
        first = signs[:, order[:pairs]].T > 0
        return cls(group, np.concatenate([first, ~first]))

    def rows_of(self, member: int) -> np.ndarray:
        """Return the positions of the rows that a member is trained on."""
        return np.flatnonzero(self.trained[member][self.group])

    def unseen(self) -> np.ndarray:
        """Return whether a member has not seen a row, ``(members, n)``."""
        return ~self.trained[:, self.group]

    def of_new_rows(self) -> np.ndarray:
        """Return the members that score a new row: those that have not seen the first group, ``(members,)``."""
        return ~self.trained[:, 0]


def _hadamard(order: int) -> np.ndarray:
    """Return Sylvester's matrix of an order that is a power of two.

    >>> _hadamard(2).tolist()
    [[1, 1], [1, -1]]
    """
    shared = np.arange(order)[:, None] & np.arange(order)
    return np.array([[1 - 2 * (int(bits).bit_count() % 2) for bits in row] for row in shared])
