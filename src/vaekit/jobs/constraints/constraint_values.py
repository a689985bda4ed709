"""Values of rows that a constraint compares: numbers, dates, texts, and yes or no, with holes.

Sums of decimals are rarely exact (0.1 + 0.2 is not 0.3 in binary). So where arithmetic stands on either side, numbers
count as equal that differ by less than rounding can have done, which is told by the sizes of what was added:

.. math:: |l - r| \\le 4\\,\\varepsilon\\,(\\text{sum of the sizes of the terms of } l \\text{ and } r).

Columns and constants alone are compared exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vaekit.errors import DataError

if TYPE_CHECKING:
    import pandas

__all__ = ["Truth", "Values", "arithmetic", "as_dates", "column_values", "compared", "constant"]

Bools = npt.NDArray[np.bool_]
Kind = Literal["number", "date", "text", "yes or no"]

_ROUNDINGS = 4
_DAY = 86_400e9  # in nanoseconds


@dataclass(frozen=True)
class Truth:
    """Whether a statement is true, and whether it is false, for each row; neither where it hangs on a missing cell.

    Examples
    --------
    >>> yes, unknown = Truth(np.array([True]), np.array([False])), Truth(np.array([False]), np.array([False]))
    >>> Truth.either([yes, unknown]).true.tolist(), Truth.both([yes, unknown]).true.tolist()
    ([True], [False])
    """

    true: Bools
    false: Bools

    def negated(self) -> "Truth":
        """Return the truth of the opposite."""
        return Truth(self.false, self.true)

    @staticmethod
    def both(parts: "Sequence[Truth]") -> "Truth":
        """Return the truth of all parts together."""
        return Truth(
            np.logical_and.reduce([part.true for part in parts]),
            np.logical_or.reduce([part.false for part in parts]),
        )

    @staticmethod
    def either(parts: "Sequence[Truth]") -> "Truth":
        """Return the truth of one part or more."""
        return Truth(
            np.logical_or.reduce([part.true for part in parts]),
            np.logical_and.reduce([part.false for part in parts]),
        )


@dataclass(frozen=True)
class Values:
    """Values of one kind, one a row.

    Parameters
    ----------
    kind
        Number, date (nanoseconds since 1970 in UTC; days once it was reckoned with), text, or yes or no.
    values
        ``(n,)``; anything where they are missing.
    missing
        ``(n,)`` of bool.
    said
        The column or constant in the words of a message.
    size
        ``(n,)``: the sizes of the terms of a sum, by which rounding is judged; None where nothing was reckoned.
    precision
        The relative spacing of the numbers.
    example
        A value for a message.
    """

    kind: Kind
    values: npt.NDArray[Any]
    missing: Bools
    said: str
    size: "npt.NDArray[np.float64] | None" = None
    precision: float = float(np.finfo(np.float64).eps)
    example: object = None
    literal: bool = False

    def reckoned(self) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
        """Return numbers as floats and dates as days, and their sizes."""
        if self.size is not None:
            return self.values, self.size
        values = self.values.astype(np.float64) / (_DAY if self.kind == "date" else 1.0)
        return values, np.abs(values)


def constant(value: "bool | int | float | str", rows: int) -> Values:
    """Return a number or text that stands in the constraint itself."""
    here = np.zeros(rows, dtype=bool)
    if isinstance(value, bool):
        return Values("yes or no", np.full(rows, value), here, str(value), literal=True)
    if isinstance(value, str):
        return Values("text", np.full(rows, value, dtype=object), here, repr(value), literal=True)
    whole = isinstance(value, int) and abs(value) < 2**62
    number = value if whole else _as_float(value)
    return Values("number", np.full(rows, number), here, f"the number {value}", literal=True)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def column_values(column: "pandas.Series", name: str) -> Values:
    """Return the values of a column; text in which every value is a number, or yes or no, is taken as such.

    Examples
    --------
    >>> import pandas as pd
    >>> column_values(pd.Series(["1", None, "2.5"]), "a").kind, column_values(pd.Series(["x", "1"]), "a").kind
    ('number', 'text')
    """
    import pandas as pd

    said, missing = f"column {name!r}", np.asarray(column.isna(), dtype=bool)
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind):
        return Values("yes or no", column.to_numpy(dtype=bool, na_value=False), missing, said)
    if pd.api.types.is_datetime64_any_dtype(kind):
        return Values("date", _nanoseconds(column), missing, said)
    if pd.api.types.is_numeric_dtype(kind):
        return _numbers(column.to_numpy(), column, missing, said)
    objects = column.to_numpy(dtype=object)
    there = objects[~missing]
    if len(there) and all(isinstance(value, bool | np.bool_) for value in there):
        values = np.zeros(len(objects), dtype=bool)
        values[~missing] = there.astype(bool)
        return Values("yes or no", values, missing, said)
    if len(there) and all(isinstance(value, datetime) for value in there):
        return Values("date", _nanoseconds(column), missing, said)
    numbers = np.full(len(objects), np.nan)
    numbers[~missing] = np.asarray(pd.to_numeric(pd.Series(there), errors="coerce"), dtype=np.float64)
    if not np.isnan(numbers[~missing]).any():
        return Values("number", numbers, missing, said)
    values = np.full(len(objects), "", dtype=object)
    values[~missing] = [str(value).strip() for value in there]
    return Values("text", values, missing, said, example=str(there[0]))


def _numbers(found: npt.NDArray[Any], column: "pandas.Series", missing: Bools, said: str) -> Values:
    """Return a column of numbers: whole ones stay so, to be compared exactly."""
    if found.dtype.kind in "iu":
        return Values("number", found, missing, said)
    precision = float(np.finfo(found.dtype if found.dtype.kind == "f" else np.float64).eps)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return Values("number", values, missing, said, precision=precision)


def _nanoseconds(column: "pandas.Series") -> npt.NDArray[np.int64]:
    """Return dates as nanoseconds since 1970; those without a time zone count as UTC."""
    import pandas as pd

    dates = pd.DatetimeIndex(pd.to_datetime(column, utc=True)).tz_localize(None)
    return np.asarray(dates, dtype="datetime64[ns]").astype(np.int64)


def as_dates(terms: Values) -> "Values | None":
    """Return texts as dates, or None if one of them is none."""
    import pandas as pd

    if terms.kind == "date":
        return terms
    if terms.kind != "text":
        return None
    texts = terms.values[:1] if terms.literal else terms.values[~terms.missing]
    read = pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601", utc=True, errors="coerce")
    if np.asarray(read.isna()).any():
        return None
    values = np.zeros(len(terms.values), dtype=np.int64)
    values[slice(None) if terms.literal else ~terms.missing] = _nanoseconds(read)
    return replace(terms, kind="date", values=values)


def arithmetic(left: Values, operator: str, right: Values, what: str) -> Values:
    """Return ``left operator right`` of numbers, or of dates and days, row by row; missing where one of them is.

    A remainder or a quotient by zero is missing too.

    Raises
    ------
    DataError
        For values that cannot be reckoned with.
    """
    a, b = (as_dates(terms) or terms for terms in (left, right))
    said = f"{left.said} {operator} {right.said}"
    if {a.kind, b.kind} - {"number", "date"}:
        wrong = a if a.kind not in ("number", "date") else b
        raise DataError(f"{what}: {_described(wrong)}, which cannot be reckoned with ({operator})")
    dates = (a.kind == "date") + (b.kind == "date")
    allowed = {0: "+-*/%", 1: "+-" if a.kind == "date" else "+", 2: "-"}[dates]
    if operator not in allowed:
        raise DataError(
            f"{what}: of dates there are only differences, and dates plus or minus a number of days"
        )
    kind: Kind = "date" if dates == 1 else "number"
    x, size_x = a.reckoned()
    y, size_y = b.reckoned()
    missing = a.missing | b.missing
    with np.errstate(all="ignore"):
        match operator:
            case "+" | "-":
                values, size = (x + y if operator == "+" else x - y), size_x + size_y
            case "*":
                values, size = x * y, size_x * size_y
            case "/":
                values, size = x / y, size_x / np.abs(y)
            case _:
                values, size = np.mod(x, y), size_x + size_y
    if operator in "/%":
        missing = missing | (y == 0)
    return Values(kind, values, missing, said, size, max(a.precision, b.precision))


def compared(left: Values, operator: str, right: Values, what: str) -> Truth:
    """Return the truth of a comparison row by row; open where one side is missing.

    Raises
    ------
    DataError
        For two kinds that cannot be compared, and for an order of texts that are no dates.
    """
    if left.missing.all() or right.missing.all():
        never = np.zeros(len(left.missing), dtype=bool)
        return Truth(never, never)
    a, b = _alike(left, operator, right, what)
    x, y = a.values, b.values
    if a.size is None and b.size is None:
        equal = np.asarray(x == y, dtype=bool)
    else:
        (x, size_x), (y, size_y) = a.reckoned(), b.reckoned()
        with np.errstate(all="ignore"):
            room = _ROUNDINGS * max(a.precision, b.precision) * (size_x + size_y)
            equal = (x == y) | ((np.abs(x - y) <= room) & np.isfinite(room))
    signs = {"==": lambda: equal, "!=": lambda: ~equal, "<": lambda: (x < y) & ~equal}
    signs |= {"<=": lambda: (x < y) | equal, ">": lambda: (x > y) & ~equal, ">=": lambda: (x > y) | equal}
    with np.errstate(invalid="ignore"):
        true = np.asarray(signs[operator](), dtype=bool)
    known = ~(a.missing | b.missing)
    return Truth(true & known, ~true & known)


def _alike(left: Values, operator: str, right: Values, what: str) -> tuple[Values, Values]:
    """Return two sides of one kind, dates where text may be read as dates."""
    ordered, kinds = operator not in ("==", "!="), {left.kind, right.kind}
    if "date" in kinds or (ordered and kinds == {"text"}):
        a, b = as_dates(left), as_dates(right)
        if a is not None and b is not None:
            return a, b
        wrong = left if a is None else right
        raise DataError(
            f"{what}: {_described(wrong)}, which is no date such as '2020-01-31' and has no order; "
            "text is compared by == and !="
        )
    if kinds == {"number", "yes or no"}:  # a column of 0 and 1 compares with True
        return replace(left, kind="number"), replace(right, kind="number")
    if len(kinds) == 2:
        if kinds == {"text", "number"}:
            text, number = (left, right) if left.kind == "text" else (right, left)
            hint = ": write the number in quotes" if number.literal else ""
            hint = ": write the number without quotes" if text.literal else hint
            raise DataError(f"{what}: {_described(text)}, and {_described(number)}{hint}")
        raise DataError(f"{what}: {_described(left)}, and {_described(right)}; they cannot be compared")
    if kinds == {"yes or no"} and ordered:
        raise DataError(f"{what}: {left.said} is yes or no, which has no order; compare it by == and !=")
    return left, right


def _described(terms: Values) -> str:
    if terms.literal:
        return f"{terms.said} is {_WORDS[terms.kind]}" if terms.kind == "text" else terms.said
    example = "" if terms.example is None else f" ({str(terms.example)[:40]!r})"
    return f"{terms.said} holds {_WORDS[terms.kind]}{example}"


_WORDS: dict[Kind, str] = {"number": "numbers", "date": "dates", "text": "text", "yes or no": "yes or no"}
