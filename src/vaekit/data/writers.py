"""Writers of results: tables, arrays and pictures, in the format that the ending of the file names.

Everything is written to a temporary file beside the target, synced, and renamed: after a full disk, an error
or an interrupt the previous file is still there. Rows of ``.npy``, ``.csv`` and ``.tsv`` can also be written
block by block, with one block in memory at a time.
"""

import importlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format

from vaekit.data.messages import plural
from vaekit.data.output_files import output_ending, write_atomically
from vaekit.data.pictures import write_grid
from vaekit.data.restoring import restore_array
from vaekit.data.result_tables import TABLES, TableForm, names_for, write_frames
from vaekit.data.schema import Schema
from vaekit.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENDINGS", "check_output", "write", "write_blocks", "write_frame"]

ENDINGS = (".csv", ".tsv", ".npy", ".npz", ".parquet", ".json", ".png")
_BY_BLOCKS = (".npy", ".csv", ".tsv", ".json")


def write(
    path: "str | os.PathLike[str]",
    array: Any,
    *,
    columns: Sequence[str] | None = None,
    categories: "Sequence[Sequence[object] | None] | None" = None,
    images: bool | None = None,
    white: float | None = None,
    schema: Schema | None = None,
    conditions: Mapping[str, np.ndarray] | None = None,
    beside: "pd.DataFrame | None" = None,
) -> tuple[int, ...]:
    """Write an array to a file, in the format its ending names.

    Parameters
    ----------
    path : str or path
        ``.csv``, ``.tsv`` (floats with as many digits as reading them back exactly takes), ``.npy``, ``.npz``
        (arrays ``X`` and, for tables with names, ``columns``), ``.parquet``, ``.json`` (a list of objects, null for
        NaN and infinity), or ``.png`` (a grid of pictures). ``-`` is the standard output, as ``.csv``, and ``-.json``
        and the like the standard output in another format.
    array : array_like of shape (n,), (n, columns), (n, height, width) or (n, channels, height, width)
        In the four formats of tables, an image becomes a row of pixels.
    columns : sequence of str, optional
        Names of the columns; ``x0``, ``x1``... by default.
    categories : sequence of (sequence of str, or None), optional
        For each column of categories their names; the formats of tables get the names, ``.npy`` and ``.npz``
        the numbers.
    images : bool, optional
        Whether the examples are images, as ``.png`` needs; by default whether there are three or four
        dimensions.
    white : float, optional
        The value shown as white in a ``.png``: by default 1 where no value is larger, and 255 otherwise.
    schema : Schema, optional
        Of a model whose data the array holds: they are written in the types of its training data, as
        :mod:`vaekit.data.restoring` says. ``columns``, ``categories`` and ``images`` are then those of the
        schema.
    conditions : mapping of str to ndarray of shape (n,), optional
        The conditions that the rows were made under: columns of a table, and nothing in other formats.
    beside : DataFrame, optional
        Columns of a table to write first, unchanged; the other formats have no place for them.

    Returns
    -------
    tuple of int
        The shape of what was written.

    Raises
    ------
    DataError
        For an unknown ending, a picture of a table, a folder that is missing or cannot be written, a full
        disk.
    MissingExtraError
        For a format whose optional dependency is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shape = write(f"{folder}/out.csv", [[0.1, 2.0]], columns=["a", "b"])
    ...     print(Path(f"{folder}/out.csv").read_text(), end="")
    a,b
    0.1,2.0
    """
    path = Path(path).expanduser()
    if "\0" in str(path):
        raise DataError(f"{str(path)!r}: a zero byte in the name of a file; choose another name")
    values = np.asarray(array)
    ending = output_ending(path)
    restored = values
    if schema is not None:
        columns, categories, images = schema.column_names, schema.categories, schema.kind == "images"
        if ending != ".png" and not (schema.kind == "table" and ending in TABLES):
            restored = restore_array(schema, values, layout=ending not in TABLES)
    check_output(path, beside=beside)
    values = restored
    if values.dtype.kind not in "buif":
        raise DataError(f"{path}: an array of type {values.dtype}; only numbers are written")
    if ending == ".npy":
        write_atomically(path, lambda file: np.save(file, values, allow_pickle=False))
    elif ending == ".png":
        if not (values.ndim in (3, 4) if images is None else images):
            raise DataError(
                f"{path}: a picture was asked for, of {plural(len(values), 'row')} that are no images (shape "
                f"{values.shape}); expected .csv, .tsv, .npy, .npz, .parquet or .json"
            )
        write_atomically(path, lambda file: write_grid(file, values, name=str(path), white=white))
    elif ending == ".npz":
        extra: dict[str, Any] = (
            {} if columns is None else {"columns": np.array(names_for(path, values, columns))}
        )
        write_atomically(path, lambda file: np.savez_compressed(file, X=values, **extra))
    else:
        table = schema if schema is not None and schema.kind == "table" else None
        form = TableForm(
            path=path,
            columns=columns,
            categories=categories,
            schema=table,
            conditions=conditions,
            beside=beside,
        )
        _write_frame(path, form.frame(values), ending, missing=_missing_text(schema))
    return values.shape


def check_output(path: Path, *, beside: "pd.DataFrame | None" = None) -> None:
    """Refuse an output of an unknown ending, and columns to keep where there is no table to keep them in.

    Raises
    ------
    DataError
        Naming the endings that there are.
    """
    ending = output_ending(path)
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: unknown ending {path.suffix!r} for an output; expected one of {', '.join(ENDINGS)}"
        )
    if beside is not None and ending not in TABLES:
        raise DataError(f"{path}: columns are kept in tables alone; expected one of {', '.join(TABLES)}")


def write_frame(path: "str | os.PathLike[str]", frame: "pd.DataFrame") -> None:
    """Write a data frame, which may hold text, to a ``.csv``, ``.tsv`` or ``.parquet``.

    Raises
    ------
    DataError
        For another ending, and as :func:`write_atomically`.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in TABLES:
        raise DataError(
            f"{path}: unknown ending {path.suffix!r} for a table; expected one of {', '.join(TABLES)}"
        )
    _write_frame(path, frame, path.suffix.lower(), "")


def _write_frame(path: Path, frame: "pd.DataFrame", ending: str, missing: str) -> None:
    if ending == ".parquet":
        try:
            importlib.import_module("pyarrow")
        except ImportError as error:
            raise MissingExtraError.for_extra("writing parquet", "parquet") from error
        write_atomically(path, lambda file: frame.to_parquet(file, index=False))
        return
    write_atomically(path, lambda file: write_frames(file, [frame], ending, missing))


def _missing_text(schema: Schema | None) -> str:
    """Return what stands for a missing value in text: rows of data have empty fields, as they had."""
    return "NaN" if schema is None else ""


def write_blocks(
    path: "str | os.PathLike[str]",
    blocks: Iterable[np.ndarray],
    *,
    rows: int,
    columns: Sequence[str] | None = None,
    categories: "Sequence[Sequence[object] | None] | None" = None,
    images: bool | None = None,
    schema: Schema | None = None,
    conditions: Mapping[str, np.ndarray] | None = None,
    beside: "pd.DataFrame | None" = None,
) -> tuple[int, ...]:
    """Write blocks of rows one after another: the bytes that :func:`vaekit.data.write` would, whole or not at all.

    Parameters
    ----------
    path : str or path
        In one of the formats of :func:`vaekit.data.write`; for formats other than ``.npy``, ``.csv``,
        ``.tsv`` and ``.json``, blocks are first joined in memory.
    blocks : iterable of ndarray of shape (m, ...)
        At least one; the same type and shape of rows in each.
    rows : int
        Number of rows of all blocks together.
    columns, categories, images, schema, conditions, beside
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
    ending = output_ending(path)
    if ending not in _BY_BLOCKS:
        return write(
            path,
            np.concatenate(list(blocks)),
            columns=columns,
            categories=categories,
            images=images,
            schema=schema,
            conditions=conditions,
            beside=beside,
        )
    check_output(path, beside=beside)
    table = schema if schema is not None and schema.kind == "table" and ending in TABLES else None
    if schema is not None and table is None:
        blocks = (restore_array(schema, block, layout=ending not in TABLES) for block in blocks)
    iterator = iter(blocks)
    first = next(iterator)
    shape = (rows, *first.shape[1:])
    counted = _counted(itertools.chain([first], iterator), shape, path)
    if ending == ".npy":
        write_atomically(path, lambda file: _write_npy(file, counted, shape, first.dtype))
        return shape
    form = TableForm(
        path=path, columns=columns, categories=categories, schema=table, conditions=conditions, beside=beside
    )
    missing = _missing_text(schema)
    write_atomically(path, lambda file: write_frames(file, _frames(form, counted), ending, missing))
    return shape


def _frames(form: TableForm, blocks: Iterable[np.ndarray]) -> "Iterator[pd.DataFrame]":
    start = 0
    for block in blocks:
        yield form.frame(block, start)
        start += len(block)


def _counted(blocks: Iterable[np.ndarray], shape: tuple[int, ...], path: Path) -> Iterator[np.ndarray]:
    """Yield blocks after checking the shape of each, and at the end the number of rows."""
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
