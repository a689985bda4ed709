"""A number to compare with, and the rows that put what was measured beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["KINDS", "Figure", "Kind", "beside"]

#: Where a number to compare with comes from: a publication, an earlier measurement of this project that is committed
#: in ``benchmarks``, or a level that the method promises, such as the rate of false alarms that was asked for.
Kind = Literal["published", "measured_before", "promised"]
KINDS: tuple[Kind, ...] = ("published", "measured_before", "promised")


@dataclass(frozen=True)
class Figure:
    """A number to compare with.

    Parameters
    ----------
    value
        In the unit of the experiment, such as nats per image.
    spread
        The largest difference expected of a repetition: the published spread, that of independent repetitions, or a
        standard error; the experiment says which.
    kind
        ``published``, ``measured_before`` (by this project) or ``promised`` (by the method).
    """

    value: float
    spread: float
    kind: Kind = "published"


def beside(references: Mapping[str, Figure], measured: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return one row for each number that was measured or can be compared with.

    Examples
    --------
    >>> rows = beside({"a": Figure(1.0, 0.2), "b": Figure(0.05, 0.01, "promised")}, {"a": 1.1})
    >>> rows[0]
    {'figure': 'a', 'measured': 1.1, 'published': 1.0, 'spread': 0.2, 'inside': True}
    >>> rows[1]["promised"], rows[1]["measured"], rows[1]["inside"]
    (0.05, None, None)
    """
    rows: list[dict[str, Any]] = []
    for name in [*measured, *(name for name in references if name not in measured)]:
        figure, value = references.get(name), measured.get(name)
        known = {"published": None} if figure is None else {"published": None, figure.kind: figure.value}
        inside = None if figure is None or value is None else abs(value - figure.value) <= figure.spread
        spread = None if figure is None else figure.spread
        rows.append({"figure": name, "measured": value, **known, "spread": spread, "inside": inside})
    return rows
