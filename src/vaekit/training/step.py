"""One step: gather a batch, differentiate the surrogate, shorten the gradient, move the weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from vaekit.contracts import check_result
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.training.clipping import clip_gradient
from vaekit.training.scheduled import scheduled
from vaekit.training.state import Players
from vaekit.training.world import ALONE, World
from vaekit.vae import VAE

__all__ = ["Batch", "Differentiate", "Gradient", "Stepper", "loss_of", "plain_gradient"]


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


Differentiate = Callable[..., tuple[ObjectiveResult, Tensor]]
"""From a batch, ``(x, c)``, to the objective's results and the loss, without gradient; the gradient is left in the
parameters' ``grad``, and nothing in those that the loss does not reach."""


def loss_of(objective: Objective, model: VAE, batch: Batch) -> tuple[ObjectiveResult, Tensor]:
    """Give the results, without gradient, and the loss to differentiate."""
    result = check_result(objective(model, *batch), objective)
    terms = [None if term is None else term.detach() for term in result]
    return ObjectiveResult(*terms), -result.surrogate.mean()  # type: ignore[arg-type]


def plain_gradient(
    objective: Objective, model: VAE, weigh: Callable[[Tensor], Tensor] = ALONE.weigh
) -> Differentiate:
    """Give the differentiation of a model's loss, weighed, by torch's tape."""
    parameters = list(model.parameters())

    def differentiate(x: Tensor, c: Tensor | None = None) -> tuple[ObjectiveResult, Tensor]:
        result, loss = loss_of(objective, model, Batch(x, c))
        for parameter in parameters:
            parameter.grad = None
        weigh(loss).backward()
        return result, loss.detach()

    return differentiate


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
    world
        The processes that train together; a batch is this one's slice.

    Attributes
    ----------
    differentiate : Differentiate
        Plain, until it is compiled; see :mod:`vaekit.training.compilation`.
    """

    players: Players
    objective: Objective
    limit: float | None
    world: World = ALONE

    def __post_init__(self) -> None:
        self.differentiate: Differentiate = plain_gradient(
            self.objective, self.players.model, self.world.weigh
        )
        self._parameters = list(self.players.model.parameters())
        self._movers = scheduled(self.objective, self.players.model)
        if self.players.average is not None:
            self._movers += scheduled(None, self.players.average.model)

    @property
    def compiled(self) -> bool:
        """Whether the loss is."""
        return getattr(self.differentiate, "compiled", False)

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
        with self.world.sharing(self.players.model):
            result, loss = self.differentiate(*batch)
        result, loss = self.world.average(self.players.model, result, loss)
        norm = None
        if self.limit is not None:
            norm = clip_gradient(self._parameters, self.limit, self.world.norm)
        return Gradient(result, loss, norm)

    def move(self, batch: Batch) -> None:
        """Move the weights, then the opponent's."""
        _, optimizer, average, opponent = self.players
        optimizer.step()
        if opponent is not None:
            opponent.step(*batch)
        if average is not None:
            average.update()
