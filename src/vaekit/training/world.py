"""The processes that train one model together, as a run sees them; most often there is one, which asks nobody.

In a run of several processes (``ranks``) every rank holds the model, draws the same order, and takes its slice of every
batch: :class:`vaekit.training.ranks.Ranks`. This is the interface, and the one process that does nothing for it.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import Tensor, nn

from vaekit.objectives import Objective, ObjectiveResult
from vaekit.vae import VAE

if TYPE_CHECKING:
    from vaekit.training.state import Players

__all__ = ["ALONE", "Alone", "World"]

T = TypeVar("T")


class World(Protocol):
    """What a run asks of the processes that train together.

    Attributes
    ----------
    size, rank : int
        How many there are, and which one this is, from 0.
    is_writer : bool
        Whether this one writes files and calls the user's functions: rank 0.
    """

    size: int
    rank: int

    @property
    def is_writer(self) -> bool:
        """Whether this is rank 0."""
        ...

    def begin(self, describe: Callable[[], dict[str, str]], players: "Players") -> None:
        """Refuse to train where a rank was given something else, and begin from the state that rank 0 is in."""
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

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Make the gradient of a slice the gradient of the batch, and the same of results and loss."""
        ...

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradient of a slice the gradient of the batch."""
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

    size, rank, is_writer = 1, 0, True

    def begin(self, describe: Callable[[], dict[str, str]], players: "Players") -> None:
        """Nothing to compare."""

    def align(self) -> None:
        """Nothing to do."""

    def mine(self, rows: Tensor) -> Tensor:
        """All rows."""
        return rows

    def sharing(self, model: VAE) -> AbstractContextManager[object]:
        """Nothing to do."""
        return nullcontext()

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Nothing to do."""
        return result, loss

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Nothing to do."""

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
