"""A table as it stands in its source: read whatever text it holds, and rows written as its cells are."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vaekit.application.sources import Source, source_name
from vaekit.data import Dataset, from_object, read
from vaekit.data.cell_styles import content_of, writer_of
from vaekit.data.column_summary import summarise
from vaekit.data.frame_types import frame_columns
from vaekit.data.reading import TEXT_ENDINGS
from vaekit.data.written_values import days_since_1970
from vaekit.errors import DataError, DataWarning

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_written", "read_table"]

_PARQUET = (".parquet", ".pq")  # a file that knows the types of its columns
_MOST_LOOKED_AT = 2_000  # cells, to find how a column is written


class _EveryColumn(Collection[str]):
    """All columns, whatever their names."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def read_table(
    data: Source, unique: Sequence[str], missing_values: Any, data_dir: Path | None = None
) -> Dataset:
    """Read a table whose text may have any number of values, with some columns as they stand there.

    Parameters
    ----------
    data
        A path, or data in memory.
    unique
        Columns of ids, which ``Dataset.kept`` gets.
    missing_values
        Values that stand for missing ones, as :func:`vaekit.data.read` takes them.
    data_dir
        Where named data sets lie.

    Raises
    ------
    DataError
        For images, and data that cannot be read.

    Warns
    -----
    DataWarning
        For columns that are read as something else than they seem.
    """
    name = source_name(data)
    options: dict[str, Any] = {
        "missing_values": missing_values,
        "categorical": _EveryColumn(),
        "keep": unique,
    }
    table = from_object(data, **options) if name is None else read(name, data_dir=data_dir, **options)
    if table.kind != "table":
        raise DataError(
            f"{table.source}: images; expected a table: `vaekit fit` and `vaekit sample` make up images"
        )
    for note in table.notes:
        warnings.warn(f"{table.source}: {note}", DataWarning, stacklevel=3)
    table.require_finite()
    if name is not None and name.lower().endswith(_PARQUET):
        import pandas as pd

        table = replace(table, frame=frame_columns(pd.read_parquet(name)))
    return table if table.kept is None else replace(table, kept=_ids_in_their_types(table, table.kept.copy()))


def as_written(frame: "pd.DataFrame", table: Dataset) -> "pd.DataFrame":
    """Return rows with numbers and dates as text, written as in the file of text that a table was read from.

    That keeps 12.50, 1.234,5, 007 and 31.01.2026; rows of any other source are returned as they are.

    Parameters
    ----------
    frame
        The rows.
    table
        The table that :func:`read_table` has read.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("price,size\\n12.50,007\\n9.00,012\\n")
    >>> rows = pd.DataFrame({"price": [10.0], "size": [9]})
    >>> as_written(rows, read_table(path, (), None)).to_dict("records")
    [{'price': '10.00', 'size': '009'}]
    """
    if (
        not table.source.lower().removesuffix(".gz").endswith(TEXT_ENDINGS)
        or not Path(table.source).is_file()
    ):
        return frame
    columns = {
        column.name: column
        for column in summarise(table)
        if column.categories is None and column.stored_as != "boolean" and column.name in frame.columns
    }
    raw = read(table.source, keep=list(columns), categorical=_EveryColumn()).kept
    if raw is None:
        return frame
    found = frame.copy()
    for place, (name, column) in enumerate(columns.items()):
        values = np.asarray(table.values)[:, (table.columns or ()).index(name)]
        there = np.flatnonzero(~np.isnan(values))[:_MOST_LOOKED_AT]
        write = writer_of(column, [content_of(text) for text in raw.iloc[there, place]], values[there])
        own = cast("pd.Series", frame[name])
        is_date = column.stored_as in ("date", "time")
        numbers = days_since_1970(own) if is_date else own.to_numpy(dtype=np.float64, na_value=np.nan)
        texts = ["" if number != number else write(number) for number in numbers.tolist()]
        found[name] = np.array(texts, dtype=object)
    return found


def _ids_in_their_types(table: Dataset, kept: "pd.DataFrame") -> "pd.DataFrame":
    """Return the columns that are kept, whole numbers as such where that is how the text of a file writes them."""
    for name in kept.columns:
        if name in (table.columns or ()) and (table.stored_as or {}).get(name) == "integer":
            numbers = np.asarray(table.values)[:, (table.columns or ()).index(name)]
            if all(text == f"{number:.0f}" for text, number in zip(kept[name], numbers, strict=True)):
                kept[name] = numbers.astype(np.int64)
    return kept
