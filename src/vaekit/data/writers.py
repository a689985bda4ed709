"""Writers of results: tables, arrays and pictures, in the format that the ending of the file names.

Everything is written to a temporary file beside the target, synced, and renamed: after a full disk, an error
or an interrupt the previous file is still there. Rows of ``.npy``, ``.csv`` and ``.tsv`` can also be written
block by block, with one block in memory at a time.
"""

import errno
import functools
import importlib
import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format

from vaekit.data.dataset import made_up_names
from vaekit.data.messages import plural
from vaekit.data.pictures import write_grid
from vaekit.data.restoring import restore_array, restore_table
from vaekit.data.schema import Schema
from vaekit.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENDINGS", "write", "write_atomically", "write_blocks", "write_text"]

ENDINGS = (".csv", ".tsv", ".npy", ".npz", ".parquet", ".png")
_BY_BLOCKS = (".npy", ".csv", ".tsv")
_TABLES = (".csv", ".tsv", ".parquet")


def write(
    path: "str | os.PathLike[str]",
    array: Any,
    *,
    columns: Sequence[str] | None = None,
    categories: "Sequence[Sequence[str] | None] | None" = None,
    images: bool | None = None,
    white: float | None = None,
    schema: Schema | None = None,
) -> tuple[int, ...]:
    """Write an array to a file, in the format its ending names.

    Parameters
    ----------
    path : str or path
        ``.csv``, ``.tsv`` (floats with as many digits as reading them back exactly takes), ``.npy``, ``.npz``
        (arrays ``X`` and, for tables with names, ``columns``), ``.parquet``, or ``.png`` (a grid of
        pictures).
    array : array_like of shape (n,), (n, columns), (n, height, width) or (n, channels, height, width)
        In the three formats of tables, an image becomes a row of pixels.
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
    ending = path.suffix.lower()
    frame = None
    if schema is not None:
        columns, categories, images = schema.column_names, schema.categories, schema.kind == "images"
        if schema.kind == "table" and ending in _TABLES:
            frame = restore_table(schema, values)
        elif ending != ".png":
            values = restore_array(schema, values, layout=ending not in _TABLES)
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: unknown ending {path.suffix!r} for an output; expected one of {', '.join(ENDINGS)}"
        )
    if values.dtype.kind not in "buif":
        raise DataError(f"{path}: an array of type {values.dtype}; only numbers are written")
    if ending == ".npy":
        write_atomically(path, lambda file: np.save(file, values, allow_pickle=False))
    elif ending == ".png":
        if not (values.ndim in (3, 4) if images is None else images):
            raise DataError(
                f"{path}: a picture was asked for, of {plural(len(values), 'row')} that are no images (shape "
                f"{values.shape}); expected .csv, .tsv, .npy, .npz or .parquet"
            )
        write_atomically(path, lambda file: write_grid(file, values, name=str(path), white=white))
    elif ending == ".npz":
        extra: dict[str, Any] = (
            {} if columns is None else {"columns": np.array(names_for(path, values, columns))}
        )
        write_atomically(path, lambda file: np.savez_compressed(file, X=values, **extra))
    else:
        frame = table_frame(values, names_for(path, values, columns), categories) if frame is None else frame
        _write_frame(path, frame, ending, missing="NaN" if schema is None else "")
    return values.shape


def write_atomically(path: Path, fill: "Callable[[IO[bytes]], Any]") -> None:
    """Write a file whole or not at all: ``fill`` writes a temporary file, which is synced and renamed.

    Raises
    ------
    DataError
        Where the folder is missing or cannot be written, the disk is full, or ``path`` is a folder. The
        target is then as it was, and the temporary file is gone.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # not mkstemp, whose files only their owner may read
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {_reason(error, target)}") from error


def write_text(path: "str | os.PathLike[str]", text: str) -> None:
    """Write text (a page, say) as `write_atomically` does."""
    write_atomically(Path(path).expanduser(), lambda file: file.write(text.encode()))


def _write_frame(path: Path, frame: "pd.DataFrame", ending: str, missing: str) -> None:
    if ending == ".parquet":
        try:
            importlib.import_module("pyarrow")
        except ImportError as error:
            raise MissingExtraError.for_extra("writing parquet", "parquet") from error
        write_atomically(path, lambda file: frame.to_parquet(file, index=False))
        return
    write_atomically(path, lambda file: frame.to_csv(file, **text_dialect(ending, missing)))


def table_frame(
    values: np.ndarray, names: Sequence[str], categories: "Sequence[Sequence[str] | None] | None"
) -> "pd.DataFrame":
    """Return the data frame to write, with the names of categories in place of their numbers."""
    import pandas as pd

    # float16 is widened: neither format can hold it
    table = values.astype(np.float32) if values.dtype == np.float16 else values
    frame = pd.DataFrame(table.reshape(-1, len(names)), columns=list(names))
    for name, texts in zip(names, categories or (), strict=False):
        if texts is not None:
            frame[name] = np.array([*texts], dtype=object)[frame[name].to_numpy().astype(np.int64)]
    return frame


def text_dialect(ending: str, missing: str = "NaN") -> dict[str, Any]:
    """Return the options of ``DataFrame.to_csv`` for a file with this ending, and the text of missing values."""
    separator = "," if ending == ".csv" else "\t"
    return {"index": False, "sep": separator, "lineterminator": "\n", "na_rep": missing}


def names_for(path: Path, values: np.ndarray, columns: Sequence[str] | None) -> list[str]:
    """Return a name for each number of an example."""
    count = 1 if values.ndim < 2 else int(np.prod(values.shape[1:]))
    names = made_up_names(count) if columns is None else tuple(str(name) for name in columns)
    if len(names) != count:
        raise DataError(f"{path}: {plural(len(names), 'column name')} for {plural(count, 'column')}")
    return list(names)


def _reason(error: OSError, target: Path) -> str:
    if error.errno == errno.ENOENT:
        return f"there is no folder {str(target.parent)!r}; make it first"
    if error.errno == errno.ENOTDIR:
        return f"{str(target.parent)!r} is not a folder"
    if error.errno == errno.EISDIR:
        return "it is a folder; name a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make room or choose another place"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder {str(target.parent)!r} may not be written to ({error.strerror})"
    return error.strerror or str(error)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it survives a crash, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def write_blocks(
    path: "str | os.PathLike[str]",
    blocks: Iterable[np.ndarray],
    *,
    rows: int,
    columns: Sequence[str] | None = None,
    categories: "Sequence[Sequence[str] | None] | None" = None,
    images: bool | None = None,
    schema: Schema | None = None,
) -> tuple[int, ...]:
    """Write blocks of rows one after another: the bytes that :func:`vaekit.data.write` would, whole or not at all.

    Parameters
    ----------
    path : str or path
        In one of the formats of :func:`vaekit.data.write`; for formats other than ``.npy``, ``.csv`` and
        ``.tsv``, blocks are first joined in memory.
    blocks : iterable of ndarray of shape (m, ...)
        At least one; the same type and shape of rows in each.
    rows : int
        Number of rows of all blocks together.
    columns, categories, images, schema
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
        return write(path, array, columns=columns, categories=categories, images=images, schema=schema)
    frames: Callable[[np.ndarray], pd.DataFrame] | None = None
    missing = "NaN" if schema is None else ""  # rows of data have empty fields, as they had
    if schema is not None and schema.kind == "table" and ending in _TABLES:
        frames = functools.partial(restore_table, schema)
    elif schema is not None:
        blocks = (restore_array(schema, block, layout=ending not in _TABLES) for block in blocks)
    iterator = iter(blocks)
    first = next(iterator)
    shape = (rows, *first.shape[1:])
    counted = _counted(itertools.chain([first], iterator), shape, path)
    if ending == ".npy":
        write_atomically(path, lambda file: _write_npy(file, counted, shape, first.dtype))
    else:
        if frames is None:
            frames = functools.partial(
                table_frame, names=names_for(path, first, columns), categories=categories
            )
        write_atomically(
            path, lambda file: _write_text(file, map(frames, counted), text_dialect(ending, missing))
        )
    return shape


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


def _write_text(file: IO[bytes], frames: "Iterable[pd.DataFrame]", dialect: dict[str, Any]) -> None:
    for number, frame in enumerate(frames):
        frame.to_csv(file, header=number == 0, **dialect)
