"""Write rows as they come, block by block: no more than one block is in memory.

``.npy``, ``.csv`` and ``.tsv`` only; the other formats are written in one piece, from memory, and so are results that
are small.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from vaekit.data.writers import names_for, table_frame, text_dialect, write, write_atomically
from vaekit.errors import DataError

__all__ = ["write_blocks"]

_BY_BLOCKS = (".npy", ".csv", ".tsv")


def write_blocks(
    path: "str | os.PathLike[str]",
    blocks: Iterable[np.ndarray],
    *,
    rows: int,
    columns: Sequence[str] | None = None,
    categories: "Sequence[Sequence[str] | None] | None" = None,
    images: bool | None = None,
) -> tuple[int, ...]:
    """Write blocks of rows one after another, whole or not at all: the bytes that :func:`vaekit.data.write` would.

    Parameters
    ----------
    path : str or path
        In one of the formats of :func:`vaekit.data.write`; other than ``.npy``, ``.csv`` and ``.tsv``, blocks are first
        put together in memory.
    blocks : iterable of ndarray of shape (m, ...)
        At least one; the same type and shape of rows in each.
    rows : int
        How many there are in all.
    columns, categories, images
        As for :func:`vaekit.data.write`.

    Returns
    -------
    tuple of int
        The shape of what was written.

    Raises
    ------
    DataError
        As :func:`vaekit.data.write` does, and if the blocks have another number of rows in all.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shape = write_blocks(f"{folder}/out.csv", (np.full((2, 1), i) for i in range(2)), rows=4)
    ...     print(shape, Path(f"{folder}/out.csv").read_text().split())
    (4, 1) ['x0', '0', '0', '1', '1']
    """
    path = Path(path).expanduser()
    ending = path.suffix.lower()
    if ending not in _BY_BLOCKS:
        array = np.concatenate(list(blocks))
        write(path, array, columns=columns, categories=categories, images=images)
        return array.shape
    iterator = iter(blocks)
    first = next(iterator)
    shape = (rows, *first.shape[1:])
    counted = _counted(itertools.chain([first], iterator), shape, path)
    if ending == ".npy":
        write_atomically(path, lambda file: _write_npy(file, counted, shape, first.dtype))
    else:
        names = names_for(path, first, columns)
        write_atomically(path, lambda file: _write_text(file, counted, names, categories, ending))
    return shape


def _counted(blocks: Iterable[np.ndarray], shape: tuple[int, ...], path: Path) -> Iterator[np.ndarray]:
    """Pass blocks on, and hold them against what was announced."""
    done = 0
    for block in blocks:
        if block.shape[1:] != shape[1:]:
            raise DataError(f"{path}: rows of shape {block.shape[1:]} after rows of shape {shape[1:]}")
        done += len(block)
        yield block
    if done != shape[0]:
        raise DataError(f"{path}: {done:,} rows to write, where {shape[0]:,} were announced")


def _write_npy(
    file: IO[bytes], blocks: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype
) -> None:
    header = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, header)
    for block in blocks:
        file.write(np.ascontiguousarray(block, dtype=dtype).data)


def _write_text(
    file: IO[bytes],
    blocks: Iterable[np.ndarray],
    columns: Sequence[str],
    categories: "Sequence[Sequence[str] | None] | None",
    ending: str,
) -> None:
    header = True
    for block in blocks:
        table_frame(block, columns, categories).to_csv(file, header=header, **text_dialect(ending))
        header = False
