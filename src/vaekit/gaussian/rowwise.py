r"""Sums over coordinates of `normal_kl`, one pass over memory.

The divergence of 20,000 pairs in 64 dimensions reads four numbers for each term and writes one per pair: what
it costs is
the reading. Elementwise operations one after another would write and read dozens of temporaries of that size,
so the work is
done in blocks that stay in the cache, or by one fused loop where numba is installed.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.batched import flattened, lanes_are_on
from vaekit.gaussian.normal import NormalDivergence, formula
from vaekit.gaussian.threads import in_threads

__all__ = ["RowwiseDivergence"]

#: Numbers per block: small enough for the cache, large enough that the calls do not count.
BLOCK = 65_536
#: Rounding errors, in ulps of a row's sum, that the plain difference may leave.
TOLERATED_ULPS = 8
#: Numbers above which the fused loop is worth its call.
FUSED = 512
#: Work of one term and of one row of the fused loop, in the unit of `threads`.
TERM, ROW = 4, 40


class RowwiseDivergence(torch.autograd.Function):
    """From means and deviations (..., k) of p and q, the sum of `normal_kl` over the last dimension."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs)
        shape, rows = inputs[0].shape[:-1], as_rows(inputs)
        if fits_loop(rows[0]):
            return fused_sums(rows).reshape(shape)
        return blockwise_sums(rows).reshape(shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad
        shape, grad = inputs[0].shape, grad_outputs[0].unsqueeze(-1)
        if torch.is_grad_enabled():
            return NormalDivergence.gradients(inputs, grad.expand(shape), needs)
        rows = as_rows(inputs)
        by_row = grad.reshape(-1, 1)
        if fits_loop(rows[0]):
            found = fused_gradients(rows, by_row)
            return tuple(g.reshape(shape) if need else None for g, need in zip(found, needs, strict=True))
        step = max(1, BLOCK // max(1, shape[-1]))
        pieces = [t.split(step) for t in (*rows, by_row)]
        blocks = [
            NormalDivergence.gradients(block[:4], block[4], needs) for block in zip(*pieces, strict=True)
        ]
        return tuple(
            torch.cat(parts).reshape(shape) if need else None
            for parts, need in zip(zip(*blocks, strict=True), needs, strict=True)
        )


def as_rows(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """One batch dimension; views where the batch is not broadcast in the middle."""
    return [flattened(t, 1, t.shape[:-1]) for t in tensors]


def fits_loop(rows: Tensor) -> bool:
    """Whether the fused loop may be used and is worth it."""
    return rows.numel() >= FUSED and rows.device.type == "cpu" and lanes_are_on()


def blockwise_sums(rows: list[Tensor]) -> Tensor:
    """The sums, in blocks of rows that share their work arrays."""
    n, k = rows[0].shape
    value = rows[0].new_empty(n)
    step = max(1, BLOCK // max(1, k))
    room = rows[0].new_empty(3, min(step, n), k)
    for first in range(0, n, step):
        block = [t[first : first + step] for t in rows]
        size = block[0].shape[0]
        sums = value[first : first + step]
        lost = plain_sums(block, room[:, :size], sums)
        if bool(lost.any()):
            sums[lost] = formula(*(t[lost] for t in block)).sum(-1)
    return value


def plain_sums(block: list[Tensor], room: Tensor, value: Tensor) -> Tensor:
    """Sums of `t - log1p(t) + (t^2 + z^2) / 2`, and which rows have lost digits to the plain difference.

    It is off by at most an ulp of `t + t / (1 + t)` in each coordinate: nothing beside the sum, unless all
    coordinates of a row are close.
    """
    mean_p, scale_p, mean_q, scale_q = block
    t, z, term = room.unbind()
    torch.sub(scale_p, scale_q, out=t).div_(scale_q)
    torch.sub(mean_p, mean_q, out=z).div_(scale_q)
    torch.sub(t, torch.log1p(t, out=term), out=term)
    size, least = torch.linalg.vector_norm(t, 1, -1), t.amin(-1)
    term.add_(t.mul_(t).addcmul_(z, z), alpha=0.5)
    torch.sum(term, -1, out=value)
    return ~(size * (1 + 1 / (1 + least)) <= TOLERATED_ULPS * value)


def fused_sums(rows: list[Tensor]) -> Tensor:
    """The sums, in one pass."""
    from vaekit.gaussian.lanes_diagonal import diagonal_sums

    (n, k), places = rows[0].shape, places_of(rows)
    value = torch.empty(n, dtype=torch.float64)
    target = value.data_ptr()
    over_rows(lambda first, stop: diagonal_sums(places, first, stop, k, target), n, k)
    return value


def fused_gradients(rows: list[Tensor], grad: Tensor) -> list[Tensor]:
    """The gradients times ``grad`` (n, 1), in one pass."""
    from vaekit.gaussian.lanes_diagonal import diagonal_gradients

    (n, k), places = rows[0].shape, places_of(rows)
    found = [torch.empty(n, k, dtype=torch.float64) for _ in range(4)]
    outputs = tuple(g.data_ptr() for g in found)
    source, step = grad.data_ptr(), 8 * grad.stride(0)
    over_rows(lambda first, stop: diagonal_gradients(places, first, stop, k, source, step, outputs), n, k)
    return found


def over_rows(function: Callable[[int, int], object], n: int, k: int) -> None:
    """In as many threads as so many rows are worth."""
    in_threads(function, n, n * (ROW + TERM * k))


def places_of(rows: list[Tensor]) -> tuple[int, ...]:
    """Addresses, and steps in bytes from row to row."""
    return tuple(t.data_ptr() for t in rows) + tuple(8 * t.stride(0) for t in rows)
