"""What lies beside an artifact while it is being made, and what is said and done about it."""

import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaekit.artifact import Artifact

__all__ = [
    "can_go_on",
    "checkpoint_folder",
    "prepare_destination",
    "remove_unfinished",
    "warnings_in_a_line",
    "write_somewhere",
]


def checkpoint_folder(destination: Path) -> Path:
    """Where the checkpoints of a fit lie: ``NAME.vae.training`` beside ``NAME.vae``."""
    return destination.with_name(destination.name + ".training")


def prepare_destination(destination: Path, *, force: bool, resume: bool) -> None:
    """Refuse, before any work is done, what could not end well.

    Raises
    ------
    ArtifactError
        If the artifact could not be written at the end.
    CheckpointError
        If a training lies there unfinished, and nobody said what is to become of it.
    """
    from vaekit.artifact import check_destination
    from vaekit.errors import CheckpointError
    from vaekit.training.checkpoints import numbered, remove_checkpoints

    folder = checkpoint_folder(destination)
    unfinished = bool(numbered(folder))
    if unfinished and not resume and not force:
        raise CheckpointError(
            f"{folder} holds the checkpoints of an unfinished training; give --resume to go on with it, or --force "
            "to begin again"
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
    from vaekit.training.checkpoints import remove_checkpoints

    remove_checkpoints(checkpoint_folder(destination))


def can_go_on(destination: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    from vaekit.training.checkpoints import numbered

    return bool(numbered(checkpoint_folder(destination)))


def write_somewhere(destination: Path, artifact: "Artifact", report: str, *, force: bool) -> None:
    """Write an artifact where it was asked for; where that cannot be, elsewhere, so that the fit is not lost.

    Raises
    ------
    ArtifactError
        If it is not where it was asked for; the message says where it is.
    """
    from vaekit.artifact import write_artifact
    from vaekit.errors import ArtifactError

    files = {"report.html": report}
    try:
        write_artifact(destination, artifact, force=force, files=files)
        return
    except ArtifactError as error:
        trouble = error
    kept = "; its checkpoint is kept: free some space and give --resume" if can_go_on(destination) else ""
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


@contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Say what goes wrong while training in one line each, on stderr."""
    from vaekit.errors import TrainingWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        usual = warnings.showwarning

        def show(message, category, *where, **more) -> None:  # type: ignore[no-untyped-def]
            if issubclass(category, TrainingWarning):
                print(f"vaekit: warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield
