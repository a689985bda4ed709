"""Items of a user's data set (tensors, arrays, pictures, tuples, dictionaries) to rows of numbers."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vaekit.data.arrays import channels_first, dataset_from_array
from vaekit.data.dataset import Kind, Layout
from vaekit.data.messages import few
from vaekit.data.objects import as_array
from vaekit.errors import DataError

__all__ = ["Column", "ItemReader", "torch_module"]

Column = str | int | Sequence[str]


class ItemReader:
    """Converts items to rows; all must be like the first.

    Parameters
    ----------
    first
        An item, or a batch of them.
    source : str
        Name of the data in messages.
    column : str, int or sequence of str, optional
        For dictionaries the key of the data, or the keys of numbers that make up a row; for tuples the
        position. By default the only key that holds an array or a picture, or all keys where all hold
        numbers; for tuples 0.
    label : str or int, optional
        Key or position of the label; by default 1 for tuples with a number or a text there.
    batched : bool
        Whether an item is a batch of rows.

    Attributes
    ----------
    kind, event_shape, dtype, columns, layout, stored_as
        As in :class:`vaekit.data.Dataset`.
    label
        Key or position of the label; None where there is none.

    Raises
    ------
    DataError
        For items that are neither a row of a table nor an image, and for dictionaries with several candidates
        for the data.
    """

    def __init__(
        self,
        first: Any,
        source: str,
        *,
        column: Column | None = None,
        label: str | int | None = None,
        batched: bool = False,
    ) -> None:
        self.source, self.batched = source, batched
        self.kind: Kind
        self.layout: Layout
        self._column = self._choose_column(first) if column is None else column
        self.label = self._choose_label(first) if label is None else label
        array = self._array(first, "item 0")
        if array.dtype.kind not in "buif":
            raise DataError(
                f"{source}: item 0 is of type {type(first).__name__} and holds {array.dtype}; expected numbers"
            )
        rows = array if batched else array[None]
        named = None if isinstance(self._column, str | int | None) else list(self._column)
        names = named or _names_of(first)
        row = dataset_from_array(rows[:1], source=f"{source}, item 0", columns=names)
        self._shape, self._dtype = rows.shape[1:], rows.dtype
        self.kind, self.event_shape, self.dtype = row.kind, row.event_shape, row.values.dtype
        self.columns, self.layout, self.stored_as = row.columns, row.layout, row.stored_as

    def rows(self, item: Any, number: int) -> np.ndarray:
        """Return the rows of an item, (m, *event_shape); ``number`` is its position, for messages.

        Raises
        ------
        DataError
            If it has another shape or type.
        """
        array = self._array(item, f"item {number}")
        rows = array if self.batched else array[None]
        if rows.shape[1:] != self._shape or rows.dtype != self._dtype:
            raise DataError(
                f"{self.source}: item 0 has shape {self._shape} and type {self._dtype}, item {number} "
                f"{rows.shape[1:]} and {rows.dtype}; all items need the same: resize, pad or convert them"
            )
        rows = rows.astype(self.dtype, copy=False)
        if self.kind == "images":
            rows = channels_first(rows, self.layout)
        return np.ascontiguousarray(rows).reshape(-1, *self.event_shape)

    def labels(self, item: Any) -> np.ndarray:
        """Return the labels of an item: an array of one, or of a batch of them."""
        found = self._at(item, self.label, "the label", "an item")
        return (
            np.atleast_1d(as_array(found)) if not isinstance(found, str) else np.array([found], dtype=object)
        )

    def _array(self, item: Any, what: str) -> np.ndarray:
        if self._column is not None and not isinstance(self._column, str | int):
            parts = [as_array(self._at(item, name, "the data", what)) for name in self._column]
            return np.stack([part.astype(np.float64) for part in parts], axis=-1)
        found = item if self._column is None else self._at(item, self._column, "the data", what)
        array = as_array(found)
        if self.batched and array.ndim == 0:
            raise DataError(
                f"{self.source}: {what} is a single {type(found).__name__}; expected a batch of rows"
            )
        return array.astype(np.uint8) if array.dtype == bool else array

    def _at(self, item: Any, place: Any, whose: str, what: str) -> Any:
        try:
            return item[place]
        except (KeyError, IndexError, TypeError) as error:
            has = (
                f"the keys {few(list(item), 9)}" if isinstance(item, Mapping) else f"a {type(item).__name__}"
            )
            raise DataError(f"{self.source}: no {place!r} for {whose} in {what}, which is {has}") from error

    def _choose_column(self, first: Any) -> Column | None:
        if isinstance(first, tuple | list) and first and _is_data(first[0]):
            return 0
        if not isinstance(first, Mapping):
            return None
        keys = [key for key in first if not str(key).startswith("__")]
        arrays = [key for key in keys if _is_data(first[key]) and not (self.batched and _is_flat(first[key]))]
        if len(arrays) == 1:
            return arrays[0]
        if not arrays and keys and all(_is_number(first[key]) or self.batched for key in keys):
            return keys
        raise DataError(
            f"{self.source}: its items are dictionaries with the keys {few(keys, 9)}, of which "
            f"{few(arrays, 9) if arrays else 'none'} could be the data; say which: "
            'vaekit.data.stream(..., column="NAME")'
        )

    def _choose_label(self, first: Any) -> int | None:
        if self._column != 0 or not isinstance(first, tuple | list) or len(first) < 2:
            return None
        second = first[1]
        if isinstance(second, str | int | float):
            return 1
        dimensions = getattr(second, "ndim", None)
        return 1 if dimensions == (1 if self.batched else 0) else None


def _names_of(first: Any) -> list[str] | None:
    """Return the column names of a data frame (a batch of rows); None for other items."""
    return [str(name) for name in first.columns] if hasattr(first, "columns") else None


def _is_data(value: Any) -> bool:
    """Return whether a value is a picture, or an array or nested list of at least one dimension."""
    if hasattr(value, "getbands"):
        return True
    if isinstance(value, list | tuple):
        return len(value) > 0 and (_is_number(value[0]) or _is_data(value[0]))
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0


def _is_flat(value: Any) -> bool:
    return getattr(value, "ndim", 1) == 1 and not (isinstance(value, list) and value and _is_data(value[0]))


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float | np.number) or getattr(value, "ndim", None) == 0


def torch_module() -> Any:
    """Return the module torch, or None where nobody has imported it."""
    return sys.modules.get("torch")
