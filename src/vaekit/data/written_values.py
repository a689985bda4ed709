"""Numbers and dates that stand in a table as text: thousands and decimal commas, and the usual ways to write a date."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    import pandas

__all__ = [
    "CONVENTIONS",
    "DAYS",
    "DateColumn",
    "NumberColumn",
    "dates_from_text",
    "days_since_1970",
    "described_dates",
    "numbers_from_text",
    "uses_decimal_comma",
]

_SECONDS_A_DAY = 86_400
_DATE = re.compile(r"\s*\d{1,4}([-/.])\d{1,2}\1\d{1,4}([ T]\d{1,2}:\d{2}\S*)?\s*")
_ISO_DATE = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}\D?.*")
#: Forms of dates, beside the one that begins with the year.
DAYS = ("%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
_TIMES = ("", " %H:%M", " %H:%M:%S")
#: Signs that separate thousands and decimals.
CONVENTIONS = ((",", "."), (".", ","), (" ", "."), (" ", ","), ("'", "."))
_CALLED = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes"}


class NumberColumn(NamedTuple):
    """Numbers read from text, and a note on how they were read."""

    values: np.ndarray
    note: str


class DateColumn(NamedTuple):
    """Dates as days since 1970-01-01, whether they have a time of day, and a note; no values if they are ambiguous."""

    values: np.ndarray | None
    stored_as: Literal["date", "time"]
    note: str


def numbers_from_text(
    texts: Sequence[str | None], *, thousands: str | None = None, decimal: str | None = None
) -> NumberColumn | None:
    """Return the numbers of a column of text, NaN where it is None; None where some text is not a number.

    Parameters
    ----------
    texts : sequence of (str or None)
    thousands, decimal : str, optional
        The separators, where they are known. By default ``1,234`` is a thousand and more, unless another
        value such as ``0,5`` shows that the comma separates decimals.

    Examples
    --------
    >>> numbers_from_text(["1,234", "56", None]).values.tolist()
    [1234.0, 56.0, nan]
    >>> numbers_from_text(["1,234", "0,5"]).values.tolist()
    [1.234, 0.5]
    """
    present = [text.strip() for text in texts if text is not None]
    for grouping, point in CONVENTIONS:
        if (decimal not in (None, point)) or (thousands not in (None, grouping)):
            continue
        if not all(map(_pattern(grouping, point).fullmatch, present)):
            continue
        values = np.array([np.nan if text is None else _number(text, grouping, point) for text in texts])
        example = next((text for text in present if grouping in text or point == "," in text), None)
        if example is None:
            return NumberColumn(values, "")
        means = "separate thousands" if grouping in example else "separate decimals"
        separator = grouping if grouping in example else point
        read = f"numbers such as {example!r} are read as {_number(example, grouping, point):.12g}"
        return NumberColumn(values, f"{read}: {_CALLED[separator]} {means}")
    return None


def uses_decimal_comma(texts: Sequence[str]) -> bool:
    """Return whether texts are numbers only if commas separate their decimals.

    >>> uses_decimal_comma(["0,5", "1,234"]), uses_decimal_comma(["1,234"])
    (True, False)
    """
    present = [text.strip() for text in texts]
    american, european = (_pattern(*convention) for convention in CONVENTIONS[:2])
    return all(map(european.fullmatch, present)) and not all(map(american.fullmatch, present))


def dates_from_text(texts: Sequence[str | None]) -> DateColumn | None:
    """Return the dates of a column of text, NaN where it is None; None where some text is not a date.

    Days and months that could each be the other make a column without values: it has to be left out.

    Examples
    --------
    >>> dates_from_text(["1970-01-02", "31.12.1970"]) is None
    True
    >>> dates_from_text(["02.01.1970", "31.01.1970"]).values.tolist()
    [1.0, 30.0]
    >>> dates_from_text(["1970-01-02 12:00"])[:2]
    (array([1.5]), 'time')
    >>> dates_from_text(["01/02/1970"]).values is None
    True
    """
    import pandas as pd

    present = [text for text in texts if text is not None]
    if not present or not all(map(_DATE.fullmatch, present)):
        return None
    column = pd.Series(list(texts), dtype=object)
    formats = ["ISO8601"] if all(map(_ISO_DATE.fullmatch, present)) else [d + t for d in DAYS for t in _TIMES]
    readings: list[np.ndarray] = []
    for form in formats:
        try:
            read = days_since_1970(pd.to_datetime(column, format=form, utc=True))
        except (ValueError, OverflowError):
            continue
        if not any(np.array_equal(read, other, equal_nan=True) for other in readings):
            readings.append(read)
    if not readings:
        return None
    if len(readings) > 1:
        note = f"dates such as {present[0]!r}, whose days and months could be exchanged, are left out: write 2026-01-31"
        return DateColumn(None, "date", note)
    return DateColumn(readings[0], *described_dates(readings[0]))


def described_dates(values: np.ndarray) -> tuple[Literal["date", "time"], str]:
    """Return whether days since 1970-01-01 are dates or points in time, and a note that says how they were read."""
    known = values[~np.isnan(values)]
    whole = bool((known == np.floor(known)).all())
    return "date" if whole else "time", f"{'dates' if whole else 'times'} are read as days since 1970-01-01"


def days_since_1970(column: "pandas.Series") -> np.ndarray:
    """Return a column of dates as days since 1970-01-01 (in UTC), NaN where it is missing."""
    import pandas as pd

    if column.dt.tz is not None:
        column = column.dt.tz_convert(None)
    seconds = cast(Any, column - pd.Timestamp(0)).dt.total_seconds()
    return seconds.to_numpy(dtype=np.float64, na_value=np.nan) / _SECONDS_A_DAY


def _pattern(grouping: str, point: str) -> re.Pattern[str]:
    """Return the pattern of a number with separators: ``1,234.5``, ``1234.5`` or ``.5``, but not ``12,34``."""
    group, point = re.escape(grouping), re.escape(point)
    whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{group}\d{{3}})+)"
    return re.compile(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?")


def _number(text: str, grouping: str, point: str) -> float:
    return float(text.replace(grouping, "").replace(point, "."))
