"""Writing an artifact: a folder that is there whole or not at all."""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaekit.artifact.contents import DESCRIPTION, METRICS, MODEL, Artifact, Description
from vaekit.errors import ArtifactError

__all__ = ["check_destination", "versions_here", "write_artifact", "write_files"]


def check_destination(folder: Path, *, force: bool, argument: str = "path") -> None:
    """Refuse, before any work is done, a destination that could not be written at the end.

    Parameters
    ----------
    folder
        The destination.
    force
        Whether to replace an artifact that is there.
    argument
        The name of the argument that says it, for messages.

    Raises
    ------
    ArtifactError
        If something is there and ``force`` is not given, or it is no artifact, or the place is not writable.
    """
    if folder.exists() or folder.is_symlink():
        if not (folder / DESCRIPTION).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
            raise ArtifactError(
                f"{folder} exists and is no vaekit artifact: it will not be replaced; choose another {argument}"
            )
        if not force:
            raise ArtifactError(
                f"{folder} exists; choose another {argument}, or give force=True to replace it"
            )
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise ArtifactError(
            f"the folder {parent} does not exist; make it first, or choose another {argument}"
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ArtifactError(f"the folder {parent} cannot be written to; choose another {argument}")


def write_artifact(
    folder: Path, artifact: Artifact, *, force: bool = False, files: Mapping[str, str] | None = None
) -> None:
    """Write an artifact atomically.

    Parameters
    ----------
    folder
        Where; by custom it ends in ``.vae``.
    artifact
        What to write.
    force
        Whether to replace an artifact that is there.
    files
        More text files by name, such as ``report.html``.

    Raises
    ------
    ArtifactError
        If the destination is refused (see :func:`check_destination`) or the disk gives out; nothing that was
        there before is harmed.
    """
    from safetensors.torch import save

    check_destination(folder, force=force)
    state = {name: value.detach().cpu().contiguous() for name, value in artifact.model.state_dict().items()}
    weights = save(state)
    document = dict(vars(_describe(artifact, weights)))
    if not artifact.imports:
        del document["imports"]
    lines = [json.dumps(_without_nan(epoch.to_json())) for epoch in artifact.history.epochs]
    contents: dict[str, bytes] = {
        MODEL: weights,
        DESCRIPTION: (json.dumps(document, indent=2) + "\n").encode(),
        METRICS: "".join(line + "\n" for line in lines).encode(),
        **{name: text.encode() for name, text in (files or {}).items()},
    }
    write_files(folder, contents)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files of an artifact as :func:`write_folder` does; a disk that gives out is told in a sentence.

    Raises
    ------
    ArtifactError
        If the disk gives out; nothing that was there before is harmed.
    """
    try:
        write_folder(folder.absolute(), contents)
    except OSError as error:
        raise ArtifactError(
            f"could not write {folder.absolute()}: {error.strerror or error}; free some space or choose another path"
        ) from error


def _describe(artifact: Artifact, weights: bytes) -> Description:
    return Description(
        format_version=artifact.format_version,
        sentence=artifact.sentence.to_json(),
        latent=artifact.latent,
        schema=artifact.schema.to_json(),
        training=asdict(artifact.settings),
        seed=artifact.seed,
        data=artifact.data,
        best_epoch=artifact.history.best_epoch,
        stopped=artifact.history.stopped,
        versions=artifact.versions or versions_here(),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        imports=artifact.imports,
    )


def versions_here() -> dict[str, str]:
    """Return the versions of the software that writes an artifact."""
    import numpy
    import torch

    import vaekit

    python = ".".join(map(str, sys.version_info[:3]))
    return {
        "vaekit": vaekit.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": python,
    }


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(v, float) and v != v else v for key, v in values.items()}


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a new folder; one that is there is replaced, and put back where that fails.

    Parameters
    ----------
    folder
        An absolute path; its parent exists.
    contents
        What the files hold, by name.

    Raises
    ------
    OSError
        If the disk gives out; nothing that was there before is harmed.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp()) / "letters"
    >>> write_folder(folder, {"a.txt": b"A"})
    >>> [path.name for path in folder.iterdir()]
    ['a.txt']
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        aside.chmod(0o755)
        for name, content in contents.items():
            with (aside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _replace(folder, aside)
        _sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _replace(folder: Path, aside: Path) -> None:
    old = None
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
        folder.rename(old / folder.name)
    try:
        aside.rename(folder)
    except OSError:
        if old is not None:
            (old / folder.name).rename(folder)
        raise
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Make the renaming itself last, where the system knows how."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
