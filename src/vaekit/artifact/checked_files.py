"""The files of an artifact, read and checked before anything in them is believed: what models and jobs share."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from vaekit.artifact.contents import DESCRIPTION, FORMAT_VERSION, MODEL
from vaekit.errors import ArtifactError
from vaekit.language.grammar import nearest

__all__ = ["checked", "inside", "read_document", "read_tensors"]

T = TypeVar("T")


def read_document(folder: Path) -> dict[str, Any]:
    """Return the document that describes an artifact of any kind, of a format that is known here.

    Raises
    ------
    ArtifactError
        If there is no artifact, its description is damaged, or its format is newer.
    """
    if not folder.is_dir():
        raise ArtifactError(_no_artifact(folder))
    path = inside(folder, DESCRIPTION)
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is no valid JSON: {error}; restore it from a copy or fit again"
        ) from error
    if not isinstance(document, dict) or document.get("format") != "vaekit":
        raise ArtifactError(f'{path} does not describe a vaekit artifact (no "format": "vaekit" in it)')
    version, writer = document.get("format_version"), document.get("versions")
    if isinstance(version, int) and version > FORMAT_VERSION:
        by = writer.get("vaekit", "?") if isinstance(writer, dict) else "?"
        raise ArtifactError(
            f"{folder} has format {version}, made by vaekit {by}; this version reads up to format {FORMAT_VERSION}: "
            "upgrade vaekit"
        )
    return document


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file of the artifact; refuse one that is missing, or a link that leaves the folder."""
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {name}; expected a folder made by `vaekit fit`")
    if path.resolve().parent != folder.resolve():
        raise ArtifactError(f"{folder}: {name} is a link that leaves the folder; it will not be followed")
    return path


def read_tensors(folder: Path, sha256: str) -> dict[str, Tensor]:
    """Return the tensors of an artifact, whose file has this hash.

    Raises
    ------
    ArtifactError
        If the file is missing, another one, or cannot be read.
    """
    from safetensors.torch import load

    weights = inside(folder, MODEL).read_bytes()
    if hashlib.sha256(weights).hexdigest() != sha256:
        raise ArtifactError(
            f"{folder}: {MODEL} is not the file that {DESCRIPTION} describes (its hash differs): it was "
            "truncated, altered or exchanged; restore it from a copy or fit again"
        )
    try:
        return load(weights)
    except Exception as error:  # whatever the library raises on bytes that it cannot read
        raise ArtifactError(f"{folder}: {MODEL} cannot be read: {error}") from error


def checked(folder: Path, key: str, make: Callable[[], T]) -> T:
    """Run a constructor on what the description says; its complaints become an ArtifactError."""
    try:
        return make()
    except ArtifactError as error:
        raise ArtifactError(f"{folder}: {error}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder / DESCRIPTION}: {key} cannot be used: {error}") from error


def _no_artifact(folder: Path) -> str:
    if folder.is_file():
        return (
            f"{folder} is a file; an artifact is a folder made by `vaekit fit`, and is named before the data"
        )
    beside = {path.stem: path.name for path in folder.absolute().parent.glob("*.vae")}
    near = nearest(folder.stem, beside)
    hint = f"; did you mean {beside[near]!r}?" if near else ";"
    return f"there is no artifact {folder}{hint} expected a folder made by `vaekit fit`"
