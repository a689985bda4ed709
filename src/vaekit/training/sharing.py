"""A batch of which every rank has a slice: its noise, and its evaluation.

Ranks whose generators are in the same state draw the same numbers, which would be the same noise for other
rows. So a rank draws for the whole batch, and keeps what belongs to its rows: the ranks' noise differs, and
together it is what one process would have drawn for the batch, so that a run is the same at any number of
ranks.

The batch dimension of a draw is recognised by its size: it has the size of the slice. Of several such
dimensions it is the last before those of a latent, as importance samples lead. Where that guess is wrong, the
noise is as random, and differs as much between ranks, but it is not what one process would have drawn.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vaekit.contracts import Objective, ObjectiveResult, WrappedObjective
from vaekit.training.world import World
from vaekit.vae import VAE

__all__ = ["SharedNoise", "SharedObjective", "Slice", "slice_of"]


class Slice(NamedTuple):
    """Rows ``start`` to ``start + rows`` of the ``batch`` rows of a batch."""

    start: int
    rows: int
    batch: int


def slice_of(rows: int, rank: int, size: int) -> Slice:
    """Return the rows of a batch that are a rank's.

    Examples
    --------
    >>> [tuple(slice_of(5, rank, 3)) for rank in range(3)]
    [(0, 1, 5), (1, 2, 5), (3, 2, 5)]
    """
    start = rows * rank // size
    return Slice(start, rows * (rank + 1) // size - start, rows)


class SharedNoise(TorchFunctionMode):
    """A block in which every draw for the rows of a slice is made for the whole batch, and the slice's part kept.

    Parameters
    ----------
    part
        The slice.
    latent_shape
        The shape of a latent: the last dimensions of most draws.

    Examples
    --------
    >>> generator = torch.get_rng_state()
    >>> whole = torch.randn(2, 5, 3)
    >>> torch.set_rng_state(generator)
    >>> with SharedNoise(Slice(start=2, rows=3, batch=5), latent_shape=(3,)):
    ...     part = torch.randn(2, 3, 3)
    >>> torch.equal(part, whole[:, 2:])
    True
    """

    def __init__(self, part: Slice, latent_shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.part, self.latent_shape = part, latent_shape

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch; where it draws, draw for the whole batch."""
        draw = _DRAWS.get(func)
        if draw is None:
            return func(*args, **(kwargs or {}))
        return draw(self, func, args, dict(kwargs or {}))

    def dimension(self, shape: torch.Size, *, of_rows: bool = False) -> int | None:
        """Return the batch dimension of a draw, or of something whose rows lead; None: there is none."""
        tail = len(self.latent_shape)
        of_latents = 0 < tail < len(shape) and shape[-tail:] == self.latent_shape
        lead = shape[:-tail] if of_latents and not of_rows else shape
        same = [place for place, size in enumerate(lead) if size == self.part.rows]
        if not same:
            return None
        return same[0] if of_rows or (len(lead) == 2 and not of_latents) else same[-1]

    def folded(self, shape: torch.Size) -> bool:
        """Return whether the first dimension is that of samples and that of the batch, flattened."""
        rows = self.part.rows
        return rows > 1 and len(shape) > 0 and shape[0] > rows and shape[0] % rows == 0

    def whole(
        self, shape: torch.Size, *, of_rows: bool = False
    ) -> tuple[torch.Size, Callable[[Tensor], Tensor]] | None:
        """Return the shape to draw for the whole batch, and how to get the slice from it; None: not a draw of rows."""
        start, rows, batch = self.part
        place = self.dimension(shape, of_rows=of_rows)
        if place is not None:
            larger = torch.Size([*shape[:place], batch, *shape[place + 1 :]])
            return larger, lambda drawn: drawn.narrow(place, start, rows).contiguous()
        if self.folded(shape):
            samples = shape[0] // rows
            larger = torch.Size([samples * batch, *shape[1:]])

            def own(drawn: Tensor) -> Tensor:
                return drawn.unflatten(0, (samples, batch)).narrow(1, start, rows).flatten(0, 1)

            return larger, own
        return None


class SharedObjective(WrappedObjective):
    """An objective of which every rank evaluates its slice of the rows, and knows the results of all.

    Parameters
    ----------
    objective
        The objective to evaluate.
    world
        The ranks that evaluate it together.
    """

    def __init__(self, objective: Objective, world: World) -> None:
        super().__init__(objective)
        self._world = world

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective on all rows."""
        rows = self._world.mine(torch.arange(len(x), device=x.device))
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        with self._world.sharing(model):
            result = self.inner(model, x[part], None if c is None else c[part])
        columns = [result.bound, result.surrogate, result.reconstruction, result.kl]
        table = torch.stack(columns, 1)
        if result.kl_per_dimension is not None:
            table = torch.cat([table, result.kl_per_dimension.flatten(1)], 1)
        table = self._world.gather(table)
        each = (
            None
            if result.kl_per_dimension is None
            else table[:, 4:].unflatten(1, result.kl_per_dimension.shape[1:])
        )
        bound, surrogate, reconstruction, kl = table[:, :4].unbind(1)
        return ObjectiveResult(bound, surrogate, reconstruction, kl, each)


def _sized(mode: SharedNoise, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``torch.randn(2, 3)``, ``torch.randn((2, 3))``, ``torch.randn(size=(2, 3))``."""
    size = kwargs.pop("size", args)
    size = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
    found = mode.whole(torch.Size(size))
    if found is None:
        return func(size, **kwargs)
    shape, keep = found
    return keep(func(shape, **kwargs))


def _in_place(mode: SharedNoise, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``x.normal_()``."""
    found = mode.whole(args[0].shape)
    if found is None or any(isinstance(value, Tensor) for value in (*args[1:], *kwargs.values())):
        return func(*args, **kwargs)
    shape, keep = found
    with torch.no_grad():
        return args[0].copy_(keep(func(args[0].new_empty(shape), *args[1:], **kwargs)))


def _of_rows(mode: SharedNoise, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``torch.bernoulli(p)``, ``dropout(x)``: the rows of others are stood in for by this rank's last and first."""
    value, *more = args or (kwargs.pop("input"),)
    found = mode.whole(value.shape, of_rows=True)
    if found is None:
        return func(value, *more, **kwargs)
    start, rows, batch = mode.part
    places = (torch.arange(batch, device=value.device) - start).clamp(0, rows - 1)
    place = mode.dimension(value.shape, of_rows=True)
    if place is None:
        wide = value.unflatten(0, (-1, rows)).index_select(1, places).flatten(0, 1)
    else:
        wide = value.index_select(place, places)
    return found[1](func(wide, *more, **kwargs))


_Draw = Callable[[SharedNoise, Any, tuple[Any, ...], dict[str, Any]], Any]
_DRAWS: dict[Any, _Draw] = {
    **dict.fromkeys((torch.rand, torch.randn), _sized),
    **dict.fromkeys(
        (
            Tensor.normal_,
            Tensor.uniform_,
            Tensor.exponential_,
            Tensor.bernoulli_,
            Tensor.cauchy_,
            Tensor.log_normal_,
            Tensor.geometric_,
            Tensor.random_,
        ),
        _in_place,
    ),
    **dict.fromkeys(
        (
            torch.rand_like,
            torch.randn_like,
            torch.bernoulli,
            torch.poisson,
            torch.multinomial,
            torch._standard_gamma,  # pyright: ignore
            torch.dropout,
            F.dropout,
            F.dropout1d,
            F.dropout2d,
            F.dropout3d,
            F.alpha_dropout,
        ),
        _of_rows,
    ),
}
