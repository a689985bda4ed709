"""One epoch: every example once, and back to a good state where the loss is not finite.

Nothing is read back from an accelerator between two looks at the losses, every hundred steps; a good state is
kept as often, and only after such a look.
"""

import warnings
from collections.abc import Callable, Sequence
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor

from vaekit.errors import TrainingDivergedError, TrainingWarning
from vaekit.objectives import Objective
from vaekit.training.run_state import Run
from vaekit.training.setup import Batch
from vaekit.training.stepper import Gradient
from vaekit.vae import VAE

__all__ = ["diagnose", "train_epoch"]

_KEEP_EVERY = 100  # steps between states to return to, and between looks where a look would stall the device

_ROLLBACKS = 3  # in a run, at most


class _Look(NamedTuple):
    """The loss and gradient of a step, to be looked at later."""

    rows: Tensor
    step: int
    gradient: Gradient


class _NotFiniteError(ArithmeticError):
    """A loss or gradient is not finite."""


def train_epoch(run: Run, between_steps: Callable[[float, Callable[[], None]], None]) -> None:
    """Take the steps of the epoch that are not done.

    Parameters
    ----------
    run
        The run, which is moved on.
    between_steps
        Called before every step with the epochs done, and with a function to call before the state is saved:
        it checks the losses that were not checked yet.

    Raises
    ------
    TrainingDivergedError
        If the loss is not finite, and the run was set back as often as it may be.
    """
    run.players.model.train()
    batches = run.shuffle()
    while run.steps_done < len(batches):
        try:
            _take_steps(run, batches, between_steps)
        except _NotFiniteError as trouble:
            _roll_back(run, str(trouble))


def _take_steps(
    run: Run, batches: Sequence[Tensor], between_steps: Callable[[float, Callable[[], None]], None]
) -> None:
    learning_rate = run.learning_rates()
    look_every = 1 if run.data.x.device.type == "cpu" else _KEEP_EVERY
    unseen: list[_Look] = []

    def look() -> None:
        _look(run, unseen)
        unseen.clear()

    for step in range(run.steps_done, len(batches)):
        share = step / len(batches)
        if step % _KEEP_EVERY == 0 and step != run.good.steps_done:
            look()
            run.good = run.here()
        between_steps(run.epoch - 1 + share, look)
        run.stepper.prepare(run.epoch - 1 + share, learning_rate(share))
        rows = batches[step]
        batch = run.data.rows(run.world.mine(rows))
        gradient = run.stepper.gradient(batch)
        unseen.append(_Look(rows, step, gradient))
        if len(unseen) == look_every or step + 1 == len(batches):
            look()
        run.stepper.move(batch)
        run.means.add(gradient.result, gradient.norm)
        run.steps_done = step + 1


def _look(run: Run, unseen: Sequence[_Look]) -> None:
    """Read losses and norms back from the device, and stop at the first that is not finite."""
    if not unseen:
        return
    if len(unseen) == 1:
        gradient = unseen[0].gradient
        numbers = [[gradient.loss.item(), 0.0 if gradient.norm is None else gradient.norm.item()]]
    else:
        zero = torch.zeros_like(unseen[0].gradient.loss)
        pairs = [(look.gradient.loss, look.gradient.norm) for look in unseen]
        numbers = torch.stack(
            [torch.stack([loss, zero if norm is None else norm]) for loss, norm in pairs]
        ).tolist()
    for look, (loss, norm) in zip(unseen, numbers, strict=True):
        if isfinite(loss) and isfinite(norm):
            continue
        what = f"the loss became {loss:g}" if not isfinite(loss) else f"the gradient's norm became {norm:g}"
        batch, names = run.data.rows(look.rows), run.setup.column_names
        cause = diagnose(run.players.model, run.stepper.objective, batch, names)
        raise _NotFiniteError(f"{what} in epoch {run.epoch}, step {look.step + 1}: {cause}")


def _roll_back(run: Run, trouble: str) -> None:
    """Return to the last good state of the epoch at half the learning rate, a few times in a run."""
    if run.rollbacks == _ROLLBACKS:
        raise TrainingDivergedError(f"{trouble} (it was set back {_ROLLBACKS} times, to no avail)")
    run.rollbacks += 1
    run.return_to(run.good)
    warnings.warn(
        f"{trouble}; back to step {run.steps_done} of epoch {run.epoch} at half the learning rate "
        f"({run.rollbacks} of {_ROLLBACKS} times)",
        TrainingWarning,
        stacklevel=4,
    )


@torch.no_grad()
def diagnose(model: VAE, objective: Objective, batch: Batch, names: Sequence[str] | None = None) -> str:
    """Return a sentence on which weights, term or columns make the loss of a batch not finite.

    Parameters
    ----------
    model, objective
        As they are at the step that failed.
    batch
        The examples of that step, and their condition.
    names
        The names of the columns, where they have some.
    """
    broken = [name for name, value in model.named_parameters() if not bool(value.isfinite().all())]
    if broken:
        cause = f"the weights {broken[0]} are no longer finite"
    else:
        result = objective(model, *batch)
        terms = {"reconstruction": result.reconstruction, "KL": result.kl, "bound": result.bound}
        bad = [name for name, value in terms.items() if not bool(value.isfinite().all())]
        cause = f"the {bad[0]} term overflowed" if bad else "the surrogate or its gradient overflowed"
    size = batch.x.flatten(1).abs().amax(0)
    column = int(size.argmax())
    name = repr(names[column]) if names is not None and len(names) == len(size) else str(column)
    extreme = f"; column {name} holds the most extreme value of that batch, {float(size[column]):.4g} in scaled units"
    return cause + extreme + "; try a lower learning rate, and look for outliers in the data"
