"""Reader of ``.parquet`` (the extra ``parquet``): as a whole, or left in its file and decoded by row groups."""

import hashlib
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from vaekit.data.dataset import Dataset, StoredAs
from vaekit.data.frame_columns import text_categories
from vaekit.data.frames import (
    check_names,
    column_as_found,
    dataset_from_frame,
    label_values,
    unneeded_columns,
)
from vaekit.data.messages import ignored_columns, one_line
from vaekit.data.stored import StoredRows, bytes_in_memory
from vaekit.errors import DataError, MissingExtraError

__all__ = ["ParquetRows", "read_parquet"]

_SHARE_FOR_A_GROUP = 2  # of the limit: one row group on its way, decoded and as 64-bit floats
_TEXTS_AT_MOST = 10_000  # different values of a column, before it is refused


def read_parquet(
    path: Path,
    *,
    label: str | None = None,
    conditions: Sequence[str] = (),
    memory_limit: int | None = None,
    keep: Sequence[str] = (),
    only: Mapping[str, bool] | None = None,
    categorical: Collection[str] = (),
    missing_values: Sequence[str] = (),
) -> Dataset:
    """Return the table of a file; where it needs more than ``memory_limit`` bytes, its rows stay in the file.

    Raises
    ------
    DataError
        For a file that is not Parquet or is damaged, and as `dataset_from_frame` does.
    MissingExtraError
        Without pyarrow.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError.for_extra("reading parquet", "parquet") from error
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; expected Parquet")
    if memory_limit is not None:
        dataset = parquet_dataset(
            path,
            limit=memory_limit,
            label=label,
            conditions=conditions,
            keep=keep,
            only=only,
            categorical=categorical,
        )
        if dataset is not None:
            return dataset
    try:
        table = pyarrow.parquet.read_table(path)
        frame = table.to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: truncated, corrupt or no Parquet ({one_line(error)}); save it again"
        ) from error
    frame = frame.reset_index(drop=True)
    data = dataset_from_frame(
        frame,
        source=str(path),
        label=label,
        conditions=conditions,
        keep=keep,
        only=only,
        missing_values=missing_values,
        categorical=categorical,
    )
    # pandas makes floats of whole numbers beside missing ones; the file knows better
    types = {**(data.stored_as or {}), **_types(table.schema, data.columns or ())}
    return replace(data, stored_as=types or None)


class ParquetRows(StoredRows):
    """Rows of a Parquet file, decoded as 64-bit floats when they are read.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
    path : Path
        Path of the file, for messages.
    columns : sequence of str
        The columns to read, in order.
    categories : mapping of str to sequence of str
        The different values of each column that holds text.
    limit : int
        The memory limit that the data exceeded, in bytes.
    """

    def __init__(
        self,
        file: Any,
        path: Path,
        columns: Sequence[str],
        categories: Mapping[str, Sequence[str]],
        limit: int,
    ) -> None:
        super().__init__(np.float64, (file.metadata.num_rows, len(columns)), limit)
        self._file, self._path, self._columns, self._categories = file, path, list(columns), dict(categories)
        groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)
        self._hash: list[str] = []

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Return rows; their row groups are decoded one after another, and the last one is kept."""
        rows = np.arange(*where.indices(int(self._starts[-1]))) if isinstance(where, slice) else where
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = np.where(rows < 0, rows + self._starts[-1], rows)
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        out = np.empty((len(rows), len(self._columns)))
        for group in np.unique(groups):
            here = groups == group
            out[here] = self._group(int(group))[rows[here] - self._starts[group]]
        return out

    def _group(self, group: int) -> np.ndarray:
        if self._kept is None or self._kept[0] != group:
            self._kept = None  # before there are two
            with _reading(self._path):
                table = self._file.read_row_group(group, columns=self._columns)
                values = np.empty((table.num_rows, len(self._columns)))
                for j, name in enumerate(self._columns):
                    values[:, j] = _numbers(table.column(name), self._categories.get(name))
            self._kept = (group, values)
        return self._kept[1]

    def pieces(self) -> np.ndarray:
        """Return the first row of each row group."""
        if self._rows is None:
            return self._starts[:-1]
        starts = np.searchsorted(self._rows, self._starts[:-1])
        return np.unique(starts[starts < len(self._rows)])

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file's bytes, the names of the columns, and the numbers of the rows."""
        if not self._hash:
            with self._path.open("rb") as file:
                self._hash.append(hashlib.file_digest(file, "sha256").hexdigest())
        digest = hashlib.sha256(repr((self._hash[0], self._columns)).encode())
        if self._rows is not None:
            digest.update(self._rows.data)
        return digest.hexdigest()


def parquet_dataset(
    path: Path,
    *,
    limit: int,
    label: str | None = None,
    conditions: Sequence[str] = (),
    keep: Sequence[str] = (),
    only: Mapping[str, bool] | None = None,
    categorical: Collection[str] = (),
) -> Dataset | None:
    """Return a table as a data set that leaves the rows in their file; None where it fits under the limit.

    The label, the conditions, the columns to keep, and the different values of columns of text are read at once.

    Parameters
    ----------
    path : Path
    limit : int
        Memory that the data may take, in bytes.
    label, conditions, keep, only, categorical
        As for :func:`vaekit.data.read`.

    Raises
    ------
    DataError
        As :func:`vaekit.data.frames.dataset_from_frame` does, for text of many different values, and for row
        groups that are too large for the limit.
    """
    import pandas as pd
    import pyarrow.parquet

    with _reading(path):
        file = pyarrow.parquet.ParquetFile(path)
    stored = (file.schema_arrow.pandas_metadata or {}).get("index_columns", [])
    names = [name for name in file.schema_arrow.names if name not in stored]
    taken = [name for name in (label, *conditions) if name in names]
    unneeded = unneeded_columns(names, only, [name for name in taken if name is not None])
    columns = [name for name in names if name not in taken and name not in unneeded]
    rows = file.metadata.num_rows
    if not columns or bytes_in_memory(rows, (len(columns),), np.float64) <= limit:
        return None
    source = str(path)
    check_names(names, source, label=label, conditions=conditions, keep=keep)
    _refuse_large_groups(file, source, len(columns), limit)
    found_in = {name: _texts(file, path, name, categorical=name in categorical) for name in columns}
    categories = {name: texts for name, texts in found_in.items() if texts is not None}
    values = ParquetRows(file, path, columns, categories, limit)
    texts = tuple(categories.get(name) for name in columns) if categories else None
    # StoredRows offers what a data set asks of an array: type, shape, rows by slice and index
    data = Dataset(cast(np.ndarray, values), "table", tuple(columns), None, None, source, texts)
    data = replace(data, stored_as=_types(file.schema_arrow, columns) or None)
    if ignored := [name for name in unneeded if name not in keep]:
        data = replace(data, notes=(ignored_columns(ignored),))
    if keep:
        with _reading(path):  # compact, as it stands in the file
            kept = file.read(columns=list(keep)).to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
        data = replace(data, kept=kept)
    if not taken:
        return data
    with _reading(path):
        frame = file.read(columns=taken).to_pandas().reset_index(drop=True)
    labels = None if label is None else label_values(frame[label])
    found = {name: column_as_found(frame[name]) for name in conditions if name in names}
    return replace(data, labels=labels, conditions=found or None)


def _types(schema: Any, columns: Sequence[str]) -> dict[str, StoredAs]:
    """Return the types of the columns of whole numbers and of booleans, by name."""
    from pyarrow import types

    found: dict[str, StoredAs] = {}
    for name in columns:
        kind = schema.field(name).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if types.is_integer(kind) or types.is_boolean(kind):
            found[name] = "integer" if types.is_integer(kind) else "boolean"
    return found


def _refuse_large_groups(file: Any, source: str, columns: int, limit: int) -> None:
    largest = max(file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups))
    each = bytes_in_memory(1, (columns,), np.float64)
    allowed = max(1, limit // _SHARE_FOR_A_GROUP // each)
    if largest > allowed:
        raise DataError(
            f"{source}: row groups of up to {largest:,} rows, {largest * each:,} bytes in memory, in a file "
            f"too large to be read as a whole; the memory limit of {limit:,} bytes takes {allowed:,} rows at "
            "a time: write the file again with smaller row groups (DataFrame.to_parquet(path, "
            f"row_group_size={max(allowed // 8, 1)})), or raise the memory limit"
        )


def _texts(file: Any, path: Path, name: str, *, categorical: bool) -> "tuple[str, ...] | None":
    """Return the different values of a column of text; None for numbers."""
    import pyarrow

    kind = file.schema_arrow.field(name).type
    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    types = pyarrow.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return None
    if types.is_temporal(kind):
        raise DataError(
            f"{path}: column {name!r} holds dates or durations; expected numbers, such as days since a date"
        )
    if not (types.is_string(kind) or types.is_large_string(kind)):
        raise DataError(f"{path}: column {name!r} holds {kind}; expected numbers or text")
    counts: Counter[str | None] = Counter()
    for group in range(file.metadata.num_row_groups):
        with _reading(path):
            column = file.read_row_group(group, columns=[name]).column(name)
            for entry in _plain(column).value_counts().to_pylist():
                counts[entry["values"]] += entry["counts"]
        if len(counts) > _TEXTS_AT_MOST:
            raise DataError(
                f"{path}: column {name!r} holds text of more than {_TEXTS_AT_MOST:,} different values, for "
                f"instance {next(iter(filter(None, counts)), '')!r:.60}; expected numbers, or few "
                f"categories: store numbers as numbers, remove it, or give fit_and_prove "
                f"label={name!r} to keep it for colouring only"
            )
    return text_categories(counts, name, str(path), categorical=categorical)


def _plain(column: Any) -> Any:
    """Return a column with its dictionary encoding undone."""
    import pyarrow

    kind = column.type
    return column.cast(kind.value_type) if pyarrow.types.is_dictionary(kind) else column


def _numbers(column: Any, texts: "Sequence[str] | None") -> np.ndarray:
    """Return a column as 64-bit floats: NaN where missing; for text, positions among its categories."""
    import pyarrow
    import pyarrow.compute

    column = _plain(column)
    if pyarrow.types.is_decimal(column.type):
        column = column.cast(pyarrow.string())  # text is rounded to the nearest float
    if texts is None:
        return column.cast(pyarrow.float64(), safe=False).to_numpy()
    known = pyarrow.array(list(texts), type=column.type)
    return pyarrow.compute.index_in(column, value_set=known).cast(pyarrow.float64()).to_numpy()  # type: ignore[attr-defined]


@contextmanager
def _reading(path: Path) -> Generator[None]:
    """Turn errors of pyarrow into a DataError that names the file."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: truncated, corrupt or no Parquet ({one_line(error)}); save it again"
        ) from error
