"""Exploring an artifact: the model and its rows for the page, served or written as one file."""

from dataclasses import dataclass
from pathlib import Path

from vaekit.application.sources import Source, read_for_model
from vaekit.data import Dataset, write_text
from vaekit.errors import DataError
from vaekit.estimator import VariationalAutoencoder, load
from vaekit.explorer import Exploration, ExplorationPage

__all__ = ["OpenedExploration", "WrittenExploration", "explore_artifact", "write_exploration"]


@dataclass(frozen=True)
class OpenedExploration:
    """A model and its rows, ready to be explored.

    Parameters
    ----------
    exploration
        The answers to the page's questions.
    without_data
        Why draws from the prior are shown instead of rows; None where there are rows.
    """

    exploration: Exploration
    without_data: str | None


@dataclass(frozen=True)
class WrittenExploration:
    """A page that was written.

    Parameters
    ----------
    path
        The page.
    without_data
        As in :class:`OpenedExploration`.
    """

    path: Path
    without_data: str | None


def explore_artifact(
    artifact: str | Path,
    *,
    data: Source = None,
    device: str = "auto",
    label: str | None = None,
    data_dir: Path | None = None,
) -> OpenedExploration:
    """Open an artifact to be explored: see :class:`vaekit.explorer.Exploration` and :func:`vaekit.explorer.serve`.

    Parameters
    ----------
    artifact
        A ``NAME.vae`` folder.
    data
        Rows to show; by default those that the model was fitted on, where they are at hand, and otherwise draws from
        the prior.
    device, label, data_dir
        As :func:`open_artifact` takes them.

    Raises
    ------
    ArtifactError
        If the artifact cannot be loaded.
    DataError
        If the given data do not fit the model.
    """
    estimator = load(artifact, device=device)
    rows, without_data = _rows(estimator, data, label, data_dir)
    return OpenedExploration(Exploration(estimator, rows, name=_name(artifact)), without_data)


def write_exploration(
    artifact: str | Path,
    output: str | Path,
    *,
    data: Source = None,
    device: str = "auto",
    label: str | None = None,
    data_dir: Path | None = None,
) -> WrittenExploration:
    """Write the page of an artifact as one self-contained HTML file; see :class:`vaekit.explorer.ExplorationPage`.

    Arguments as for :func:`explore_artifact`.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> x, folder = load_iris().data, tempfile.mkdtemp()
    >>> vae = VariationalAutoencoder(latent=2, network="mlp:hidden=8", epochs=2, random_state=0).fit(x)
    >>> vae.save(folder + "/iris.vae")
    >>> written = write_exploration(folder + "/iris.vae", folder + "/iris.html", data=x)
    >>> written.path.read_text()[:15]
    '<!doctype html>'
    """
    estimator = load(artifact, device=device)
    rows, without_data = _rows(estimator, data, label, data_dir)
    page, path = ExplorationPage.of(estimator, rows, name=_name(artifact)), Path(output)
    write_text(path, page.html)
    return WrittenExploration(path, without_data)


def _name(artifact: str | Path) -> str:
    return Path(artifact).absolute().stem


def _rows(
    estimator: VariationalAutoencoder, data: Source, label: str | None, data_dir: Path | None
) -> tuple[Dataset | None, str | None]:
    """Return the rows to show; or None, and why there are none."""
    source = estimator.origin_.get("source") if data is None else data
    if source is None:
        return None, "the artifact does not say where its data came from"
    try:
        return read_for_model(estimator, source, label=label, data_dir=data_dir), None
    except DataError as error:
        if data is not None:
            raise
        return None, str(error)
