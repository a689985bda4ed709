"""Rows that stay where they are, behind the part of an array's interface that data sets use.

Where a data set would take more memory than a limit, :class:`StoredRows` stands in the place of its array. It has the
array's type and shape and gives the same numbers, but a read makes no more than the rows that are asked for. Where they
come from is for its kinds to say: an array mapped into memory, row groups of a Parquet file, files of pictures, items
of a data set of PyTorch, a sequence that is read from its beginning.
"""

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, cast

import numpy as np

from vaekit.data.dataset import Dataset, row_blocks

__all__ = ["StoredRows", "bytes_in_memory", "few_rows", "found_bytes", "value_blocks"]

_SHARE_TO_READ = 16  # parts of a data set that need at most this part of the limit are read

Change = Callable[[np.ndarray], np.ndarray]


class StoredRows(ABC):
    """Rows in the type and shape that a data set has them in, read where they are asked for.

    Parameters
    ----------
    dtype : dtype
        Of the values that are given.
    shape : tuple of int
        Rows, and the shape of one example.
    limit : int
        The memory that the data were too large for, in bytes.

    Attributes
    ----------
    in_order : bool
        Whether reading is quick in the order of the rows alone.
    in_thread : bool
        Whether another thread may read, for no code of a user is run.
    decoded : bool
        Whether reading is work, so that passes over the rows are to be few.
    known_finite : bool
        Whether every value was looked at, and is a finite number.
    """

    in_order = False
    in_thread = True
    decoded = True

    def __init__(self, dtype: Any, shape: tuple[int, ...], limit: int) -> None:
        self.dtype, self.shape, self.limit = np.dtype(dtype), tuple(shape), limit
        self.known_finite = False
        self._rows: np.ndarray | None = None
        self._changes: tuple[Change, ...] = ()
        self._kept: Any = None  # for kinds that keep the last that they read
        self._lock = threading.RLock()  # one for all parts: they share what they read from

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
        """Read rows of the source, by slice or numbers in any order, as a new array."""

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read rows by slice, array of indices or number, and places in an example after a comma."""
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
        """Choose rows: in memory where they need little of the limit, otherwise left where they are."""
        chosen = np.asarray(indices, dtype=np.int64)
        if bytes_in_memory(len(chosen), self.shape[1:], self.dtype) <= self.limit // _SHARE_TO_READ:
            return self[chosen]
        part = copy.copy(self)
        part._rows = chosen if self._rows is None else self._rows[chosen]
        part.shape = (len(chosen), *self.shape[1:])
        part.begin()
        return part

    def changed(self, change: Change) -> "StoredRows":
        """The same rows after a function of blocks of them that keeps their type and shape."""
        other = copy.copy(self)
        other._changes = (*self._changes, change)
        other.begin()
        return other

    def begin(self) -> None:
        """Forget what a copy must not share with the rows it was copied from."""
        self._kept = None

    def pieces(self) -> "np.ndarray | None":
        """Where pieces begin that are read as a whole, as numbers of these rows; None where any row is read alone."""
        return None

    def fingerprint(self) -> str | None:
        """What tells these rows from others without reading them; None where only their values do."""
        return None

    def min(self, axis: int | None = None) -> Any:
        """The smallest value; of each place in an example where the axis is 0."""
        return self._extreme(np.min, axis)

    def max(self, axis: int | None = None) -> Any:
        """The largest value; of each place in an example where the axis is 0."""
        return self._extreme(np.max, axis)

    def _extreme(self, function: Callable[..., Any], axis: int | None) -> Any:
        return function([function(block, axis) for block in value_blocks(cast(np.ndarray, self))], axis)


def bytes_in_memory(rows: int, event_shape: tuple[int, ...], dtype: Any) -> int:
    """Bytes that a fit needs to hold data: as found, the training rows again, and in the model's units.

    >>> bytes_in_memory(1000, (10,), np.float64)
    200000
    """
    return rows * prod(event_shape) * (2 * np.dtype(dtype).itemsize + 4)


def found_bytes(*datasets: "Dataset | None") -> int:
    """Bytes that data sets take as they were found, and their parts again, where they are in memory.

    >>> found_bytes(Dataset(np.zeros((10, 2)), "table", ("a", "b")), None)
    320
    """
    found = [data.values for data in datasets if data is not None]
    return sum(2 * values.nbytes for values in found if isinstance(values, np.ndarray))


def few_rows(values: StoredRows) -> Iterator[np.ndarray]:
    """Cut rows into blocks, as indices, that need little of the limit.

    They are multiples of 4096 rows where that is little: the chunks that models are applied to stay what they are.
    """
    each = bytes_in_memory(1, values.shape[1:], values.dtype)
    most = values.limit // _SHARE_TO_READ // each
    step = most // 4096 * 4096 or max(most, 1)
    for start in range(0, len(values), step):
        yield np.arange(start, min(start + step, len(values)))


def value_blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Give an array in one piece, and stored rows in blocks."""
    if isinstance(values, StoredRows):
        for rows in row_blocks(cast(np.ndarray, values)):
            yield values[rows]
    else:
        yield values
