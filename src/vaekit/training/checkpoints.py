"""A folder of checkpoints: the last two are kept, and a disk that gives out does not end the training.

Beside the artifact ``NAME.vae`` lies ``NAME.vae.training`` while the model is trained:
``checkpoint-N.safetensors``, the newest of which has the highest number, and ``metrics.jsonl``. It is removed
once the artifact is written.

One checkpoint is one file: tensors and facts in the safetensors format, without pickle. The facts are JSON
in the header of the file; a hash covers them and every tensor's name, type, shape and bytes.
"""

import errno
import hashlib
import json
import os
import re
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.errors import CheckpointError, TrainingWarning, UsageError

__all__ = [
    "CheckpointFolder",
    "Checkpoints",
    "numbered",
    "read_checkpoint",
    "remove_checkpoints",
    "write_checkpoint",
]

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_FORMAT_VERSION = 1
_KEPT = 2
_SHARE = 0.02  # of the time, at most, for checkpoints that nothing but an improvement asks for
_SLOWEST_DISK = 50e6  # bytes a second; what a first checkpoint may cost is guessed from it


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The folder and the times of checkpoints, and whether to go on from one.

    One is written every so many minutes, when the run is stopped, and, if all of these together take at most
    2 % of the time, at the end and after an epoch that is the best so far.

    Parameters
    ----------
    folder
        Made where missing, in a folder that is there.
    minutes
        The time between two of them.
    resume
        Go on from the newest one, to the same bytes (on the CPU) as if nothing had happened; from the
        beginning where there is none.
    at_end
        Write one at the end whatever it costs, for somebody who still has much to do with the model then.
    identity
        Facts that must be the same too for a run to go on, by name: ``{"data file": ...}``.

    Raises
    ------
    UsageError
        For minutes that are not positive.
    """

    folder: Path
    minutes: float = 5.0
    resume: bool = False
    at_end: bool = False
    identity: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise UsageError(f"checkpoint minutes {self.minutes:g}: give a positive number, such as 5")


class CheckpointFolder:
    """Writes and reads the checkpoints of a run, and knows when it is time for one."""

    def __init__(self, options: Checkpoints) -> None:
        self.folder, self.minutes = options.folder, options.minutes
        self._written_at = time.perf_counter()
        self._cost = 0.0
        self._complaints: set[str] = set()

    def is_due(self) -> bool:
        """Return whether so many minutes have passed since the last one."""
        return time.perf_counter() - self._written_at >= 60 * self.minutes

    def is_cheap(self, size: int) -> bool:
        """Return whether one of about so many bytes would take a small share of the time since the last one."""
        cost = self._cost or 0.02 + size / _SLOWEST_DISK
        return cost <= _SHARE * (time.perf_counter() - self._written_at)

    def write(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> bool:
        """Write the next checkpoint and remove all but the last two; False, with a warning, if the disk gives out."""
        started = time.perf_counter()
        try:
            self.folder.mkdir(exist_ok=True)
            present = numbered(self.folder)
            path = self.folder / f"checkpoint-{max(present, default=0) + 1}.safetensors"
            try:
                write_checkpoint(path, tensors, facts)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or len(present) < _KEPT:
                    raise
                present.pop(min(present)).unlink()  # room for the new one; the newest of the old stays
                write_checkpoint(path, tensors, facts)
            for number in sorted(present)[: -(_KEPT - 1)]:
                present[number].unlink(missing_ok=True)
        except OSError as error:
            self.complain(error)
            return False
        finally:
            self._written_at = time.perf_counter()
        self._cost = self._written_at - started
        return True

    def complain(self, error: OSError) -> None:
        """Say once what is wrong with the disk."""
        reason = error.strerror or str(error)
        if reason not in self._complaints:
            self._complaints.add(reason)
            warnings.warn(
                f"cannot write to {self.folder}: {reason}; training goes on, and could not be resumed from here",
                TrainingWarning,
                stacklevel=3,
            )

    def require_empty(self) -> None:
        """Refuse to begin where checkpoints lie.

        Raises
        ------
        CheckpointError
            Saying how to go on with them.
        """
        if numbered(self.folder):
            raise CheckpointError(
                f"{self.folder} holds the checkpoints of a run; resume it, or remove the folder to begin again"
            )

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read the newest checkpoint; one that is damaged is passed over for the one before, with a warning.

        Raises
        ------
        CheckpointError
            If there are checkpoints, and none can be read.
        """
        present = numbered(self.folder)
        message = ""
        for number in sorted(present, reverse=True):
            try:
                return read_checkpoint(present[number])
            except CheckpointError as error:
                message = str(error)
                if number != min(present):
                    warnings.warn(f"{message}; going on from the one before", TrainingWarning, stacklevel=2)
        if present:
            raise CheckpointError(f"{message}, and there is no other; remove {self.folder} to begin again")
        return None


def numbered(folder: Path) -> dict[int, Path]:
    """Return the checkpoints of a folder by number; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in found if match}


def remove_checkpoints(folder: Path) -> None:
    """Remove a folder of checkpoints; what else lies in it stays."""
    for path in folder.glob("*") if folder.is_dir() else ():
        if _NAME.fullmatch(path.name) or path.name == "metrics.jsonl" or path.name.endswith(".partial"):
            with suppress(OSError):
                path.unlink()
    with suppress(OSError):
        folder.rmdir()


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
    header = {"vaekit": str(_FORMAT_VERSION), "facts": written, "sha256": _digest(tensors, written)}
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
    """Return the tensors and facts of a checkpoint, once its hash is found right.

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
    if version > _FORMAT_VERSION:
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
