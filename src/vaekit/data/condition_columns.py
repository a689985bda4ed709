"""The columns that conditions are read from: those of a table, labels, or arrays given beside the data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from vaekit.data.dataset import Dataset
from vaekit.data.messages import few
from vaekit.errors import DataError, UsageError
from vaekit.grammar import did_you_mean, read_pairs

__all__ = [
    "LABELS",
    "ConditionKind",
    "as_text",
    "named_conditions",
    "parse_condition",
    "parse_given",
    "take_conditions",
    "without_minus_one",
]

LABELS = "labels"
"""The name of the condition that is a data set's labels."""

ConditionKind = Literal["auto", "categorical", "continuous"]


def take_conditions(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """Return a data set with columns of its table moved to its conditions; ``labels`` are the data set's labels.

    Raises
    ------
    DataError
        If there is no such column.

    Examples
    --------
    >>> data = Dataset(np.eye(3), "table", ("a", "b", "c"))
    >>> data = take_conditions(data, ["b"])
    >>> data.columns, data.conditions["b"].tolist()
    (('a', 'c'), [0.0, 1.0, 0.0])
    """
    if not names:
        return dataset
    if not isinstance(dataset.values, np.ndarray) and set(names) & set(dataset.columns or ()):
        raise DataError(
            f"{dataset.source}: rows that are left in their file cannot have conditions among their columns; "
            "raise the memory limit"
        )
    found = {name: values for name, values in (dataset.conditions or {}).items() if name in names}
    columns = dataset.columns or ()
    for name in names:
        if name in columns:
            found[name] = dataset.values[:, columns.index(name)]
        elif name == LABELS and dataset.labels is not None and name not in found:
            found[name] = dataset.labels
    absent = [name for name in names if name not in found]
    if absent:
        has = [*columns, *(() if dataset.labels is None else (LABELS,))]
        hint = did_you_mean(absent[0], has)
        raise DataError(
            f"{dataset.source}: no column {few(absent)} for the condition{hint or ';'} there "
            f"{'are ' + few(has, 9) if has else 'are no columns with names, and no labels'}"
        )
    values = dataset.values
    if any(name in columns for name in names):
        kept = [i for i, name in enumerate(columns) if name not in names]
        if not kept:
            raise DataError(
                f"{dataset.source}: every column is a condition; at least one must be left to model"
            )
        values, columns = np.ascontiguousarray(values[:, kept]), tuple(columns[i] for i in kept)
    test = None if dataset.test is None else take_conditions(dataset.test, names)
    ordered = {name: found[name] for name in names}
    return replace(
        dataset,
        values=values,
        columns=columns if dataset.columns is not None else None,
        conditions=ordered,
        test=test,
    )


def named_conditions(given: Any, names: Sequence[str], n: int) -> Mapping[str, np.ndarray]:
    """Return the conditions that are given beside the data, as an array for each name.

    Parameters
    ----------
    given : mapping, data frame or array
        By name; or an array of one column per name, (n,) where there is one name.
    names : sequence of str
        The conditions to return; others are left out.
    n : int
        The number of rows.

    Raises
    ------
    DataError
        For values that cannot be assigned to the names, or another number of rows.
    """
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    if isinstance(given, Mapping) or hasattr(given, "columns"):
        columns = {str(name): np.asarray(given[name]) for name in given}
    else:
        values = np.asarray(given)
        if values.ndim == 2 and values.shape[1] == len(names):
            columns = dict(zip(names, values.T, strict=True))
        elif len(names) == 1 and values.ndim == 1:
            columns = {names[0]: values}
        else:
            raise DataError(
                f"conditions of shape {values.shape} for {few(names)}; give a dictionary of one array for each"
            )
    for name, values in columns.items():
        if values.shape != (n,):
            raise DataError(f"condition {name!r} has shape {values.shape}; expected one value a row, ({n},)")
    return {name: values for name, values in columns.items() if name in names}


def parse_condition(text: str) -> tuple[str, ConditionKind]:
    """Read ``COLUMN`` or ``COLUMN:categorical`` or ``COLUMN:continuous``.

    >>> parse_condition("age:continuous"), parse_condition("labels")
    (('age', 'continuous'), ('labels', 'auto'))
    """
    name, colon, kind = text.rpartition(":")
    if colon and kind in ("categorical", "continuous"):
        return name, "categorical" if kind == "categorical" else "continuous"
    if not text.strip():
        raise UsageError("a condition without a name; give the name of a column, or labels")
    return text, "auto"


def parse_given(text: str) -> dict[str, str]:
    """Read ``label=3,age=40``.

    >>> parse_given("label=3,age=40")
    {'label': '3', 'age': '40'}
    """
    return read_pairs(text.split(","), f"given {text!r}", example="name=value; write label=3,age=40")


def as_text(values: np.ndarray) -> np.ndarray:
    """Return values as text: whole numbers without a point; missing values (NaN, None, and -1 among integers) empty.

    >>> as_text(np.array([1.0, 2.5, np.nan])).tolist()
    ['1', '2.5', '']
    """
    values = np.asarray(values).reshape(-1)
    if values.dtype.kind in "bui":
        text = values.astype(np.int64).astype(str).astype(object)
        if values.dtype.kind == "i" and values.size and values.min() == -1:
            text[values == -1] = ""
        return text.astype(str)
    if values.dtype.kind == "f":
        return np.array([_number_as_text(value) for value in values.tolist()])
    return np.array(["" if v is None or v != v else _any_as_text(v) for v in values.tolist()], dtype=str)


def without_minus_one(values: np.ndarray) -> np.ndarray:
    """Return whole-number labels as text, with -1 (a missing label) empty; other numbers as they are.

    >>> without_minus_one(np.array(["3", "-1"])).tolist()
    ['3', '']
    """
    text = as_text(values)
    known = text[text != ""]
    try:
        whole = all(float(value).is_integer() for value in set(known.tolist()))
    except (ValueError, OverflowError):
        return text
    return np.where(text == "-1", "", text) if whole else values


def _number_as_text(value: float) -> str:
    if value != value:
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _any_as_text(value: Any) -> str:
    return _number_as_text(value) if isinstance(value, float) else str(value).strip()
