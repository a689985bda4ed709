"""Loggers take the numbers of a run while it runs: each has one method, ``log``."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from vaekit.errors import MissingExtraError, TrainingWarning
from vaekit.training.history import EpochMetrics

__all__ = ["JsonLinesLogger", "Logger", "TensorBoardLogger", "log_to_all"]


class Logger(Protocol):
    """Anything with a method ``log``, called after every epoch.

    A run that is resumed logs the epochs since its last checkpoint a second time, with the same numbers.
    """

    def log(self, metrics: EpochMetrics) -> None:
        """Take note of the numbers of an epoch."""
        ...


class JsonLinesLogger:
    """One JSON object a line, readable while the run goes on; the artifact holds the same file.

    Parameters
    ----------
    path
        Made with its folder where missing; what was there before is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = 0

    def log(self, metrics: EpochMetrics) -> None:
        """Append a line."""
        if not self._lines:
            self.path.parent.mkdir(exist_ok=True)
        with self.path.open("a" if self._lines else "w") as file:
            file.write(json.dumps(metrics.to_json()) + "\n")
        self._lines += 1

    def bring_to(self, epochs: Sequence[EpochMetrics]) -> None:
        """Append the epochs that are missing; write all of them where the file has gone, or begins anew."""
        if not self.path.exists():
            self._lines = 0
        for metrics in epochs[self._lines :]:
            self.log(metrics)


class TensorBoardLogger:
    """Curves for TensorBoard: ``tensorboard --logdir FOLDER``.

    Parameters
    ----------
    folder
        Made where missing.

    Raises
    ------
    MissingExtraError
        Without TensorBoard.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError.for_extra("logging to TensorBoard", "tensorboard") from error
        self._writer = SummaryWriter(str(folder))

    def log(self, metrics: EpochMetrics) -> None:
        """Add a point to every curve, and the KL of the latent dimensions as a histogram."""
        import numpy as np

        for name, value in metrics.numbers().items():
            self._writer.add_scalar(name, value, metrics.epoch)
        if metrics.kl_per_dimension is not None:
            self._writer.add_histogram("kl_per_dimension", np.array(metrics.kl_per_dimension), metrics.epoch)
        self._writer.flush()


def log_to_all(loggers: list[Logger], metrics: EpochMetrics) -> None:
    """Log to every logger; one that fails is left out from then on, with a warning, and training goes on."""
    for logger in list(loggers):
        try:
            logger.log(metrics)
        except Exception as error:
            loggers.remove(logger)
            warnings.warn(
                f"{type(logger).__name__} failed in epoch {metrics.epoch} ({error}): nothing more is logged to it, "
                "and training goes on",
                TrainingWarning,
                stacklevel=2,
            )
