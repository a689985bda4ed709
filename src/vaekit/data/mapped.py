"""Rows that stay in their file: an array mapped into memory, read block by block.

The pages that a read has mapped are handed back to the system every 64 MiB: what a process holds stays bounded even as
it is usually counted, mapped pages included.
"""

import mmap
import os
import re
from pathlib import Path
from typing import Any, cast

import numpy as np

from vaekit.data.arrays import dataset_from_array
from vaekit.data.dataset import Dataset
from vaekit.data.stored import StoredRows, bytes_in_memory
from vaekit.errors import DataError, UsageError

__all__ = ["MappedRows", "mapped_dataset", "memory_limit"]

_HELD = 64 * 2**20  # bytes of mapped pages before they are handed back
_AROUND = 64 * 2**10  # bytes that the system maps around a page that is touched
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class MappedRows(StoredRows):
    """Rows of a mapped array, in the type and shape that a data set has them in.

    Parameters
    ----------
    array : memmap of shape (n, ...)
        Its rows one after another.
    dtype : dtype
        Of the values that are given; what is read is converted.
    event_shape : tuple of int
        Shape of one example.
    limit : int
        The memory that the data were too large for, in bytes.
    """

    decoded = False

    def __init__(self, array: np.memmap, dtype: Any, event_shape: tuple[int, ...], limit: int) -> None:
        super().__init__(dtype, (len(array), *event_shape), limit)
        self._mapping: mmap.mmap = array._mmap  # type: ignore[attr-defined]
        self._drops = array.mode == "r" and hasattr(mmap, "MADV_DONTNEED")
        self._memmap, self._array = array, np.asarray(array)
        self._touched = 0

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Copy rows, and hand pages back before there are many."""
        around = 0 if isinstance(where, slice) else _AROUND
        count = len(self._array[where]) if isinstance(where, slice) else len(where)
        touched = count * (self._array[:1].nbytes + around)
        if self._drops and self._touched and self._touched + touched > _HELD:
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
        block = self._array[where]
        block = block.astype(self.dtype, copy=isinstance(where, slice)).reshape(-1, *self.shape[1:])
        self._touched += touched
        return block


def mapped_dataset(array: np.memmap, *, source: str, limit: int) -> Dataset | None:
    """Leave an array where it is, as a data set; None where it fits under the limit, and is better read.

    Parameters
    ----------
    array : memmap of shape (n, columns), (n, height, width) or (n, channels, height, width)
    source : str
        What to call it in messages.
    limit : int
        Memory that the data may take, in bytes.

    Raises
    ------
    DataError
        For what :func:`vaekit.data.arrays.dataset_from_array` refuses, and for an array that is too large and not
        stored row by row.
    """
    if getattr(array, "_mmap", None) is None or array.ndim < 2 or not array.size:
        return None
    row = dataset_from_array(np.array(array[:1]), source=source)
    needed = bytes_in_memory(len(array), row.event_shape, row.values.dtype)
    if needed <= limit:
        return None
    if not array[0].flags.c_contiguous:
        raise DataError(
            f"{source}: stored column by column (Fortran order), so that every row is spread over the whole file, and "
            f"too large to be read first ({needed:,} bytes, with a limit of {limit:,}); save it row by row "
            "(numpy.lib.format.open_memmap, filled some rows at a time), or raise the memory limit"
        )
    rows = MappedRows(array, row.values.dtype, row.event_shape, limit)
    # it has what is asked of an array here: type, shape, and rows by slice and index
    return Dataset(cast(np.ndarray, rows), row.kind, row.columns, None, None, source)


def memory_limit(text: "str | int | None") -> int:
    """Read a limit in bytes; None is a quarter of the machine's memory.

    Raises
    ------
    UsageError
        For what is no positive number of bytes.

    Examples
    --------
    >>> memory_limit("2GB"), memory_limit("300 MB"), memory_limit(4096)
    (2000000000, 300000000, 4096)
    """
    if text is None:
        return _machine_memory() // 4
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)b?\s*", str(text).lower())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < 1:
        raise UsageError(f"memory limit {text!r}: give a size such as 2GB or 500MB")
    return size


def _machine_memory() -> int:
    """What there is, or what a container was given of it; 8 GB where the system does not say."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 10**9
    try:
        given = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(given)) if given.isdigit() else total
