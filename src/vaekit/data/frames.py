"""Data frames of pandas to data sets: numbers stay, text becomes categories, one column may be the label."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vaekit.data.arrays import as_labels, dataset_from_array
from vaekit.data.dataset import Dataset
from vaekit.data.messages import few, plural
from vaekit.errors import DataError, MissingLabelError
from vaekit.language.grammar import did_you_mean

if TYPE_CHECKING:
    import pandas

__all__ = ["check_names", "column_as_found", "dataset_from_frame", "label_values", "text_categories"]

_CATEGORIES_AT_MOST = (
    100  # of a column of text, in a file of any size; how many a model takes, its schema says
)


def dataset_from_frame(
    frame: "pandas.DataFrame",
    *,
    source: str,
    label: str | None = None,
    labels: Any = None,
    conditions: Sequence[str] = (),
    lines: np.ndarray | None = None,
) -> Dataset:
    """Return a DataFrame as a table.

    Parameters
    ----------
    frame : pandas.DataFrame
    source : str
        Name of the data in messages.
    label : str, optional
        Name of the column to take out as the label.
    labels : array_like, optional
        Labels from elsewhere, instead of a column.
    conditions : sequence of str
        Names of columns to take out as conditions.
    lines : ndarray of int, optional
        The line of the file that each row came from, for messages.

    Raises
    ------
    DataError
        For text among numbers, text with too many different values (naming the column and a value), dates,
        repeated names, or an unknown label.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"length": [5.1, 4.9], "species": ["setosa", "virginica"]})
    >>> data = dataset_from_frame(frame, source="flowers", label="species")
    >>> data.columns, data.labels.tolist()
    (('length',), ['setosa', 'virginica'])
    >>> data = dataset_from_frame(frame, source="flowers")
    >>> data.values.tolist(), data.categories
    ([[5.1, 0.0], [4.9, 1.0]], (None, ('setosa', 'virginica')))
    """
    names = [str(name) for name in frame.columns]
    check_names(names, source, label=label, conditions=conditions)
    frame = frame.set_axis(names, axis="columns")
    whole = frame
    if label is not None:
        labels = label_values(cast("pandas.Series", frame[label]))
        frame = frame.drop(columns=label)
    taken = {
        name: column_as_found(cast("pandas.Series", whole[name])) for name in conditions if name in names
    }
    frame = frame.drop(columns=[name for name in taken if name in frame.columns])
    if len(frame.columns) == 0:
        beside = f" beside the label {label!r}" if label is not None else ""
        raise DataError(f"{source}: no columns{beside}: 0 feature(s), while at least 1 is required")
    if len(frame) == 0:
        raise DataError(
            f"{source}: no rows (0 samples) below {plural(len(names), 'column name')} ({few(names)})"
        )
    values = np.empty(frame.shape, dtype=np.float64)
    categories: list[tuple[str, ...] | None] = []
    for j, name in enumerate(frame.columns):
        values[:, j], names_of = _column_values(cast("pandas.Series", frame[name]), name, source, lines)
        categories.append(names_of)
    dataset = dataset_from_array(values, source=source, columns=list(frame.columns), labels=labels)
    if any(categories):
        dataset = replace(dataset, categories=tuple(categories))
    return replace(dataset, conditions=taken) if taken else dataset


def check_names(
    names: Sequence[str], source: str, *, label: str | None = None, conditions: Sequence[str] = ()
) -> None:
    """Refuse repeated names of columns, and a label or condition that is not among them.

    Raises
    ------
    DataError
        Naming them.
    """
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{source}: column name {few(repeated)} stands more than once; names must differ")
    absent = [name for name in conditions if name not in names and name != "labels"]
    if absent:
        raise DataError(
            f"{source}: no column {few(absent)} for the condition{did_you_mean(absent[0], names) or ';'} the "
            f"columns are {few(names, 9)}"
        )
    if label is not None and label not in names:
        raise MissingLabelError(
            f"{source}: no column {label!r} for the label{did_you_mean(label, names) or ';'} the columns are "
            f"{few(names, 9)}"
        )


def text_categories(counts: "Mapping[str | None, int]", name: str, source: str) -> tuple[str, ...]:
    """Return the categories of a column of text, sorted, given its different values.

    Parameters
    ----------
    counts : mapping of (str or None) to int
        The number of rows with each value; None is a missing one.
    name, source : str
        Name of the column, and of its file, for messages.

    Raises
    ------
    DataError
        For numbers written as text, dates, and too many different values.

    Examples
    --------
    >>> text_categories({"b": 3, None: 1, "a": 2}, "kind", "a file")
    ('', 'a', 'b')
    """
    import pandas as pd

    present = [text for text in counts if text is not None]
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
    if len(present) > max(_CATEGORIES_AT_MOST, filled // 20):
        raise DataError(
            f"{source}: column {name!r} holds text, for instance {first!r:.60} "
            f"({plural(len(present), 'different value')}); expected numbers, or few categories: encode or "
            f"remove it, or give --label {name} to keep it for colouring only"
        )
    return tuple(sorted({text or "" for text in counts}))


def column_as_found(column: "pandas.Series") -> np.ndarray:
    """Return a column of numbers as numbers (NaN where missing), any other as text (None where missing)."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype) and not column.hasnans:
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan) if column.hasnans else column.to_numpy()
    return np.array([None if pd.isna(value) else str(value) for value in column], dtype=object)


def label_values(column: "pandas.Series") -> np.ndarray:
    """Return a column as labels: numbers, or text; missing ones are empty."""
    if column.dtype.kind in "buif" and not column.hasnans:
        return column.to_numpy()
    present = ~column.isna()
    values = [value if known else None for value, known in zip(column, present, strict=True)]
    return np.asarray(as_labels(values, len(values), str(column.name)))


def _column_values(
    column: "pandas.Series", name: str, source: str, lines: np.ndarray | None
) -> "tuple[np.ndarray, tuple[str, ...] | None]":
    import pandas as pd

    if pd.api.types.is_complex_dtype(column.dtype):
        raise DataError(
            f"{source}: column {name!r} is complex (Complex data not supported); split it in two columns"
        )
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        raise DataError(
            f"{source}: column {name!r} holds dates or durations; expected numbers, such as days since a date"
        )
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), None
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    try:
        parsed = cast("pandas.Series", pd.to_numeric(column, errors="coerce"))
        numbers = parsed.to_numpy(dtype=np.float64, na_value=np.nan)
    except TypeError as error:
        raise DataError(f"{source}: column {name!r} holds objects that are no numbers ({error})") from error
    text = np.isnan(numbers) & ~column.isna().to_numpy()
    if not text.any():
        return numbers, None
    filled = int((~column.isna()).sum())
    first = column.iloc[int(np.flatnonzero(text)[0])]
    few_enough = column.nunique() <= max(_CATEGORIES_AT_MOST, filled // 20)
    is_text = (
        isinstance(first, str)
        and not _is_decimal_comma(first)
        and not _is_date(first)
        and text.sum() >= 0.5 * filled
    )
    if not (is_text and few_enough):
        _refuse_text(column, text, name, source, lines)
    texts = ["" if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    names, codes = np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)
    return codes.astype(np.float64), tuple(str(category) for category in names)


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
    if isinstance(value, str) and _is_decimal_comma(value):
        raise DataError(f"{found}; expected numbers: write decimals with a point")
    raise DataError(
        f"{found} ({plural(column.nunique(), 'different value')}); expected numbers, or few categories: "
        f"encode or remove it, or give --label {name} to keep it for colouring only"
    )


def _is_date(value: str) -> bool:
    return re.match(r"\d{4}-\d\d?-\d\d?(\D|$)", value.strip()) is not None


def _is_decimal_comma(value: str) -> bool:
    return value.count(",") == 1 and value.replace(",", "").lstrip("+-").isdigit()
