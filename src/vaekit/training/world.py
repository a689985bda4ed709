"""The processes that train one model together, as a run sees them; most often there is only one.

In a run of several processes (:class:`vaekit.training.ranks.Ranks`) every rank holds the model, draws the
same order, and takes its slice of every batch. This file holds the interface, the one process that has
nothing to share, and the error that says that another process is gone.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar

import torch.distributed as dist
from torch import Tensor, nn

from vaekit.errors import ProcessLostError, VaekitError
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.training.optimizing import global_norm
from vaekit.vae import VAE

__all__ = ["ALONE", "Alone", "World", "others_may_be_lost"]

T = TypeVar("T")


class World(Protocol):
    """The processes that train together, as a run sees them.

    Attributes
    ----------
    size, rank : int
        The number of processes, and the number of this one, from 0.
    holds_all : bool
        Whether this process holds the whole model, and can go on without the others.
    """

    size: int
    rank: int
    holds_all: bool

    @property
    def is_writer(self) -> bool:
        """Whether this process writes files and calls the user's functions: rank 0."""
        ...

    def begin(self, objective: Objective, describe: Callable[[], dict[str, str]]) -> None:
        """Refuse to train where a rank was given another run than rank 0."""
        ...

    def spread(self, model: VAE, average: VAE | None) -> tuple[VAE, VAE | None]:
        """Return the model, and the average of its weights, as this rank trains them."""
        ...

    def align(self) -> None:
        """Put every rank's random generators where rank 0's are."""
        ...

    def mine(self, rows: Tensor) -> Tensor:
        """Return this rank's slice of a step's rows."""
        ...

    def sharing(self, model: VAE) -> AbstractContextManager[object]:
        """Draw, in a block, the whole batch's noise in every rank, and keep the slice's."""
        ...

    def weigh(self, loss: Tensor) -> Tensor:
        """Return the loss of a slice times its share of the batch, which is to be differentiated."""
        ...

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Turn the weighed gradient of a slice into the gradient of the batch, and result and loss alike."""
        ...

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Turn the weighed gradient of a slice into the gradient of the batch."""
        ...

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """Return the norm of a gradient, of which other processes may hold parts."""
        ...

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """Put tensors together of which other processes may hold parts, in rank 0 or everywhere."""
        ...

    def evaluating(self, objective: Objective) -> Objective:
        """Return the objective as all ranks evaluate it together: every rank gets the results of all rows."""
        ...

    def gather(self, values: Tensor) -> Tensor:
        """Put the rows of all slices together, in the order of the batch that :meth:`mine` was last called with."""
        ...

    def ask(self, *, stop: bool, save: bool) -> tuple[bool, bool]:
        """Return whether to stop, and to write a checkpoint, before the next step: the same in every rank."""
        ...

    def decide(self, choice: bool) -> bool:
        """Return rank 0's choice."""
        ...

    def from_writer(self, function: Callable[[], T]) -> T:
        """Return what a function returns in rank 0, or raise the error that it raises there."""
        ...

    def wait(self) -> None:
        """Wait until every rank is here."""
        ...


class Alone:
    """One process, which has nothing to share.

    Examples
    --------
    >>> ALONE.size, ALONE.is_writer, ALONE.ask(stop=True, save=False)
    (1, True, (True, False))
    """

    size, rank, is_writer, holds_all = 1, 0, True, True

    def begin(self, objective: Objective, describe: Callable[[], dict[str, str]]) -> None:
        """Do nothing: there is no other process to compare with."""

    def spread(self, model: VAE, average: VAE | None) -> tuple[VAE, VAE | None]:
        """Return the models as they are."""
        return model, average

    def align(self) -> None:
        """Do nothing."""

    def mine(self, rows: Tensor) -> Tensor:
        """Return all rows."""
        return rows

    def sharing(self, model: VAE) -> AbstractContextManager[object]:
        """Return a block in which nothing is different."""
        return nullcontext()

    def weigh(self, loss: Tensor) -> Tensor:
        """Return the loss."""
        return loss

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Return result and loss."""
        return result, loss

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Do nothing."""

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """Return the norm."""
        return global_norm(gradients)

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """Return the tensors."""
        return dict(tensors)

    def evaluating(self, objective: Objective) -> Objective:
        """Return the objective."""
        return objective

    def gather(self, values: Tensor) -> Tensor:
        """Return all rows."""
        return values

    def ask(self, *, stop: bool, save: bool) -> tuple[bool, bool]:
        """Return what was asked."""
        return stop, save

    def decide(self, choice: bool) -> bool:
        """Return the choice."""
        return choice

    def from_writer(self, function: Callable[[], T]) -> T:
        """Return what the function returns."""
        return function()

    def wait(self) -> None:
        """Do nothing."""


ALONE = Alone()


@contextmanager
def others_may_be_lost(rank: int, size: int, *, computing: bool = False) -> Generator[None]:
    """Turn the error of a process group whose process is gone into one that says what to do.

    Where the block computes as well, an error counts if it is one of torch's distributed package or names
    what carries its messages.

    Raises
    ------
    ProcessLostError
        In place of such an error.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, VaekitError) or (computing and not _is_of_a_group(error)):
            raise
        reason = next(
            (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise ProcessLostError(
            f"rank {rank} of {size}: another process of the run is gone or does not answer, so this one ends "
            f"({reason}); to go on from the last checkpoint, start all processes again with resume=True"
        ) from error


def _is_of_a_group(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in ("gloo", "nccl"))
