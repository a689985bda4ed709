"""The record of a reproduction that is done in several sittings: times, machines and measured figures.

A sitting is one run of the command, from its start until it finishes or is stopped. The file ``sittings.json``, beside
the checkpoints of a training where there is one, holds the time and the machine of every sitting, and the figures
measured so far.
"""

import json
import os
import platform
import subprocess
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from vaekit.errors import CheckpointError, TrainingWarning

__all__ = ["Sittings", "describe"]

_NAME = "sittings.json"
_SECONDS_BETWEEN_WRITES = 5.0


class Sittings:
    """The sittings of one reproduction, up to the present one.

    Parameters
    ----------
    folder
        The folder to keep the record in; with None nothing is kept.
    here
        The device and the machine of the present sitting.
    resume
        Whether to continue the record of earlier sittings.
    identity
        Facts that all sittings must share. With them a record that is there is refused unless it is resumed; without,
        that is left to the checkpoints of the training.

    Attributes
    ----------
    measured : dict
        Measured figures by name.

    Raises
    ------
    CheckpointError
        If the record of earlier sittings cannot be read, is that of another reproduction, or is not resumed.

    Examples
    --------
    >>> sittings = Sittings(None, {"device": "cpu"}, resume=False)
    >>> sittings.measured["negative ELBO, epoch 1"] = 127.3
    >>> sittings.to_json()[0]["device"], sittings.seconds < 1
    ('cpu', True)
    """

    def __init__(
        self,
        folder: Path | None,
        here: dict[str, Any],
        *,
        resume: bool,
        identity: dict[str, Any] | None = None,
    ) -> None:
        self._path = None if folder is None else folder / _NAME
        self._here, self._identity = here, identity
        self._before: list[dict[str, Any]] = []
        self.measured: dict[str, float] = {}
        self._started = self._written_at = time.perf_counter()
        if self._path is None or not self._path.is_file():
            return
        if identity is not None and not resume:
            raise CheckpointError(
                f"{self._path.parent} holds an unfinished reproduction; resume it (resume=True), or remove the folder "
                "to begin again"
            )
        if resume:
            try:
                noted = json.loads(self._path.read_text())
                self._before, self.measured = noted["sittings"], noted["measured"]
                others: dict[str, Any] = noted.get("identity", {})
            except (OSError, ValueError, KeyError) as error:
                raise CheckpointError(
                    f"{self._path} cannot be read ({error!r}); remove its folder to begin again"
                ) from None
            for name, value in (identity or {}).items():
                if others.get(name) != value:
                    raise CheckpointError(
                        f"{self._path.parent}: {name} was {others.get(name)}, and is {value}; give it as it was, or "
                        "remove the folder to begin again"
                    )

    @property
    def seconds(self) -> float:
        """The wall time of all sittings."""
        return sum(sitting["seconds"] for sitting in self._before) + self._seconds_here

    @property
    def _seconds_here(self) -> float:
        return time.perf_counter() - self._started

    def to_json(self) -> list[dict[str, Any]]:
        """Return one entry for each sitting."""
        return [*self._before, {"seconds": round(self._seconds_here, 1), **self._here}]

    def write_now_and_then(self) -> None:
        """Write the record, if the last time was some seconds ago."""
        if time.perf_counter() - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write the record safely; if the disk fails, warn and go on."""
        if self._path is None:
            return
        self._written_at = time.perf_counter()
        aside = self._path.with_name(f".{_NAME}.partial")
        try:
            self._path.parent.mkdir(exist_ok=True)
            noted = {"sittings": self.to_json(), "measured": self.measured}
            if self._identity is not None:
                noted["identity"] = self._identity
            aside.write_text(json.dumps(noted))
            os.replace(aside, self._path)
        except OSError as error:
            warnings.warn(
                f"cannot write {self._path}: {error.strerror}; the next sitting would not know of this one",
                TrainingWarning,
                stacklevel=2,
            )

    def remove(self) -> None:
        """Remove the file."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def describe(*packages: str) -> dict[str, object]:
    """Return the processor, the number of cores, the versions of packages, and the date."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        text = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return platform.processor()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    name, flags = facts.get("Model name", "unknown").strip(), facts.get("Flags", "").split()
    return f"{name}, model {facts.get('Model', '?').strip()}" + (", AVX-512" if "avx512f" in flags else "")
