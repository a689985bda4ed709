"""The training loop.

The data sit in one tensor on the device; an epoch is one permutation, a step is one gather. Nothing is read
back from an accelerator inside an epoch but at the few steps where the loss is checked.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from vaekit.errors import TrainingDivergedError
from vaekit.evaluation.bound import BoundSummary, evaluate_bound
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.randomness import seeded
from vaekit.training.denormals import flushed_denormals
from vaekit.training.diagnosis import diagnose
from vaekit.training.history import EpochMetrics, History
from vaekit.training.opponent import OpponentSteps, has_opponent
from vaekit.training.scheduled import scheduled
from vaekit.training.settings import TrainingSettings
from vaekit.training.threads import threads_for
from vaekit.vae import VAE

__all__ = ["train"]

_CHECK_EVERY = 200  # steps between looks at the loss where a look would stall the device

_DRAWS_WORTH_HAVING = 1000  # of the validation bound


def train(
    model: VAE,
    objective: Objective,
    x: Tensor,
    validation: Tensor | None = None,
    *,
    settings: TrainingSettings,
    seed: int,
    on_epoch: Callable[[EpochMetrics, bool], None] | None = None,
    history: History | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    opponent: OpponentSteps | None = None,
) -> History:
    """Train a model in place, and leave it with the weights of its best epoch.

    Best is by the validation bound, un-annealed and unweighted; without validation rows the last epoch counts
    as best. Ctrl-C ends the run with the best weights so far, as ``history.stopped`` says.

    Parameters
    ----------
    model
        On the device it is to be trained on.
    objective
        What to maximise. One with a method ``begin`` is told the number of rows; one with schedules, like every
        part of the model that has any, the epochs done before every step, those of ``history`` included. One
        with a second player has it built, and trained by one step after each of the model's.
    x
        ``(n, *event)`` training data, on the same device.
    validation
        Held-out data for early stopping, evaluated with the same noise after every epoch.
    settings
        Epochs, batch size, learning rate, patience.
    seed
        Governs the order of the data and all noise; torch's global generators are put back afterwards.
    on_epoch
        Called after every epoch with its metrics and whether it is the best so far.
    history
        To append to; a new one by default.
    optimizer
        To go on with; a fresh Adam by default.
    opponent
        To go on with, where the objective has a second player; a new one by default.

    Returns
    -------
    History

    Raises
    ------
    TrainingDivergedError
        If the loss is not finite: the model then holds the best weights so far, and the message names the
        step, the term and the column with the most extreme value.
    """
    history = History() if history is None else history
    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    if opponent is None and has_opponent(objective):
        opponent = OpponentSteps(objective, model, learning_rate=settings.learning_rate, seed=seed + 2)
    run = _Run(model, objective, x, settings, optimizer, opponent, epochs_before=len(history.epochs))
    if hasattr(objective, "begin"):
        objective.begin(rows=len(x))  # type: ignore[attr-defined]
    order = torch.Generator().manual_seed(seed)
    best_bound, best_weights = -float("inf"), _snapshot(model)
    with seeded(seed), threads_for(model, settings.batch_size), flushed_denormals():
        try:
            for epoch in range(run.epochs_before + 1, run.last_epoch + 1):
                started = time.perf_counter()
                permutation = torch.randperm(len(x), generator=order).to(x.device)
                means = run.epoch(epoch, permutation)
                held_out = None if validation is None else run.validate(validation, seed + 1)
                metrics = run.metrics(epoch, means, held_out, time.perf_counter() - started)
                bound = metrics.train_bound if metrics.validation_bound is None else metrics.validation_bound
                is_best = validation is None or bound > best_bound
                if is_best:
                    best_bound, best_weights, history.best_epoch = bound, _snapshot(model), epoch
                history.epochs.append(metrics)
                if on_epoch is not None:
                    on_epoch(metrics, is_best)
                if settings.patience is not None and epoch - history.best_epoch >= settings.patience:
                    history.stopped = "patience"
                    break
        except KeyboardInterrupt:
            history.stopped = "interrupted"
        finally:
            model.load_state_dict(best_weights)
            model.eval()
    return history


@dataclass
class _Run:
    """What every epoch of one run needs."""

    model: VAE
    objective: Objective
    x: Tensor
    settings: TrainingSettings
    optimizer: torch.optim.Optimizer
    opponent: OpponentSteps | None
    epochs_before: int

    @property
    def last_epoch(self) -> int:
        return self.epochs_before + self.settings.epochs

    def epoch(self, epoch: int, permutation: Tensor) -> "_Means":
        """Take one step a batch, every example once."""
        self.model.train()
        batches = permutation.split(self.settings.batch_size)
        check_every = 1 if self.x.device.type == "cpu" else _CHECK_EVERY
        losses: list[Tensor] = []
        means = _Means()
        movers = scheduled(self.objective, self.model)
        for step, batch in enumerate(batches):
            epochs_done = epoch - 1 + step / len(batches)
            self._set_learning_rate(epochs_done - self.epochs_before)
            for at in movers:
                at(epochs_done)
            x = self.x.index_select(0, batch)
            result = self.objective(self.model, x)
            loss = -result.surrogate.mean()
            losses.append(loss.detach())
            if len(losses) == check_every or step + 1 == len(batches):
                self._check(losses, step + 1 - len(losses), batches, epoch)
                losses.clear()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            if self.opponent is not None:
                self.opponent.step(x)
            means.add(result)
        return means

    def validate(self, validation: Tensor, seed: int) -> BoundSummary:
        """Evaluate with the same noise every time, so that epochs differ by their weights alone.

        A few rows are evaluated several times over, or the noise would choose among the epochs.
        """
        self.model.eval()
        repeats = min(16, max(1, _DRAWS_WORTH_HAVING // len(validation)))
        with seeded(seed):
            return evaluate_bound(self.model, self.objective, torch.cat([validation] * repeats))

    def metrics(
        self, epoch: int, means: "_Means", held_out: BoundSummary | None, seconds: float
    ) -> EpochMetrics:
        bound, reconstruction, kl = means.terms
        dimensions = means.kl_per_dimension if held_out is None else held_out.kl_per_dimension
        return EpochMetrics(
            epoch=epoch,
            epochs=self.last_epoch,
            train_bound=bound,
            train_reconstruction=reconstruction,
            train_kl=kl,
            validation_bound=None if held_out is None else held_out.estimate.mean,
            validation_reconstruction=None if held_out is None else held_out.reconstruction,
            validation_kl=None if held_out is None else held_out.kl,
            kl_per_dimension=None if dimensions is None else dimensions.tolist(),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=seconds,
        )

    def _set_learning_rate(self, epochs_done: float) -> None:
        rate = self.settings.learning_rate_at(epochs_done / self.settings.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.opponent is not None:
            self.opponent.set_learning_rate(rate)

    def _check(self, losses: list[Tensor], first: int, batches: tuple[Tensor, ...], epoch: int) -> None:
        """Read the losses since the last look back from the device, and stop at the first that is not finite."""
        values = [losses[0].item()] if len(losses) == 1 else torch.stack(losses).tolist()
        for step, value in enumerate(values, first):
            if not isfinite(value):
                raise TrainingDivergedError(
                    f"the loss became {value:g} in epoch {epoch}, step {step + 1}: "
                    + diagnose(self.model, self.objective, self.x[batches[step]])
                )


class _Means:
    """Means of an epoch's results: kept per example on the device, summed in float64 at the end."""

    def __init__(self) -> None:
        self._terms: list[list[Tensor]] = [[], [], []]
        self._dimensions: list[Tensor] = []

    def add(self, result: ObjectiveResult) -> None:
        """Keep a batch: three references and no work."""
        for kept, term in zip(self._terms, (result.bound, result.reconstruction, result.kl), strict=True):
            kept.append(term.detach())
        if result.kl_per_dimension is not None:
            self._dimensions.append(result.kl_per_dimension.detach())

    @property
    def terms(self) -> list[float]:
        """Bound, reconstruction and KL."""
        return [torch.cat(term).double().mean().item() for term in self._terms]

    @property
    def kl_per_dimension(self) -> Tensor | None:
        """Mean KL of each latent dimension, where the KL falls apart."""
        return torch.cat(self._dimensions).double().mean(0) if self._dimensions else None


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
