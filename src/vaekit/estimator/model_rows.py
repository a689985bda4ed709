"""A fitted model, and rows as it takes them: scaled, with their conditions, in chunks."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.data import Dataset, Schema
from vaekit.data.dataset import row_blocks
from vaekit.data.messages import plural
from vaekit.data.stored import StoredRows
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.likelihoods import ObservedCells
from vaekit.networks.network_inputs import FilledCells, TransformedInput
from vaekit.runtime.rows import ROWS_AT_ONCE, chunks, map_chunks
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.sentence import Sentence
from vaekit.sentence.compatibility import check_missing
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = ["FittedModel", "Floats", "Given", "check_latents"]

Floats = npt.NDArray[np.float32]
Given = Mapping[str, Any] | str | None


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
        taking = self.taking_missing()
        warnings.warn(
            "values are missing, and the model was fitted to rows without missing values: it sees the mean of their "
            "column in their place; log-likelihoods are those of the values that are there",
            DataWarning,
            stacklevel=3,
        )
        return taking

    def taking_missing(self) -> "FittedModel":
        """Return a model that takes rows, or images, in which cells are missing; this one where it was fitted to such.

        It shares its parameters with this one.

        Raises
        ------
        UsageError
            Where its sentence cannot.
        """
        if self.schema.masked is not None:
            return self
        check_missing(self.sentence, self.model.likelihood_part)
        model, schema = self.model, self.schema
        likelihood = model.likelihood_part
        is_density = likelihood.traits.measure in ("density", "mixed") and schema.kind == "table"
        fill = self._usual_cells()
        taking = VAE(
            TransformedInput(FilledCells(fill), model.encoder),
            model.parts["posterior"],
            model.parts["prior"],
            model.decoder,
            ObservedCells(likelihood, schema.column_log_jacobians if is_density else 0.0),
            None if model.classifier is None else TransformedInput(FilledCells(fill), model.classifier),
        )
        return replace(self, model=taking.to(self.device).train(model.training))

    def _usual_cells(self) -> list[float]:
        """Return the mean of each column in the coordinates of the model, and -1 for categories; of images one."""
        schema = self.schema
        if schema.kind == "images":
            return [(schema.columns[0].mean - schema.offset[0]) / schema.scale[0]]
        means = schema.transform(np.array([[column.mean for column in schema.columns]]))[0].tolist()
        kinds = self.model.likelihood_part.columns or ("",) * int(schema.kept.sum())
        return [
            -1.0 if kind.startswith("categorical") else mean for kind, mean in zip(kinds, means, strict=True)
        ]

    def _has_holes(self, rows: Dataset | None) -> bool:
        """Whether cells are missing in the columns that the model sees."""
        if rows is None or not rows.has_missing:
            return False
        kept, values = self.schema.kept, rows.values
        return bool(kept.all()) or any(np.isnan(values[part][:, kept]).any() for part in row_blocks(values))

    def with_probability(self, rows: Dataset, *, what: str) -> Dataset:
        """Return the rows of held-out data that have a probability under the model; the others are named in a warning.

        A value that no training row had, such as a new level of a column of levels, must not end a fit.

        Raises
        ------
        DataError
            Where no row is left.

        Warns
        -----
        DataWarning
            Where rows are left out.
        """
        support = self.model.likelihood_part.support
        if isinstance(rows.values, StoredRows) or support.contains(x := self.schema.transform(rows.values)):
            return rows
        inside = support.inside(x).reshape(len(x), -1).all(1)
        if not inside.any():
            support.check(x, self.sentence.likelihood.kind)
        left_out = len(x) - int(inside.sum())
        warnings.warn(
            f"{what}: {plural(left_out, 'row')} of {len(x):,} with a value that the model gives no probability, left "
            f"out of its numbers. {self._first_outside(rows.values, x, rows.first_row)}",
            DataWarning,
            stacklevel=4,
        )
        return rows.take(np.flatnonzero(inside))

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
