"""Tables of results: arrays of rows as the data frames that are written, and their text."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from vaekit.data.dataset import made_up_names
from vaekit.data.messages import few, plural
from vaekit.data.restoring import restore_table
from vaekit.data.schema import Schema
from vaekit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLES", "TableForm", "names_for", "write_frames"]

TABLES = (".csv", ".tsv", ".parquet", ".json")


@dataclass(frozen=True, kw_only=True)
class TableForm:
    """The names and types that rows of numbers get in a table, and columns that stand beside them.

    Parameters
    ----------
    path : Path
        Where the table is written, for messages.
    columns : sequence of str, or None
        Names; ``x0``, ``x1``... by default.
    categories : sequence of (sequence, or None), or None
        For each column of categories their names.
    schema : Schema or None
        Of a table: the columns, with the types of the training data.
    conditions : mapping of str to ndarray of shape (n,), or None
        The conditions that the rows were made under.
    beside : DataFrame or None
        Columns to write first, unchanged, one row for each.
    """

    path: Path
    columns: Sequence[str] | None = None
    categories: "Sequence[Sequence[object] | None] | None" = None
    schema: Schema | None = None
    conditions: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    beside: "pd.DataFrame | None" = field(default=None, repr=False)

    def frame(self, values: np.ndarray, start: int = 0) -> "pd.DataFrame":
        """Return rows as a data frame, of which the first is row ``start`` of all."""
        import pandas as pd

        rows = slice(start, start + len(values))
        told = {name: known[rows] for name, known in (self.conditions or {}).items()}
        if self.schema is not None:
            table = restore_table(self.schema, values, told)
        else:
            table = self._named(values)
            table = pd.concat([pd.DataFrame(told), table], axis=1) if told else table
        if self.beside is None:
            return table
        twice = [str(name) for name in self.beside.columns if name in table.columns]
        if twice:
            raise DataError(
                f"{self.path}: column {few(twice)} to keep has the name of a column of the results; leave it out, "
                "or rename it"
            )
        return pd.concat([self.beside.iloc[rows].reset_index(drop=True), table], axis=1)

    def _named(self, values: np.ndarray) -> "pd.DataFrame":
        """Return rows with names, and the names of categories in place of their numbers."""
        import pandas as pd

        names = names_for(self.path, values, self.columns)
        # float16 is widened: neither format can hold it
        table = values.astype(np.float32) if values.dtype == np.float16 else values
        frame = pd.DataFrame(table.reshape(-1, len(names)), columns=names)
        for name, texts in zip(names, self.categories or (), strict=False):
            if texts is not None:
                known = np.array([*texts], dtype=bool if isinstance(texts[0], bool) else object)
                frame[name] = known[frame[name].to_numpy().astype(np.int64)]
        return frame


def names_for(path: Path, values: np.ndarray, columns: Sequence[str] | None) -> list[str]:
    """Return a name for each number of an example."""
    count = 1 if values.ndim < 2 else int(np.prod(values.shape[1:]))
    names = made_up_names(count) if columns is None else tuple(str(name) for name in columns)
    if len(names) != count:
        raise DataError(f"{path}: {plural(len(names), 'column name')} for {plural(count, 'column')}")
    return list(names)


def write_frames(
    file: IO[bytes], frames: "Iterable[pd.DataFrame]", ending: str, missing: str = "NaN"
) -> None:
    """Write data frames one after another as one table of text: ``.csv``, ``.tsv``, or ``.json``, a list of objects.

    ``missing`` is the text of a missing value, except in JSON, which has null.
    """
    if ending == ".json":
        _write_json(file, frames)
        return
    separator = "," if ending == ".csv" else "\t"
    for number, frame in enumerate(frames):
        frame.to_csv(
            file, header=number == 0, index=False, sep=separator, lineterminator="\n", na_rep=missing
        )


def _write_json(file: IO[bytes], frames: "Iterable[pd.DataFrame]") -> None:
    before = "[\n"
    for frame in frames:
        for row in frame.assign(**_dates_as_text(frame)).to_dict("records"):
            text = json.dumps({str(name): _plain(value) for name, value in row.items()}, allow_nan=False)
            file.write((before + text).encode())
            before = ",\n"
    file.write(b"\n]\n")


def _dates_as_text(frame: "pd.DataFrame") -> dict[str, Any]:
    import pandas as pd

    dates = [name for name in frame if pd.api.types.is_datetime64_any_dtype(frame[name].dtype)]
    return {name: frame[name].astype(str).where(frame[name].notna(), None) for name in dates}


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: null for what is missing, and for NaN and infinity."""
    import pandas as pd

    value = value.item() if isinstance(value, np.generic) else value
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool) else str(value)
