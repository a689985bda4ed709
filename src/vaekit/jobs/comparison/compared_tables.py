"""A training, a held-out and a synthetic table in the same coordinates: numbers, positions of categories, and holes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from vaekit.data.frame_columns import nested_values
from vaekit.data.messages import few
from vaekit.data.missing_values import frame_without_marks
from vaekit.errors import DataError
from vaekit.jobs.constraints.constraint_values import as_dates, column_values

if TYPE_CHECKING:
    import pandas

__all__ = ["ComparedColumn", "ComparedTables", "compare_tables"]

Floats = npt.NDArray[np.float64]

_DAY = 86_400e9  # in nanoseconds
_YEAR = 365.2425  # in days


@dataclass(frozen=True)
class ComparedColumn:
    """One column of tables that are compared.

    Parameters
    ----------
    name
        Its name.
    categories
        Of a column of categories: their names, those of the training rows first and the most frequent of them first;
        None for a column of numbers or dates.
    date
        Whether its numbers are dates, in years.
    """

    name: str
    categories: tuple[str, ...] | None = None
    date: bool = False

    @property
    def discrete(self) -> bool:
        """Whether it is a column of categories."""
        return self.categories is not None


@dataclass(frozen=True)
class ComparedTables:
    """Tables of the same columns as arrays of numbers.

    Parameters
    ----------
    columns
        The columns, without those that have no value in the training rows.
    train, held_out, synthetic
        ``(n, columns)``: numbers, positions of categories, or NaN where a cell is missing.
    notes
        What else is to be said: columns that are left out, and those of another type.

    Examples
    --------
    >>> import pandas as pd
    >>> train = pd.DataFrame({"size": [1.5, None], "kind": ["b", "b"]})
    >>> tables = compare_tables(train, train[:0], pd.DataFrame({"kind": ["a"], "size": [2.0]}))
    >>> [column.name for column in tables.columns], tables.train.tolist(), tables.synthetic.tolist()
    (['size', 'kind'], [[1.5, 0.0], [nan, 0.0]], [[2.0, 1.0]])
    """

    columns: tuple[ComparedColumn, ...]
    train: Floats
    held_out: Floats
    synthetic: Floats
    notes: tuple[str, ...]

    @property
    def discrete(self) -> "npt.NDArray[np.bool_]":
        """``(columns,)``: which columns are of categories."""
        return np.array([column.discrete for column in self.columns], dtype=bool)


def compare_tables(
    train: "pandas.DataFrame", held_out: "pandas.DataFrame", synthetic: "pandas.DataFrame"
) -> ComparedTables:
    """Return three tables in the same coordinates.

    A column is one of numbers or of dates where every value of all three is; else it is one of categories. Text that
    stands for a missing value (``""``, ``?``) is a hole.

    Raises
    ------
    DataError
        For a table without rows, and one that lacks a column of the training table.
    """
    import pandas as pd

    frames = {"training": train, "held-out": held_out, "synthetic": synthetic}
    notes = _check(frames)
    nested = [
        name
        for name in train
        if any(nested_values(cast("pandas.Series", frame[name])) for frame in frames.values())
    ]
    frames = {what: frame_without_marks(frame.drop(columns=nested)) for what, frame in frames.items()}
    sizes = [len(frame) for frame in frames.values()]
    ends = np.cumsum(sizes)[:-1]
    columns, coded, empty = list[ComparedColumn](), list[Floats](), list[str]()
    for name in frames["training"].columns:
        if bool(np.asarray(frames["training"][name].isna()).all()):
            empty.append(str(name))
            continue
        parts: list[Any] = [frame[name] for frame, size in zip(frames.values(), sizes, strict=True) if size]
        together: Any = pd.concat(parts, ignore_index=True)
        column, values = _coded(together, str(name), len(train))
        columns.append(column)
        coded.append(values)
    if nested:
        notes.append(f"of values of several parts, such as lists, and left out: {few(nested)}")
    if empty:
        notes.append(f"without a value in the training rows, and left out: {few(empty)}")
    if not columns:
        raise DataError("no column of the training table has a value: there is nothing to compare")
    first, second, third = np.split(np.stack(coded, axis=1), ends)
    return ComparedTables(tuple(columns), first, second, third, tuple(notes))


def _check(frames: "Mapping[str, pandas.DataFrame]") -> list[str]:
    """Refuse tables that cannot be compared, and say what differs otherwise."""
    train, notes = frames["training"], list[str]()
    if not train.columns.is_unique:
        raise DataError(f"columns of one name: {few(list(train.columns[train.columns.duplicated()]))}")
    for what in ("training", "synthetic"):
        if len(frames[what]) == 0:
            raise DataError(f"the {what} table has no rows")
    for what in ("held-out", "synthetic"):
        frame = frames[what]
        if missing := [name for name in train.columns if name not in frame.columns]:
            raise DataError(f"the {what} table lacks columns of the training table: {few(missing)}")
        if more := [name for name in frame.columns if name not in train.columns]:
            notes.append(f"only in the {what} table, and left out: {few(more)}")
    synthetic = frames["synthetic"]
    changed = [
        f"{name} ({train[name].dtype} became {synthetic[name].dtype})"
        for name in train.columns
        if not _same_type(train[name].dtype, synthetic[name].dtype)
    ]
    if changed:
        notes.append(f"of another type than in the training table: {few(changed)}")
    return notes


def _same_type(real: object, synthetic: object) -> bool:
    return real == synthetic or (str(real) == str(synthetic) == "category")


def _coded(column: "pandas.Series", name: str, first: int) -> tuple[ComparedColumn, Floats]:
    """Return a column of all tables together; ``first`` of its rows are the training rows."""
    found = column_values(column, name)
    dates = found if found.kind == "date" else as_dates(found) if found.kind == "text" else None
    if dates is not None:
        years = 1970 + dates.values.astype(np.float64) / (_DAY * _YEAR)
        return ComparedColumn(name, date=True), np.where(found.missing, np.nan, years)
    if found.kind == "number":
        numbers = np.where(found.missing, np.nan, found.values.astype(np.float64))
        return ComparedColumn(name), np.where(
            np.isinf(numbers), np.sign(numbers) * np.finfo(float).max, numbers
        )
    names, codes = np.unique(found.values[~found.missing].astype(str), return_inverse=True)
    seen = codes[: int((~found.missing[:first]).sum())]
    order = np.argsort(-np.bincount(seen, minlength=len(names)), kind="stable")
    position = np.empty(len(names))
    position[order] = np.arange(len(names))
    values = np.full(len(column), np.nan)
    values[~found.missing] = position[codes]
    return ComparedColumn(name, tuple(names[order].tolist())), values
