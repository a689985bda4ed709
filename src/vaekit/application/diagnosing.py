"""An artifact taken to the doctor: on the rows that its training did not see, where it is known which those are."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaekit import report
from vaekit.application.sources import Source, open_artifact
from vaekit.data import Dataset, partition, write_text
from vaekit.data.split import split_indices
from vaekit.errors import DataWarning
from vaekit.jobs import Diagnosis, diagnose
from vaekit.jobs.diagnosis.doctor import FEWEST_ROWS

__all__ = ["ArtifactDiagnosis", "diagnose_artifact", "write_diagnosis"]

_FEWEST = 200  # held-out rows; with fewer test rows the validation rows are joined to them


@dataclass(frozen=True, kw_only=True)
class ArtifactDiagnosis:
    """A diagnosis of an artifact.

    Parameters
    ----------
    artifact
        The folder.
    source
        The name of the data.
    split
        The part of the data that it was looked at with: ``test``, ``validation and test``, or ``all``; of small data of
        the fit ``all, training rows included``.
    diagnosis
        The findings.
    """

    artifact: Path
    source: str
    split: str
    diagnosis: Diagnosis

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a document for JSON."""
        return {
            "artifact": str(self.artifact),
            "source": self.source,
            "split": self.split,
            **self.diagnosis.to_json(),
        }


def diagnose_artifact(
    artifact: str | Path, data: Source, *, seed: int = 0, seeds: int = 0, **opening: Any
) -> ArtifactDiagnosis:
    """Say what is wrong with the model of an artifact; see :func:`vaekit.diagnose`.

    With the data that it was fitted on, the rows of its test part are looked at, and compared with the training rows;
    with fewer than 200 of them the validation rows, which chose the epoch, are joined to them, and where even both are
    fewer than 40, all rows are looked at. With other data all rows are, and what needs the training rows is left out.

    Parameters
    ----------
    artifact
        A ``NAME.vae`` folder.
    data
        A path, the name of a data set, or data in memory.
    seed
        The seed of all noise.
    seeds
        How often to fit the model again with another seed, as :func:`vaekit.diagnose` does.
    opening
        Device, label, data_dir and memory_limit, as :func:`vaekit.application.open_artifact` takes them.

    Raises
    ------
    DataError
        For data that do not fit the model, or fewer than 40 rows.
    UsageError
        For a model without a log-likelihood.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_wine
    >>> from vaekit import VariationalAutoencoder, fit_and_prove
    >>> from vaekit.application import diagnose_artifact
    >>> x, folder = load_wine().data, tempfile.mkdtemp() + "/wine.vae"
    >>> vae = VariationalAutoencoder(latent=2, network="mlp:hidden=8", epochs=2, random_state=2)
    >>> _ = fit_and_prove(x, folder, estimator=vae, samples=5, validation=0.3)
    >>> diagnose_artifact(folder, x).split
    'validation and test'
    """
    opened = open_artifact(artifact, data, **opening)
    estimator = opened.estimator
    held_out, train, split = opened.dataset, None, "all"
    if opened.is_data_of_the_fit:
        train, held_out, split = _parts(opened.dataset, estimator.seed_, estimator.origin_["validation"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # of missing cells, said when the artifact was evaluated
        found = diagnose(
            estimator,
            held_out,
            train=train,
            seed=seed,
            seeds=seeds,
            artifact=str(artifact),
            data=opened.source,
        )
    return ArtifactDiagnosis(artifact=Path(artifact), source=opened.source, split=split, diagnosis=found)


def write_diagnosis(result: ArtifactDiagnosis, output: str | Path) -> Path:
    """Write a diagnosis as one self-contained HTML page, with a picture of the calibration of each column."""
    path = Path(output)
    name = result.artifact.absolute().stem
    page = report.render_diagnosis(result.diagnosis, name=name, source=result.source, split=result.split)
    write_text(path, page)
    return path


def _parts(dataset: Dataset, seed: int, validation: float) -> tuple[Dataset | None, Dataset, str]:
    """Return the training rows, those to look at, and their name."""
    parts = partition(dataset, seed, validation=validation)
    if (parts.test is not None and len(parts.test) >= _FEWEST) or dataset.test is not None or not validation:
        return parts.train, parts.test or dataset, "test"
    split = split_indices(len(dataset), seed, validation=validation)
    held_out = np.union1d(split.validation, split.test)
    if len(held_out) < FEWEST_ROWS:
        return None, dataset, "all, training rows included"
    return parts.train, dataset.take(held_out), "validation and test"
