"""What is given to the estimator: read, checked, and brought to the model's coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import Tensor

from vaekit.data import ConditionSchema, Dataset, Schema, from_object
from vaekit.data.condition_columns import LABELS, named_conditions, take_conditions
from vaekit.data.conditions import ConditionKind, parse_condition
from vaekit.data.frames import column_as_found
from vaekit.data.mapped import mapped_dataset, memory_limit
from vaekit.data.stored import StoredRows
from vaekit.data.streams import is_stream, stream
from vaekit.errors import DataError, UsageError
from vaekit.sentence import Sentence
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = [
    "check_latents",
    "choose_device",
    "fit_conditions",
    "model_columns",
    "read_input",
    "read_names",
    "to_model",
]


def read_input(
    estimator: BaseEstimator,
    X: Any,
    schema: Schema | None,
    *,
    names: Sequence[str] = (),
    conditions: Any = None,
) -> Dataset:
    """Read what was given, with scikit-learn's own checks where it is a table of its kind.

    Parameters
    ----------
    estimator
        Told the number and names of the columns where they are fitted.
    X
        Array, tensor, data frame, :class:`vaekit.data.Dataset`, or what :func:`vaekit.data.stream` reads.
    schema
        What to check it against; None where it is to be fitted.
    names, conditions
        Names of the conditions, and their values where they are given beside the data; otherwise they are columns
        of a data frame, or what a data set has.

    Raises
    ------
    DataError
        For data that cannot be used.
    """
    if isinstance(X, np.memmap):
        limit = memory_limit(getattr(estimator, "memory_limit", None))
        left_in_file = mapped_dataset(X, source="the array", limit=limit)
        X = X if left_in_file is None else left_in_file
    if is_stream(X):
        X = stream(X, memory_limit=getattr(estimator, "memory_limit", None))
    taken: Mapping[str, np.ndarray] = {}
    if names and hasattr(X, "columns") and hasattr(X, "drop"):
        taken = {name: column_as_found(X[name]) for name in names if name in X.columns}
        X = X.drop(columns=list(taken))
    is_ours = isinstance(X, (Dataset, torch.Tensor, torch.utils.data.Dataset))
    reset = schema is None
    if not is_ours and getattr(X, "ndim", 2) != 4 and not _has_text(X):
        columns = getattr(X, "columns", None)
        values = validate_data(
            estimator, X, reset=reset, dtype="numeric", ensure_min_samples=2 if reset else 1
        )
        dataset = from_object(values)
        if columns is not None:
            dataset = replace(dataset, columns=tuple(map(str, columns)))
    else:
        dataset = from_object(X)
        dataset.require_finite()
        if reset:
            estimator.n_features_in_ = prod(dataset.values.shape[1:])  # type: ignore[attr-defined]
    if names:
        if conditions is not None:
            taken = {**taken, **named_conditions(conditions, names, len(dataset))}
        dataset = take_conditions(
            dataset, [name for name in names if name not in taken and _has(dataset, name)]
        )
        dataset = replace(dataset, conditions={**(dataset.conditions or {}), **taken})
    return dataset if schema is None else schema.align(dataset, what="the data")


def _has_text(X: object) -> bool:
    """Whether it is a data frame with columns that do not hold numbers."""
    return (
        hasattr(X, "columns")
        and hasattr(X, "dtypes")
        and any(
            dtype.kind not in "buif"
            for dtype in X.dtypes  # type: ignore[attr-defined]
        )
    )


def _has(dataset: Dataset, name: str) -> bool:
    found = name in (dataset.conditions or {}) or name in (dataset.columns or ())
    return found or (name == LABELS and dataset.labels is not None)


def read_names(condition: str | Sequence[str] | None) -> dict[str, ConditionKind]:
    """Read which conditions a model is to have.

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


def fit_conditions(
    dataset: Dataset, kinds: Mapping[str, ConditionKind], *, missing: bool = False
) -> ConditionSchema:
    """Learn what the conditions of the training rows are; ``missing`` says whether values may be missing.

    Raises
    ------
    DataError
        If one is not there, or cannot be used.
    """
    found = dataset.conditions or {}
    for name in kinds:
        if name not in found:
            raise DataError(
                f"{dataset.source}: no values for the condition {name!r}; give them as a column, or beside the data in "
                "conditions={...}"
            )
    return ConditionSchema.fit({name: found[name] for name in kinds}, kinds, missing=missing)


def to_model(values: np.ndarray, schema: Schema, model: VAE, sentence: Sentence) -> Tensor:
    """Bring rows to the model's coordinates, on the CPU, and hold them against its likelihood's support.

    Rows that stay in their file are brought there as they are read.
    """
    if isinstance(values, StoredRows):
        rows = StreamedRows(
            values, lambda block: to_model(block, schema, model, sentence), limit=values.limit
        )
        return cast(Tensor, rows)  # it has what is asked of a tensor of data
    x = schema.transform(values)
    model.parts["likelihood"].support.check(x, sentence.likelihood.kind)  # type: ignore[union-attr]
    return torch.from_numpy(x)


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


def model_columns(schema: Schema) -> list[str] | None:
    """Names of the columns that the model sees; None for images."""
    names = schema.column_names
    return None if names is None else [n for n, kept in zip(names, schema.kept, strict=True) if kept]


def choose_device(device: str) -> torch.device:
    """Give the device of a name; ``auto`` takes an accelerator where torch sees one.

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
