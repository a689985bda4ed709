"""Any artifact, opened as what it is: a model, or a fitted job on tables."""

from pathlib import Path
from typing import Any, TypeVar

from vaekit.artifact import job_of
from vaekit.errors import UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.estimator import load as load_model
from vaekit.jobs.detection.outlier_detector import OutlierDetector
from vaekit.jobs.imputation.imputer import Imputer
from vaekit.jobs.saved_job import SavedJob
from vaekit.jobs.synthesis.synthesizer import Synthesizer
from vaekit.networks import NetworkRecipe

__all__ = ["load", "load_for"]

Job = TypeVar("Job", bound=SavedJob)

_JOBS: dict[str, type[SavedJob]] = {each.job: each for each in (OutlierDetector, Imputer, Synthesizer)}


def load(
    path: str | Path,
    *,
    device: str = "auto",
    encoder: Any = None,
    decoder: Any = None,
    network: NetworkRecipe | None = None,
) -> Any:
    """Load an artifact as a fitted estimator. Runs no code from it and reads no pickle.

    Parameters
    ----------
    path
        A ``NAME.vae`` folder: of a model, as ``vaekit fit`` and :meth:`vaekit.VariationalAutoencoder.save` make it, or
        of a fitted job, as :meth:`vaekit.OutlierDetector.save` does.
    device
        For a model ``cpu``, ``cuda``, or ``auto``.
    encoder, decoder, network
        The networks that were given to the model, where they were one's own: the artifact holds their weights and
        not their code.

    Returns
    -------
    VariationalAutoencoder, OutlierDetector, Imputer or Synthesizer
        Whatever was saved; ``load`` of that class returns it too, and nothing else.

    Raises
    ------
    UsageError
        If networks of one's own are missing, or given where there are none.
    ArtifactError
        If it is missing, damaged, or from a newer version of vaekit.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> x, folder = load_iris().data, tempfile.mkdtemp() + "/iris.vae"
    >>> detector = OutlierDetector(members=4, false_alarm_rate=0.05, steps=40).fit(x)
    >>> detector.save(folder)
    >>> bool((load(folder).p_values(x) == detector.p_values(x)).all())
    True
    """
    folder = Path(path)
    job = job_of(folder)
    if job is None:
        return load_model(folder, device=device, encoder=encoder, decoder=decoder, network=network)
    if not (encoder is decoder is network is None):
        raise UsageError(
            f"{folder} is a fitted {job}, whose networks are its own; leave encoder, decoder and network out"
        )
    return _JOBS[job].load(folder)


def load_for(job: type[Job], path: str | Path) -> Job | VariationalAutoencoder:
    """Return the fitted job of an artifact, or the model, which can do every job.

    Parameters
    ----------
    job
        The class of the job.
    path
        A ``NAME.vae`` folder.

    Raises
    ------
    ArtifactError
        If it is another job, or damaged.
    """
    folder = Path(path)
    return load_model(folder) if job_of(folder) is None else job.load(folder)
