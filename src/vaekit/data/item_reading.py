"""From an item of somebody's data set to a row of numbers: a tensor, an array, a picture, a tuple or a dictionary."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vaekit.data.arrays import dataset_from_array
from vaekit.data.dataset import Kind
from vaekit.data.messages import few
from vaekit.data.objects import as_array
from vaekit.errors import DataError

__all__ = ["Column", "ItemReader", "in_a_line"]

Column = str | int | Sequence[str]


class ItemReader:
    """Makes rows of items like the first.

    Parameters
    ----------
    first
        An item, or a batch of them.
    source : str
        What to call the data in messages.
    column : str, int or sequence of str, optional
        Of dictionaries the key of the data, or keys of numbers that make a row; of tuples the place. By default the
        only key that holds an array or a picture, all keys where all hold numbers, and of tuples the first place.
    label : str or int, optional
        Key or place of the label; by default, of tuples whose second place holds a number or a text, that.
    batched : bool
        Whether an item is a batch of rows.

    Attributes
    ----------
    kind, event_shape, dtype, columns
        As of :class:`vaekit.data.Dataset`.
    label
        Where the label is; None where there is none.

    Raises
    ------
    DataError
        For what is no row of a table and no image, and for dictionaries of which the data cannot be told.
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
        self.columns = row.columns

    def rows(self, item: Any, number: int) -> np.ndarray:
        """Make rows, (m, *event_shape), of an item; ``number`` is said where it is not like the first.

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
        return rows.astype(self.dtype, copy=False).reshape(-1, *self.event_shape)

    def labels(self, item: Any) -> np.ndarray:
        """The labels of an item: one, or a batch of them."""
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
    """The columns of a data frame, which is a batch."""
    return [str(name) for name in first.columns] if hasattr(first, "columns") else None


def _is_data(value: Any) -> bool:
    """Whether it is a picture, or an array or nested list of at least one dimension."""
    if hasattr(value, "getbands"):
        return True
    if isinstance(value, list | tuple):
        return len(value) > 0 and (_is_number(value[0]) or _is_data(value[0]))
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0


def _is_flat(value: Any) -> bool:
    return getattr(value, "ndim", 1) == 1 and not (isinstance(value, list) and value and _is_data(value[0]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) or getattr(value, "ndim", None) == 0


def in_a_line(error: BaseException) -> str:
    """Say an error in a line: its kind, and its first and last line where it has several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = "" if not lines else f": {lines[0]}" if len(lines) == 1 else f": {lines[0]} {lines[-1]}"
    return f"{type(error).__name__}{told[:300]}"


def torch_module() -> Any:
    """PyTorch, where somebody has imported it."""
    return sys.modules.get("torch")
