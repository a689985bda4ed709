"""The holes of rows filled by a fitted model: what is expected given the observed cells, or draws of it."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vaekit.data import Dataset, Schema
from vaekit.data.arrays import channels_first, image_layout
from vaekit.data.dataset import made_up_names
from vaekit.data.frame_types import is_frame
from vaekit.data.messages import plural
from vaekit.data.restoring import fill_frame, restore_array, restore_table
from vaekit.data.stored import StoredRows
from vaekit.errors import DataWarning, UsageError
from vaekit.estimator.model_rows import FittedModel
from vaekit.evaluation.conditional_cells import conditional_cells
from vaekit.runtime.randomness import Stream

__all__ = ["FilledRows", "fill_given", "fill_rows"]

Floats = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 1024
_FEW_SAMPLES = 10  # an effective number below which a row is told of


@dataclass(frozen=True, eq=False)
class FilledRows:
    """Rows whose missing cells were filled by a model, in the units of the data.

    Parameters
    ----------
    holes
        ``(n, *event)``: the cells that were missing.
    expected
        ``(n, *event)``: the rows with the mean of each missing cell given the observed ones, or the most probable
        category. NaN stays in a column without any value in training.
    drawn
        For each draw ``(n, *event)``.
    effective_sample_size
        ``(n,)``: that of the importance weights of each row; NaN for a row without holes.
    """

    holes: npt.NDArray[np.bool_]
    expected: Floats
    drawn: list[Floats]
    effective_sample_size: Floats


def fill_rows(fitted: FittedModel, rows: Dataset, *, samples: int, draws: int, seed: int) -> FilledRows:
    """Fill the missing cells of rows; observed cells stay as they are.

    Parameters
    ----------
    fitted
        The model.
    rows
        Rows in the units of the data, in the columns of its schema; NaN in a missing cell, of images as well.
    samples
        Importance samples of a row: see :func:`vaekit.evaluation.conditional_cells.conditional_cells`.
    draws
        The number of draws.
    seed
        Of all noise: the same seed gives the same bytes.

    Raises
    ------
    UsageError
        For a model of whole rows, whose likelihood cannot leave cells out, and rows that are left in their file.
    """
    if isinstance(rows.values, StoredRows):
        raise UsageError(
            f"{rows.source}: rows that are left in their file cannot be filled; give it more memory"
        )
    values = np.asarray(rows.values, dtype=np.float64)
    holes = np.isnan(values)
    at = np.flatnonzero(holes.reshape(len(holes), -1).any(1))
    expected, drawn = values.copy(), [values.copy() for _ in range(draws)]
    sizes, stream = np.full(len(values), np.nan), Stream(seed)
    for start in range(0, len(at), _ROWS_AT_ONCE):
        some = at[start : start + _ROWS_AT_ONCE]
        with stream.drawing():
            means, each, sizes[some] = _of_rows(fitted, rows.take(some), holes[some], samples, draws)
        for filled, found in zip((expected, *drawn), (means, *each), strict=True):
            filled[some] = np.where(holes[some], found, values[some])
    return FilledRows(holes, expected, drawn, sizes)


def fill_given(
    fitted: FittedModel,
    X: Any,
    read: Callable[[Any], Dataset],
    *,
    draws: int | None,
    samples: int,
    seed: int,
) -> Any:
    """Fill the missing cells of what an estimator is given; see ``VariationalAutoencoder.impute``.

    Parameters
    ----------
    fitted
        The model.
    X
        An array, a data frame or a data set.
    read
        From X, without missing pixels, to rows that were checked against the schema.
    draws, samples, seed
        As there.
    """
    if draws is not None and draws < 1:
        raise UsageError(f"draws={draws}: give a whole number of at least 1, or None for what is expected")
    given, missing = _readable(X, fitted.schema)
    rows = read(given)
    if missing is not None:
        rows = replace(rows, values=np.where(missing, np.nan, rows.values))
    found = fill_rows(fitted, rows, samples=samples, draws=draws or 0, seed=seed)
    poor = np.flatnonzero(found.effective_sample_size < _FEW_SAMPLES)
    if len(poor):
        warnings.warn(
            f"{rows.source}: {plural(len(poor), 'row')} (row {poor[0]:,}, counted from 0"
            f"{', the first' * (len(poor) > 1)}) rest on fewer than {_FEW_SAMPLES} effective importance samples of "
            f"{samples}: the model does not expect such rows; more samples bring them nearer to what it says",
            DataWarning,
            stacklevel=3,
        )
    tables = [found.expected] if draws is None else found.drawn
    filled = [_put_back(X, table, fitted.schema, found.holes) for table in tables]
    return filled[0] if draws is None else filled


def _readable(X: Any, schema: Schema) -> tuple[Any, np.ndarray | None]:
    """Return what an estimator can read, and which pixels of images are missing, ``(n, channels, height, width)``."""
    if schema.kind == "table":
        return X, None
    values = np.asarray(X.values if isinstance(X, Dataset) else X)
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)
    if not missing.any() or values.ndim not in (3, 4):
        return X, None
    whole = np.where(missing, schema.columns[0].minimum, values).astype(values.dtype)
    if isinstance(X, Dataset):
        return replace(X, values=whole), missing
    return whole, channels_first(missing, image_layout(values.shape))


def _put_back(X: Any, filled: Floats, schema: Schema, holes: npt.NDArray[np.bool_]) -> Any:
    """Return filled rows as what was given: a data frame with its types, an array of its columns, or images."""
    if isinstance(X, Dataset):
        return filled
    if is_frame(X):
        return fill_frame(X, schema, filled, holes)
    whole = np.array(X)
    if schema.kind == "images":
        whole = whole if whole.dtype.kind == "f" else restore_array(schema, filled, layout=False)
        layout = image_layout(whole.shape)
        channels_first(whole, layout)[holes] = filled[holes]
        return whole
    names = [column.name for column in schema.columns]
    there = list(made_up_names(whole.shape[1]))
    places = range(len(names)) if len(names) == len(there) else [there.index(name) for name in names]
    whole = whole if whole.dtype.kind in "fO" else whole.astype(np.float64)
    restored = restore_table(replace(schema, frame=None), filled) if whole.dtype.kind == "O" else None
    for j, place in enumerate(places):
        cells = filled[:, j] if restored is None else restored[names[j]].to_numpy(dtype=object)
        whole[holes[:, j], place] = cells[holes[:, j]]
    return whole


def _of_rows(
    fitted: FittedModel, rows: Dataset, holes: np.ndarray, samples: int, draws: int
) -> tuple[Floats, Iterator[Floats], Floats]:
    schema, whole = fitted.schema, rows
    if schema.kind == "images":
        whole = replace(rows, values=np.where(holes, schema.columns[0].minimum, rows.values))
    taking = fitted.taking_missing()
    x, c = taking.tensors(whole)
    if schema.kind == "images":
        seen = holes if schema.constant is None else schema.constant.drop(holes)
        x[torch.from_numpy(seen.reshape(x.shape)).to(x.device)] = torch.nan
    c = None if c is None else taking.with_labels(x, c)
    found = conditional_cells(taking.model, x, c=c, samples=samples, draws=draws)
    in_data = (_in_types(schema, schema.inverse(draw.cpu().numpy())) for draw in found.drawn)
    means = _in_types(schema, schema.inverse(found.expected.cpu().numpy()))
    return means, in_data, found.effective_sample_size.cpu().numpy()


def _in_types(schema: Schema, values: Floats) -> Floats:
    """Return rows of a table with whole numbers where the column has them."""
    if schema.kind == "table":
        for j, column in enumerate(schema.columns):
            if column.stored_as in ("integer", "boolean"):
                values[..., j] = np.rint(values[..., j]) + 0.0  # rounding leaves -0.0
    return values
