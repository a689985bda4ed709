"""Arrays of any numeric type to data sets: tables (n, columns) or images (n, channels, height, width)."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from vaekit.data.dataset import Dataset, Layout, StoredAs, made_up_names
from vaekit.data.messages import few, plural
from vaekit.errors import DataError

__all__ = ["as_labels", "channels_first", "dataset_from_array", "image_layout"]


def dataset_from_array(
    array: Any,
    *,
    source: str,
    columns: Sequence[str] | None = None,
    labels: Any = None,
    test: Dataset | None = None,
) -> Dataset:
    """Return an array as a data set: a table of two dimensions, grey images of three, images of four.

    Parameters
    ----------
    array : array_like
        Of shape (n, columns), (n, height, width), (n, channels, height, width) or (n, height, width,
        channels); the last where at most 4 stand last, and more than 4 stand second.
    source : str
        Name of the data in messages.
    columns : sequence of str, optional
        Names for the columns of a table.
    labels : array_like of shape (n,), optional
    test : Dataset, optional

    Raises
    ------
    DataError
        For text, objects, complex numbers or dates; for no rows or no columns; for a shape that is neither a
        table nor images.

    Examples
    --------
    >>> dataset_from_array([[1, 2], [3, 4]], source="a list").values.dtype
    dtype('float64')
    >>> dataset_from_array(np.zeros((5, 28, 28), np.uint8), source="an array").event_shape
    (1, 28, 28)
    """
    values = _as_numbers(array, source)
    if values.ndim < 2 or values.ndim > 4:
        advice = "; Reshape your data: array.reshape(-1, 1) for one column, array.reshape(1, -1) for one row"
        raise DataError(
            f"{source}: an array of {plural(values.ndim, 'dimension')} with shape {values.shape}; expected a "
            "table (n, columns), grey images (n, height, width) or images (n, channels, height, "
            f"width){advice if values.ndim == 1 else ''}"
        )
    if values.shape[0] == 0:
        raise DataError(f"{source}: no rows (0 samples, shape {values.shape}); at least one is needed")
    if values.size == 0:
        raise DataError(
            f"{source}: no columns: 0 feature(s) (shape={values.shape}) while a minimum of 1 is required"
        )
    if values.ndim == 2:
        names = (
            made_up_names(values.shape[1]) if columns is None else _as_names(columns, values.shape[1], source)
        )
        table = np.ascontiguousarray(values, dtype=np.float64)
        kinds: dict[str, StoredAs] = {"b": "boolean", "u": "integer", "i": "integer"}
        kind = kinds.get(values.dtype.kind)
        stored_as: dict[str, StoredAs] | None = None if kind is None else dict.fromkeys(names, kind)
        found = as_labels(labels, len(table), source)
        return Dataset(table, "table", names, found, test, source, stored_as=stored_as)
    layout = image_layout(values.shape)
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    images = np.ascontiguousarray(channels_first(values, layout))
    return Dataset(
        images, "images", None, as_labels(labels, len(images), source), test, source, layout=layout
    )


def image_layout(shape: tuple[int, ...]) -> Layout:
    """Return the layout of an array of images, by its shape.

    >>> image_layout((9, 28, 28)), image_layout((9, 3, 28, 28)), image_layout((9, 28, 28, 3))
    ('no-channels', 'channels-first', 'channels-last')
    """
    if len(shape) == 3:
        return "no-channels"
    _, first, middle, last = shape
    return "channels-last" if first > 4 >= last != middle else "channels-first"


def channels_first(values: np.ndarray, layout: Layout) -> np.ndarray:
    """Return images as (n, channels, height, width)."""
    if layout == "no-channels":
        return values[:, None]
    return np.moveaxis(values, -1, 1) if layout == "channels-last" else values


def as_labels(labels: Any, n: int, source: str) -> np.ndarray | None:
    """Return labels as integers, strings or floats, one per row (None stays None).

    >>> as_labels([1.0, 2.0], 2, "a list"), as_labels(["a", "b"], 2, "a list")
    (array([1, 2]), array(['a', 'b'], dtype='<U1'))
    """
    if labels is None:
        return None
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (n,):
        raise DataError(
            f"{source}: labels of shape {array.shape} for {plural(n, 'row')}; expected one label per row, "
            f"shape ({n},)"
        )
    if array.dtype.kind in "bui":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        integral = bool(
            np.all(np.isfinite(array)) and np.all(array == np.floor(array)) and np.all(abs(array) < 2**53)
        )
        return array.astype(np.int64 if integral else np.float64)
    return np.array(["" if item is None or item != item else str(item) for item in array.tolist()])


def _as_numbers(array: Any, source: str) -> np.ndarray:
    """Return an array of native booleans, integers or floats; refuse everything else."""
    if hasattr(array, "toarray") and hasattr(array, "nnz"):
        raise DataError(f"{source}: a sparse matrix; expected a dense array: pass matrix.toarray()")
    if np.ma.isMaskedArray(array):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    try:
        values = np.asarray(array)
    except ValueError as error:
        raise DataError(
            f"{source}: rows of different lengths or nesting; every row needs the same shape"
        ) from error
    if values.dtype.names is not None:
        raise DataError(
            f"{source}: a structured array with fields {few(values.dtype.names)}; expected a plain array of "
            "numbers: numpy.lib.recfunctions.structured_to_unstructured makes one"
        )
    if values.dtype.kind == "O":
        values = _numbers_from_objects(values, source)
    if values.dtype.kind == "c":
        raise DataError(
            f"{source}: Complex data not supported; give real and imaginary parts as columns of their own"
        )
    if values.dtype.kind not in "buif":
        example = f", for instance {values.flat[0]!s:.40}" if values.size else ""
        raise DataError(f"{source}: values of type {values.dtype}{example}; expected numbers")
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        return values.astype(np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _numbers_from_objects(values: np.ndarray, source: str) -> np.ndarray:
    values, not_available = values.copy(), getattr(sys.modules.get("pandas"), "NA", None)
    for i, item in enumerate(values.flat):
        if item is not_available or (isinstance(item, str) and item.strip() in ("", "?")):
            values.flat[i] = np.nan
        elif isinstance(item, str | bytes):
            raise DataError(f"{source}: text among the values, for instance {item!r:.60}; expected numbers")
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{source}: objects that are no numbers ({error}); expected an array of numbers"
        ) from error


def _as_names(columns: Sequence[object], count: int, source: str) -> tuple[str, ...]:
    names = tuple(str(name) for name in columns)
    if len(names) != count:
        raise DataError(f"{source}: {plural(len(names), 'column name')} for {plural(count, 'column')}")
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < count else []
    if repeated:
        raise DataError(f"{source}: column name {few(repeated)} stands more than once; names must differ")
    return names
