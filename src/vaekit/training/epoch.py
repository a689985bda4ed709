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
from vaekit.training.diagnosis import diagnose
from vaekit.training.run import Run
from vaekit.training.step import Gradient

__all__ = ["train_epoch"]

_KEEP_EVERY = 100  # steps between states to return to, and between looks where a look would stall the device

_ROLLBACKS = 3  # in a run, at most


class _Look(NamedTuple):
    """What a step leaves to be looked at."""

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
        Where it stands, and what is moved.
    between_steps
        Called before every step with the epochs done, and with a function to call before the state is saved: it
        looks at losses that were not looked at.

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
        cause = diagnose(
            run.players.model, run.stepper.objective, *run.data.rows(look.rows), run.column_names
        )
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
