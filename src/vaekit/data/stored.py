"""Rows that stay in their file or source, with the part of an array's interface that data sets use.

Where a data set would take more memory than a limit, :class:`StoredRows` takes the place of its array. It has
the array's type and shape and gives the same numbers, but reads only the rows that are asked for. Its
subclasses read them from an array mapped into memory, row groups of a Parquet file, files of pictures, items
of a data set of PyTorch, or a sequence that is read from its beginning.
"""

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, cast

import numpy as np

from vaekit.data.dataset import Dataset, in_memory, row_blocks

__all__ = ["StoredRows", "bytes_in_memory", "extremes", "few_rows", "found_bytes", "value_blocks"]

_SHARE_TO_READ = 16  # parts of a data set that need at most limit / 16 are read into memory

Change = Callable[[np.ndarray], np.ndarray]


class StoredRows(ABC):
    """Rows with the type and shape that a data set gives them, read when they are asked for.

    Parameters
    ----------
    dtype : dtype
        Type of the values.
    shape : tuple of int
        Number of rows, and the shape of one example.
    limit : int
        The memory limit that the data exceeded, in bytes.

    Attributes
    ----------
    in_order : bool
        Whether only reading in the order of the rows is quick.
    in_thread : bool
        Whether another thread may read: no code of a user is run.
    decoded : bool
        Whether reading takes much work, so that passes over the rows should be few.
    known_finite : bool
        Whether every value was checked to be finite, or missing where it may be.
    known_missing : bool
        Whether one was then found to be missing.
    """

    in_order = False
    in_thread = True
    decoded = True

    def __init__(self, dtype: Any, shape: tuple[int, ...], limit: int) -> None:
        self.dtype, self.shape, self.limit = np.dtype(dtype), tuple(shape), limit
        self.known_finite, self.known_missing = False, False
        self._rows: np.ndarray | None = None
        self._changes: tuple[Change, ...] = ()
        self._kept: Any = None  # for subclasses that keep the last piece that they read
        self._lock = threading.RLock()  # one lock for all parts: they read from the same source

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @abstractmethod
    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Return rows of the source, by slice or numbers in any order, as a new array."""

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return rows by slice, array of indices or number; after a comma, positions within an example."""
        if isinstance(key, tuple) and isinstance(key[0], slice) and key[0] == slice(None):
            return np.concatenate([self[rows][key] for rows in row_blocks(cast(np.ndarray, self))])
        if isinstance(key, tuple):
            return self[key[0]][key[1:]]
        if isinstance(key, int | np.integer):
            return self[np.array([key])][0]
        where = key if self._rows is None else self._rows[key]
        with self._lock:
            block = self.read_rows(where if isinstance(where, slice) else np.asarray(where))
        for change in self._changes:
            block = change(block)
        return block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def take(self, indices: "np.ndarray | list[int]") -> "StoredRows | np.ndarray":
        """Return chosen rows: in memory where they need little of the limit, otherwise left in their source."""
        chosen = np.asarray(indices, dtype=np.int64)
        if bytes_in_memory(len(chosen), self.shape[1:], self.dtype) <= self.limit // _SHARE_TO_READ:
            return self[chosen]
        part = copy.copy(self)
        part._rows = chosen if self._rows is None else self._rows[chosen]
        part.shape = (len(chosen), *self.shape[1:])
        part.begin()
        return part

    def changed(self, change: Change, *, width: int | None = None) -> "StoredRows":
        """Return the rows with a function applied to every block as it is read; it must keep type and shape.

        ``width`` is the number of columns that it makes of a table, where it makes another.
        """
        other = copy.copy(self)
        other._changes = (*self._changes, change)
        if width is not None:
            other.shape = (self.shape[0], width)
        other.begin()
        return other

    def begin(self) -> None:
        """Reset the state that a copy must not share with its original."""
        self._kept = None

    def pieces(self) -> "np.ndarray | None":
        """Return the first rows of the pieces that are read as a whole; None where any row can be read alone."""
        return None

    def fingerprint(self) -> str | None:
        """Return a text that identifies these rows without reading them; None where there is none."""
        return None

    def min(self, axis: int | None = None) -> Any:
        """Return the smallest value that is not missing; with axis 0, of each position in an example."""
        return self._extreme(np.fmin, axis)

    def max(self, axis: int | None = None) -> Any:
        """Return the largest value that is not missing; with axis 0, of each position in an example."""
        return self._extreme(np.fmax, axis)

    def _extreme(self, function: np.ufunc, axis: int | None) -> Any:
        found = [function.reduce(block, axis=axis) for block in value_blocks(cast(np.ndarray, self))]
        return function.reduce(found, axis=axis)


def extremes(values: np.ndarray, axis: int | None = None) -> tuple[Any, Any]:
    """Return the smallest and the largest value that is not missing; NaN where all are.

    >>> extremes(np.array([[1.0, np.nan], [3.0, np.nan]]), axis=0)
    (array([ 1., nan]), array([ 3., nan]))
    """
    if isinstance(values, StoredRows):
        return values.min(axis), values.max(axis)
    return np.fmin.reduce(values, axis=axis), np.fmax.reduce(values, axis=axis)


def bytes_in_memory(rows: int, event_shape: tuple[int, ...], dtype: Any) -> int:
    """Return the bytes that a fit holds: the data as found, the training rows again, and in the model's units.

    >>> bytes_in_memory(1000, (10,), np.float64)
    200000
    """
    return rows * prod(event_shape) * (2 * np.dtype(dtype).itemsize + 4)


def found_bytes(*datasets: "Dataset | None") -> int:
    """Return the bytes of data sets in memory as found, twice: the whole and its parts.

    >>> found_bytes(Dataset(np.zeros((10, 2)), "table", ("a", "b")), None)
    320
    """
    found = [data.values for data in datasets if data is not None]
    return sum(2 * values.nbytes for values in found if in_memory(values))


def few_rows(values: StoredRows) -> Iterator[np.ndarray]:
    """Yield the indices of blocks of rows that need little of the limit.

    A block is a multiple of 4096 rows where that is little enough, so that models see the same chunks as in
    memory.
    """
    each = bytes_in_memory(1, values.shape[1:], values.dtype)
    most = values.limit // _SHARE_TO_READ // each
    step = most // 4096 * 4096 or max(most, 1)
    for start in range(0, len(values), step):
        yield np.arange(start, min(start + step, len(values)))


def value_blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an array in one piece, and stored rows in blocks."""
    if isinstance(values, StoredRows):
        for rows in row_blocks(cast(np.ndarray, values)):
            yield values[rows]
    else:
        yield values
