"""A training run: its players and data, and where between two steps it stands."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vaekit.language.learning_rates import parse_schedule
from vaekit.language.settings import TrainingSettings
from vaekit.training.history import EpochMetrics, History
from vaekit.training.means import Means
from vaekit.training.state import Players, StepState, placed_in
from vaekit.training.step import Batch, Stepper
from vaekit.training.streamed import StreamedRows
from vaekit.training.world import ALONE, World

__all__ = ["Good", "Run"]

_COUNTED = ("epoch", "steps_done", "best_bound", "rollbacks")


@dataclass(frozen=True)
class Good:
    """A state of the current epoch to return to: everything after some of its steps."""

    steps_done: int
    state: StepState
    means: Means


@dataclass
class Run:
    """One run; all that changes in it is in a checkpoint.

    Parameters
    ----------
    players, stepper, data, settings
        Who learns, how, from what.
    order
        The generator that the order of the data comes from.
    history
        The epochs that are done.
    column_names
        Of the data, for messages.
    world
        The processes that train together.
    steps_done, means, seconds_before
        The steps of the present epoch that are done, their results, and the time that they took before the run was
        resumed.
    best_bound
        Of the epochs of this run.
    rollbacks
        How often it was set back; each halved the learning rate.

    Attributes
    ----------
    epochs_before : int
        How many epochs were done before this run.
    epoch : int
        The epoch that is trained, counted from 1.
    best_weights : dict
        Of the best epoch of this run.
    good : Good
        The state that a loss that is not finite returns to.
    compiled_before : bool or None
        Whether the steps before the run was resumed were compiled; None where it was not resumed.
    order_state : Tensor
        Of the generator, before it gave the order of this epoch.
    """

    players: Players
    stepper: Stepper
    data: Batch
    settings: TrainingSettings
    order: torch.Generator
    history: History
    column_names: Sequence[str] | None = None
    world: World = ALONE
    best_bound: float = -float("inf")
    steps_done: int = 0
    seconds_before: float = 0.0
    means: Means = field(default_factory=Means)
    rollbacks: int = 0

    def __post_init__(self) -> None:
        self.epochs_before = len(self.history.epochs)
        self.epoch = self.epochs_before + 1
        self.best_weights = self._evaluated_weights()
        self.order_state = self.order.get_state()
        self.good = self.here()
        self.started = time.perf_counter()
        self.compiled_before: bool | None = None

    @property
    def seconds(self) -> float:
        """Wall time of this epoch so far."""
        return self.seconds_before + time.perf_counter() - self.started

    @property
    def last_epoch(self) -> int:
        """The last epoch there will be, at most."""
        return self.epochs_before + self.settings.epochs

    @property
    def ended(self) -> str | None:
        """``"epochs"`` or ``"patience"`` when there is nothing left to do."""
        done, patience = self.epoch - 1, self.settings.patience
        if patience is not None and done - max(self.history.best_epoch, self.epochs_before) >= patience:
            return "patience"
        return "epochs" if done >= self.last_epoch else None

    def shuffle(self) -> tuple[Tensor, ...]:
        """Draw the order of this epoch: the rows of each step."""
        self.order.set_state(self.order_state)
        if isinstance(self.data.x, StreamedRows):
            return self.data.x.shuffle(self.order, self.settings.batch_size)
        rows = torch.randperm(len(self.data.x), generator=self.order)
        return rows.to(self.data.x.device).split(self.settings.batch_size)

    def learning_rates(self) -> Callable[[float], float]:
        """The learning rate when a share of this epoch is done."""
        bounds = [metrics.bound for metrics in self.history.epochs[self.epochs_before :]]
        schedule = parse_schedule(self.settings.schedule).given(bounds)
        highest = self.settings.learning_rate * 0.5**self.rollbacks
        return lambda share: (
            highest * schedule(self.epoch - 1 + share - self.epochs_before, self.settings.epochs)
        )

    def here(self) -> Good:
        """The present state, out of reach of later steps."""
        return Good(self.steps_done, self.players.take().copy(), self.means.copy())

    def return_to(self, good: Good) -> None:
        """Put a state of this epoch back."""
        self.players.put(good.state)
        self.steps_done, self.means = good.steps_done, good.means.copy()

    def finish_epoch(self, metrics: EpochMetrics, *, is_best: bool) -> None:
        """Note an epoch's results, and stand before the first step of the next."""
        if is_best:
            self.best_bound, self.history.best_epoch = metrics.bound, self.epoch
            self.best_weights = self._evaluated_weights()
        self.history.epochs.append(metrics)
        self.epoch, self.steps_done, self.means = self.epoch + 1, 0, Means()
        self.seconds_before, self.started = 0.0, time.perf_counter()
        self.order_state = self.order.get_state()
        self.good = self.here()

    def _evaluated_weights(self) -> dict[str, Tensor]:
        state = self.players.evaluated.state_dict()
        return {name: value.detach().clone() for name, value in state.items()}

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything, for a checkpoint: tensors, and facts for JSON. Where the model is sharded, all ranks must ask."""
        now = self.players.take()
        tensors = {f"now.{name}": value for name, value in now.tensors.items()}
        tensors |= {f"best.{name}": value for name, value in self.best_weights.items()}
        tensors |= {f"means.{name}": value for name, value in self.means.tensors().items()}
        tensors["order"] = self.order_state
        facts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTED}
        facts["seconds_before"] = self.seconds
        facts["numbers"] = now.numbers
        facts["compiled"] = self.stepper.compiled
        facts["best_epoch"] = self.history.best_epoch
        facts["history"] = [metrics.to_json() for metrics in self.history.epochs]
        if self.good.steps_done != self.steps_done:
            tensors |= {f"good.{name}": value for name, value in self.good.state.tensors.items()}
            tensors |= {f"good_means.{name}": value for name, value in self.good.means.tensors().items()}
            facts["good"] = {"steps_done": self.good.steps_done, "numbers": self.good.state.numbers}
        return self.world.whole(tensors), facts

    def move_schedules_to_last_step(self) -> None:
        """Put what follows a schedule where the last step that is done had it; nowhere before the first."""
        steps = -(-len(self.data.x) // self.settings.batch_size)
        last_step = (self.epoch - 1) * steps + self.steps_done - 1
        if last_step >= self.epochs_before * steps:
            self.stepper.move_schedules(last_step // steps + last_step % steps / steps)

    def load(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from :meth:`save`."""
        device = self.data.x.device

        def part(prefix: str) -> dict[str, Tensor]:
            start = prefix + "."
            return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}

        def means(prefix: str) -> Means:
            return Means.of({name: value.to(device) for name, value in part(prefix).items()})

        for name in (*_COUNTED, "seconds_before"):
            setattr(self, name, facts[name])
        self.compiled_before = facts.get("compiled", False)
        self.started = time.perf_counter()
        self.history.best_epoch = facts["best_epoch"]
        self.history.epochs[:] = [EpochMetrics(**metrics) for metrics in facts["history"]]
        best = {name: value.to(device) for name, value in part("best").items()}
        self.best_weights = placed_in(self.players.evaluated, best)
        self.order_state = tensors["order"]
        self.means = means("means")
        self.players.put(StepState(part("now"), facts["numbers"]))
        self.move_schedules_to_last_step()
        good = facts.get("good")
        if good is None:
            self.good = self.here()
        else:
            self.good = Good(
                good["steps_done"], StepState(part("good"), good["numbers"]), means("good_means")
            )
