"""Rows through a model, from file to file: encode, decode, score, classify, sample; large files block by block."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.application.sources import Opened, Source, open_artifact, read_source
from vaekit.data import Dataset, Schema, write
from vaekit.data.messages import plural
from vaekit.data.stored import StoredRows, few_rows
from vaekit.data.writers import write_blocks
from vaekit.errors import DataWarning, UsageError
from vaekit.estimator import load
from vaekit.estimator.model_rows import Given

__all__ = [
    "WrittenRows",
    "classify_to_file",
    "decode_to_file",
    "encode_to_file",
    "reconstruct_to_file",
    "sample_to_file",
    "score_to_file",
]

Categories = tuple[tuple[str, ...] | None, ...] | None


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


def encode_to_file(
    artifact: str | Path, data: Source, output: str | Path, *, codes: bool = False, **opening: Any
) -> WrittenRows:
    """Write the posterior mean of each row, or with ``codes`` its codes as whole numbers.

    The first three arguments of this function and its like are the artifact, the data and the file to write;
    ``opening`` is the device, label, data_dir and memory_limit that :func:`vaekit.application.open_artifact` takes.

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
    if codes:
        function = estimator.transform_to_codes
        columns = tuple(f"k{i}" for i in range(estimator.code_space().positions))
    else:
        function, columns = estimator.transform, tuple(estimator.get_feature_names_out())
    _warn_of_far_rows(opened)
    return _map_to_file(opened, output, lambda rows: np.asarray(function(rows)), columns=columns)


def reconstruct_to_file(
    artifact: str | Path, data: Source, output: str | Path, **opening: Any
) -> WrittenRows:
    """Write the model's version of each row, in the units of the data; warns as :func:`encode_to_file` does."""
    opened = open_artifact(artifact, data, **opening)
    _warn_of_far_rows(opened)
    estimator = opened.estimator
    return _map_to_file(opened, output, estimator.reconstruct, schema=estimator.schema_)


def score_to_file(
    artifact: str | Path, data: Source, output: str | Path, *, samples: int = 100, **opening: Any
) -> WrittenRows:
    r"""Write :math:`\log p(x)` of each row in nats, by so many importance samples; low scores are outliers."""
    if samples < 1:
        raise UsageError(f"samples={samples}: give a whole number of at least 1")
    opened = open_artifact(artifact, data, **opening)

    def score(rows: Dataset) -> np.ndarray:
        return opened.estimator.score_samples(rows, samples=samples)[:, None]

    return _map_to_file(opened, output, score, columns=("log_likelihood",))


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
    r"""Write the mean of :math:`p(x \mid z)` for each latent point, or with ``codes`` for each row of codes."""
    estimator = load(artifact, device=device)
    points = read_source(latents).values
    decode = estimator.inverse_transform_codes if codes else estimator.inverse_transform
    rows = decode(points, given=given)
    return WrittenRows(Path(output), write(Path(output), rows, schema=estimator.schema_))


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
    r"""Write new rows or images, draws of :math:`p(x \mid z)` or, with ``mean`` and in a picture, its means."""
    if n_samples < 1:
        raise UsageError(f"n_samples={n_samples}: give a whole number of at least 1")
    output = Path(output)
    estimator = load(artifact, device=device)
    # A picture shows means; any other file holds rows, which must be draws of p(x) unless means are asked for.
    noise = not mean and output.suffix.lower() != ".png"
    blocks = estimator.sample_blocks(n_samples, given=given, random_state=seed, noise=noise)
    return WrittenRows(output, write_blocks(output, blocks, rows=n_samples, schema=estimator.schema_))


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


def _map_to_file(
    opened: Opened,
    output: str | Path,
    function: Callable[[Dataset], np.ndarray],
    *,
    columns: tuple[str, ...] | None = None,
    categories: Categories = None,
    schema: Schema | None = None,
) -> WrittenRows:
    """Write what a function makes of each row; of rows that were left in their file, block by block.

    With a schema the rows are data, and are written in the types of the data of the fit.
    """
    output, dataset = Path(output), opened.dataset
    options: dict[str, Any] = {"columns": columns, "categories": categories, "schema": schema}
    if not isinstance(dataset.values, StoredRows):
        return WrittenRows(output, write(output, function(dataset), **options))
    blocks = (function(dataset.take(rows)) for rows in few_rows(dataset.values))
    return WrittenRows(output, write_blocks(output, blocks, rows=len(dataset), **options))
