r"""Several processes that train one model together, over ``torch.distributed``.

Of a batch of :math:`n` rows rank :math:`r` of :math:`w` takes the rows from :math:`\lfloor n r / w \rfloor`
to :math:`\lfloor n (r + 1) / w \rfloor`, :math:`n_r` of them, and its gradient counts by their share, so that
all ranks hold the gradient of the batch's mean, whatever their number:

.. math::

    g = \sum_r \frac{n_r}{n} g_r, \qquad g_r = \frac{1}{n_r} \sum_{i \in r} \nabla \ell_i .

One all-reduce a step carries it, with the loss, the means of the results, and whether anybody wants to stop
or to save: so that all ranks take the same decisions, about losses that are not finite among them. Decisions
of rank 0 between steps go over a second group, over gloo and with a long patience, for whoever waits for a
slow disk.
"""

import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import (
    Tensor,
    _foreach_copy_,  # pyright: ignore
    nn,
)
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from vaekit.errors import TrainingWarning, UsageError, VaekitError
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.runtime.rows import gathering
from vaekit.runtime.spread import is_spread
from vaekit.training.optimizing import global_norm
from vaekit.training.sharing import SharedNoise, SharedObjective, Slice, slice_of
from vaekit.training.world import others_may_be_lost
from vaekit.vae import VAE

__all__ = ["Ranks"]

T = TypeVar("T")

_READ_EVERY = 20  # steps between looks at what was asked, where a look would stall the device


class Ranks:
    """Several processes; see :class:`vaekit.training.world.World`.

    Parameters
    ----------
    rank, size
        The number of this process, and of all.
    steps
        The process group that gradients go over.
    control
        The process group that all else goes over: gloo.
    """

    holds_all = True

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
        """Return this rank's slice of a step's rows; where there is none, a row that will not count."""
        part = slice_of(len(rows), self.rank, self.size)
        self._share = part.rows / part.batch
        self._part = part if part.rows else Slice(0, 1, part.batch)
        return rows[self._part.start : self._part.start + self._part.rows]

    def sharing(self, model: VAE) -> AbstractContextManager[object]:
        """Draw, in a block, the whole batch's noise in every rank, and keep the slice's."""
        return self._sharing(model)

    @contextmanager
    def _sharing(self, model: VAE) -> Generator[None]:
        with SharedNoise(self._part, model.latent_shape), gathering(self._gather_pieces):
            yield

    def _gather_pieces(self, values: Tensor) -> Tensor:
        """Put together what stands for several pieces of each row."""
        return self.gather(values.detach().unflatten(0, (self._part.rows, -1))).flatten(0, 1)

    def weigh(self, loss: Tensor) -> Tensor:
        """Return the loss of a slice times its share of the batch, which is to be differentiated."""
        return loss * self._share

    def average(self, model: VAE, result: ObjectiveResult, loss: Tensor) -> tuple[ObjectiveResult, Tensor]:
        """Turn the weighed gradient of a slice into the gradient of the batch, and result and loss alike.

        Of the results only the mean over the batch is known, and stands for each of its rows. The running
        averages of batch normalisation, which looks at slices, become the mean of the slices'.
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
        """Turn the weighed gradient of a slice into the gradient of the batch."""
        self._add(parameters, [])

    def spread(self, model: VAE, average: VAE | None) -> tuple[VAE, VAE | None]:
        """Return the models as they are: every rank holds all of them."""
        self._running = [
            buffer
            for module in model.modules()
            if isinstance(module, _BatchNorm)
            for buffer in (module.running_mean, module.running_var)
            if buffer is not None
        ]
        return model, average

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """Return the norm."""
        return global_norm(gradients)

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """Return the tensors: every rank holds all of them."""
        return dict(tensors)

    def _add(self, parameters: Iterable[nn.Parameter], numbers: list[Tensor]) -> list[Tensor]:
        """Sum the gradients that are whole, in place, and numbers, which are given back."""
        gradients = [p.grad for p in parameters if p.grad is not None and not is_spread(p.grad)]
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
        """Return the objective as all ranks evaluate it together: every rank gets the results of all rows."""
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
        """Return whether to stop, and to write a checkpoint, before the next step: the same in every rank.

        A question before a step is answered after it, or some steps later where a look would stall the
        device.
        """
        self._asks = (stop, save)
        answer, self._asked = self._answer, self._asked + 1
        if answer is None or (answer.device.type != "cpu" and self._asked % _READ_EVERY):
            return False, False
        self._answer = None
        stops, saves = answer.tolist()
        return stops > 0, saves > 0

    def decide(self, choice: bool) -> bool:
        """Return rank 0's choice."""
        return self.from_writer(lambda: choice)

    def from_writer(self, function: Callable[[], T]) -> T:
        """Return what a function returns in rank 0, or raise the error that it raises there."""
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

    def begin(self, objective: Objective, describe: Callable[[], dict[str, str]]) -> None:
        """Refuse to train where a rank was given another run than rank 0.

        Raises
        ------
        UsageError
            In every rank, naming every difference.

        Warns
        -----
        TrainingWarning
            If the objective looks over a batch, of which each rank shows it a slice.
        """
        self._require_same(describe())
        if objective.traits.looks_over_batch:
            warnings.warn(
                f"the objective compares the examples of a batch, and each of the {self.size} processes shows it a "
                "slice: it trains as with batches of that size; slices of a hundred rows or more are best",
                TrainingWarning,
                stacklevel=3,
            )

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

    def _require_same(self, facts: dict[str, str]) -> None:
        """Raise an error in every rank, naming every difference, where one was given other data or another model."""
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
