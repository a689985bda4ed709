"""Rows that meet constraints, drawn until there are as many as were asked for."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vaekit.data.messages import plural
from vaekit.errors import DataError
from vaekit.jobs.constraints.constraints import Constraint

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AcceptedRows", "draw_accepted"]

_LEAST_SHARE = 0.01
_ENOUGH_TO_JUDGE = 2_000  # rows drawn before constraints are given up
_MOST_AT_ONCE = 100_000


class AcceptedRows(NamedTuple):
    """Rows that meet all constraints.

    Parameters
    ----------
    frame
        The rows.
    share
        The share of the rows drawn that meet them.
    """

    frame: "pd.DataFrame"
    share: float


def draw_accepted(
    draw: "Callable[[int], pd.DataFrame]", constraints: Sequence[Constraint], n: int
) -> AcceptedRows:
    """Draw rows until n of them meet all constraints.

    Rows are judged as they are written, after rounding.

    Parameters
    ----------
    draw
        The function that draws so many rows, other ones each time.
    constraints
        What every row must meet.
    n
        How many rows.

    Raises
    ------
    DataError
        Where fewer than one row in a hundred meets all of them, naming the constraint that fewest meet.

    Examples
    --------
    >>> import pandas as pd
    >>> generator = np.random.default_rng(0)
    >>> rule = Constraint.parse("a <= b", ["a", "b"])
    >>> found = draw_accepted(lambda n: pd.DataFrame(generator.random((n, 2)), columns=["a", "b"]), [rule], 50)
    >>> len(found.frame), bool((found.frame["a"] <= found.frame["b"]).all()), 0.3 < found.share < 0.7
    (50, True, True)
    """
    import pandas as pd

    if not constraints:
        return AcceptedRows(draw(n), 1.0)
    parts: list[pd.DataFrame] = []
    drawn, have = 0, 0
    met = np.zeros(len(constraints), dtype=np.int64)
    while have < n:
        share = max(have, 1) / drawn if drawn else 1.0
        frame = draw(min(_MOST_AT_ONCE, int(1.1 * (n - have) / max(share, _LEAST_SHARE)) + 50))
        holds = np.array([constraint.holds(frame) for constraint in constraints])
        good = holds.all(0)
        met, drawn, have = met + holds.sum(1), drawn + len(frame), have + int(good.sum())
        parts.append(frame.iloc[np.flatnonzero(good)])
        if have < n and drawn >= _ENOUGH_TO_JUDGE and have < _LEAST_SHARE * drawn:
            worst = int(met.argmin())
            raise DataError(
                f"constraint {constraints[worst].text!r}: {plural(int(met[worst]), 'row')} of {drawn:,} that were "
                f"drawn {'meets' if met[worst] == 1 else 'meet'} it, and {have:,} all constraints; expected at least "
                "one in a hundred: loosen it, or give the columns their values"
            )
    return AcceptedRows(pd.concat(parts, ignore_index=True).iloc[:n], have / drawn)
