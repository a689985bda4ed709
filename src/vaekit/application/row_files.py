"""Rows through a model, from file to file: encode, decode, score, classify, sample; large files block by block."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.application.sources import Opened, Source, open_artifact, read_source
from vaekit.data import Dataset, Schema, write
from vaekit.data.messages import ignored_columns, plural
from vaekit.data.output_files import output_ending
from vaekit.data.stored import StoredRows, few_rows
from vaekit.data.writers import check_output, write_blocks
from vaekit.errors import DataWarning, UsageError
from vaekit.estimator import VariationalAutoencoder, load
from vaekit.estimator.model_rows import Given
from vaekit.estimator.scoring import RowScores, ScoreTally

__all__ = [
    "WrittenRows",
    "WrittenScores",
    "classify_to_file",
    "decode_to_file",
    "encode_to_file",
    "reconstruct_to_file",
    "sample_to_file",
    "score_to_file",
]

Categories = tuple[tuple[object, ...] | None, ...] | None

_NO_OR_YES = (False, True)
_SCORES = ("log_likelihood", "standard_error", "effective_sample_size", "reliable")


@dataclass(frozen=True)
class WrittenRows:
    """A file that was written.

    Parameters
    ----------
    path
        The file.
    shape
        The shape of all its rows together, ``(n, ...)``.
    """

    path: Path
    shape: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as a document for JSON."""
        return {"output": str(self.path), "rows": self.shape[0], "shape": list(self.shape)}


@dataclass(frozen=True)
class WrittenScores(WrittenRows):
    """A file of scores.

    Parameters
    ----------
    outside
        How many rows have no probability under the model, and score minus infinity.
    mended
        How many rows were estimated with proposals of their own, because the posterior is none.
    unreliable
        How many rows could not be estimated well.
    """

    outside: int
    mended: int
    unreliable: int

    def to_json(self) -> dict[str, Any]:
        """Return it as a document for JSON."""
        counts = {"outside": self.outside, "mended": self.mended, "unreliable": self.unreliable}
        return {**super().to_json(), **counts}


def encode_to_file(
    artifact: str | Path, data: Source, output: str | Path, *, codes: bool = False, **opening: Any
) -> WrittenRows:
    """Write the posterior mean of each row, or with ``codes`` its codes as whole numbers.

    The first three arguments of this function and its like are the artifact, the data and the file to write, ``-`` for
    the standard output; ``opening`` is what :func:`vaekit.application.open_artifact` takes: with
    ``keep=["id", "label"]`` these columns of the data are written first, as they stand there.

    Warns
    -----
    DataWarning
        For rows far outside the range of the training rows, where an encoder can give anything.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from vaekit import VariationalAutoencoder
    >>> from vaekit.application import encode_to_file
    >>> x, folder = load_iris().data, tempfile.mkdtemp()
    >>> vae = VariationalAutoencoder(latent=2, network="mlp:hidden=8", epochs=2, random_state=0).fit(x)
    >>> vae.save(folder + "/iris.vae")
    >>> encode_to_file(folder + "/iris.vae", x, folder + "/latents.csv").shape
    (150, 2)
    """
    opened = open_artifact(artifact, data, **opening)
    estimator = opened.estimator
    function = estimator.transform_to_codes if codes else estimator.transform
    columns = _latent_names(estimator, codes=codes)
    _warn_of_far_rows(opened)
    return _map_to_file(opened, output, lambda rows: np.asarray(function(rows)), columns=columns)


def reconstruct_to_file(
    artifact: str | Path, data: Source, output: str | Path, **opening: Any
) -> WrittenRows:
    """Write the model's version of each row, in the units of the data; warns as :func:`encode_to_file` does.

    Of a conditional model a table has the conditions too, under which each row was reconstructed: first, or where a
    data frame of the fit had them. Labels that the model learns may be missing, and are left out.
    """
    opened = open_artifact(artifact, data, **opening)
    _warn_of_far_rows(opened)
    estimator = opened.estimator

    def reconstruct(rows: Dataset) -> np.ndarray:
        return estimator.reconstruct(rows, as_frame=False)

    return _map_to_file(
        opened, output, reconstruct, schema=estimator.schema_, conditions=_conditions_beside(opened)
    )


def score_to_file(
    artifact: str | Path, data: Source, output: str | Path, *, samples: int = 100, **opening: Any
) -> WrittenScores:
    r"""Write :math:`\log p(x)` of each row in nats, by so many importance samples; low scores are outliers.

    Beside it its standard error, the effective sample size, and whether it is ``reliable``: the columns of
    :class:`vaekit.estimator.scoring.RowScores`. An ``.npy`` has no names of columns, and holds
    :math:`\log p(x)` alone, ``(n, 1)``.

    Warns
    -----
    DataWarning
        For rows that score minus infinity, with the columns to blame, and for those that could not be estimated well.
    """
    if samples < 1:
        raise UsageError(f"samples={samples}: give a whole number of at least 1")
    opened, tally = open_artifact(artifact, data, outside="keep", **opening), ScoreTally()
    columns = _SCORES[:1] if output_ending(output) == ".npy" else _SCORES

    def score(rows: Dataset) -> np.ndarray:
        scores: RowScores = opened.estimator.log_likelihood(rows, samples=samples)
        tally.add(scores)
        found = (scores.log_likelihood, scores.standard_error, scores.effective_sample_size, scores.reliable)
        return np.column_stack(found[: len(columns)])

    categories = tuple(_NO_OR_YES if name == "reliable" else None for name in columns)
    written = _map_to_file(opened, output, score, columns=columns, categories=categories)
    for note in (tally.outside_note(opened.dataset.source), tally.unreliable_note(opened.dataset.source)):
        if note is not None:
            warnings.warn(note, DataWarning, stacklevel=2)
    return WrittenScores(written.path, written.shape, tally.outside, tally.mended, tally.unreliable)


def classify_to_file(artifact: str | Path, data: Source, output: str | Path, **opening: Any) -> WrittenRows:
    """Write the most probable label of each row, and the probability of every label."""
    opened = open_artifact(artifact, data, **opening)
    names = opened.estimator.label_names()

    def classify(rows: Dataset) -> np.ndarray:
        probabilities = opened.estimator.predict_label_probabilities(rows)
        return np.column_stack([probabilities.argmax(1), probabilities])

    columns = ("label", *(f"probability_{name}" for name in names))
    return _map_to_file(opened, output, classify, columns=columns, categories=(names, *(None for _ in names)))


def decode_to_file(
    artifact: str | Path,
    latents: Source,
    output: str | Path,
    *,
    codes: bool = False,
    given: Given = None,
    device: str = "auto",
) -> WrittenRows:
    r"""Write the mean of :math:`p(x \mid z)` for each latent point, or with ``codes`` for each row of codes.

    In a table with the columns that :func:`encode_to_file` writes, others are ignored. Of a conditional model a table
    of rows has the conditions under which each was decoded, as in :func:`reconstruct_to_file`.
    """
    estimator = load(artifact, device=device)
    points = _latent_points(latents, _latent_names(estimator, codes=codes))
    decode = estimator.inverse_transform_codes if codes else estimator.inverse_transform
    rows = decode(points, given=given, as_frame=False)
    conditions = estimator.sample_conditions(len(rows), given=given, random_state=estimator.seed_)
    shape = write(Path(output), rows, schema=estimator.schema_, conditions=conditions)
    return WrittenRows(Path(output), shape)


def sample_to_file(
    artifact: str | Path,
    output: str | Path,
    n_samples: int,
    *,
    seed: int = 0,
    mean: bool = False,
    given: Given = None,
    device: str = "auto",
) -> WrittenRows:
    r"""Write new rows or images: draws of :math:`p(x \mid z)` or, with ``mean``, its means."""
    if n_samples < 1:
        raise UsageError(f"n_samples={n_samples}: give a whole number of at least 1")
    output = Path(output)
    estimator = load(artifact, device=device)
    noise = not mean
    conditions = estimator.sample_conditions(n_samples, given=given, random_state=seed)
    blocks = estimator.sample_blocks(n_samples, given=given, random_state=seed, noise=noise)
    options: dict[str, Any] = {"schema": estimator.schema_, "conditions": conditions}
    return WrittenRows(output, write_blocks(output, blocks, rows=n_samples, **options))


def _latent_names(estimator: VariationalAutoencoder, *, codes: bool) -> tuple[str, ...]:
    """Return the names of the columns of latents, or of codes."""
    letter, count = (
        ("k", estimator.code_space().positions) if codes else ("z", estimator.model_.latent_shape[0])
    )
    return tuple(f"{letter}{i}" for i in range(count))


def _latent_points(latents: Source, names: tuple[str, ...]) -> np.ndarray:
    """Read latent points: the columns of these names, where all are there, and otherwise all columns."""
    dataset = read_source(latents, only=dict.fromkeys(names, True))
    given = dataset.columns or ()
    if not set(names) <= set(given):
        return dataset.values
    if extra := [name for name in given if name not in names]:
        warnings.warn(f"{dataset.source}: {ignored_columns(extra)}", DataWarning, stacklevel=3)
    return dataset.values[:, [given.index(name) for name in names]]


def _warn_of_far_rows(opened: Opened) -> None:
    """Warn of rows with values further beyond the training range than it is wide."""
    far = opened.estimator.schema_.far_outside(opened.dataset.values)
    if far:
        (row, column), rows = far[0], len(opened.dataset)
        where = "" if opened.estimator.schema_.kind == "images" else f" in column {column!r}"
        those = "is" if len(far) == 1 else "are"
        warnings.warn(
            f"{opened.source}: {len(far):,} of {plural(rows, 'row')} {those} far outside the range of the training "
            f"rows, the first of them row {row:,} (counted from 0){where}: the encoder has not learned what to make of "
            "them; `vaekit score` tells how unusual they are",
            DataWarning,
            stacklevel=3,
        )


def _conditions_beside(opened: Opened) -> dict[str, np.ndarray] | None:
    """Return the conditions of every row, but for those that are kept of the data already."""
    told, dataset = opened.estimator.schema_.conditions, opened.dataset
    if told is None or told.missing:
        return None
    found = told.decode(told.encode(dataset.conditions, what=opened.source, rows=len(dataset)))
    kept = () if dataset.kept is None else dataset.kept.columns
    return {name: values for name, values in found.items() if name not in kept}


def _map_to_file(
    opened: Opened,
    output: str | Path,
    function: Callable[[Dataset], np.ndarray],
    *,
    columns: tuple[str, ...] | None = None,
    categories: Categories = None,
    schema: Schema | None = None,
    conditions: dict[str, np.ndarray] | None = None,
) -> WrittenRows:
    """Write what a function makes of each row; of rows that were left in their file, block by block.

    With a schema the rows are data, and are written in the types of the data of the fit.
    """
    output, dataset = Path(output), opened.dataset
    check_output(output, beside=dataset.kept)
    options: dict[str, Any] = {
        "columns": columns,
        "categories": categories,
        "schema": schema,
        "conditions": conditions,
        "beside": dataset.kept,
    }
    if not isinstance(dataset.values, StoredRows):
        return WrittenRows(output, write(output, function(dataset), **options))
    blocks = (
        function(replace(dataset.take(rows), first_row=int(rows[0]))) for rows in few_rows(dataset.values)
    )
    return WrittenRows(output, write_blocks(output, blocks, rows=len(dataset), **options))
