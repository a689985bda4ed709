"""Rows as they are given, and the same rows as a model takes them: read, checked, scaled, with their conditions."""

import warnings
from collections.abc import Callable, Mapping, Sequence
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
from vaekit.data.frames import column_as_found
from vaekit.data.mapped import mapped_dataset
from vaekit.data.mapped import memory_limit as bytes_of
from vaekit.data.stored import StoredRows
from vaekit.data.streams import is_stream, stream
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.runtime.rows import chunks, map_chunks
from vaekit.sentence import Sentence
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = [
    "FittedModel",
    "Floats",
    "Given",
    "check_latents",
    "choose_device",
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

    def to_model(self, values: np.ndarray) -> Tensor:
        """Bring rows to the coordinates of the model, and check them against its likelihood's support.

        Rows that stay in their file are brought there as they are read.
        """
        return self._scaled(values).to(self.device)

    def _scaled(self, values: np.ndarray) -> Tensor:
        if isinstance(values, StoredRows):
            return cast(Tensor, StreamedRows(values, self._scaled, limit=values.limit))
        x = self.schema.transform(values)
        self.model.likelihood_part.support.check(x, self.sentence.likelihood.kind)
        return torch.from_numpy(x)

    def conditions_of(self, rows: Dataset) -> Tensor | None:
        """Encode the conditions of rows, ``(n, width)``; None where the model has none."""
        conditions = self.schema.conditions
        if conditions is None:
            return None
        c = conditions.encode(rows.conditions, what=rows.source, rows=len(rows))
        return torch.from_numpy(c).to(self.device)

    def tensors(self, rows: Dataset) -> tuple[Tensor, Tensor | None]:
        """Bring rows and their conditions to the model."""
        return self.to_model(rows.values), self.conditions_of(rows)

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
            x = self.to_model(values[part])
            return function(x, None if c is None else self.with_labels(x, c[part]))

        return map_chunks(len(values), apply)


def read_rows(
    estimator: BaseEstimator,
    X: Any,
    schema: Schema | None,
    *,
    names: Sequence[str] = (),
    conditions: Any = None,
    memory_limit: str | int | None = None,
    left_out: Sequence[str] = (),
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
    left_out
        Columns that are no part of the model, wherever they are found.

    Raises
    ------
    DataError
        For data that cannot be used.
    """
    if isinstance(X, np.memmap):
        left_in_file = mapped_dataset(X, source="the array", limit=bytes_of(memory_limit))
        X = X if left_in_file is None else left_in_file
    if is_stream(X):
        X = stream(X, memory_limit=memory_limit)
    taken: Mapping[str, np.ndarray] = {}
    if names and hasattr(X, "columns") and hasattr(X, "drop"):
        taken = {name: column_as_found(X[name]) for name in names if name in X.columns}
        X = X.drop(columns=list(taken))
    dataset = _as_dataset(estimator, X, reset=schema is None)
    if names:
        if conditions is not None:
            taken = {**taken, **named_conditions(conditions, names, len(dataset))}
        inside = [name for name in names if name not in taken and _has_condition(dataset, name)]
        dataset = take_conditions(dataset, inside)
        dataset = replace(dataset, conditions={**(dataset.conditions or {}), **taken})
    return dataset if schema is None else schema.align(take_columns(dataset, left_out), what="the data")


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


def _as_dataset(estimator: BaseEstimator, X: Any, *, reset: bool) -> Dataset:
    is_ours = isinstance(X, (Dataset, Tensor, torch.utils.data.Dataset))
    if not is_ours and getattr(X, "ndim", 2) != 4 and not _has_text(X):
        columns = getattr(X, "columns", None)
        rows_needed = 2 if reset else 1
        values = validate_data(estimator, X, reset=reset, dtype="numeric", ensure_min_samples=rows_needed)
        dataset = from_object(values)
        return dataset if columns is None else replace(dataset, columns=tuple(map(str, columns)))
    dataset = from_object(X)
    dataset.require_finite()
    if reset:
        vars(estimator)["n_features_in_"] = prod(dataset.values.shape[1:])
    return dataset


def _has_text(X: Any) -> bool:
    """Whether it is a data frame with columns that do not hold numbers."""
    is_frame = hasattr(X, "columns") and hasattr(X, "dtypes")
    return is_frame and any(dtype.kind not in "buif" for dtype in X.dtypes)


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


def choose_device(device: str) -> torch.device:
    """Return the device of a name; ``auto`` takes an accelerator where torch sees one.

    Raises
    ------
    UsageError
        For another name, or an accelerator that is not there.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device={device!r}: there are auto, cpu and cuda")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device='cuda', but torch sees no such device here; use cpu or auto")
    return torch.device(device)
