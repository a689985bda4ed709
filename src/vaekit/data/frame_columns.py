"""Columns of data frames to numbers: numbers and booleans as they are, text as categories, numbers or dates."""

import datetime
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from vaekit.data.dataset import StoredAs
from vaekit.data.messages import plural
from vaekit.data.missing_values import MARKS
from vaekit.data.written_values import (
    dates_from_text,
    days_since_1970,
    described_dates,
    numbers_from_text,
    uses_decimal_comma,
)
from vaekit.errors import DataError

if TYPE_CHECKING:
    import pandas

__all__ = ["ReadColumn", "nested_values", "read_column", "shows_decimal_comma", "text_categories"]

_NESTED = (list, dict, set, np.ndarray)
_CATEGORIES_AT_MOST = 100  # of a column of text, in a file of any size; a schema may allow fewer


class ReadColumn(NamedTuple):
    """A column as numbers, the categories that they number, its type in the source, and a note for a person.

    Without values, the column has to be left out for the reason in the note.
    """

    values: np.ndarray | None
    categories: tuple[str, ...] | None = None
    stored_as: StoredAs = "real"
    note: str = ""


def read_column(
    column: "pandas.Series",
    name: str,
    source: str,
    lines: np.ndarray | None,
    *,
    decimal_comma: bool = False,
    categorical: bool = False,
) -> ReadColumn:
    """Return a column as numbers.

    Parameters
    ----------
    column : pandas.Series
    name, source : str
        Name of the column, and of the data, for messages.
    lines : ndarray of int, or None
        The line of the file that each row came from, for messages.
    decimal_comma : bool
        Whether ``1,234`` is 1.234, where nothing else in the column says so.
    categorical : bool
        Whether text is categories, however many there are.

    Raises
    ------
    DataError
        For text among numbers, and text with too many different values to be categories.
    """
    import pandas as pd

    types = pd.api.types
    if types.is_complex_dtype(column.dtype):
        raise DataError(
            f"{source}: column {name!r} is complex (Complex data not supported); split it in two columns"
        )
    present = column.dropna()
    if (
        types.is_object_dtype(column.dtype)
        and all(isinstance(v, datetime.date) for v in present)
        and len(present)
    ):
        column = pd.to_datetime(column)
    if types.is_datetime64_any_dtype(column.dtype):
        days = days_since_1970(column)
        return ReadColumn(days, None, *described_dates(days))
    if types.is_timedelta64_dtype(column.dtype):
        days = column.dt.total_seconds().to_numpy(dtype=np.float64, na_value=np.nan) / 86_400
        return ReadColumn(days, None, "real", "durations are read as days")
    if types.is_numeric_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return ReadColumn(values, None, _stored_as(column, values, from_file=lines is not None))
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    try:
        parsed = cast("pandas.Series", pd.to_numeric(column, errors="coerce"))
        numbers = parsed.to_numpy(dtype=np.float64, na_value=np.nan)
    except TypeError as error:
        raise DataError(f"{source}: column {name!r} holds objects that are no numbers ({error})") from error
    text = np.isnan(numbers) & ~column.isna().to_numpy()
    if not text.any():
        if len(present) > 0 and all(isinstance(value, bool) for value in present):
            return ReadColumn(numbers, None, "boolean")
        return ReadColumn(numbers, None, "integer" if types.is_integer_dtype(parsed.dtype) else "real")
    return _read_text(column, text, name, source, lines, decimal_comma, categorical)


def _stored_as(column: "pandas.Series", values: np.ndarray, *, from_file: bool) -> StoredAs:
    """Return the type of a column of numbers; pandas reads whole numbers beside missing ones as floats."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "integer"
    missing = np.isnan(values)
    known = values[~missing]
    return "integer" if from_file and missing.any() and bool((known == np.floor(known)).all()) else "real"


def _read_text(
    column: "pandas.Series",
    text: np.ndarray,
    name: str,
    source: str,
    lines: np.ndarray | None,
    decimal_comma: bool,
    categorical: bool,
) -> ReadColumn:
    """Return a column of text as numbers with separators, dates, or categories; ``text`` marks what is not a number."""
    codes, different = _different_texts(column)
    if different is not None:
        read = numbers_from_text(different, decimal="," if decimal_comma else None)
        read = numbers_from_text(different) if read is None else read
        if read is not None:
            whole = bool((read.values == np.floor(read.values)).all())
            return ReadColumn(_at(read.values, codes), None, "integer" if whole else "real", read.note)
        dates = dates_from_text(different)
        if dates is not None:
            values = None if dates.values is None else _at(dates.values, codes)
            return ReadColumn(values, None, dates.stored_as, dates.note)
    filled = int((~column.isna()).sum())
    first = column.iloc[int(np.flatnonzero(text)[0])]
    count = column.nunique()
    few_enough = categorical or count <= max(_CATEGORIES_AT_MOST, filled // 20)
    is_text = isinstance(first, str) and not _is_decimal_comma(first) and not _is_date(first)
    if (
        is_text
        and not few_enough
        and text.sum() == filled
        and count >= max(_CATEGORIES_AT_MOST, filled // 2) + 1
    ):
        note = f"left out, since it holds text of {count:,} different values in {filled:,} rows, such as {first!r:.60}"
        return ReadColumn(None, None, "real", note)
    if not (is_text and few_enough and text.sum() >= 0.5 * filled):
        _refuse_text(column, text, name, source, lines)
    present = ~column.isna().to_numpy()
    names, codes = np.unique(np.array([str(value) for value in column[present]]), return_inverse=True)
    numbers = np.full(len(column), np.nan)
    numbers[present] = codes
    return ReadColumn(numbers, tuple(str(category) for category in names))


def nested_values(column: "pandas.Series") -> str:
    """Return what a column holds whose values are lists or dictionaries, as in JSON; empty text for any other.

    >>> import pandas as pd
    >>> nested_values(pd.Series([None, [1, 2], [3]])), nested_values(pd.Series(["a"]))
    ('values of several parts, such as [1, 2] in row 1 (counted from 0)', '')
    """
    if column.dtype.kind != "O":
        return ""
    nested = next((i for i, value in enumerate(column) if isinstance(value, _NESTED)), None)
    if nested is None:
        return ""
    found = column.iloc[nested]
    return f"values of several parts, such as {found!r:.60} in row {nested} (counted from 0)"


def shows_decimal_comma(column: "pandas.Series") -> bool:
    """Return whether a column of a frame holds numbers whose commas can only separate decimals."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    _, different = _different_texts(column)
    return bool(different) and uses_decimal_comma(different)


def _different_texts(column: "pandas.Series") -> "tuple[np.ndarray, list[str] | None]":
    """Return for each row the position of its text among the different ones (-1 where missing), and these.

    They are None where some value is not text.
    """
    import pandas as pd

    codes, different = pd.factorize(column)
    texts = [str(value) for value in different if isinstance(value, str)]
    return np.asarray(codes), texts if len(texts) == len(different) else None


def _at(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the values at positions; NaN at -1."""
    return np.append(values, np.nan)[codes]


def text_categories(
    counts: "Mapping[str | None, int]", name: str, source: str, *, categorical: bool = False
) -> tuple[str, ...]:
    """Return the categories of a column of text, sorted, given its different values.

    Parameters
    ----------
    counts : mapping of (str or None) to int
        The number of rows with each value; None is a missing one.
    name, source : str
        Name of the column, and of its file, for messages.
    categorical : bool
        Whether text is categories, however many there are.

    Raises
    ------
    DataError
        For numbers written as text, dates, and too many different values.

    Examples
    --------
    >>> text_categories({"b": 3, None: 1, "?": 1, "a": 2}, "kind", "a file")
    ('a', 'b')
    """
    import pandas as pd

    present = [text for text in counts if text is not None and text.strip() not in MARKS]
    filled = sum(counts[text] for text in present)
    parsed = cast("pandas.Series", pd.to_numeric(pd.Series(present, dtype=object), errors="coerce"))
    numbers = parsed.notna()
    as_text = sum(counts[text] for text, number in zip(present, numbers, strict=True) if not number)
    first = next((text for text, number in zip(present, numbers, strict=True) if not number), None)
    if first is None or as_text < 0.5 * filled or _is_decimal_comma(first) or _is_date(first):
        raise DataError(
            f"{source}: column {name!r} holds numbers or dates as text, for instance "
            f"{(present or [''])[0]!r:.60}, in a file too large to be read as a whole; expected numbers: "
            "store them as numbers"
        )
    if not categorical and len(present) > max(_CATEGORIES_AT_MOST, filled // 20):
        raise DataError(
            f"{source}: column {name!r} holds text, for instance {first!r:.60} "
            f"({plural(len(present), 'different value')}); expected numbers, or few categories: encode or "
            f"remove it, or give fit_and_prove label={name!r} to keep it for colouring only, or "
            f"columns={{{name!r}: 'categorical'}}"
        )
    return tuple(sorted(present))


def _refuse_text(
    column: "pandas.Series", text: np.ndarray, name: str, source: str, lines: np.ndarray | None
) -> None:
    first = int(np.flatnonzero(text)[0])
    where = f"row {first} (counted from 0)" if lines is None else f"line {lines[first]}"
    value = column.iloc[first]
    found = f"{source}: column {name!r} holds text, for instance {value!r:.60} in {where}"
    filled = len(column) - int(column.isna().sum())
    if text.sum() < 0.5 * filled:
        advice = "correct it, or write missing values as an empty field"
        if isinstance(value, str) and _is_decimal_comma(value):
            advice = "write decimals with a point"
        raise DataError(
            f"{found}, among {filled - int(text.sum()):,} numbers; expected numbers only: {advice}"
        )
    raise DataError(
        f"{found} ({plural(column.nunique(), 'different value')}); expected numbers, or few categories: "
        f"encode or remove it, or give fit_and_prove label={name!r} to keep it for colouring only, or "
        f"columns={{{name!r}: 'categorical'}}"
    )


def _is_date(value: str) -> bool:
    return re.match(r"\d{4}-\d\d?-\d\d?(\D|$)", value.strip()) is not None


def _is_decimal_comma(value: str) -> bool:
    return value.count(",") == 1 and value.replace(",", "").lstrip("+-").isdigit()
