"""A training run and where between two steps it stands: all that changes in it, for a checkpoint and a way back.

The results of an epoch's steps are kept per example on the device, and summed in float64 at the end. Every
hundred steps they are put together: thousands of small tensors would stand between what a step needs for a
moment, and memory would grow with every step.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from vaekit.language.learning_rates import parse_schedule
from vaekit.language.settings import TrainingSettings
from vaekit.objectives import ObjectiveResult
from vaekit.training.history import EpochMetrics, History
from vaekit.training.players import Players, StepState, placed_in
from vaekit.training.setup import Examples, RunSetup
from vaekit.training.stepper import Stepper
from vaekit.training.streamed import StreamedRows
from vaekit.training.world import ALONE, World

__all__ = ["Good", "Means", "Run"]

_COUNTED = ("epoch", "steps_done", "best_bound", "rollbacks")
_TOGETHER = 100  # steps whose results are put together
_PER_EXAMPLE = ("bound", "reconstruction", "kl", "kl_per_dimension")


class Means:
    """The results of an epoch's steps so far, and the norms of their gradients."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Tensor]] = {}
        self._fresh: dict[str, list[Tensor]] = {}
        self._steps = 0

    def add(self, result: ObjectiveResult, norm: Tensor | None) -> None:
        """Keep a batch: a few references, and once in a while some copies."""
        for name, term in result._asdict().items():
            if name in _PER_EXAMPLE and term is not None:
                self._fresh.setdefault(name, []).append(term.detach())
        if norm is not None:
            self._fresh.setdefault("norm", []).append(norm.detach().reshape(1))
        self._steps += 1
        if self._steps % _TOGETHER == 0:
            for name, values in self._fresh.items():
                self._kept.setdefault(name, []).append(torch.cat(values))
            self._fresh = {}

    def _all(self) -> dict[str, list[Tensor]]:
        names = {**self._kept, **self._fresh}
        return {name: [*self._kept.get(name, ()), *self._fresh.get(name, ())] for name in names}

    def __getitem__(self, name: str) -> Tensor | None:
        """Return all values of a term, ``(examples, ...)`` float64; None where there is none of it."""
        kept = self._all()
        return torch.cat(kept[name]).double() if name in kept else None

    def mean(self, name: str) -> Tensor:
        """Return the mean of a term over the examples, float64.

        >>> from vaekit.objectives import ObjectiveResult
        >>> means = Means()
        >>> means.add(ObjectiveResult(*4 * [torch.arange(3.0)], None), norm=None)
        >>> means.mean("kl"), means["kl_per_dimension"]
        (tensor(1., dtype=torch.float64), None)
        """
        return torch.cat(self._all()[name]).double().mean(0)

    def copy(self) -> "Means":
        """Return what is kept now, and nothing that is added later."""
        other = Means()
        other._kept = {name: list(values) for name, values in self._kept.items()}
        other._fresh = {name: list(values) for name, values in self._fresh.items()}
        other._steps = self._steps
        return other

    def tensors(self) -> dict[str, Tensor]:
        """Return everything by name, for a checkpoint."""
        return {name: torch.cat(values) for name, values in self._all().items()}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "Means":
        """Go on from :meth:`tensors`."""
        means = cls()
        means._kept = {name: [value] for name, value in tensors.items()}
        return means


@dataclass(frozen=True)
class Good:
    """A state of the current epoch to return to: everything after some of its steps."""

    steps_done: int
    state: StepState
    means: Means


class Run:
    """One run; all that changes in it is in a checkpoint.

    Parameters
    ----------
    setup
        The description that it follows.
    players
        All that learns, as this process trains it.
    world
        The processes that train together.

    Attributes
    ----------
    stepper : Stepper
        Takes the steps.
    epochs_before : int
        The number of epochs that were done before this run.
    epoch : int
        The epoch that is trained, counted from 1.
    steps_done, means, seconds_before : int, Means, float
        The steps of the present epoch that are done, their results, and the time that they took before the
        run was resumed.
    best_bound, best_weights : float, dict
        The bound and the weights of the best epoch of this run.
    rollbacks : int
        The number of times it was set back; each halved the learning rate.
    good : Good
        The state that a loss that is not finite returns to.
    compiled_before : bool or None
        Whether the steps before the run was resumed were compiled; None where it was not resumed.
    order_state : Tensor
        The state of the generator of the data's order, before it gave the order of this epoch.
    """

    def __init__(self, setup: RunSetup, players: Players, world: World = ALONE) -> None:
        self.setup, self.players, self.world = setup, players, world
        limit = setup.settings.clip_at(prod(setup.data.x.shape[1:]))
        self.stepper = Stepper(players, setup.objective, limit, world)
        self.epochs_before = len(self.history.epochs)
        self.epoch, self.steps_done, self.seconds_before = self.epochs_before + 1, 0, 0.0
        self.means = Means()
        self.best_bound, self.best_weights = -float("inf"), self._evaluated_weights()
        self.rollbacks = 0
        self._order = torch.Generator().manual_seed(setup.seed)
        self.order_state = self._order.get_state()
        self.good = self.here()
        self.started = time.perf_counter()
        self.compiled_before: bool | None = None

    @property
    def data(self) -> Examples:
        """The training rows."""
        return self.setup.data

    @property
    def settings(self) -> TrainingSettings:
        """The settings of the run."""
        return self.setup.settings

    @property
    def history(self) -> History:
        """The epochs that are done."""
        return self.setup.progress.history

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
        settled = max((schedule.epochs for schedule in self.setup.objective.schedules.values()), default=0.0)
        if (
            patience is not None
            and done - max(self.history.best_epoch, self.epochs_before, settled) >= patience
        ):
            return "patience"
        return "epochs" if done >= self.last_epoch else None

    def shuffle(self) -> tuple[Tensor, ...]:
        """Draw the order of this epoch: the rows of each step."""
        self._order.set_state(self.order_state)
        if isinstance(self.data.x, StreamedRows):
            return self.data.x.shuffle(self._order, self.settings.batch_size)
        rows = torch.randperm(len(self.data.x), generator=self._order)
        return rows.to(self.data.x.device).split(self.settings.batch_size)

    def learning_rates(self) -> Callable[[float], float]:
        """Return a function from the share of this epoch that is done to the learning rate."""
        bounds = [metrics.bound for metrics in self.history.epochs[self.epochs_before :]]
        schedule = parse_schedule(self.settings.schedule).given(bounds)
        highest = self.settings.learning_rate * 0.5**self.rollbacks
        return lambda share: (
            highest * schedule(self.epoch - 1 + share - self.epochs_before, self.settings.epochs)
        )

    def here(self) -> Good:
        """Return a copy of the present state, which later steps do not change."""
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
        self.order_state = self._order.get_state()
        self.good = self.here()

    def _evaluated_weights(self) -> dict[str, Tensor]:
        state = self.players.evaluated.state_dict()
        return {name: value.detach().clone() for name, value in state.items()}

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors, and facts for JSON, for a checkpoint; of ranks that hold parts of the model all must call."""
        now = self.players.take()
        tensors = {f"now.{name}": value for name, value in now.tensors.items()}
        tensors |= {f"best.{name}": value for name, value in self.best_weights.items()}
        tensors |= {f"means.{name}": value for name, value in self.means.tensors().items()}
        tensors["order"] = self.order_state
        facts: dict[str, Any] = {name: vars(self)[name] for name in _COUNTED}
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
        """Set what follows a schedule as the last step that is done had it; leave it before the first step."""
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
