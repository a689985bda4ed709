"""A progress bar for training, on stderr, where that is a terminal."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaekit.training import EpochMetrics

__all__ = ["Progress"]


class Progress:
    """A context manager whose ``epoch`` is called after every epoch."""

    def __init__(self) -> None:
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, state="")

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def epoch(self, metrics: "EpochMetrics", is_best: bool) -> None:
        """Show an epoch's bound and KL."""
        if self._bar is None:
            return
        held_out = metrics.validation_bound is not None
        bound = metrics.validation_bound if held_out else metrics.train_bound
        kl = metrics.validation_kl if held_out else metrics.train_kl
        name = "validation" if held_out else "training"
        state = f"{name} bound {bound:.2f} nats, KL {kl:.2f}{' (best)' if is_best else ''}"
        self._bar.update(self._task, completed=metrics.epoch, total=metrics.epochs, state=state)
