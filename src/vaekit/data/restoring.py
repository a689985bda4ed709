"""A model's numbers back to the types of its data: whole numbers, True and False, dates, decimals, 8-bit images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vaekit.data.column_summary import Column
from vaekit.data.frame_types import as_in_frame
from vaekit.data.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fill_frame", "restore_array", "restore_column", "restore_table"]

_DAYS = (-719_162.0, 2_932_896.0)  # 0001-01-01 and 9999-12-31, since 1970-01-01
_SECONDS_A_DAY = 86_400
_WHOLE_IN_INT64 = 2.0**63


def restore_table(
    schema: Schema, values: np.ndarray, conditions: Mapping[str, np.ndarray] | None = None
) -> "pd.DataFrame":
    """Return rows in the units of the data as a data frame with the types that the columns had in the training data.

    Parameters
    ----------
    schema : Schema
        Of a table.
    values : ndarray of shape (m, columns)
        As `Schema.inverse` returns them.
    conditions : mapping of str to ndarray of shape (m,), optional
        The conditions that the rows were made under: further columns, which come first.

    Returns
    -------
    pandas.DataFrame
        Text for categories, int64 for whole numbers, bool, datetime64[s] for dates and times; other numbers
        rounded to the decimals of the training data, where they had at most 6. Missing values make ``Int64``
        and ``boolean``. Where the training data were a data frame, its columns in their order and types.

    Examples
    --------
    >>> import pandas as pd
    >>> from vaekit.data import from_object
    >>> frame = pd.DataFrame({"price": [1.25, 2.5], "count": [3, 4], "sold": [True, False]})
    >>> schema = Schema.fit(from_object(frame), scaling="none")
    >>> restore_table(schema, np.array([[1.23456, 3.9, 0.8]])).to_dict("records")
    [{'price': 1.23, 'count': 4, 'sold': True}]
    """
    import pandas as pd

    columns = {name: pd.Series(known) for name, known in (conditions or {}).items()}
    columns |= {column.name: restore_column(column, values[:, j]) for j, column in enumerate(schema.columns)}
    table = pd.DataFrame(columns, columns=list(columns))
    return table if schema.frame is None else as_in_frame(table, schema.frame)


def fill_frame(
    frame: "pd.DataFrame", schema: Schema, filled: np.ndarray, holes: np.ndarray
) -> "pd.DataFrame":
    """Return a data frame with values in its holes; its order, types and all other cells stay.

    Parameters
    ----------
    frame : DataFrame
        With the columns of the schema among its own.
    schema : Schema
    filled : ndarray of shape (m, columns)
        Rows in the units of the data, in the columns of the schema.
    holes : ndarray of bool of shape (m, columns)
        The cells to take from them.

    Examples
    --------
    >>> import pandas as pd
    >>> from vaekit.data import from_object
    >>> frame = pd.DataFrame({"a": ["x", None, "y"], "n": pd.array([3, None, 4], dtype="Int8")})
    >>> schema = Schema.fit(from_object(frame), scaling="none")
    >>> fill_frame(frame, schema, np.array([[0, 3], [1, 3.7], [1, 4]]), frame.isna().to_numpy()).to_dict("records")[1]
    {'a': 'y', 'n': 4}
    """
    names, found = [str(name) for name in frame.columns], frame.copy()
    restored = {str(name): column for name, column in restore_table(schema, filled).items()}
    for j, column in enumerate(schema.columns):
        if holes[:, j].any():
            place = names.index(column.name)
            values = found.iloc[:, place].copy()
            values[holes[:, j]] = restored[column.name][holes[:, j]].tolist()
            found.isetitem(place, values)
    return found


def restore_array(schema: Schema, values: np.ndarray, *, layout: bool = True) -> np.ndarray:
    """Return rows or images in the units of the data as an array like the training data.

    Parameters
    ----------
    schema : Schema
    values : ndarray of shape (m, \\*event_shape)
        As `Schema.inverse` returns them.
    layout : bool
        Whether images get the order of axes of the training data, such as (m, height, width, channels).

    Returns
    -------
    ndarray
        Images in the type of the training data; those of integers are rounded and clipped to its range,
        unless all training values were 0 and 1: what lies between is then a probability, and stays. A table
        of whole numbers alone as int64, of True and False alone as bool, and any other as float64; real
        numbers keep all their digits.

    Examples
    --------
    >>> schema = Schema.fit(np.array([[[0, 255]], [[7, 9]]], np.uint8), scaling="unit")
    >>> restore_array(schema, np.array([[[[6.7, 300.0]]]]))
    array([[[  7, 255]]], dtype=uint8)
    """
    if schema.kind == "table":
        return _restored_rows(schema, values)
    dtype = np.dtype(schema.dtype)
    if dtype.kind in "ui":
        if schema.columns[0].maximum > 1 or schema.columns[0].minimum < 0:
            limits = np.iinfo(dtype)
            values = np.rint(np.clip(values, float(limits.min), float(limits.max)))
            # the largest 64-bit integers are not floats: the nearest float above them would overflow
            values = np.where(values >= float(limits.max), limits.max, values.astype(dtype)).astype(dtype)
    else:
        values = values.astype(dtype)
    if not layout or schema.layout == "channels-first":
        return values
    return (
        values[:, 0] if schema.layout == "no-channels" else np.ascontiguousarray(np.moveaxis(values, 1, -1))
    )


def _restored_rows(schema: Schema, values: np.ndarray) -> np.ndarray:
    """Return rows of a table as an array of the type that all columns share, or of float64."""
    kinds = {column.stored_as for column in schema.columns if column.categories is None}
    categories = any(column.categories for column in schema.columns)
    rows = np.array(values, dtype=np.float64)
    for j, column in enumerate(schema.columns):
        if column.stored_as in ("integer", "boolean"):
            rows[:, j] = np.rint(rows[:, j])
    if kinds == {"boolean"} and not categories and np.isfinite(rows).all():
        return rows > 0
    fits = np.isfinite(rows).all() and (np.abs(rows) < _WHOLE_IN_INT64).all()
    return rows.astype(np.int64) if kinds == {"integer"} and not categories and fits else rows


def restore_column(column: Column, values: np.ndarray) -> "pd.Series":
    """Return the values of a column with the type that it had in its source.

    >>> whole = Column("n", 0.0, 9.0, 4.0, 1.0, False, True, 0.0, stored_as="integer")
    >>> restore_column(whole, np.array([3.6])).tolist()
    [4]
    """
    import pandas as pd

    missing = np.isnan(values)
    if column.categories is not None:
        return pd.Series(np.array([*column.categories, None])[np.nan_to_num(values, nan=-1).astype(np.int64)])
    if column.stored_as in ("date", "time"):
        seconds = np.where(missing, 0.0, np.clip(values, *_DAYS)) * _SECONDS_A_DAY
        if column.stored_as == "date":
            seconds = np.rint(seconds / _SECONDS_A_DAY) * _SECONDS_A_DAY
        when = np.rint(seconds).astype(np.int64).astype("datetime64[s]")
        return pd.Series(np.where(missing, np.datetime64("NaT", "s"), when))
    if column.stored_as == "boolean":
        truth = pd.Series(values >= 0.5)
        return truth.astype("boolean").mask(missing) if missing.any() else truth
    if column.stored_as == "integer":
        whole = np.rint(np.where(missing, 0.0, values))
        if (np.abs(whole) >= _WHOLE_IN_INT64).any():
            return pd.Series(np.where(missing, np.nan, whole))
        found = pd.Series(whole.astype(np.int64))
        return found.astype("Int64").mask(missing) if missing.any() else found
    # adding 0 makes 0.0 of the -0.0 that rounding leaves
    return pd.Series(values if column.decimals is None else np.round(values, column.decimals) + 0.0)
