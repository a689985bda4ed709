"""The checkpoints that lie beside an artifact while it is made, and a place for a fit whose own place is lost."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vaekit.artifact import Artifact, check_destination, write_artifact
from vaekit.errors import ArtifactError, CheckpointError
from vaekit.training.checkpoints import numbered, remove_checkpoints

__all__ = ["can_resume", "checkpoint_folder", "prepare_destination", "remove_unfinished", "write_somewhere"]


def checkpoint_folder(destination: Path) -> Path:
    """Return the folder of the checkpoints of a fit: ``NAME.vae.training`` beside ``NAME.vae``.

    >>> checkpoint_folder(Path("digits.vae")).name
    'digits.vae.training'
    """
    return destination.with_name(destination.name + ".training")


def can_resume(destination: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return bool(numbered(checkpoint_folder(destination)))


def prepare_destination(destination: Path, *, force: bool, resume: bool) -> None:
    """Refuse, before any work is done, a destination that could not be written at the end; remove old checkpoints.

    Raises
    ------
    ArtifactError
        If the artifact could not be written at the end.
    CheckpointError
        If an unfinished training lies there, and neither ``force`` nor ``resume`` says what to do with it.
    """
    folder, unfinished = checkpoint_folder(destination), can_resume(destination)
    if unfinished and not resume and not force:
        raise CheckpointError(
            f"{folder} holds the checkpoints of an unfinished training; give resume=True to go on with it, or "
            "force=True to begin again"
        )
    check_destination(destination, force=force or resume)
    if not resume:
        remove_checkpoints(folder)
    elif unfinished:  # it may have been killed while it wrote the artifact
        for leftover in destination.absolute().parent.glob(f".{destination.name}.*"):
            if leftover.suffix in (".partial", ".old"):
                shutil.rmtree(leftover, ignore_errors=True)


def remove_unfinished(destination: Path) -> None:
    """Remove the checkpoints of an artifact that is finished."""
    remove_checkpoints(checkpoint_folder(destination))


def write_somewhere(destination: Path, artifact: Artifact, files: Mapping[str, str], *, force: bool) -> None:
    """Write an artifact where it was asked for; where that is impossible, elsewhere, so that the fit is not lost.

    Raises
    ------
    ArtifactError
        If it is not where it was asked for; the message says where it is.
    """
    try:
        write_artifact(destination, artifact, force=force, files=files)
        return
    except ArtifactError as error:
        trouble = error
    kept = ""
    if can_resume(destination):
        kept = "; its checkpoint is kept: free some space and give resume=True"
    for place in (Path(tempfile.gettempdir()), Path.cwd(), Path.home()):
        try:
            elsewhere = Path(tempfile.mkdtemp(prefix="vaekit-", dir=place)) / destination.name
            write_artifact(elsewhere, artifact, files=files)
        except (ArtifactError, OSError):
            continue
        raise ArtifactError(
            f"{trouble}; the fitted model is in {elsewhere} instead: move it from there{kept}"
        )
    raise ArtifactError(f"{trouble}; no other place took the fitted model{kept}")
