"""Data frames of pandas to data sets: numbers stay, text becomes categories, one column may be the label."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vaekit.data.arrays import as_labels, dataset_from_array
from vaekit.data.condition_columns import LABELS
from vaekit.data.dataset import Dataset, StoredAs
from vaekit.data.frame_columns import ReadColumn, nested_values, read_column, shows_decimal_comma
from vaekit.data.messages import few, ignored_columns, plural
from vaekit.data.missing_values import MARKS, frame_without_marks
from vaekit.errors import DataError, MissingLabelError
from vaekit.language.grammar import did_you_mean

if TYPE_CHECKING:
    import pandas

__all__ = [
    "check_names",
    "column_as_found",
    "dataset_from_frame",
    "keep_columns",
    "known_columns",
    "label_values",
    "unneeded_columns",
]


def dataset_from_frame(
    frame: "pandas.DataFrame",
    *,
    source: str,
    label: str | None = None,
    labels: Any = None,
    conditions: Sequence[str] = (),
    lines: np.ndarray | None = None,
    prefer_decimal_comma: bool = False,
    keep: Sequence[str] = (),
    only: Mapping[str, bool] | None = None,
    categorical: Collection[str] = (),
    missing_values: Sequence[str] = (),
) -> Dataset:
    """Return a DataFrame as a table.

    Parameters
    ----------
    frame : pandas.DataFrame
    source : str
        Name of the data in messages.
    label : str, optional
        Name of the column to take out as the label.
    labels : array_like, optional
        Labels from elsewhere, instead of a column.
    conditions : sequence of str
        Names of columns to take out as conditions.
    lines : ndarray of int, optional
        The line of the file that each row came from, for messages.
    prefer_decimal_comma : bool
        Whether ``1,234`` is 1.234 where nothing else in the column says so; another column that only decimal
        commas explain has the same effect.
    keep : sequence of str
        Names of columns to keep as they are, besides what else becomes of them.
    only : mapping of str to bool, optional
        The columns that a model knows, and whether it needs them: where all that it needs are there, those that
        it does not know are left out without being read, with a note.
    categorical : collection of str
        Names of columns of text that are categories, however many there are.
    missing_values : sequence of str
        Text that stands for missing values, beside ``""`` and ``?``.

    Raises
    ------
    DataError
        For text among numbers, text with too many different values (naming the column and a value), repeated
        names, or an unknown label.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"length": [5.1, 4.9], "species": ["setosa", "virginica"]})
    >>> data = dataset_from_frame(frame, source="flowers", label="species")
    >>> data.columns, data.labels.tolist()
    (('length',), ['setosa', 'virginica'])
    >>> data = dataset_from_frame(frame, source="flowers")
    >>> data.values.tolist(), data.categories
    ([[5.1, 0.0], [4.9, 1.0]], (None, ('setosa', 'virginica')))
    """
    names = [str(name) for name in frame.columns]
    check_names(names, source, label=label, conditions=conditions, keep=keep)
    frame = frame.set_axis(names, axis="columns")
    whole = frame
    unneeded = unneeded_columns(names, only, (*conditions, *([] if label is None else [label])))
    frame = frame.drop(columns=unneeded)
    ignored = [name for name in unneeded if name not in keep]
    for name in {*conditions, *([] if label is None else [label])} & {*names}:
        if parts := nested_values(cast("pandas.Series", whole[name])):
            raise DataError(
                f"{source}: column {name!r} holds {parts}; a {'label' if name == label else 'condition'} is "
                "a number or text in every row"
            )
    if label is not None:
        labels = label_values(cast("pandas.Series", frame[label]))
        frame = frame.drop(columns=label)
    taken = {
        name: column_as_found(cast("pandas.Series", whole[name])) for name in conditions if name in names
    }
    frame = frame.drop(columns=[name for name in taken if name in frame.columns])
    if len(frame.columns) == 0:
        beside = f" beside the label {label!r}" if label is not None else ""
        raise DataError(f"{source}: no columns{beside}: 0 feature(s), while at least 1 is required")
    if len(frame) == 0:
        raise DataError(
            f"{source}: no rows (0 samples) below {plural(len(names), 'column name')} ({few(names)})"
        )
    nested = {name: nested_values(cast("pandas.Series", frame[name])) for name in frame.columns}
    nested = {name: f"left out, since it holds {parts}" for name, parts in nested.items() if parts}
    frame = frame_without_marks(frame.drop(columns=list(nested)), missing_values)
    comma = prefer_decimal_comma or any(
        shows_decimal_comma(cast("pandas.Series", frame[name])) for name in frame.columns
    )
    read = {name: ReadColumn(None, note=note) for name, note in nested.items()}
    read |= {
        name: read_column(
            cast("pandas.Series", frame[name]),
            name,
            source,
            lines,
            decimal_comma=comma,
            categorical=name in categorical,
        )
        for name in frame.columns
    }
    notes = tuple(f"column {name!r}: {column.note}" for name, column in read.items() if column.note)
    notes = (*notes, ignored_columns(ignored)) if ignored else notes
    kept = {name: column for name, column in read.items() if column.values is not None}
    if not kept:
        raise DataError(f"{source}: no column that can be modelled; {'; '.join(notes)}")
    values = np.empty((len(frame), len(kept)), dtype=np.float64)
    for j, column in enumerate(kept.values()):
        values[:, j] = column.values
    dataset = dataset_from_array(values, source=source, columns=list(kept), labels=labels)
    categories = tuple(column.categories for column in kept.values())
    stored_as: dict[str, StoredAs] = {
        name: column.stored_as for name, column in kept.items() if column.stored_as != "real"
    }
    return replace(
        dataset,
        categories=categories if any(categories) else None,
        conditions=taken or None,
        stored_as=stored_as or None,
        notes=notes,
        kept=whole[list(keep)].reset_index(drop=True) if keep else None,
        left_out=tuple(name for name in read if name not in kept),
        order=tuple(names),
    )


def keep_columns(
    dataset: Dataset, keep: Sequence[str], *, files: Sequence[str] | None = None
) -> "pandas.DataFrame":
    """Return columns of a data set to write beside results; ``labels`` are its labels, ``file`` the names of files.

    Raises
    ------
    DataError
        For a name that the data set does not have.

    Examples
    --------
    >>> keep_columns(Dataset(np.eye(2), "table", ("a", "b")), ["b"])["b"].tolist()
    [0.0, 1.0]
    """
    import pandas as pd

    columns, found = dataset.columns or (), {}
    for name in keep:
        if name in columns:
            found[name] = dataset.values[:, columns.index(name)]
        elif name == LABELS and dataset.labels is not None:
            found[name] = dataset.labels
        elif name == "file" and files is not None:
            found[name] = [file.encode(errors="surrogateescape").decode(errors="replace") for file in files]
        else:
            has = [
                *columns,
                *(() if dataset.labels is None else (LABELS,)),
                *(() if files is None else ("file",)),
            ]
            there = f"there are {few(has, 9)}" if has else "there are no columns with names, and no labels"
            raise DataError(f"{dataset.source}: no column {name!r} to keep; {there}")
    return pd.DataFrame(found)


def unneeded_columns(
    names: Sequence[str], only: Mapping[str, bool] | None, others: Sequence[str] = ()
) -> list[str]:
    """Return the columns that a model does not know; none where one that it needs is missing, and may be misspelt.

    >>> known = {"a": True, "b": False}
    >>> unneeded_columns(["id", "a"], known), unneeded_columns(["id", "aa"], known)
    (['id'], [])
    """
    if not only or any(needed and name not in names for name, needed in only.items()):
        return []
    return [name for name in names if name not in only and name not in others]


def known_columns(
    frame: "pandas.DataFrame", known: Mapping[str, bool], others: Sequence[str] = ()
) -> "tuple[pandas.DataFrame, tuple[str, ...]]":
    """Return the columns of a data frame that a model knows, in its order, and a note on those that it does not.

    >>> import pandas as pd
    >>> frame, notes = known_columns(pd.DataFrame({"id": [7], "b": [1], "a": [2]}), {"a": True, "b": True})
    >>> list(frame), notes
    (['a', 'b'], ("column 'id' is not one of the model's: ignored",))
    """
    given = [str(name) for name in frame.columns]
    extra = unneeded_columns(given, known, others)
    chosen = [name for name in known if name in given]
    chosen += [name for name in given if name not in chosen and name not in extra]
    if chosen == given:
        return frame, ()
    ordered = frame.iloc[:, [given.index(name) for name in chosen]]
    return ordered, (ignored_columns(extra),) if extra else ()


def check_names(
    names: Sequence[str],
    source: str,
    *,
    label: str | None = None,
    conditions: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> None:
    """Refuse repeated names of columns, and a label, a condition or a column to keep that is not among them.

    Raises
    ------
    DataError
        Naming them.
    """
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"{source}: column name {few(repeated)} stands more than once; names must differ")
    absent = [name for name in conditions if name not in names and name != "labels"]
    if absent:
        raise DataError(
            f"{source}: no column {few(absent)} for the condition{did_you_mean(absent[0], names) or ';'} the "
            f"columns are {few(names, 9)}"
        )
    unknown = [name for name in keep if name not in names]
    if unknown:
        raise DataError(
            f"{source}: no column {few(unknown)} to keep{did_you_mean(unknown[0], names) or ';'} the columns are "
            f"{few(names, 9)}"
        )
    if label is not None and label not in names:
        raise MissingLabelError(
            f"{source}: no column {label!r} for the label{did_you_mean(label, names) or ';'} the columns are "
            f"{few(names, 9)}"
        )


def column_as_found(column: "pandas.Series") -> np.ndarray:
    """Return a column of numbers as numbers (NaN where missing), any other as text (None where missing)."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype) and not column.hasnans:
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan) if column.hasnans else column.to_numpy()
    texts = [None if pd.isna(value) else str(value) for value in column]
    return np.array([None if text is None or text.strip() in MARKS else text for text in texts], dtype=object)


def label_values(column: "pandas.Series") -> np.ndarray:
    """Return a column as labels: numbers, or text; missing ones are empty."""
    if column.dtype.kind in "buif" and not column.hasnans:
        return column.to_numpy()
    present = ~column.isna()
    values = [value if known else None for value, known in zip(column, present, strict=True)]
    return np.asarray(as_labels(values, len(values), str(column.name)))
