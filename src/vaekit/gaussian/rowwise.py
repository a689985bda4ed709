r"""Sums over coordinates of `normal_kl`, one pass over memory.

The divergence of 20,000 pairs in 64 dimensions reads four numbers for each term and writes one per pair: what
it costs is
the reading. Elementwise operations one after another would write and read dozens of temporaries of that size,
so the work is
done in blocks that stay in the cache, or by one fused loop where numba is installed.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.gaussian.batched import lanes_are_on
from vaekit.gaussian.normal import NormalDivergence, formula

__all__ = ["RowwiseDivergence"]

#: Numbers per block: small enough for the cache, large enough that the calls do not count.
BLOCK = 16_384
#: Numbers above which the fused loop is worth its call.
FUSED = 512


class RowwiseDivergence(torch.autograd.Function):
    """From means and deviations (..., k) of p and q, the sum of `normal_kl` over the last dimension."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs)
        shape, rows = inputs[0].shape[:-1], flattened(inputs)
        if rows[0].numel() >= FUSED and rows[0].device.type == "cpu" and lanes_are_on():
            from vaekit.gaussian.lanes import rowwise

            value = np.empty(rows[0].shape[0])
            mean_p, scale_p, mean_q, scale_q = (t.detach().numpy() for t in rows)
            rowwise(mean_p, scale_p, mean_q, scale_q, value)
            return torch.from_numpy(value).reshape(shape)
        step = max(1, BLOCK // max(1, rows[0].shape[-1]))
        mean_p, scale_p, mean_q, scale_q = (t.split(step) for t in rows)
        blocks = zip(mean_p, scale_p, mean_q, scale_q, strict=True)
        parts = [formula(m, s, n, t).sum(-1) for m, s, n, t in blocks]
        return torch.cat(parts).reshape(shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        grad = grad_outputs[0].unsqueeze(-1).expand(inputs[0].shape)
        needs = ctx.needs_input_grad
        if torch.is_grad_enabled():
            return NormalDivergence.gradients(inputs, grad, needs)
        step = max(1, BLOCK // max(1, inputs[0].shape[-1]))
        rows = [t.split(step) for t in flattened((*inputs, grad))]
        blocks = [NormalDivergence.gradients(block[:4], block[4], needs) for block in zip(*rows, strict=True)]
        return tuple(
            torch.cat(parts).reshape(inputs[0].shape) if need else None
            for parts, need in zip(zip(*blocks, strict=True), needs, strict=True)
        )


def flattened(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """One batch dimension; views where the batch is not broadcast in the middle."""
    return [t.reshape(-1, t.shape[-1]) for t in tensors]
