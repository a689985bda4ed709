"""What every divergence of the family does first and last: take a pair in, and give the value out."""

from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.conversion import as_gaussian, same_kind
from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.parameters import finish

__all__ = ["deliver", "pair_of"]


def pair_of(p: Any, q: Any) -> tuple[Gaussian, Gaussian]:
    """Two Gaussians of one size, dtype and device, from whatever stands for one; raises a GaussianError."""
    first, second = as_gaussian(p, "p"), as_gaussian(q, "q")
    same_kind(first, second)
    return first, second


def deliver(value: Tensor, p: Gaussian, q: Gaussian) -> Any:
    """The value in the dtype of the pair (float32 for half precision), in NumPy where both came as NumPy."""
    half = p.dtype in (torch.float16, torch.bfloat16)
    return finish(value.to(torch.float32 if half else p.dtype), p.from_numpy and q.from_numpy)
