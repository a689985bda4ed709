"""Parquet and Feather with the holes of some columns filled: all other cells, and all types, stay as they are."""

import importlib
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.data.cells_to_fill import CellsToFill, Values
from vaekit.data.restoring import restore_column

__all__ = ["fill_arrow"]


def fill_arrow(path: Path, cells: CellsToFill, values: Values) -> bytes:
    """Return the bytes of a ``.parquet`` or ``.feather`` with other values in its holes.

    Parameters
    ----------
    path
        The file.
    cells
        The columns to fill, as they were read.
    values
        Their values.
    """
    import pyarrow.feather as feather
    import pyarrow.parquet as parquet

    is_feather = path.name.lower().endswith(".feather")
    table: Any = feather.read_table(path) if is_feather else parquet.read_table(path)
    names = [str(name) for name in table.column_names]
    for name, column in values.items():
        at = cells.holes(name, column)
        if len(at):
            place = names.index(name)
            old = _joined(table.column(place))
            table = table.set_column(place, table.schema.field(place), _filled(cells, name, column, at, old))
    sink = io.BytesIO()
    if is_feather:
        feather.write_feather(table, sink)
    else:
        parquet.write_table(table, sink)
    return sink.getvalue()


def _joined(column: Any) -> Any:
    """Return the chunks of a column as one array."""
    import pyarrow as pa

    found = column.unify_dictionaries().combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _filled(cells: CellsToFill, name: str, values: np.ndarray, at: np.ndarray, old: Any) -> Any:
    """Return an array of Arrow with other values at some positions, in its own type."""
    import pyarrow as pa

    compute: Any = importlib.import_module("pyarrow.compute")  # it makes its functions when it is imported
    if pa.types.is_dictionary(old.type):
        return _filled_levels(cells, name, values, at, old)
    fresh = pa.array(_new_cells(cells, name, values[at], old))
    if pa.types.is_timestamp(old.type) and old.type.tz:
        fresh = fresh.cast(pa.timestamp("us", "UTC"))
    which = np.full(len(values), -1)
    which[at] = np.arange(len(at))
    spread = fresh.cast(old.type).take(pa.array(np.maximum(which, 0)))
    return compute.if_else(pa.array(which >= 0), spread, old)


def _new_cells(cells: CellsToFill, name: str, values: np.ndarray, old: Any) -> Any:
    """Return values as an array of Arrow of the type of another can be made of them."""
    import pyarrow as pa

    kind, types = old.type, pa.types
    if types.is_duration(kind):
        return np.rint(values * 86_400e6).astype("timedelta64[us]")
    if types.is_temporal(kind):
        return restore_column(cells.columns[name], values).to_numpy()
    is_text = types.is_string(kind) or types.is_large_string(kind)
    there = old.take(pa.array(cells.observed(name))).to_pylist() if is_text else []
    found = cells.cells(name, values, there)
    if types.is_decimal(kind):
        return [round(Decimal(float(cell)), kind.scale) for cell in found]
    return [round(cell) for cell in found] if types.is_integer(kind) else found


def _filled_levels(cells: CellsToFill, name: str, values: np.ndarray, at: np.ndarray, old: Any) -> Any:
    """Return an array of the levels of a dictionary with other ones at some positions: the nearest, of numbers."""
    import pyarrow as pa

    levels = old.dictionary.to_pylist()
    texts = [str(level) for level in levels]
    indices = old.indices.to_numpy(zero_copy_only=False).astype(np.float64)
    if cells.columns[name].categories is None and all(isinstance(level, int | float) for level in levels):
        indices[at] = np.abs(values[at][:, None] - np.array(levels, dtype=np.float64)).argmin(1)
    else:
        there = [texts[int(i)] for i in indices[cells.observed(name)]]
        written = [str(cell) for cell in cells.cells(name, values[at], there)]
        indices[at] = [texts.index(text) if text in texts else np.nan for text in written]
    missing = np.isnan(indices)
    numbers = pa.array(np.nan_to_num(indices).astype(np.int64), mask=missing).cast(old.type.index_type)
    return pa.DictionaryArray.from_arrays(numbers, old.dictionary, ordered=old.type.ordered)
