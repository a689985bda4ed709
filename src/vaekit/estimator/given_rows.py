"""Rows as they are given to an estimator: read, checked, split, without columns that are not to be modelled."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data
from torch import Tensor

from vaekit.data import Dataset, Schema, from_object, split_indices
from vaekit.data.column_selection import (
    chosen_columns,
    notes_on_values,
    read_column_names,
    take_columns,
    telling_rows_apart,
)
from vaekit.data.condition_columns import LABELS, named_conditions, take_conditions
from vaekit.data.conditions import ConditionKind, parse_condition
from vaekit.data.frame_types import frame_columns, is_frame
from vaekit.data.frames import column_as_found, known_columns
from vaekit.data.mapped import mapped_dataset
from vaekit.data.mapped import memory_limit as bytes_of
from vaekit.data.missing_values import MARKS, without_codes
from vaekit.data.schema_check import Outside
from vaekit.data.streams import is_stream, stream
from vaekit.errors import DataWarning, UsageError

__all__ = [
    "TakesHoles",
    "as_dataset",
    "asked_categories",
    "hold_out",
    "read_names",
    "read_rows",
    "select_columns",
]

_ROWS_WORTH_SPLITTING = 20


class TakesHoles(BaseEstimator):
    """An estimator of scikit-learn's kind whose rows may have holes."""

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that values may be missing."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def read_rows(
    estimator: BaseEstimator,
    X: Any,
    schema: Schema | None,
    *,
    names: Sequence[str] = (),
    conditions: Any = None,
    memory_limit: str | int | None = None,
    outside: Outside = "refuse",
    left_out: Sequence[str] = (),
    categorical: Collection[str] = (),
    missing_values: Sequence[str] = (),
) -> Dataset:
    """Read the rows that were given, with scikit-learn's own checks where they are a table of its kind.

    Parameters
    ----------
    estimator
        The estimator; scikit-learn keeps the number and names of the columns on it when it is fitted.
    X
        Array, tensor, data frame, :class:`vaekit.data.Dataset`, or anything that :func:`vaekit.data.stream` reads.
    schema
        The schema to check the rows against; None where it is yet to be fitted.
    names, conditions
        Names of the conditions, and their values where they are given beside the data; otherwise they are columns
        of a data frame, or the conditions of a data set.
    memory_limit
        Memory for the data; arrays in a file and streams that need more are read in blocks.
    outside
        What becomes of values that no row like those of the training could have; see
        :meth:`vaekit.data.Schema.align`.
    left_out
        Columns that are no part of the model, wherever they are found.
    categorical
        Columns of text that are categories, however many there are; those of the schema are.
    missing_values
        Values that stand for missing ones.

    Raises
    ------
    DataError
        For data that cannot be used.

    Warns
    -----
    DataWarning
        For columns that the model does not have, and those that are missing and were constant in training.
    """
    told: tuple[str, ...] = ()
    given: Any = X
    frame = frame_columns(X) if is_frame(X) else None
    if schema is not None and is_frame(X):
        there = X.drop(columns=[name for name in left_out if name in X.columns])
        given, told = known_columns(there, schema.known_columns, names)
    if isinstance(given, np.memmap):
        left_in_file = mapped_dataset(given, source="the array", limit=bytes_of(memory_limit))
        given = given if left_in_file is None else left_in_file
    if is_stream(given):
        given = stream(given, memory_limit=memory_limit)
    taken: Mapping[str, np.ndarray] = {}
    if names and hasattr(given, "columns") and hasattr(given, "drop"):
        taken = {name: column_as_found(given[name]) for name in names if name in given.columns}
        given = given.drop(columns=list(taken))
    infinite = outside == "keep"
    if schema is not None:
        categorical = [column.name for column in schema.columns if column.categories is not None]
    dataset = as_dataset(
        estimator, given, missing_values, categorical, reset=schema is None, infinite=infinite
    )
    dataset = dataset if frame is None else replace(dataset, frame=frame)
    if names:
        if conditions is not None:
            taken = {**taken, **named_conditions(conditions, names, len(dataset))}
        inside = [name for name in names if name not in taken and _has_condition(dataset, name)]
        dataset = take_conditions(dataset, inside)
        dataset = replace(dataset, conditions={**(dataset.conditions or {}), **taken})
    dataset = without_codes(take_columns(dataset, left_out), missing_values)
    dataset.require_finite(infinite=infinite)
    if schema is None:
        return dataset
    before = dataset.notes
    dataset = schema.align(dataset, what="the data", outside=outside)
    for note in (*told, *dataset.notes[len(before) :]):
        warnings.warn(f"{dataset.source}: {note}", DataWarning, stacklevel=5)
    return dataset


def select_columns(
    rows: Dataset,
    *,
    only: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    keep: Sequence[str] = (),
    note_values: bool = True,
) -> Dataset:
    """Return training rows without the columns that are not to be modelled.

    Parameters
    ----------
    rows
        The rows.
    only, drop
        Names of the columns to model alone, and to leave out.
    keep
        Further columns that are asked for, so that they are not left out for telling rows apart.
    note_values
        Whether to warn of values that are probably codes for missing ones.

    Warns
    -----
    DataWarning
        For each column that is left out though nobody asked for it, and of such codes.

    Raises
    ------
    UsageError
        For a name that is not there.
    """
    alone, out = read_column_names(only), read_column_names(drop)
    if (alone or out) and rows.columns is None:
        raise UsageError(f"only={only!r}, drop={drop!r}: the data are images, which have no columns")
    if alone or out:
        there = (*(rows.columns or ()), *rows.left_out)
        rows = take_columns(rows, chosen_columns(there, only=alone, drop=out))
    reasons = telling_rows_apart(rows, keep=(*alone, *keep))
    for name, reason in reasons.items():
        warnings.warn(
            f"{rows.source}: column {name!r} is left out: {reason}; to keep it, name it with the columns that are to "
            "be modelled, or give its kind",
            DataWarning,
            stacklevel=3,
        )
    rows = take_columns(rows, reasons)
    for note in notes_on_values(rows) if note_values else ():
        warnings.warn(f"{rows.source}: {note}", DataWarning, stacklevel=3)
    return rows


def as_dataset(
    estimator: BaseEstimator,
    X: Any,
    codes: Sequence[str],
    categorical: Collection[str],
    *,
    reset: bool,
    infinite: bool = False,
) -> Dataset:
    """Read data as a data set, in which values may be missing.

    Parameters
    ----------
    estimator
        The estimator, on which scikit-learn keeps the number and names of the columns.
    X
        The data.
    codes
        Texts that stand for missing values, beside the usual ones.
    categorical
        Columns of any number of categories.
    reset
        Whether this is the fit.
    infinite
        Whether values may be infinite.
    """
    is_ours = isinstance(X, (Dataset, Tensor, torch.utils.data.Dataset))
    if not is_ours and getattr(X, "ndim", 2) != 4 and not _has_text(X, codes):
        values: Any = X
        columns, has_names = getattr(X, "columns", None), is_frame(X)
        # A loaded model knows the names by its schema, which scikit-learn does not see.
        is_loaded = (
            not reset and "feature_names_in_" not in vars(estimator) and vars(estimator).get("origin_")
        )
        if is_loaded and columns is not None and all(isinstance(dtype, np.dtype) for dtype in X.dtypes):
            values = X.to_numpy()
        # a data frame with fewer columns may lack some that were constant
        if reset or not has_names or len(X.columns) == vars(estimator).get("n_features_in_"):
            values = validate_data(
                estimator,
                values,
                reset=reset,
                dtype="numeric",
                ensure_min_samples=2 if reset else 1,
                ensure_all_finite=False if infinite else "allow-nan",
            )
        dataset = from_object(X if has_names else values)
        return dataset if columns is None else replace(dataset, columns=tuple(map(str, columns)))
    dataset = from_object(X, missing_values=codes, categorical=categorical)
    if reset:
        vars(estimator)["n_features_in_"] = prod(dataset.values.shape[1:])
    return dataset


def _has_text(X: Any, codes: Sequence[str]) -> bool:
    """Whether it is a data frame with columns that do not hold numbers, or an array with text for missing values."""
    if isinstance(X, np.ndarray):
        marks = MARKS.union(codes)
        return X.dtype == object and any(isinstance(i, str) and i.strip() in marks for i in X.flat)
    has_types = hasattr(X, "columns") and hasattr(X, "dtypes")
    return has_types and any(dtype.kind not in "buif" for dtype in X.dtypes)


def _has_condition(dataset: Dataset, name: str) -> bool:
    found = name in (dataset.conditions or {}) or name in (dataset.columns or ())
    return found or (name == LABELS and dataset.labels is not None)


def hold_out(rows: Dataset, seed: int) -> tuple[Dataset, Dataset | None]:
    """Hold a tenth of the rows out, by a hash of row and seed; none where there are few."""
    if len(rows) < _ROWS_WORTH_SPLITTING:
        return rows, None
    split = split_indices(len(rows), seed, validation=0.1, test=0.0)
    return rows.take(split.train), rows.take(split.validation)


def read_names(condition: str | Sequence[str] | None) -> dict[str, ConditionKind]:
    """Read the names of the conditions that a model is to have, and their kinds.

    Examples
    --------
    >>> read_names("species,age:continuous"), read_names(None)
    ({'species': 'auto', 'age': 'continuous'}, {})
    """
    if condition is None:
        return {}
    pieces = condition.split(",") if isinstance(condition, str) else list(condition)
    names = [parse_condition(piece.strip()) for piece in pieces]
    if len(dict(names)) < len(names):
        raise UsageError(f"condition={condition!r} names one condition twice")
    return dict(names)


def asked_categories(columns: Mapping[str, str] | None) -> list[str]:
    """Return the columns that are asked to be categories, by kinds of column by name.

    >>> asked_categories({"town": "categorical", "age": "poisson"}), asked_categories(None)
    (['town'], [])
    """
    return [name for name, kind in (columns or {}).items() if kind == "categorical"]
