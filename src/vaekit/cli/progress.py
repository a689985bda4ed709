"""How a fit goes, on stderr: a progress bar where that is a terminal, a line now and then where it is not."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from vaekit.cli.printing import say

if TYPE_CHECKING:
    from vaekit.application import Stage
    from vaekit.data import Dataset
    from vaekit.training import EpochMetrics, TrainingPlan

__all__ = ["Progress", "describe_epoch"]

_WORTH_TELLING = 60.0  # seconds


class Progress:
    """A context manager with the callbacks of a fit: ``stage``, ``plan``, ``step`` and ``epoch``.

    Parameters
    ----------
    shown
        Whether there is to be a bar at all: of several processes, one has it.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self.shown = shown
        self._told_time = False
        self._bar = None
        if shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("training"),
                BarColumn(),
                TextColumn("{task.completed:.1f} of {task.fields[epochs]} epochs"),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, state="", epochs="?")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, stage: "Stage") -> None:
        """Start the bar when training begins and remove it when that is over; say that evaluation begins."""
        if self._bar is not None and stage == "training":
            self._bar.start()
        elif self._bar is not None:
            self._bar.stop()
        if stage == "evaluating":
            say("evaluating on held-out rows ...")

    def rows(self, rows: "Dataset") -> None:
        """Print how much of each column is missing in the training rows, where any of it is."""
        from vaekit.data.missing_values import missing_rates, rates_in_words

        rates = missing_rates(rows)
        nothing = (
            len(rates) == rows.event_shape[0] and min(rates.values(), default=0) == 1
        )  # an error follows
        if rates and not nothing:
            self._say(f"missing values in the {len(rows):,} training rows: {rates_in_words(rates)}")

    def plan(self, plan: "TrainingPlan") -> None:
        """Print what the training is expected to take."""
        self._say(str(plan))

    def _say(self, message: str) -> None:
        if self._bar is not None:
            self._bar.console.print(f"vaekit: {message}", highlight=False, markup=False, soft_wrap=True)
        else:
            print(f"vaekit: {message}", file=sys.stderr)

    def step(self, epochs_done: float) -> None:
        """Move the bar within an epoch."""
        if self._bar is not None:
            self._bar.update(self._task, completed=epochs_done)

    def epoch(self, metrics: "EpochMetrics", is_best: bool) -> None:
        """Show an epoch's bound, KL, active units and rate; where there is no bar, once, what time it will take."""
        left = (metrics.epochs - metrics.epoch) * metrics.seconds
        if self._bar is None and not self._told_time and left > _WORTH_TELLING:
            from vaekit.training.training_plan import in_words

            self._told_time = True
            self._say(
                f"epoch {metrics.epoch} took {in_words(metrics.seconds)}; about {in_words(left)} for the "
                f"{metrics.epochs - metrics.epoch} that are left at most"
            )
        if self._bar is not None:
            state = describe_epoch(metrics, is_best=is_best)
            self._bar.update(
                self._task, completed=metrics.epoch, total=metrics.epochs, epochs=metrics.epochs, state=state
            )


def describe_epoch(metrics: "EpochMetrics", *, is_best: bool) -> str:
    """Return bound, KL, active units and rate in a line.

    Examples
    --------
    >>> from vaekit.training import EpochMetrics
    >>> metrics = EpochMetrics(epoch=1, epochs=9, train_bound=-9.0, train_reconstruction=-7.0, train_kl=2.0,
    ...     validation_bound=None, validation_reconstruction=None, validation_kl=None,
    ...     kl_per_dimension=[1.5, 0.5], learning_rate=1e-3, seconds=0.1, active_units=2, rows_per_second=15e3)
    >>> describe_epoch(metrics, is_best=True)
    'training bound -9.00 nats (best), KL 2.00, 2 of 2 active, 15,000 rows/s'
    """
    held_out = metrics.validation_bound is not None
    kl = metrics.validation_kl if held_out else metrics.train_kl
    name = "validation" if held_out else "training"
    parts = [f"{name} bound {metrics.bound:.2f} nats{' (best)' if is_best else ''}", f"KL {kl:.2f}"]
    if metrics.active_units is not None and metrics.kl_per_dimension is not None:
        parts.append(f"{metrics.active_units} of {len(metrics.kl_per_dimension)} active")
    if metrics.rows_per_second is not None:
        parts.append(f"{metrics.rows_per_second:,.0f} rows/s")
    return ", ".join(parts)
