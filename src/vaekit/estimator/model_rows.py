"""Rows as they are given, and the same rows as a model takes them: read, checked, scaled, with their conditions."""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
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
from vaekit.data.dataset import row_blocks
from vaekit.data.frame_types import frame_columns, is_frame
from vaekit.data.frames import column_as_found, known_columns
from vaekit.data.mapped import mapped_dataset
from vaekit.data.mapped import memory_limit as bytes_of
from vaekit.data.missing_values import MARKS, without_codes
from vaekit.data.schema_check import Outside
from vaekit.data.stored import StoredRows
from vaekit.data.streams import is_stream, stream
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.likelihoods import ObservedCells
from vaekit.networks.network_inputs import FilledCells, TransformedInput
from vaekit.runtime.rows import ROWS_AT_ONCE, chunks, map_chunks
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.sentence import Sentence
from vaekit.sentence.compatibility import check_missing
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = [
    "FittedModel",
    "Floats",
    "Given",
    "as_dataset",
    "asked_categories",
    "check_latents",
    "hold_out",
    "read_names",
    "read_rows",
    "select_columns",
]

Floats = npt.NDArray[np.float32]
Given = Mapping[str, Any] | str | None

_ROWS_WORTH_SPLITTING = 20


@dataclass(frozen=True)
class FittedModel:
    """A model with all that brings rows in the units of the data to it.

    Parameters
    ----------
    model
        The model.
    sentence
        The parts it is made of.
    schema
        What it expects of data, scaling and conditions included.
    seed
        The seed of its fit.
    device
        Where it computes.
    """

    model: VAE
    sentence: Sentence
    schema: Schema
    seed: int
    device: torch.device

    @property
    def has_classifier(self) -> bool:
        """Whether the model has learned labels, so that they may be missing."""
        return self.model.classifier is not None

    def taking(self, *rows: Dataset | None) -> "FittedModel":
        """Return a model that takes these rows: another one where cells are missing, and were not in training.

        Its encoder sees the mean of the column in the place of a missing value, and no category in that of a missing
        category; its likelihood leaves the cell out. It shares its parameters with this one.

        Warns
        -----
        DataWarning
            Where it is another one.
        """
        if self.schema.masked is not None or not any(map(self._has_holes, rows)):
            return self
        check_missing(self.sentence, self.model.likelihood_part)
        warnings.warn(
            "values are missing, and the model was fitted to rows without missing values: it sees the mean of their "
            "column in their place; log-likelihoods are those of the values that are there",
            DataWarning,
            stacklevel=3,
        )
        model, schema, kept = self.model, self.schema, self.schema.kept
        likelihood = model.likelihood_part
        is_density = likelihood.traits.measure in ("density", "mixed")
        means = schema.transform(np.array([[column.mean for column in schema.columns]]))[0].tolist()
        kinds = likelihood.columns or ("",) * int(kept.sum())
        fill = [
            -1.0 if kind.startswith("categorical") else mean for kind, mean in zip(kinds, means, strict=True)
        ]
        taking = VAE(
            TransformedInput(FilledCells(fill), model.encoder),
            model.parts["posterior"],
            model.parts["prior"],
            model.decoder,
            ObservedCells(likelihood, schema.column_log_jacobians if is_density else 0.0),
            None if model.classifier is None else TransformedInput(FilledCells(fill), model.classifier),
        )
        return replace(self, model=taking.to(self.device).train(model.training))

    def _has_holes(self, rows: Dataset | None) -> bool:
        """Whether cells are missing in the columns that the model sees."""
        if rows is None or not rows.has_missing:
            return False
        kept, values = self.schema.kept, rows.values
        return bool(kept.all()) or any(np.isnan(values[part][:, kept]).any() for part in row_blocks(values))

    def to_model(self, values: np.ndarray, first_row: int | None = 0) -> Tensor:
        """Bring rows to the coordinates of the model, and check them against its likelihood's support.

        Rows that stay in their file are brought there as they are read. ``first_row`` is the number of the first row
        in its source, for messages; None where it is not known.
        """
        return self._scaled(values, first_row).to(self.device)

    def _scaled(self, values: np.ndarray, first_row: int | None = None) -> Tensor:
        if isinstance(values, StoredRows):
            return cast(Tensor, StreamedRows(values, self._scaled, limit=values.limit))
        x, support = self.schema.transform(values), self.model.likelihood_part.support
        if not support.contains(x):
            try:
                support.check(x, self.sentence.likelihood.kind)
            except DataError as error:
                raise DataError(f"{error}. {self._first_outside(values, x, first_row)}") from error
        return torch.from_numpy(x)

    def _first_outside(self, values: np.ndarray, x: np.ndarray, first_row: int | None) -> str:
        """Say where the first value outside the likelihood's support is."""
        row, *place = (int(i) for i in np.argwhere(~self.model.likelihood_part.support.inside(x))[0])
        where = "" if first_row is None else f"in row {first_row + row} (counted from 0), "
        if self.schema.kind == "images":
            return f"The first is {where}channel, row, column {tuple(place)}: {values[(row, *place)]:g}"
        j = int(np.flatnonzero(self.schema.kept)[place[0]])
        return f"The first is {where}column {self.schema.columns[j].name!r}: {values[row, j]:g}"

    def conditions_of(self, rows: Dataset) -> Tensor | None:
        """Encode the conditions of rows, ``(n, width)``; None where the model has none."""
        conditions = self.schema.conditions
        if conditions is None:
            return None
        c = conditions.encode(rows.conditions, what=rows.source, rows=len(rows))
        return torch.from_numpy(c).to(self.device)

    def tensors(self, rows: Dataset) -> tuple[Tensor, Tensor | None]:
        """Bring rows and their conditions to the model."""
        return self.to_model(rows.values, rows.first_row), self.conditions_of(rows)

    def given(self, given: Given, n: int, seed: int) -> Tensor | None:
        """Encode the condition under which ``n`` rows are generated or decoded."""
        conditions = self.schema.conditions
        if conditions is not None:
            return torch.from_numpy(conditions.given(given, n, seed)).to(self.device)
        if given is not None:
            raise UsageError(f"given {given!r}: the model has no conditions; fit it with a condition")
        return None

    @torch.no_grad()
    def with_labels(self, x: Tensor, c: Tensor) -> Tensor:
        """Fill in the most probable label, one-hot, where a row has none and the model has learned labels."""
        if not self.has_classifier:
            return c
        guessed = torch.cat([self.model.classify(x[rows]).logits.argmax(1) for rows in chunks(len(x))])
        one_hot = torch.nn.functional.one_hot(guessed, c.shape[1]).to(c.dtype)
        return torch.where((c != 0).any(1, keepdim=True), c, one_hot)

    def map(self, rows: Dataset, function: Callable[[Tensor, Tensor | None], Tensor]) -> Floats:
        """Apply a function of rows and their conditions, some thousand rows at a time, and join the results."""
        values, c = rows.values, self.conditions_of(rows)

        def apply(part: slice) -> Tensor:
            x = self.to_model(values[part], rows.first_row + part.start)
            return function(x, None if c is None else self.with_labels(x, c[part]))

        with shared_threads(work_of(self.model, min(len(values), ROWS_AT_ONCE))):
            return map_chunks(len(values), apply)


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
        given, told = known_columns(X, schema.known_columns, names)
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


def check_latents(Z: Any, latent_shape: tuple[int, ...]) -> np.ndarray:
    """Read latent points, ``(n, *latent)``, as float32.

    Raises
    ------
    DataError
        For another shape, or numbers that are not finite.
    """
    z = np.asarray(Z, dtype=np.float32)
    if z.ndim < 2 or z.shape[1:] != latent_shape:
        raise DataError(
            f"latents have shape {z.shape}, but this model decodes {('n', *latent_shape)}; "
            "give one row per latent point"
        )
    if not np.isfinite(z).all():
        raise DataError("the latents hold NaN or infinity; give finite numbers")
    return z
