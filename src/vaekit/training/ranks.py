r"""Several processes that train one model together, over ``torch.distributed``.

Of a batch of :math:`n` rows rank :math:`r` of :math:`w` takes the rows from :math:`\lfloor n r / w \rfloor` to
:math:`\lfloor n (r + 1) / w \rfloor`, :math:`n_r` of them, and its gradient counts by their share, so that all ranks
hold the gradient of the batch's mean, whatever their number:

.. math::

    g = \sum_r \frac{n_r}{n} g_r, \qquad g_r = \frac{1}{n_r} \sum_{i \in r} \nabla \ell_i .

One all-reduce a step carries it, with the loss, the means of the results, and whether anybody wants to stop or to save:
so that all ranks take the same decisions, about losses that are not finite among them. Decisions of rank 0 between
steps go over a second group, over gloo and with a long patience, for whoever waits for a slow disk.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import (
    Tensor,
    _foreach_copy_,  # pyright: ignore
    nn,
)
from torch.nn.modules.batchnorm import _BatchNorm

from vaekit.errors import TrainingWarning, UsageError, VaekitError
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.runtime.rows import gathering
from vaekit.training.clipping import global_norm
from vaekit.training.lost import others_may_be_lost
from vaekit.training.shards import is_sharded
from vaekit.training.shared_noise import SharedNoise, Slice
from vaekit.training.shared_objective import SharedObjective
from vaekit.training.state import Players
from vaekit.training.world import BuildOptimizer
from vaekit.vae import VAE

__all__ = ["Ranks", "slice_of"]

T = TypeVar("T")

_READ_EVERY = 20  # steps between looks at what was asked, where a look would stall the device


def slice_of(rows: int, rank: int, size: int) -> Slice:
    """Which rows of a batch are a rank's.

    Examples
    --------
    >>> [tuple(slice_of(5, rank, 3)) for rank in range(3)]
    [(0, 1, 5), (1, 2, 5), (3, 2, 5)]
    """
    start = rows * rank // size
    return Slice(start, rows * (rank + 1) // size - start, rows)


class Ranks:
    """Several processes; see :class:`vaekit.training.world.World`.

    Parameters
    ----------
    rank, size
        Which one this is, of how many.
    steps
        The group that gradients go over.
    control
        The group that all else goes over: gloo.
    """

    is_sharded = False

    def __init__(self, rank: int, size: int, *, steps: Any, control: Any) -> None:
        self.rank, self.size = rank, size
        self._steps, self._control = steps, control
        self._on_cuda = dist.get_backend(steps) == dist.Backend.NCCL
        self._part = Slice(0, 1, 1)
        self._share = 1.0
        self._asks = (False, False)
        self._answer: Tensor | None = None
        self._running: list[Tensor] = []
        self._asked = 0

    @property
    def is_writer(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def mine(self, rows: Tensor) -> Tensor:
        """The slice of a step's rows that is this rank's; where there is none, a row that will not count."""
        part = slice_of(len(rows), self.rank, self.size)
        self._share = part.rows / part.batch
        self._part = part if part.rows else Slice(0, 1, part.batch)
        return rows[self._part.start : self._part.start + self._part.rows]

    def sharing(self, model: VAE) -> AbstractContextManager[object]:
        """Draw, in a block, the whole batch's noise in every rank, and keep the slice's."""
        return self._sharing(model)

    @contextmanager
    def _sharing(self, model: VAE) -> Iterator[None]:
        with SharedNoise(self._part, model.latent_shape), gathering(self._gather_pieces):
            yield

    def _gather_pieces(self, values: Tensor) -> Tensor:
        """Put together what stands for several pieces of each row."""
        return self.gather(values.detach().unflatten(0, (self._part.rows, -1))).flatten(0, 1)

    def weigh(self, loss: Tensor) -> Tensor:
        """Count the loss of a slice by its share of the batch: what is to be differentiated."""
        return loss * self._share

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Make the gradient of a slice, weighed, the gradient of the batch, and the same of results and loss.

        Of the results the mean of the batch is known, and stands for each of its rows. The running averages of
        batch normalisation, which is by slices, become the mean of the slices'.
        """
        terms = [loss, result.bound.mean(), result.reconstruction.mean(), result.kl.mean()]
        if result.kl_per_dimension is not None:
            terms.append(result.kl_per_dimension.mean(0))
        with torch.no_grad():
            numbers = [number * self._share for number in (*terms, *self._running)]
            found = self._add(model.parameters(), numbers)
            if self._running:
                _foreach_copy_(self._running, found[len(terms) :])
        loss, bound, reconstruction, kl, *dimensions = found[: len(terms)]
        rows = self._part.batch
        each = dimensions[0].expand(rows, *dimensions[0].shape) if dimensions else None
        bound, surrogate, reconstruction, kl = (t.expand(rows) for t in (bound, -loss, reconstruction, kl))
        return ObjectiveResult(bound, surrogate, reconstruction, kl, each), loss

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradient of a slice, weighed, the gradient of the batch."""
        self._add(parameters, [])

    def spread(self, players: Players, build: BuildOptimizer) -> Players:
        """The players: every rank holds all of them."""
        self._running = [
            buffer
            for module in players.model.modules()
            if isinstance(module, _BatchNorm)
            for buffer in (module.running_mean, module.running_var)
            if buffer is not None
        ]
        return players

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """The norm."""
        return global_norm(gradients)

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """The tensors: every rank holds all of them."""
        return dict(tensors)

    def _add(self, parameters: Iterable[nn.Parameter], numbers: list[Tensor]) -> list[Tensor]:
        """Sum the gradients that are whole, in place, and numbers, which are given back."""
        gradients = [p.grad for p in parameters if p.grad is not None and not is_sharded(p.grad)]
        parts = [*gradients, *numbers]
        flat = torch.cat([*(part.detach().reshape(-1) for part in parts), parts[0].new_zeros(2)])
        if not self._share:
            flat.zero_()  # whatever the row that does not count has come to
        if any(self._asks):
            flat[-2:] = torch.tensor(self._asks, dtype=flat.dtype)
        with self._others_may_be_lost():
            dist.all_reduce(flat, group=self._steps)
        *found, self._answer = flat.split([*(part.numel() for part in parts), 2])
        found = [value.reshape(part.shape) for value, part in zip(found, parts, strict=True)]
        if gradients:
            _foreach_copy_(gradients, found[: len(gradients)])
        return found[len(gradients) :]

    def evaluating(self, objective: Objective) -> Objective:
        """The objective, evaluated by all ranks together: every one gets the results of all rows."""
        return SharedObjective(objective, self)

    def gather(self, values: Tensor) -> Tensor:
        """Put the rows of all slices of the present batch together, in the batch's order."""
        batch = self._part.batch
        sizes = [slice_of(batch, rank, self.size).rows for rank in range(self.size)]
        padded = values.new_zeros(max(sizes), *values.shape[1:])
        padded[: sizes[self.rank]] = values[: sizes[self.rank]]
        parts = [torch.empty_like(padded) for _ in sizes]
        with self._others_may_be_lost():
            dist.all_gather(parts, padded, group=self._steps)
        return torch.cat([part[:rows] for part, rows in zip(parts, sizes, strict=True)])

    def ask(self, *, stop: bool, save: bool) -> tuple[bool, bool]:
        """Whether to stop, and to write a checkpoint, before the next step: the same answer in every rank.

        What is asked before a step is answered after it, or some steps after it where a look would stall the device.
        """
        self._asks = (stop, save)
        answer, self._asked = self._answer, self._asked + 1
        if answer is None or (answer.device.type != "cpu" and self._asked % _READ_EVERY):
            return False, False
        self._answer = None
        stops, saves = answer.tolist()
        return stops > 0, saves > 0

    def decide(self, choice: bool) -> bool:
        """Rank 0's choice."""
        return self.from_writer(lambda: choice)

    def from_writer(self, function: Callable[[], T]) -> T:
        """What a function gives in rank 0, or the error that it raises there."""
        found: list[Any] = [None, None]
        if self.is_writer:
            try:
                found[0] = function()
            except VaekitError as error:
                found[1] = error
        with self._others_may_be_lost():
            dist.broadcast_object_list(found, src=0, group=self._control)
        if found[1] is not None:
            raise found[1]
        return cast(T, found[0])

    def wait(self) -> None:
        """Wait until every rank is here."""
        with self._others_may_be_lost():
            dist.barrier(group=self._control)

    def begin(self, describe: Callable[[], dict[str, str]], players: Players, objective: Objective) -> None:
        """Refuse to train where a rank was given something else, and begin from the state that rank 0 is in.

        Raises
        ------
        UsageError
            In every rank, naming every difference.

        Warns
        -----
        TrainingWarning
            If the objective looks over a batch, of which each rank shows it a slice.
        """
        self.require_same(describe())
        if objective.traits.looks_over_batch:
            warnings.warn(
                f"the objective compares the examples of a batch, and each of the {self.size} processes shows it a "
                "slice: it trains as with batches of that size; slices of a hundred rows or more are best",
                TrainingWarning,
                stacklevel=3,
            )
        state = self.from_writer(lambda: players.take().to("cpu"))
        players.put(state)

    def align(self) -> None:
        """Put every rank's generators where rank 0's are: draws that are no row's may have moved them apart."""
        here = [torch.get_rng_state()]
        if self._on_cuda:
            here.append(torch.cuda.get_rng_state())
        with self._others_may_be_lost():
            for state in here:
                dist.broadcast(state, src=0, group=self._control)
        torch.set_rng_state(here[0])
        if self._on_cuda:
            torch.cuda.set_rng_state(here[1])

    def require_same(self, facts: dict[str, str]) -> None:
        """Refuse to train where another rank was given other data or another model.

        Raises
        ------
        UsageError
            In every rank, naming every difference.
        """
        everybody: list[Any] = [None] * self.size
        with self._others_may_be_lost():
            dist.all_gather_object(everybody, facts, group=self._control)
        first = everybody[0]
        differences = [
            f"{name} is {first.get(name, 'not given')} in rank 0, and {other.get(name, 'not given')} in rank {rank}"
            for rank, other in enumerate(everybody)
            for name in {**first, **other}
            if first.get(name) != other.get(name)
        ]
        if differences:
            raise UsageError(
                f"the {self.size} processes do not train the same model on the same data: {'; '.join(differences)}; "
                "give every one the same data and options"
            )

    def _others_may_be_lost(self) -> AbstractContextManager[None]:
        return others_may_be_lost(self.rank, self.size)
