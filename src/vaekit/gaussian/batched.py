"""Many small pairs of full covariances through the lanes of `lanes`, where numba is installed
(`vaekit[fast]`).

The kernel computes value and gradients in one pass. The items it marks (ill-conditioned, singular, not a
covariance) go the
general way of `dense`, so that both ways give the same answers, errors included.
"""

import importlib.util
import math
from functools import cache
from threading import Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.gaussian.dense import (
    CLOSE_SQUARED,
    NEAR_SQUARED,
    TOLERATED_LOSS,
    TOLERATED_LOSS_CLOSE,
    Plan,
    closed_gradients,
    differentiable_gradients,
    quantities,
)
from vaekit.gaussian.errors import MissingAccelerationError

__all__ = ["BatchedDivergence", "fits_lanes", "lanes_are_on", "use_lanes"]

#: Trailing dimensions of the two means and the two covariances.
DIMS = (1, 1, 2, 2)
SMALLEST_BATCH = 8
LARGEST_DIMENSION = 64
#: Work (items times cube of the dimension) below which a second thread costs more than it does.
WORK_PER_THREAD = 400_000
#: Symmetry to the bit up to rounding: anything worse is judged the general way.
SYMMETRY = 1e-12

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


def fits_lanes(plan: Plan, tensors: tuple[Tensor, ...]) -> bool:
    """Whether a problem is of the kind the kernel is made for. Values must be accessible (`is_concrete`)."""
    if plan.kind_p != "covariance" or plan.kind_q != "covariance" or plan.precision == "exact":
        return False
    mean_p, mean_q, S_p, S_q = tensors
    if mean_p.shape[-1] > LARGEST_DIMENSION or mean_p.device.type != "cpu":
        return False
    batch = max(mean_p.numel(), mean_q.numel(), S_p[..., 0].numel(), S_q[..., 0].numel()) // mean_p.shape[-1]
    return batch >= SMALLEST_BATCH and lanes_are_on()


class BatchedDivergence(torch.autograd.Function):
    """The divergence in float64 from the means and covariances, and whether every item was regular."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor) -> tuple[Tensor, bool]:
        want = any(ctx.needs_input_grad)
        value, gradients, regular = compute(plan, tensors, want)
        ctx.plan = plan
        ctx.save_for_backward(*tensors, *gradients)
        return value, regular

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad_outputs[0]
        tensors, gradients = ctx.saved_tensors[:4], ctx.saved_tensors[4:]
        if torch.is_grad_enabled():
            gradients = differentiable_gradients(ctx.plan, tensors)
        by_mean, by_p, by_q = gradients
        column, block = grad.unsqueeze(-1), grad[..., None, None]
        asked = grad != 0
        if not bool(asked.all()):
            # An item nobody asks about must not spoil with its NaN what others share with it.
            by_mean = torch.where(asked.unsqueeze(-1), by_mean, torch.zeros_like(by_mean))
            by_p = torch.where(asked[..., None, None], by_p, torch.zeros_like(by_p))
            by_q = torch.where(asked[..., None, None], by_q, torch.zeros_like(by_q))
        needs = ctx.needs_input_grad[1:]
        mean = column * by_mean if needs[0] or needs[1] else None
        found = (
            mean,
            None if mean is None else -mean,
            block * by_p if needs[2] else None,
            block * by_q if needs[3] else None,
        )
        return None, *(
            g.sum_to_size(t.shape) if need and g is not None else None
            for g, t, need in zip(found, tensors, needs, strict=True)
        )


def compute(plan: Plan, tensors: tuple[Tensor, ...], want: bool) -> tuple[Tensor, tuple[Tensor, ...], bool]:
    """Values (...), if wanted gradients by the mean of p and both covariances, and if none was marked."""
    k = tensors[0].shape[-1]
    batches = [t.shape[:-d] for t, d in zip(tensors, DIMS, strict=True)]
    batch = batches[0] if all(b == batches[0] for b in batches) else torch.broadcast_shapes(*batches)
    n = math.prod(batch)

    def flat(t: Tensor, d: int) -> Tensor:
        """One batch dimension; a view unless the batch has to be copied for it."""
        return t.detach().expand(batch + t.shape[-d:]).reshape(n, *t.shape[-d:])

    arrays = [flat(t, d).numpy() for t, d in zip(tensors, DIMS, strict=True)]
    value, marked = np.empty(n), np.empty(n, np.uint8)
    size = n if want else 0
    by = [np.empty((size, k)), np.empty((size, k, k)), np.empty((size, k, k))]
    in_threads(n, k, arrays, limits_of(plan.precision), (value, marked, *by))
    result = torch.from_numpy(value)
    gradients = tuple(torch.from_numpy(g) for g in by)
    regular = not marked.any()
    if not regular:
        items = torch.from_numpy(marked.astype(bool))
        some = tuple(flat(t, d)[items] for t, d in zip(tensors, DIMS, strict=True))
        alone = Plan("covariance", "covariance", 1, plan.precision)
        general = quantities(alone, some)
        result[items] = general[0]
        if want:
            closed = closed_gradients(alone, some, general[1:], (True, True))
            for whole, better in zip(gradients, closed, strict=True):
                if better is not None:
                    whole[items] = better
    shaped = tuple(g.reshape(batch + g.shape[1:]) for g in gradients) if want else ()
    return result.reshape(batch), shaped, regular


def limits_of(precision: str) -> np.ndarray:
    """The thresholds of the kernel; "fast" tolerates any condition."""
    careful = precision == "auto"
    far, close = (TOLERATED_LOSS, TOLERATED_LOSS_CLOSE) if careful else (np.inf, np.inf)
    return np.array([SYMMETRY, NEAR_SQUARED, far, close, CLOSE_SQUARED])


def in_threads(
    n: int, k: int, arrays: list[np.ndarray], limits: np.ndarray, outputs: tuple[np.ndarray, ...]
) -> None:
    """Run the kernel over the batch, in as many threads as torch uses and the work is worth."""
    from vaekit.gaussian.lanes import LANES, run

    count = max(1, min(torch.get_num_threads(), n * k**3 // WORK_PER_THREAD, n // LANES))
    step = -(-n // (count * LANES)) * LANES
    ranges = [(first, min(first + step, n)) for first in range(0, n, step)]
    mean_p, mean_q, S_p, S_q = arrays
    threads = [
        Thread(target=run, args=(mean_p, S_p, mean_q, S_q, first, stop, limits, *outputs))
        for first, stop in ranges[1:]
    ]
    for thread in threads:
        thread.start()
    run(mean_p, S_p, mean_q, S_q, *ranges[0], limits, *outputs)
    for thread in threads:
        thread.join()
