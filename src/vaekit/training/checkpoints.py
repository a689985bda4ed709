"""A folder of checkpoints: the last two are kept, and a disk that gives out does not end the training.

Beside the artifact ``NAME.vae`` lies ``NAME.vae.training`` while the model is trained: ``checkpoint-N.safetensors``,
the newest of which has the highest number, and ``metrics.jsonl``. It is removed once the artifact is written.
"""

import errno
import re
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from vaekit.errors import CheckpointError, TrainingWarning, UsageError
from vaekit.training.checkpoint_file import read_checkpoint, write_checkpoint

__all__ = ["CheckpointFolder", "Checkpoints", "numbered", "remove_checkpoints"]

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_KEPT = 2
_SHARE = 0.02  # of the time, at most, for checkpoints that nothing but an improvement asks for
_SLOWEST_DISK = 50e6  # bytes a second; what a first checkpoint may cost is guessed from it


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where and how often to write checkpoints, and whether to go on from one.

    One is written every so many minutes, when the run is stopped, and, if all of these together take at most 2 % of
    the time, at the end and after an epoch that is the best so far.

    Parameters
    ----------
    folder
        Made where missing, in a folder that is there.
    minutes
        Between two of them.
    resume
        Go on from the newest one, to the same bytes (on the CPU) as if nothing had happened; from the beginning
        where there is none.
    at_end
        Write one at the end whatever it costs, for somebody who still has much to do with the model then.
    identity
        What else must be the same for that, by name: ``{"data file": ...}``.

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
        """Whether so many minutes have passed since the last one."""
        return time.perf_counter() - self._written_at >= 60 * self.minutes

    def is_cheap(self, size: int) -> bool:
        """Whether one of so many bytes, about, would take a small share of the time since the last one."""
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
    """The checkpoints of a folder by number; none where there is no such folder."""
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
