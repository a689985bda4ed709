"""The processes that train one model together, as a run sees them; most often there is one, which asks nobody.

In a run of several processes (``ranks``) every rank holds the model, draws the same order, and takes its slice of every
batch: :class:`vaekit.training.ranks.Ranks`. This is the interface, and the one process that does nothing for it.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor, nn

from vaekit.objectives import Objective, ObjectiveResult
from vaekit.training.clipping import global_norm
from vaekit.vae import VAE

if TYPE_CHECKING:
    from vaekit.training.state import Players

__all__ = ["ALONE", "Alone", "BuildOptimizer", "World"]

T = TypeVar("T")

BuildOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class World(Protocol):
    """What a run asks of the processes that train together.

    Attributes
    ----------
    size, rank : int
        How many there are, and which one this is, from 0.
    is_writer : bool
        Whether this one writes files and calls the user's functions: rank 0.
    is_sharded : bool
        Whether each holds a share of the networks alone.
    """

    size: int
    rank: int
    is_sharded: bool

    @property
    def is_writer(self) -> bool:
        """Whether this is rank 0."""
        ...

    def begin(self, describe: Callable[[], dict[str, str]], players: "Players", objective: Objective) -> None:
        """Refuse to train where a rank was given something else, and begin from the state that rank 0 is in."""
        ...

    def spread(self, players: "Players", build: BuildOptimizer) -> "Players":
        """The players as this rank trains them; ``build`` makes the optimiser of other parameters."""
        ...

    def align(self) -> None:
        """Put every rank's generators where rank 0's are."""
        ...

    def mine(self, rows: Tensor) -> Tensor:
        """The slice of a step's rows that is this rank's."""
        ...

    def sharing(self, model: VAE) -> AbstractContextManager[object]:
        """Draw, in a block, the whole batch's noise in every rank, and keep the slice's."""
        ...

    def weigh(self, loss: Tensor) -> Tensor:
        """Count the loss of a slice by its share of the batch: what is to be differentiated."""
        ...

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Make the gradient of a slice, weighed, the gradient of the batch, and the same of results and loss."""
        ...

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradient of a slice, weighed, the gradient of the batch."""
        ...

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """The norm of a gradient, of which others may hold shards."""
        ...

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """Put tensors together of which others may hold shards, in rank 0 or everywhere."""
        ...

    def evaluating(self, objective: Objective) -> Objective:
        """The objective, evaluated by all ranks together: every one gets the results of all rows."""
        ...

    def gather(self, values: Tensor) -> Tensor:
        """Put the rows of all slices together, in the order of the batch that :meth:`mine` was asked of last."""
        ...

    def ask(self, *, stop: bool, save: bool) -> tuple[bool, bool]:
        """Whether to stop, and to write a checkpoint, before the next step: the same answer in every rank."""
        ...

    def decide(self, choice: bool) -> bool:
        """Rank 0's choice."""
        ...

    def from_writer(self, function: Callable[[], T]) -> T:
        """What a function gives in rank 0, or the error that it raises there."""
        ...

    def wait(self) -> None:
        """Wait until every rank is here."""
        ...


class Alone:
    """One process.

    Examples
    --------
    >>> ALONE.size, ALONE.is_writer, ALONE.ask(stop=True, save=False)
    (1, True, (True, False))
    """

    size, rank, is_writer, is_sharded = 1, 0, True, False

    def begin(self, describe: Callable[[], dict[str, str]], players: "Players", objective: Objective) -> None:
        """Nothing to compare."""

    def spread(self, players: "Players", build: BuildOptimizer) -> "Players":
        """The players."""
        return players

    def align(self) -> None:
        """Nothing to do."""

    def mine(self, rows: Tensor) -> Tensor:
        """All rows."""
        return rows

    def sharing(self, model: VAE) -> AbstractContextManager[object]:
        """Nothing to do."""
        return nullcontext()

    def weigh(self, loss: Tensor) -> Tensor:
        """The loss."""
        return loss

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Nothing to do."""
        return result, loss

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Nothing to do."""

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """The norm."""
        return global_norm(gradients)

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """The tensors."""
        return dict(tensors)

    def evaluating(self, objective: Objective) -> Objective:
        """The objective."""
        return objective

    def gather(self, values: Tensor) -> Tensor:
        """All rows."""
        return values

    def ask(self, *, stop: bool, save: bool) -> tuple[bool, bool]:
        """What was asked."""
        return stop, save

    def decide(self, choice: bool) -> bool:
        """The choice."""
        return choice

    def from_writer(self, function: Callable[[], T]) -> T:
        """What the function gives."""
        return function()

    def wait(self) -> None:
        """Nothing to wait for."""


ALONE = Alone()
