"""What a reproduction has measured, and how long it has taken, over all the sittings it was done in.

Beside the checkpoints of the training lies ``sittings.json``: the time and the machine of every sitting, and the points
of the curve that were measured so far.
"""

import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

from vaekit.errors import CheckpointError, TrainingWarning

__all__ = ["Sittings"]

_NAME = "sittings.json"
_SECONDS_BETWEEN_WRITES = 5.0


class Sittings:
    """The sittings of one reproduction, of which the present is the last.

    Parameters
    ----------
    folder
        Where the reproduction is kept; None: nothing is.
    here
        What is noted of the present sitting: device, machine.
    resume
        Whether those before count.

    Attributes
    ----------
    measured : dict
        Figures by name.

    Raises
    ------
    CheckpointError
        If what was noted cannot be read.

    Examples
    --------
    >>> sittings = Sittings(None, {"device": "cpu"}, resume=False)
    >>> sittings.measured["negative ELBO, epoch 1"] = 127.3
    >>> sittings.to_json()[0]["device"], sittings.seconds < 1
    ('cpu', True)
    """

    def __init__(self, folder: Path | None, here: dict[str, Any], *, resume: bool) -> None:
        self._path = None if folder is None else folder / _NAME
        self._here = here
        self._before: list[dict[str, Any]] = []
        self.measured: dict[str, float] = {}
        self._started = self._written_at = time.perf_counter()
        if resume and self._path is not None and self._path.is_file():
            try:
                noted = json.loads(self._path.read_text())
                self._before, self.measured = noted["sittings"], noted["measured"]
            except (OSError, ValueError, KeyError) as error:
                raise CheckpointError(
                    f"{self._path} cannot be read ({error!r}); remove its folder to begin again"
                ) from None

    @property
    def seconds(self) -> float:
        """Wall time of all sittings."""
        return sum(sitting["seconds"] for sitting in self._before) + self._seconds_here

    @property
    def _seconds_here(self) -> float:
        return time.perf_counter() - self._started

    def to_json(self) -> list[dict[str, Any]]:
        """One entry a sitting."""
        return [*self._before, {"seconds": round(self._seconds_here, 1), **self._here}]

    def write_now_and_then(self) -> None:
        """Write what there is, if the last time was some seconds ago."""
        if time.perf_counter() - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write aside and rename; a disk that gives out is warned of, and does not end the reproduction."""
        if self._path is None:
            return
        self._written_at = time.perf_counter()
        aside = self._path.with_name(f".{_NAME}.partial")
        try:
            self._path.parent.mkdir(exist_ok=True)
            aside.write_text(json.dumps({"sittings": self.to_json(), "measured": self.measured}))
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
