"""Where conditions come from: columns of a table, labels, or what is given beside the data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaekit.data.dataset import Dataset
from vaekit.data.hints import few
from vaekit.errors import DataError
from vaekit.language.grammar import did_you_mean

__all__ = ["LABELS", "named_conditions", "take_conditions"]

LABELS = "labels"


def take_conditions(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """Take columns out of a table as its conditions; ``labels`` are the data set's labels.

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
            f"{dataset.source}: rows that are left in their file cannot have conditions among their columns; raise the "
            "memory limit"
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
    """Read conditions that are given beside the data: by name, a data frame, or plain values of a single one.

    Raises
    ------
    DataError
        For values that cannot be told apart, or another number of rows.
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
