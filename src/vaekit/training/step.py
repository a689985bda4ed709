"""One step: gather a batch, differentiate the surrogate, shorten the gradient, move the weights."""

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import NamedTuple

from torch import Tensor

from vaekit.objectives import Objective, ObjectiveResult
from vaekit.training.clipping import clip_gradient
from vaekit.training.scheduled import scheduled
from vaekit.training.state import Players
from vaekit.vae import VAE

__all__ = ["Batch", "Gradient", "Loss", "Stepper", "plain_loss"]


class Batch(NamedTuple):
    """Examples ``(batch, *event)`` and their condition ``(batch, d)``, where there is one."""

    x: Tensor
    c: Tensor | None = None

    def rows(self, rows: Tensor) -> "Batch":
        """Gather some rows."""
        x, c = self
        return Batch(x.index_select(0, rows), None if c is None else c.index_select(0, rows))


class Gradient(NamedTuple):
    """What is known before the weights move.

    Parameters
    ----------
    result
        The objective's, per example.
    loss
        A scalar on the device.
    norm
        Of the gradient before it was shortened, on the device; None without clipping.
    """

    result: ObjectiveResult
    loss: Tensor
    norm: Tensor | None


Loss = Callable[..., tuple[ObjectiveResult, Tensor]]
"""From a batch, ``(x, c)``, to the objective's results, without gradient, and the loss to differentiate."""


def plain_loss(objective: Objective, model: VAE) -> FunctionType:
    """Give the loss of a model, as it is."""

    def loss(x: Tensor, c: Tensor | None = None) -> tuple[ObjectiveResult, Tensor]:
        result = objective(model, x, c)
        terms = [None if term is None else term.detach() for term in result]
        return ObjectiveResult(*terms), -result.surrogate.mean()  # type: ignore[arg-type]

    return loss


@dataclass
class Stepper:
    """Takes steps of a model, and of its opponent after it.

    Parameters
    ----------
    players
        All that learns.
    objective
        What is maximised.
    limit
        Of the gradient's global norm; None: no clipping.

    Attributes
    ----------
    loss : Loss
        Plain, until it is compiled; see :mod:`vaekit.training.compilation`.
    """

    players: Players
    objective: Objective
    limit: float | None

    def __post_init__(self) -> None:
        self.loss: Loss = plain_loss(self.objective, self.players.model)
        self._movers = scheduled(self.objective, self.players.model)
        if self.players.average is not None:
            self._movers += scheduled(None, self.players.average.model)

    @property
    def compiled(self) -> bool:
        """Whether the loss is."""
        return getattr(self.loss, "compiled", False)

    def move_schedules(self, epochs_done: float) -> None:
        """Tell the objective and the parts of the model how many epochs are done."""
        for at in self._movers:
            at(epochs_done)

    def prepare(self, epochs_done: float, learning_rate: float) -> None:
        """Move what follows a schedule to where it belongs at a step."""
        self.move_schedules(epochs_done)
        for group in self.players.optimizer.param_groups:
            group["lr"] = learning_rate
        if self.players.opponent is not None:
            self.players.opponent.set_learning_rate(learning_rate)

    def gradient(self, batch: Batch) -> Gradient:
        """Differentiate the surrogate of a batch."""
        result, loss = self.loss(*batch)
        self.players.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = None
        if self.limit is not None:
            norm = clip_gradient(self.players.model.parameters(), self.limit)
        return Gradient(result, loss.detach(), norm)

    def move(self, batch: Batch) -> None:
        """Move the weights, then the opponent's."""
        _, optimizer, average, opponent = self.players
        optimizer.step()
        if opponent is not None:
            opponent.step(*batch)
        if average is not None:
            average.update()
