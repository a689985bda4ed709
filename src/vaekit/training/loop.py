"""The training loop.

The data sit in one tensor on the device; an epoch is one permutation, a step is one gather. Nothing is read
back from an accelerator inside an epoch but at the few steps where the loss is checked.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vaekit.errors import TrainingDivergedError
from vaekit.evaluation.bound import BoundSummary, evaluate_bound
from vaekit.objectives import Objective
from vaekit.randomness import seeded
from vaekit.training.diagnosis import diagnose
from vaekit.training.history import EpochMetrics, History
from vaekit.training.settings import TrainingSettings
from vaekit.vae import VAE

__all__ = ["train"]

_CHECK_EVERY = 200  # steps between looks at the loss where a look would stall the device


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
) -> History:
    """Train a model in place, and leave it with the weights of its best epoch.

    Best is by the validation bound, un-annealed and unweighted; without validation rows the last epoch counts
    as best. Ctrl-C ends the run after the best epoch so far, as ``history.stopped`` says.

    Parameters
    ----------
    model
        On the device it is to be trained on.
    objective
        What to maximise.
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

    Returns
    -------
    History

    Raises
    ------
    TrainingDivergedError
        If the loss is not finite: the model then holds the best weights so far, and the message names the
        step, the term and, where one stands out, the column.
    """
    history = History() if history is None else history
    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    model.train()
    order = torch.Generator().manual_seed(seed)
    best_bound, best_weights = -float("inf"), _snapshot(model)
    with seeded(seed):
        try:
            first = len(history.epochs) + 1
            for epoch in range(first, first + settings.epochs):
                started = time.perf_counter()
                permutation = torch.randperm(len(x), generator=order).to(x.device)
                train_means = _run_epoch(
                    model, objective, x, permutation, settings.batch_size, optimizer, epoch
                )
                held_out = None if validation is None else _validate(model, objective, validation, seed)
                metrics = _metrics(epoch, train_means, held_out, optimizer, time.perf_counter() - started)
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


def _run_epoch(
    model: VAE,
    objective: Objective,
    x: Tensor,
    permutation: Tensor,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    epoch: int,
) -> tuple[Tensor, Tensor | None]:
    """Take one step a batch; returns the means of bound, reconstruction and KL, and of the KL's dimensions."""
    sums = torch.zeros(3, device=x.device, dtype=torch.float64)
    dimensions: Tensor | None = None
    starts = range(0, len(x), batch_size)
    check_every = 1 if x.device.type == "cpu" else _CHECK_EVERY
    losses = torch.zeros(len(starts), device=x.device)
    for step, start in enumerate(starts):
        batch = x[permutation[start : start + batch_size]]
        result = objective(model, batch)
        loss = -result.surrogate.mean()
        losses[step] = loss.detach()
        if (step + 1) % check_every == 0 or step + 1 == len(starts):
            _check_finite(losses, step, check_every, model, objective, x, permutation, batch_size, epoch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            sums += torch.stack([result.bound.sum(), result.reconstruction.sum(), result.kl.sum()])
            if result.kl_per_dimension is not None:
                total = result.kl_per_dimension.sum(0)
                dimensions = total if dimensions is None else dimensions + total
    return sums / len(x), None if dimensions is None else dimensions / len(x)


def _check_finite(
    losses: Tensor,
    step: int,
    check_every: int,
    model: VAE,
    objective: Objective,
    x: Tensor,
    permutation: Tensor,
    batch_size: int,
    epoch: int,
) -> None:
    first = step + 1 - min(check_every, step + 1)
    finite = losses[first : step + 1].isfinite()
    if bool(finite.all()):
        return
    bad = first + int((~finite).nonzero()[0])
    batch = x[permutation[bad * batch_size : (bad + 1) * batch_size]]
    raise TrainingDivergedError(
        f"the loss became {losses[bad].item():g} in epoch {epoch}, step {bad + 1}: "
        + diagnose(model, objective, batch)
    )


def _validate(model: VAE, objective: Objective, validation: Tensor, seed: int) -> BoundSummary:
    """Evaluate with the same noise every time, so that epochs differ by their weights alone."""
    model.eval()
    with seeded(seed + 1):
        summary = evaluate_bound(model, objective, validation)
    model.train()
    return summary


def _metrics(
    epoch: int,
    train_means: tuple[Tensor, Tensor | None],
    held_out: BoundSummary | None,
    optimizer: torch.optim.Optimizer,
    seconds: float,
) -> EpochMetrics:
    bound, reconstruction, kl = train_means[0].tolist()
    dimensions = train_means[1] if held_out is None else held_out.kl_per_dimension
    return EpochMetrics(
        epoch=epoch,
        train_bound=bound,
        train_reconstruction=reconstruction,
        train_kl=kl,
        validation_bound=None if held_out is None else held_out.estimate.mean,
        validation_reconstruction=None if held_out is None else held_out.reconstruction,
        validation_kl=None if held_out is None else held_out.kl,
        kl_per_dimension=None if dimensions is None else dimensions.tolist(),
        learning_rate=optimizer.param_groups[0]["lr"],
        seconds=seconds,
    )


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
