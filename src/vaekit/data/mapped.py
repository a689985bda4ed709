"""Rows that stay in their file: an array mapped into memory, read block by block.

Blocks are read from the file rather than from the mapping. Touching a page of a mapping makes the system map
others around it, up to the whole file, and they count as memory of the process. Where there is no file to
read from, the mapped pages are returned to the system every 64 MiB.
"""

import mmap
import os
import re
from pathlib import Path
from typing import Any, cast
from weakref import finalize

import numpy as np

from vaekit.data.arrays import channels_first, dataset_from_array, image_layout
from vaekit.data.dataset import Dataset
from vaekit.data.stored import StoredRows, bytes_in_memory
from vaekit.errors import DataError, UsageError

__all__ = ["MappedRows", "mapped_dataset", "memory_limit"]

_HELD = 64 * 2**20  # bytes of mapped pages before they are handed back
_AROUND = 64 * 2**10  # bytes that the system maps around a page that is touched
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class MappedRows(StoredRows):
    """Rows of a mapped array, with the type and shape that a data set gives them.

    Parameters
    ----------
    array : memmap of shape (n, ...)
        Stored row by row.
    dtype : dtype
        Type that rows are converted to.
    event_shape : tuple of int
        Shape of one example.
    limit : int
        The memory limit that the data exceeded, in bytes.
    """

    decoded = False

    def __init__(self, array: np.memmap, dtype: Any, event_shape: tuple[int, ...], limit: int) -> None:
        super().__init__(dtype, (len(array), *event_shape), limit)
        self._mapping: mmap.mmap = array._mmap  # type: ignore[attr-defined]
        self._drops = array.mode == "r" and hasattr(mmap, "MADV_DONTNEED")
        self._memmap, self._array = array, np.asarray(array)
        self._touched = 0
        self._file = _File.of(array)

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Return a copy of rows, by slice or numbers."""
        block = self._mapped(where) if self._file is None else self._read(where, self._file)
        block = block.astype(self.dtype, copy=False)
        if block.ndim > 2:
            block = channels_first(block, image_layout(self._array.shape))
        return np.ascontiguousarray(block).reshape(-1, *self.shape[1:])

    def _read(self, where: "slice | np.ndarray", file: "_File") -> np.ndarray:
        """Return rows read from the file; consecutive rows are read at once."""
        rows = np.arange(len(self._array))[where] if isinstance(where, slice) else np.asarray(where)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = np.where(rows < 0, rows + len(self._array), rows)
        out = np.empty((len(rows), *self._array.shape[1:]), dtype=self._array.dtype)
        stride, length = self._array.strides[0], out[:1].nbytes
        follows = np.diff(rows) == 1 if stride == length else np.zeros(max(len(rows) - 1, 0), dtype=bool)
        starts = [0, *(np.flatnonzero(~follows) + 1).tolist()] if len(rows) else []
        content = memoryview(cast(Any, out.view(np.uint8).reshape(-1))) if len(rows) else memoryview(b"")
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            file.read(content[start * length : end * length], int(rows[start]) * stride)
        return out

    def _mapped(self, where: "slice | np.ndarray") -> np.ndarray:
        """Return rows copied from the mapping; pages are returned to the system before there are many."""
        around = 0 if isinstance(where, slice) else _AROUND
        count = len(self._array[where]) if isinstance(where, slice) else len(where)
        touched = count * (self._array[:1].nbytes + around)
        if self._drops and self._touched and self._touched + touched > _HELD:
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
        self._touched += touched
        return self._array[where].copy() if isinstance(where, slice) else self._array[where]


class _File:
    """The file of a mapped array, open for reading.

    Parameters
    ----------
    descriptor : int
    offset : int
        Where the array begins in the file, in bytes.
    """

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor, self._offset = descriptor, offset
        finalize(self, os.close, descriptor)

    @classmethod
    def of(cls, array: np.memmap) -> "_File | None":
        """Return the open file of an array; None where the file cannot stand in for the array."""
        name = array.filename
        if name is None or array.mode == "c" or not hasattr(os, "preadv") or array.strides[0] <= 0:
            return None
        mapping = np.frombuffer(array._mmap, dtype=np.uint8)  # type: ignore[attr-defined]
        inside = array.ctypes.data - mapping.ctypes.data
        try:
            descriptor = os.open(name, os.O_RDONLY)
        except OSError:
            return None
        return cls(descriptor, array.offset - array.offset % mmap.ALLOCATIONGRANULARITY + inside)

    def read(self, into: memoryview, at: int) -> None:
        """Fill a buffer with the bytes of the array from position ``at`` on.

        Raises
        ------
        DataError
            If the file has become shorter.
        """
        done = 0
        while done < len(into):
            count = os.preadv(self._descriptor, [into[done:]], self._offset + at + done)
            if count == 0:
                raise DataError(
                    "the file of an array has become shorter while it was read; leave it as it is"
                )
            done += count


def mapped_dataset(array: np.memmap, *, source: str, limit: int) -> Dataset | None:
    """Return an array as a data set that leaves the rows in their file; None where it fits under the limit.

    Parameters
    ----------
    array : memmap
        Of a shape that :func:`vaekit.data.arrays.dataset_from_array` reads.
    source : str
        Name of the data in messages.
    limit : int
        Memory that the data may take, in bytes.

    Raises
    ------
    DataError
        As :func:`vaekit.data.arrays.dataset_from_array` does, and for an array that is too large and not
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
            f"{source}: stored column by column (Fortran order), so that every row is spread over the whole "
            f"file, and too large to be read first ({needed:,} bytes, with a limit of {limit:,}); save it "
            "row by row (numpy.lib.format.open_memmap, filled some rows at a time), or raise the memory limit"
        )
    rows = MappedRows(array, row.values.dtype, row.event_shape, limit)
    # StoredRows offers what a data set asks of an array: type, shape, rows by slice and index
    values = cast(np.ndarray, rows)
    return Dataset(
        values, row.kind, row.columns, None, None, source, layout=row.layout, stored_as=row.stored_as
    )


def memory_limit(text: "str | int | None") -> int:
    """Return a memory limit in bytes; None is a quarter of the machine's memory.

    Raises
    ------
    UsageError
        For a text that is not a positive number of bytes.

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
    """Return the memory of the machine or its container, in bytes; 8 GB where the system does not say."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 10**9
    try:
        given = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(given)) if given.isdigit() else total
