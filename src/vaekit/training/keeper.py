"""Keeping a run on disk: its checkpoints, its metrics, and going on from a checkpoint of the same run."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vaekit.errors import CheckpointError, TrainingWarning
from vaekit.training.checkpoints import CheckpointFolder, Checkpoints
from vaekit.training.loggers import JsonLinesLogger
from vaekit.training.run_state import Run

__all__ = ["Keeper", "warn_of_another_environment"]


class Keeper:
    """Writes the checkpoints and ``metrics.jsonl`` of a run, and resumes it.

    Of several processes rank 0 writes and reads; what is in a checkpoint does not depend on their number.

    Parameters
    ----------
    run
        The run to keep.
    options
        Where and when; None: nothing is kept.
    identity
        A function that describes the run; called when first needed, for it reads all of the data.
    """

    def __init__(self, run: Run, options: Checkpoints | None, identity: Callable[[], dict[str, str]]) -> None:
        self.run = run
        self._options = options
        self._folder = None if options is None or not run.world.is_writer else CheckpointFolder(options)
        self._describe = identity
        self._identity: dict[str, str] | None = None
        self._lines: JsonLinesLogger | None = None
        if self._folder is not None:
            self._lines = JsonLinesLogger(self._folder.folder / "metrics.jsonl")
        weights = sum(value.nbytes for value in run.best_weights.values())
        self._size = 5 * weights  # model, best and average weights, and two averages of Adam

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._folder is not None and self._folder.is_due()

    def start(self) -> bool:
        """Go on from the newest checkpoint, if that is wanted and there is one; False at the beginning.

        Raises
        ------
        CheckpointError
            If there is one and it is not to be gone on from, or it is another run's, or none can be read.
        """
        found = self.run.world.from_writer(self._find)
        if found is None:
            return False
        tensors, facts = found
        folder = "the folder" if self._options is None else self._options.folder
        _require_same_run(facts["identity"], self.identity, folder)
        warn_of_another_environment({"processes": "1", **facts["environment"]}, self._environment)
        self.run.load(tensors, facts)
        return True

    def _find(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read the newest checkpoint, where it is wanted and there is one."""
        if self._options is None or self._folder is None:
            return None
        if not self._options.resume:
            self._folder.require_empty()
            return None
        return self._folder.read()

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **_describe_environment(self.run.setup.device),
            "processes": str(self.run.world.size),
        }

    def save(self) -> bool:
        """Write a checkpoint of the present state; False if it could not be written, or none is wanted."""
        if self._options is None:
            return False
        tensors, facts = self.run.save()
        if self._folder is None:
            return False
        facts |= {"identity": self.identity, "environment": self._environment}
        return self._folder.write(tensors, facts)

    def save_after_epoch(self, *, is_best: bool) -> None:
        """Write a checkpoint at the end and after the best epoch, where its cost is small or no matter."""
        if self._options is None:
            return
        ended = self.run.ended is not None
        cheap = self._folder is not None and self._folder.is_cheap(self._size)
        wanted = (cheap and (is_best or ended)) or (ended and self._options.at_end)
        if self.run.world.decide(wanted):
            self.save()

    def note_epochs(self) -> None:
        """Bring ``metrics.jsonl`` up to the epochs of the run."""
        if self._folder is None or self._lines is None:
            return
        try:
            self._lines.bring_to(self.run.history.epochs)
        except OSError as error:
            self._folder.complain(error)

    @property
    def identity(self) -> dict[str, str]:
        """The description of the run, which another must share to go on from its checkpoint."""
        if self._identity is None:
            self._identity = self._describe()
        return self._identity


def _require_same_run(then: Mapping[str, str], now: Mapping[str, str], folder: object) -> None:
    """Refuse to go on from another run's checkpoint.

    Raises
    ------
    CheckpointError
        Naming every difference, what it was and what it is.
    """
    differences = [
        f"{name} was {then.get(name, 'not given')}, and is {now.get(name, 'not given')}"
        for name in {**then, **now}
        if then.get(name) != now.get(name)
    ]
    if differences:
        raise CheckpointError(
            f"the checkpoints in {folder} are of another run: {'; '.join(differences)}; give the same data and options "
            "to go on with it, or remove the folder to begin again"
        )


def _describe_environment(device: torch.device) -> dict[str, str]:
    """Return what the last digits of a run depend on, though it may go on elsewhere."""
    return {
        "torch": torch.__version__,
        "device": device.type,
        "threads": str(torch.get_num_threads()),
    }


def warn_of_another_environment(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Warn where a run goes on in another environment than it began in: it will not end in the same bytes."""
    differences = [
        f"{name} was {then.get(name)}, and is {now[name]}" for name in now if then.get(name) != now[name]
    ]
    if differences:
        warnings.warn(
            f"going on in another environment ({', '.join(differences)}): the result may differ in its last digits "
            "from that of a run left alone",
            TrainingWarning,
            stacklevel=4,
        )
