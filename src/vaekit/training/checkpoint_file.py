"""One checkpoint, one file: tensors and facts in the safetensors format, with a hash of all of it. No pickle.

The facts are JSON in the header of the file; the hash covers them and every tensor's name, type, shape and bytes.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.errors import CheckpointError

__all__ = ["read_checkpoint", "write_checkpoint"]

FORMAT_VERSION = 1


def write_checkpoint(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint aside, sync it, and rename it: it is there whole or not at all.

    Raises
    ------
    OSError
        If the disk gives out; what was written of it is removed.
    """
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    written = json.dumps(facts)
    header = {"vaekit": str(FORMAT_VERSION), "facts": written, "sha256": _digest(tensors, written)}
    content = save(tensors, metadata=header)
    aside = path.with_name(f".{path.name}.partial")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint, believing nothing that its hash does not cover.

    Raises
    ------
    CheckpointError
        If it is damaged, or from a newer version.
    """
    from safetensors.torch import load

    try:
        content = path.read_bytes()
        tensors = {name: value.clone() for name, value in load(content).items()}
        header = _header(content)
        version, facts, digest = int(header["vaekit"]), header["facts"], header["sha256"]
    except Exception as error:  # whatever the library raises on bytes that it cannot read
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if version > FORMAT_VERSION:
        raise CheckpointError(f"{path} was written by a newer version of vaekit: upgrade to go on from it")
    if _digest(tensors, facts) != digest:
        raise CheckpointError(f"{path} is damaged: its hash differs from what was written")
    return tensors, json.loads(facts)


def _header(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def _digest(tensors: dict[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
