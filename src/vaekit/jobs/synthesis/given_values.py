"""Values of columns that are given: ``sex=Female``, ``age=30..40``; read, and looked up among the values of the fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaekit.data.column_summary import Column
from vaekit.data.messages import few
from vaekit.data.written_values import days_since_1970
from vaekit.errors import UsageError
from vaekit.jobs.synthesis.discrete_columns import CategoryColumn, NumberColumn
from vaekit.jobs.synthesis.discrete_table import DiscreteTable
from vaekit.language.grammar import did_you_mean

__all__ = ["GivenValue", "read_given"]

_SHOWN = 9
_TRUTH = {"true": 1.0, "yes": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "0": 0.0}


@dataclass(frozen=True)
class GivenValue:
    """The value or the range that a column is given.

    Parameters
    ----------
    column
        Its position among the coded columns.
    low, high
        The least and the largest value in the units of the data; of a category its position.
    """

    column: int
    low: float
    high: float

    @property
    def is_range(self) -> bool:
        """Whether it is more than one value."""
        return self.low < self.high

    def allowed(self, table: DiscreteTable) -> np.ndarray:
        """Return the share of each code's rows that are allowed, ``(codes,)``."""
        known = table.columns[self.column]
        if self.is_range:
            return known.share_between(self.low, self.high)
        return np.eye(known.size)[known.encode(np.array([self.low]))[0][0]]


def read_given(
    given: Mapping[str, Any], table: DiscreteTable, left_out: Mapping[str, str]
) -> list[GivenValue]:
    """Read what is given, and look it up among the values of the fit.

    Parameters
    ----------
    given
        By name of column a value, a pair of numbers, or text such as ``30..40``.
    table
        The columns.
    left_out
        Columns of the source that play no part, and why.

    Raises
    ------
    UsageError
        For a column or a value that is not there, with those that are near.

    Examples
    --------
    >>> from vaekit.data import Schema, from_object
    >>> import pandas as pd
    >>> data = from_object(pd.DataFrame({"age": [20, 30, 45], "pet": ["cat", "dog", "cat"]}))
    >>> table = DiscreteTable.fit(Schema.fit(data, scaling="none"), data, keep_missing=False)
    >>> read_given({"age": "25..40", "pet": "dog"}, table, {})
    [GivenValue(column=0, low=25.0, high=40.0), GivenValue(column=1, low=1.0, high=1.0)]
    >>> read_given({"pet": "dgo"}, table, {})
    Traceback (most recent call last):
    vaekit.errors.UsageError: given='pet=dgo': no such value in the data; did you mean 'dog'? There are 'cat', 'dog'
    """
    found = []
    places = {column.name: j for j, column in enumerate(table.columns)}
    for name, value in given.items():
        if name in places:
            found.append(_read(name, value, places[name], table))
            continue
        constant = {column.name: column for column in table.schema.columns}.get(name)
        if constant is not None:
            _check_constant(name, value, constant)
            continue
        if name in left_out:
            raise UsageError(f"given={_told(name, value)!r}: column {name!r} is left out: {left_out[name]}")
        raise UsageError(
            f"given={_told(name, value)!r}: there is no column {name!r}{did_you_mean(name, places) or ';'} there are "
            f"{few(list(places), 20)}"
        )
    return found


def _told(name: str, value: Any) -> str:
    return f"{name}={'..'.join(map(str, value)) if isinstance(value, tuple | list) else value}"


def _read(name: str, value: Any, j: int, table: DiscreteTable) -> GivenValue:
    known, column = table.columns[j], table.schema.columns[table.places[j]]
    what = f"given={_told(name, value)!r}"
    if isinstance(known, CategoryColumn):
        position = float(_position(str(value).strip(), known, what))
        return GivenValue(j, position, position)
    ends = list(value) if isinstance(value, tuple | list) else [value]
    if isinstance(value, str) and ".." in value:
        ends = [part.strip() for part in value.split("..", 1)]
    if len(ends) not in (1, 2):
        raise UsageError(f"{what}: give one value, or the two ends of a range")
    low, high = (
        end if part in ("", None) and len(ends) == 2 else _number(part, column, what)
        for part, end in zip((ends[0], ends[-1]), (column.minimum, column.maximum), strict=True)
    )
    if low > high:
        raise UsageError(f"{what}: the range ends before it begins; write the smaller value first")
    found = GivenValue(j, low, high)
    if high < column.minimum or low > column.maximum or not found.allowed(table).any():
        raise UsageError(f"{what}: {_outside(column)}")
    if not found.is_range and isinstance(known, NumberColumn) and not known.has(low):
        raise UsageError(f"{what}: no value of the column is written so; {_outside(column)}")
    return found


def _position(text: str, known: CategoryColumn, what: str) -> int:
    names = list(known.categories)
    if text in names:
        return names.index(text)
    hint = did_you_mean(text, names)
    there = f"{hint} There are" if hint else "; there are"
    raise UsageError(f"{what}: no such value in the data{there} {few(names, _SHOWN)}")


def _check_constant(name: str, value: Any, column: Column) -> None:
    """Refuse another value than the only one that a column has."""
    what = f"given={_told(name, value)!r}"
    if column.missing_rate == 1:
        raise UsageError(f"{what}: the column has no value in any row of the data")
    if column.categories is not None:
        only = column.categories[int(column.minimum)]
        same = str(value).strip() == only
    else:
        only, same = _written(column.minimum, column), _number(value, column, what) == column.minimum
    if not same:
        raise UsageError(f"{what}: in the data the column is {only} in every row")


def _number(value: Any, column: Column, what: str) -> float:
    """Return a value as a number in the units of the data."""
    if column.stored_as in ("date", "time"):
        import pandas as pd

        try:
            return float(days_since_1970(pd.Series(pd.to_datetime([value], utc=True)))[0])
        except (ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"{what}: {value!r} is no date; write it like 2026-01-31") from error
    if column.stored_as == "boolean" and str(value).strip().lower() in _TRUTH:
        return _TRUTH[str(value).strip().lower()]
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found):
        expected = "true or false" if column.stored_as == "boolean" else "a number, or a range such as 30..40"
        raise UsageError(f"{what}: {value!r} is no number; give {expected}")
    return found


def _outside(column: Column) -> str:
    return f"the data hold {_written(column.minimum, column)} to {_written(column.maximum, column)}" + (
        ", whole numbers only" if column.integer and column.stored_as != "date" else ""
    )


def _written(value: float, column: Column) -> str:
    if column.stored_as in ("date", "time"):
        return str(np.datetime64(round(value * 86_400), "s")).removesuffix("T00:00:00")
    if column.stored_as == "boolean":
        return str(bool(value))
    return f"{value:.10g}"
