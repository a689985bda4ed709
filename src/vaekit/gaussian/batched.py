"""Many small pairs of full covariances at once.

Where numba is installed (`vaekit[fast]`) they go through the lanes of `lanes_kernel`, elsewhere, if they are
small, through `columns`; both compute value and gradients in one pass. The items these mark (ill-conditioned,
singular, not a covariance) go the general way of `dense`, so that all ways give the same answers, errors
included.
"""

import importlib.util
import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.columns import LARGEST_COLUMNS, columns_divergence
from vaekit.gaussian.dense import CLOSE_SQUARED, TOLERATED_LOSS, TOLERATED_LOSS_CLOSE, quantities
from vaekit.gaussian.dense_gradients import closed_gradients, differentiable_gradients
from vaekit.gaussian.dense_plan import NEAR_SQUARED, Plan
from vaekit.gaussian.errors import MissingAccelerationError
from vaekit.gaussian.threads import in_threads

__all__ = ["BatchedDivergence", "batched_divergence", "fits_batched", "lanes_are_on", "use_lanes"]

#: Trailing dimensions of the two means and the two covariances.
DIMS = (1, 1, 2, 2)
SMALLEST_BATCH = 8
LARGEST_DIMENSION = 64
#: Work of one item beside the cube of its dimension.
WORK_PER_ITEM = 100
#: Symmetry to the bit up to rounding: anything worse is judged the general way.
SYMMETRY = 1e-12
#: The thresholds of the kernel; "fast" tolerates any condition.
LIMITS = {
    "auto": (SYMMETRY, NEAR_SQUARED, TOLERATED_LOSS, TOLERATED_LOSS_CLOSE, CLOSE_SQUARED),
    "fast": (SYMMETRY, NEAR_SQUARED, math.inf, math.inf, CLOSE_SQUARED),
}

_enabled = True


def use_lanes(enabled: bool) -> None:
    """Switch the numba kernels on (the default, where numba is installed) or off, for the whole process.

    >>> use_lanes(False)
    >>> use_lanes(True)
    """
    global _enabled
    if enabled and not numba_is_installed():
        raise MissingAccelerationError("the lanes need numba: pip install 'vaekit[fast]'")
    _enabled = enabled


def lanes_are_on() -> bool:
    """Whether the numba kernels may be used."""
    return _enabled and numba_is_installed()


@cache
def numba_is_installed() -> bool:
    """Whether numba can be imported; it is not imported to find out."""
    return importlib.util.find_spec("numba") is not None


def fits_batched(tensors: tuple[Tensor, ...], precision: str) -> bool:
    """Whether means and covariances of p and q are of the kind this is made for; they must be `is_concrete`."""
    mean_p, mean_q, S_p, S_q = tensors
    k = mean_p.shape[-1]
    if precision == "exact" or k > LARGEST_DIMENSION or mean_p.device.type != "cpu":
        return False
    batch = max(mean_p.numel(), mean_q.numel(), S_p.numel() // k, S_q.numel() // k) // k
    return batch >= SMALLEST_BATCH and (lanes_are_on() or k <= LARGEST_COLUMNS)


def batched_divergence(precision: str, tensors: tuple[Tensor, ...]) -> tuple[Tensor, bool]:
    """The divergence in float64 from the means and covariances of p and q, and whether every item was
    regular."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return BatchedDivergence.apply(precision, *tensors)
    value, _, regular = compute(precision, tensors, False)
    return value, regular


class BatchedDivergence(torch.autograd.Function):
    """`batched_divergence` with its gradients, computed beside the value."""

    @staticmethod
    def forward(ctx: Any, precision: str, *tensors: Tensor) -> tuple[Tensor, bool]:
        value, gradients, regular = compute(precision, tensors, True)
        ctx.precision, ctx.gradients = precision, gradients
        ctx.save_for_backward(*tensors)
        return value, regular

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad, tensors, needs = grad_outputs[0], ctx.saved_tensors, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            plan = Plan("covariance", "covariance", 1, ctx.precision)
            by_mean, by_p, by_q = differentiable_gradients(plan, tensors)
            found = scaled((by_mean, -by_mean, by_p, by_q), grad, needs)
        else:
            # They are given away, since they may be changed in place; a second backward pass makes its own.
            gradients, ctx.gradients = ctx.gradients, None
            found = gradients or compute(ctx.precision, tensors, True)[1]
            if not is_one(grad):
                found = scaled(found, grad, needs)
        return None, *(
            (g if g.shape == t.shape else g.sum_to_size(t.shape)) if need and g is not None else None
            for g, t, need in zip(found, tensors, needs, strict=True)
        )


def is_one(grad: Tensor) -> bool:
    """Whether a gradient is 1 everywhere and known to be by its strides, as that of a plain sum is."""
    return not any(grad.stride()) and grad.numel() > 0 and grad[(0,) * grad.dim()].item() == 1.0


def scaled(gradients: tuple[Tensor, ...], grad: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """Times ``grad``, 0 where that is: an item nobody asks about must not spoil with its NaN what others
    share."""
    asked = grad != 0
    whole = bool(asked.all())
    found: list[Tensor | None] = []
    for g, d, need in zip(gradients, DIMS, needs, strict=True):
        shaped = grad[(...,) + (None,) * d]
        product = shaped * g if need else None
        if product is not None and not whole:
            product = torch.where(asked[(...,) + (None,) * d], product, torch.zeros_like(product))
        found.append(product)
    return tuple(found)


def compute(
    precision: str, tensors: tuple[Tensor, ...], want: bool
) -> tuple[Tensor, tuple[Tensor, ...], bool]:
    """Values (...), gradients by means and covariances if wanted, and whether no item was marked."""
    mean_p, mean_q, S_p, S_q = tensors
    batch = mean_p.shape[:-1]
    if not mean_q.shape[:-1] == S_p.shape[:-2] == S_q.shape[:-2] == batch:
        batch = torch.broadcast_shapes(batch, mean_q.shape[:-1], S_p.shape[:-2], S_q.shape[:-2])
    flat = [flattened(t, d, batch) for t, d in zip(tensors, DIMS, strict=True)]
    if lanes_are_on():
        value, marked, gradients = lanes_divergence(flat, LIMITS[precision], want)
    else:
        value, marked, gradients = columns_divergence(flat, LIMITS[precision], want)
        marked = marked if bool(marked.any()) else None
    if marked is not None:
        some = tuple(t[marked] for t in flat)
        alone = Plan("covariance", "covariance", 1, precision)
        general = quantities(alone, some)
        value[marked] = general[0]
        if want:
            by_mean, by_p, by_q = closed_gradients(alone, some, general[1:], (True, True))
            for whole, better in zip(gradients, (by_mean, -by_mean, by_p, by_q), strict=True):
                if better is not None:
                    whole[marked] = better
    if len(batch) != 1:
        value = value.reshape(batch)
        gradients = tuple(g.reshape(*batch, *g.shape[1:]) for g in gradients)
    return value, gradients, marked is None


def flattened(t: Tensor, d: int, batch: torch.Size) -> Tensor:
    """One batch dimension, items in one piece: a view unless something has to be copied for it."""
    if t.dim() == d + 1 and t.shape[0] == batch.numel() and t.is_contiguous():
        return t
    t = t.detach()
    if t.dim() != d + 1 or t.shape[0] != batch.numel():
        tail = t.shape[t.dim() - d :]
        t = t.expand(batch + tail).reshape(-1, *tail)
    together = t.stride(-1) == 1 or t.shape[-1] == 1
    if not together or (d == 2 and t.stride(-2) != t.shape[-1] and t.shape[-1] > 1):
        t = t.contiguous()
    return t


def lanes_divergence(
    tensors: list[Tensor], limits: tuple[float, ...], want: bool
) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
    """Values (n), which items are not regular if any, and if wanted gradients by means and covariances."""
    from vaekit.gaussian.lanes_kernel import UNROLLED, run

    n, k = tensors[0].shape
    value, marked = torch.empty(n, dtype=torch.float64), torch.empty(n, dtype=torch.uint8)
    gradients: tuple[Tensor, ...] = ()
    if want:
        shapes = ((n, k), (n, k), (n, k, k), (n, k, k))
        gradients = tuple(torch.empty(shape, dtype=torch.float64) for shape in shapes)
    places = tuple(t.data_ptr() for t in tensors) + tuple(8 * t.stride(0) for t in tensors)
    addresses = tuple(g.data_ptr() for g in gradients) if want else (0, 0, 0, 0)
    outputs = (value.data_ptr(), marked.data_ptr(), *addresses)
    kernel = UNROLLED.get(k, run)
    parts = in_threads(
        lambda first, stop: kernel(places, first, stop, k, limits, outputs), n, n * (WORK_PER_ITEM + k**3)
    )
    return value, marked.bool() if sum(parts) else None, gradients
