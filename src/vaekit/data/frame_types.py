"""The columns of a data frame of pandas: their order and types, and a table of results put back into them."""

from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, cast

import msgspec
import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FrameColumn", "as_in_frame", "frame_columns", "is_frame"]

Level = str | int | float | bool


class FrameColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column of a data frame.

    Parameters
    ----------
    name : str or int
        As in the data frame.
    dtype : str
        As pandas writes it, such as ``"int32"``, ``"datetime64[ns]"`` or ``"category"``.
    levels : tuple, or None
        The categories of a categorical column, in its own order.
    ordered : bool
        Whether the order of the categories means something.
    missing : bool
        Whether a value was missing.
    """

    name: str | int
    dtype: Annotated[str, msgspec.Meta(min_length=1)]
    levels: tuple[Level, ...] | None = None
    ordered: bool = False
    missing: bool = False


def is_frame(data: object) -> "TypeGuard[pd.DataFrame]":
    """Return whether an object is a data frame of pandas."""
    return hasattr(data, "columns") and hasattr(data, "dtypes") and hasattr(data, "iloc")


def frame_columns(frame: "pd.DataFrame") -> tuple[FrameColumn, ...]:
    """Return the order and types of a data frame's columns.

    >>> import pandas as pd
    >>> frame_columns(pd.DataFrame({"n": [1, 2]}))
    (FrameColumn(name='n', dtype='int64', levels=None, ordered=False, missing=False),)
    """
    import pandas as pd

    found = []
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        kept = int(name) if isinstance(name, int | np.integer) and not isinstance(name, bool) else str(name)
        dtype, missing = column.dtype, bool(column.isna().any())
        if not isinstance(dtype, pd.CategoricalDtype):
            found.append(FrameColumn(kept, str(dtype), missing=missing))
            continue
        levels = dtype.categories.tolist()
        if all(isinstance(level, Level) for level in levels):
            found.append(FrameColumn(kept, "category", tuple(levels), bool(dtype.ordered), missing))
        else:  # of dates or intervals, say: they come back as what they are read as
            found.append(FrameColumn(kept, "category", missing=missing))
    return tuple(found)


def as_in_frame(table: "pd.DataFrame", columns: tuple[FrameColumn, ...]) -> "pd.DataFrame":
    """Return a table whose columns have the order, names and types of those of a data frame.

    Columns that the data frame did not have come first, and types that cannot hold the values are left alone: a
    missing value is no int64.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"b": pd.Series([1], dtype="int8"), "a": ["x"]})
    >>> as_in_frame(pd.DataFrame({"a": ["y"], "b": [300]}), frame_columns(frame)).to_dict("records")
    [{'b': 127, 'a': 'y'}]
    """
    import pandas as pd

    known = {str(column.name): column for column in columns}
    found: dict[Any, Any] = {name: table[name] for name in table.columns if name not in known}
    for name, column in known.items():
        if name in table.columns:
            found[column.name] = _converted(cast("pd.Series", table[name]), column)
    return pd.DataFrame(found, index=table.index)


def _converted(values: "pd.Series", column: FrameColumn) -> "pd.Series":
    """Return a column in its type in the data frame."""
    import pandas as pd

    if column.missing and values.dtype == object:
        values = values.where(values != "", None)  # text that is missing is the category ""
    if column.levels is not None:
        levels = pd.CategoricalDtype(list(column.levels), column.ordered)
        return _nearest_levels(values, column.levels).astype(levels)
    try:
        dtype = pd.api.types.pandas_dtype(column.dtype)
        if isinstance(dtype, pd.DatetimeTZDtype):
            return values.dt.tz_localize("UTC").dt.tz_convert(dtype.tz).astype(dtype)
        if pd.api.types.is_timedelta64_dtype(dtype):
            return pd.to_timedelta(values, unit="D").astype(dtype)
        if pd.api.types.is_integer_dtype(dtype):
            limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
            values = values.clip(limits.min, limits.max)
        return values.astype(dtype)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return values


def _nearest_levels(values: "pd.Series", levels: tuple[Level, ...]) -> "pd.Series":
    """Return numbers as the nearest of the categories, where these are numbers."""
    import pandas as pd

    numeric = all(isinstance(level, int | float) for level in levels)
    if not numeric or not levels or not pd.api.types.is_numeric_dtype(values.dtype):
        return values
    known = np.array([float(level) for level in levels])
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    nearest = np.abs(np.nan_to_num(numbers)[:, None] - known).argmin(1)
    found = [None if np.isnan(v) else levels[i] for v, i in zip(numbers, nearest, strict=True)]
    return pd.Series(found, index=values.index, dtype=object)
