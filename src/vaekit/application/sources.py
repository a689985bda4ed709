"""Data and models by name: a source to a data set, an artifact to an estimator, and one taken to the other."""

import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from vaekit.artifact import check_destination
from vaekit.data import Dataset, from_object, read
from vaekit.data.column_selection import chosen_columns, take_columns
from vaekit.data.condition_columns import take_conditions
from vaekit.data.frame_types import is_frame
from vaekit.data.mapped import memory_limit as bytes_of
from vaekit.data.picture_recipe import PictureRecipe
from vaekit.data.reading import is_folder_of_pictures
from vaekit.data.schema_check import Outside
from vaekit.errors import DataError, DataWarning, MissingLabelError, UsageError
from vaekit.estimator import VariationalAutoencoder, load

__all__ = [
    "Opened",
    "Source",
    "check_save",
    "open_artifact",
    "read_for_model",
    "read_like",
    "read_source",
    "source_name",
]

#: A path, the name of a data set, or data in memory: an array, a data frame, a :class:`vaekit.data.Dataset`.
Source = Any


def source_name(data: Source) -> str | None:
    """Return a path or name as text; None for data in memory."""
    return os.fsdecode(data) if isinstance(data, (str, os.PathLike)) else None


def read_source(
    data: Source,
    *,
    label: str | None = None,
    data_dir: Path | None = None,
    memory_limit: str | int | None = None,
    conditions: Sequence[str] = (),
    pictures: PictureRecipe | None = None,
    thousands: str | None = None,
    decimal: str | None = None,
    only: Mapping[str, bool] | None = None,
    alone: Sequence[str] = (),
    drop: Sequence[str] = (),
    categorical: Collection[str] = (),
    missing_values: Any = None,
    source: str | None = None,
) -> Dataset:
    """Read data; see :func:`vaekit.data.read`.

    Parameters
    ----------
    data, label, data_dir, memory_limit, conditions
        As :func:`vaekit.data.read` takes them.
    alone, drop
        Names of the columns of a table to model alone, and to leave out.
    source
        The name of the data in messages; None: their own.

    Raises
    ------
    DataError
        For data that cannot be read, and infinite values; in images for missing ones too.

    Warns
    -----
    DataWarning
        For columns that are left out, and text that is read as numbers.
    """
    name = source_name(data)
    if name is None:
        if pictures is not None:
            raise UsageError(
                "convert, resize and skip_unreadable are for folders of pictures, and the data are in memory; leave "
                "them out"
            )
        dataset = _from_memory(
            data, conditions, only=only, categorical=categorical, missing_values=missing_values
        )
    else:
        options = {} if pictures is None else asdict(pictures)
        dataset = read(
            name,
            label=label,
            data_dir=data_dir,
            memory_limit=bytes_of(memory_limit),
            conditions=conditions,
            thousands=thousands,
            decimal=decimal,
            only=only,
            categorical=categorical,
            missing_values=missing_values,
            **options,
        )
    dataset = dataset if source is None else replace(dataset, source=source)
    _warn_of_notes(dataset)
    if alone or drop:
        dataset = take_columns(dataset, chosen_columns(dataset.columns or (), only=alone, drop=drop))
    dataset.require_finite()
    if dataset.test is not None:
        dataset.test.require_finite()
    return dataset


def read_like(
    data: Source, fitted: Mapping[str, Any], *, label: str | None = None, **options: Any
) -> Dataset:
    """Read data as those of a fit were read, but for what is asked otherwise.

    Parameters
    ----------
    data
        The data.
    fitted
        How the others were read: ``label``, which these need not have, ``missing_values``, ``thousands`` and
        ``decimal``, as far as they are there.
    label
        A column that is a label, which the data must have.
    options
        As for :func:`read_source`; what is None is as it was.

    Raises
    ------
    DataError
        For data that cannot be read.
    """
    as_before = {key: fitted.get(key) for key in ("missing_values", "thousands", "decimal")}
    reading: dict[str, Any] = as_before | {key: each for key, each in options.items() if each is not None}
    if label is not None or fitted.get("label") is None:
        return read_source(data, label=label, **reading)
    try:
        return read_source(data, label=fitted["label"], **reading)
    except MissingLabelError:
        return read_source(data, **reading)


def check_save(save: str | Path | None, *, model: object, force: bool, job: str) -> None:
    """Refuse a place where what is fitted could not be saved at the end, and one where nothing is fitted.

    Raises
    ------
    UsageError
        If a model is given, so that nothing is fitted.
    ArtifactError
        As :func:`vaekit.artifact.check_destination` does.
    """
    if save is None:
        return
    if model is not None:
        raise UsageError(f"save is for {job} that is fitted here, and the model is fitted; leave it out")
    check_destination(Path(save), force=force, argument="save")


def _from_memory(data: Any, conditions: Sequence[str], **choice: Any) -> Dataset:
    """Return data in memory as a data set with its conditions, which may be columns of text of a data frame."""
    columns = [name for name in conditions if name in data.columns] if is_frame(data) else []
    return take_conditions(from_object(data, conditions=columns, **choice), conditions)


def _warn_of_notes(dataset: Dataset) -> None:
    """Warn of what reading made of the columns: dates as days, thousands, columns that were left out."""
    for note in dataset.notes:
        warnings.warn(f"{dataset.source}: {note}", DataWarning, stacklevel=3)


@dataclass(frozen=True)
class Opened:
    """A fitted model, and data that were checked against its schema.

    Parameters
    ----------
    artifact
        The folder that the model was loaded from.
    estimator
        The model.
    source
        The name of the data.
    dataset
        The data.
    """

    artifact: Path
    estimator: VariationalAutoencoder
    source: str
    dataset: Dataset

    @property
    def is_data_of_the_fit(self) -> bool:
        """Whether these are the data that the model was fitted on."""
        return self.dataset.hash() == self.estimator.origin_.get("hash")


def open_artifact(
    artifact: str | Path,
    data: Source,
    *,
    device: str = "auto",
    label: str | None = None,
    data_dir: Path | None = None,
    memory_limit: str | int | None = None,
    **reading: Any,
) -> Opened:
    """Load an artifact, and read data for it.

    Parameters
    ----------
    artifact
        A ``NAME.vae`` folder.
    data
        A path, the name of a data set, or data in memory.
    device
        ``cpu``, ``cuda``, or ``auto``.
    label
        A column that is a label; by default the label of the fit, where the data have it.
    data_dir
        Where the named data sets lie, such as ``mnist``.
    memory_limit
        Memory for data, such as ``"2GB"``; a file that needs more is read block by block.
    reading
        ``thousands``, ``decimal``, ``keep`` and ``outside``, as :func:`read_for_model` takes them.

    Raises
    ------
    ArtifactError
        If the artifact cannot be loaded.
    DataError
        If the data do not fit the model.
    """
    memory = bytes_of(memory_limit)
    estimator = load(artifact, device=device)
    dataset = read_for_model(estimator, data, label=label, data_dir=data_dir, memory_limit=memory, **reading)
    return Opened(Path(artifact), estimator, source_name(data) or dataset.source, dataset)


def read_for_model(
    estimator: VariationalAutoencoder,
    data: Source,
    *,
    label: str | None = None,
    data_dir: Path | None = None,
    memory_limit: int | None = None,
    thousands: str | None = None,
    decimal: str | None = None,
    keep: Sequence[str] = (),
    outside: Outside = "refuse",
) -> Dataset:
    """Read data for a model and check them against its schema; label column and missing values are those of the fit.

    Parameters
    ----------
    estimator, data, label, data_dir, memory_limit
        As for :func:`open_artifact`.
    thousands, decimal
        Separators within the numbers of a table of text, where its values do not show them.
    keep
        Columns to keep as they stand in the data, in ``Dataset.kept``.
    outside
        Whether values that no row like those of the training could have are refused; see
        :meth:`vaekit.data.Schema.align`.

    Warns
    -----
    DataWarning
        For columns that the model does not have, and for those that were constant when it was fitted and are missing
        or differ.
    """
    told, schema = estimator.schema_.conditions, estimator.schema_
    codes = schema.missing_values
    names = () if told is None else told.names
    label_of_fit = label or estimator.origin_.get("label")
    only = schema.known_columns
    if source_name(data) is not None and source_name(data) == estimator.origin_.get("source"):
        thousands = thousands or estimator.origin_.get("thousands")  # as it was read for the fit
        decimal = decimal or estimator.origin_.get("decimal")
    categorical = [column.name for column in estimator.schema_.columns if column.categories is not None]

    def read_with(conditions: Sequence[str]) -> Dataset:
        name = source_name(data)
        if name is None:
            found = label_of_fit if is_frame(data) and label_of_fit in data.columns else None
            choice: dict[str, Any] = {"label": found, "keep": keep, "only": only}
            return _from_memory(data, conditions, **choice, categorical=categorical, missing_values=codes)
        options: dict[str, Any] = {
            "data_dir": data_dir,
            "memory_limit": memory_limit,
            "conditions": conditions,
            "thousands": thousands,
            "decimal": decimal,
            "keep": keep,
            "only": only,
            "categorical": categorical,
            "missing_values": codes,
        }
        pictures = estimator.schema_.pictures
        if pictures is not None and is_folder_of_pictures(name):
            options |= asdict(pictures)
        try:
            return read(name, label=label_of_fit, **options)
        except MissingLabelError:
            if label is not None:
                raise
            return read(name, **options)  # new rows need no label

    try:
        dataset = read_with(names)
    except DataError:
        if told is None or not told.missing:
            raise
        dataset = read_with(())  # the column may be missing as a whole; any other mistake is met again
    dataset = take_columns(dataset, estimator.left_out_)
    what = source_name(data) or dataset.source
    dataset = schema.align(dataset, what=what, outside=outside)
    _warn_of_notes(dataset)
    if told is not None:
        told.encode(dataset.conditions, what=what, rows=len(dataset))
    if outside == "keep":  # then it is told of with all other values that have no probability
        return dataset
    empty = schema.empty_columns
    for column, rows in schema.constant_changes(dataset.values).items():
        was = "had no value at all" if column in empty else "was constant"
        named = f"column {column!r}" if dataset.kind == "table" else column
        warnings.warn(
            f"{named} {was} when the model was fitted, and differs in {rows} rows of {what}: it plays "
            "no part in the results",
            DataWarning,
            stacklevel=2,
        )
    return dataset
