"""One step: differentiate the surrogate of a batch, shorten the gradient, and move the weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from vaekit.contracts import check_result
from vaekit.language.schedules import Annealed
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.training.optimizing import clip_gradient
from vaekit.training.players import Players
from vaekit.training.setup import Batch
from vaekit.training.world import ALONE, World
from vaekit.vae import VAE

__all__ = ["Differentiate", "Gradient", "PlainGradient", "Stepper", "loss_of", "scheduled"]


class Gradient(NamedTuple):
    """The results of a step before the weights move.

    Parameters
    ----------
    result
        The objective's results per example.
    loss
        A scalar on the device.
    norm
        The norm of the gradient before it was shortened, on the device; None without clipping.
    """

    result: ObjectiveResult
    loss: Tensor
    norm: Tensor | None


class Differentiate(Protocol):
    """The way to a gradient: from a batch to results and loss, the gradient left in the parameters' ``grad``.

    Attributes
    ----------
    compiled : bool
        Whether it is native code.
    """

    @property
    def compiled(self) -> bool:
        """Whether it is native code."""
        ...

    def __call__(self, x: Tensor, c: Tensor | None = None) -> tuple[ObjectiveResult, Tensor]:
        """Return results and loss, without gradient; parameters that the loss does not reach get none."""
        ...


def loss_of(objective: Objective, model: VAE, batch: Batch) -> tuple[ObjectiveResult, Tensor]:
    """Return the results, without gradient, and the loss to differentiate."""
    result = check_result(objective(model, *batch), objective)
    terms: list[Any] = [None if term is None else term.detach() for term in result]
    return ObjectiveResult(*terms), -result.surrogate.mean()


class PlainGradient:
    """The gradient of a model's weighed loss by torch's tape."""

    compiled = False

    def __init__(
        self, objective: Objective, model: VAE, weigh: Callable[[Tensor], Tensor] = ALONE.weigh
    ) -> None:
        self.objective, self.model, self.weigh = objective, model, weigh
        self._parameters = list(model.parameters())

    def __call__(self, x: Tensor, c: Tensor | None = None) -> tuple[ObjectiveResult, Tensor]:
        """Return results and loss, without gradient; parameters that the loss does not reach get none."""
        result, loss = loss_of(self.objective, self.model, Batch(x, c))
        for parameter in self._parameters:
            parameter.grad = None
        self.weigh(loss).backward()
        return result, loss.detach()


@dataclass
class Stepper:
    """Takes the steps of a model, and of its opponent after it.

    Parameters
    ----------
    players
        All that learns.
    objective
        The objective to maximise.
    limit
        The largest global norm of a gradient; None: no clipping.
    world
        The processes that train together; a batch is this one's slice.

    Attributes
    ----------
    differentiate : Differentiate
        Plain, until it is compiled; see :mod:`vaekit.training.compiled_step`.
    """

    players: Players
    objective: Objective
    limit: float | None
    world: World = ALONE

    def __post_init__(self) -> None:
        self.differentiate: Differentiate = PlainGradient(
            self.objective, self.players.model, self.world.weigh
        )
        self._parameters = list(self.players.model.parameters())
        self._movers = scheduled(self.objective, self.players.model)
        if self.players.average is not None:
            self._movers += scheduled(None, self.players.average.model)

    @property
    def compiled(self) -> bool:
        """Whether the differentiation is compiled."""
        return self.differentiate.compiled

    def move_schedules(self, epochs_done: float) -> None:
        """Tell the objective and the parts of the model how many epochs are done."""
        for at in self._movers:
            at(epochs_done)

    def prepare(self, epochs_done: float, learning_rate: float) -> None:
        """Set what follows a schedule, learning rates among it, for the next step."""
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
            opponent.step(*batch, world=self.world)
        if average is not None:
            average.update()


def scheduled(objective: Objective | None, model: nn.Module) -> list[Callable[[float], None]]:
    """Return the methods ``at(epochs_done)`` to call before every step.

    They are those of the objective and of every module of the model, where their ``schedules`` are not empty.
    An objective that is not :class:`~vaekit.language.schedules.Annealed` is always told.

    Parameters
    ----------
    objective
        None: only the modules count.
    model
        All its modules are looked at.

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.language.schedules import Schedule
    >>> objective = Elbo(beta=Schedule("linear", 0.0, 1.0, 10))
    >>> for at in scheduled(objective, nn.Linear(1, 1)):
    ...     at(5.0)
    >>> objective.beta, scheduled(Elbo(), nn.Linear(1, 1))
    (0.5, [])
    """
    movers: list[Callable[[float], None]] = []
    if objective is not None and (objective.schedules or not isinstance(objective, Annealed)):
        movers = [objective.at]
    return movers + [part.at for part in model.modules() if isinstance(part, Annealed) and part.schedules]
