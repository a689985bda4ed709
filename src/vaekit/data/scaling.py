"""The affine map from the data's units to the model's, learned from the training rows."""

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np

from vaekit.data.column_summary import Column
from vaekit.data.dataset import Dataset, row_blocks
from vaekit.errors import DataError, UsageError

__all__ = ["Scaling", "are_levels", "nearest_levels", "offset_and_scale", "require_few_categories"]

Scaling = Literal["none", "unit", "standardize", "mixed", "levels"]

_CLOSE = 1e-3  # of a step between levels: float32 holds multiples of 1/255 far better, of 1/65535 as well


def require_few_categories(
    dataset: Dataset, columns: Sequence[Column], categorical: Collection[str] = ()
) -> None:
    """Refuse a column of text with so many different values that they cannot be categories.

    Columns that were said to be ``categorical`` may have any number.

    Raises
    ------
    DataError
        Naming the first such column: one of more than 20 values, and more than a twentieth of the rows.
    """
    for column in columns:
        count = len(column.categories or ())
        if column.name not in categorical and count > max(20, len(dataset) // 20):
            raise DataError(
                f"{dataset.source}: column {column.name!r} holds text of {count} different values, and there are "
                f"{len(dataset):,} rows to learn from: too many to be categories; remove it, or give "
                f"fit_and_prove label={column.name!r} to keep it for colouring only, or "
                f"columns={{{column.name!r}: 'categorical'}} if they are categories nevertheless"
            )


def offset_and_scale(
    dataset: Dataset,
    columns: Sequence[Column],
    scaling: Scaling,
    continuous: Sequence[bool] | None = None,
    levels: int = 256,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return a and b of :math:`x = (d - a) / b`, one of each for every column.

    Parameters
    ----------
    dataset : Dataset
    columns : sequence of Column
        Summaries of its columns.
    scaling, continuous, levels
        As for `Schema.fit`.

    Raises
    ------
    DataError
        Under ``unit``, for values outside [0, 1] that are not 8-bit.
    UsageError
        Under ``mixed``, for images, and for another number of booleans than of columns that vary.

    Examples
    --------
    >>> from vaekit.data.column_summary import summarise
    >>> data = Dataset(np.array([[1.0], [3.0]]), "table", ("a",))
    >>> offset_and_scale(data, summarise(data), "standardize")
    ((2.0,), (1.0,))
    """
    if scaling == "mixed":
        if dataset.kind == "images":
            raise UsageError(
                f"{dataset.source}: images have no columns; choose another likelihood than mixed"
            )
        varying = [not column.constant for column in columns]
        if continuous is None or len(continuous) != sum(varying):
            raise UsageError(
                f"scaling 'mixed' needs one boolean for each of the {sum(varying)} columns that vary "
                f"(whether it is continuous), got {continuous!r}"
            )
        answers = iter(continuous)
        standardised = [vary and next(answers) for vary in varying]
        return (
            tuple(c.mean if on else 0.0 for c, on in zip(columns, standardised, strict=True)),
            tuple(c.standard_deviation if on else 1.0 for c, on in zip(columns, standardised, strict=True)),
        )
    if scaling == "standardize":
        # a constant column is left out of the model: its map is never used
        return (
            tuple(0.0 if column.constant else column.mean for column in columns),
            tuple(1.0 if column.constant else column.standard_deviation for column in columns),
        )
    divisor = 1.0
    if scaling == "unit":
        low = min(column.minimum for column in columns)
        high = max(column.maximum for column in columns)
        if dataset.values.dtype == np.uint8 and high > 1:
            divisor = 255.0
        elif low < 0 or high > 1:
            looks_8_bit = all(column.integer for column in columns) and low >= 0 and high <= 255
            advice = (
                "if these are grey levels from 0 to 255, divide them by 255 or give them as uint8 images"
                if looks_8_bit
                else "rescale them to [0, 1], or choose a likelihood for real numbers such as gaussian"
            )
            outside = next(column for column in columns if column.minimum < 0 or column.maximum > 1)
            where = f" (first in column {outside.name!r})" if dataset.kind == "table" else ""
            raise DataError(
                f"{dataset.source}: values from {low:g} to {high:g}{where}; a likelihood on [0, 1] expects "
                f"values from 0 to 1, or 8-bit images: {advice}"
            )
    if scaling == "levels" and not all(column.integer for column in columns):
        blocks = (dataset.values[rows] for rows in row_blocks(dataset.values))
        if all(are_levels(block, levels) for block in blocks):
            divisor = 1.0 / (levels - 1)
    count = len(columns)
    return (0.0,) * count, (divisor,) * count


def are_levels(values: np.ndarray, levels: int) -> bool:
    """Return whether all values are multiples of 1 / (levels - 1) in [0, 1], as closely as they are stored.

    Examples
    --------
    >>> tenths = np.arange(11, dtype=np.float32) / 10
    >>> are_levels(tenths, 11), are_levels(tenths, 12)
    (True, False)
    """
    scaled = values.astype(np.float64) * (levels - 1)
    whole = np.rint(scaled)
    return bool(((np.abs(scaled - whole) <= _CLOSE) & (whole >= 0) & (whole <= levels - 1)).all())


def nearest_levels(scaled: np.ndarray, step: float) -> np.ndarray:
    """Return the whole numbers that values divided by the step between levels are, as closely as they are stored.

    Raises
    ------
    DataError
        For a value between two levels.

    Examples
    --------
    >>> nearest_levels(np.array([0.99999999, 3.0]), 0.1)
    array([1., 3.])
    """
    whole = np.rint(scaled)
    between = np.abs(scaled - whole) > _CLOSE
    if between.any():
        raise DataError(
            f"{between.sum():,} of {scaled.size:,} values, such as {scaled[between][0] * step:.6g}, lie between the "
            f"levels of the data that the model was fitted to, which are multiples of {step:.6g}: round them, or fit "
            "again with a likelihood for real numbers such as gaussian"
        )
    return whole
