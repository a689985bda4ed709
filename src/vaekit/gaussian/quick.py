"""The short way in for plain arguments: covariances in tensors, whose values may be looked at.

Most calls are of this kind, and for small problems it is not arithmetic that they cost but what is done around
it. So
what the general way finds out by building two Gaussians is found out here by one look at shapes and dtypes;
anything out of the ordinary, errors included, is left to the general way.
"""

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]

from vaekit.gaussian.batched import batched_divergence, fits_batched
from vaekit.gaussian.small import small_divergence

__all__ = ["quick_divergence"]

DTYPES = (torch.float64, torch.float32)


def quick_divergence(p: Any, q: Any, precision: str) -> tuple[Tensor, bool] | None:
    """The divergence and whether it is done; otherwise it is in float64, and some item is not regular.

    None where it is not a plain problem.
    """
    tensors = plain_tensors(p, q)
    if tensors is None or precision == "exact":
        return None
    single = small_divergence(precision, tensors)
    if single is not None:
        return single, True
    dtype = tensors[0].dtype
    if fits_batched(tensors, precision):
        if dtype != torch.float64:
            mean_p, mean_q, S_p, S_q = tensors
            tensors = mean_p.double(), mean_q.double(), S_p.double(), S_q.double()
        value, regular = batched_divergence(precision, tensors)
        return (value.to(dtype) if regular else value), regular
    return None


def plain_tensors(p: Any, q: Any) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Means and covariances of p and q that fit together; None for anything else."""
    if torch.compiler.is_compiling():
        return None
    mean_p, S_p = moments_of(p)
    mean_q, S_q = moments_of(q)
    tensors = (mean_p, mean_q, S_p, S_q)
    for t in tensors:
        if type(t) is not Tensor and not isinstance(t, Tensor):
            return None
        if t.dtype is not mean_p.dtype or not t.is_cpu or is_functorch_wrapped_tensor(t):
            return None
    if mean_p.dtype not in DTYPES or mean_p.dim() < 1:
        return None
    k = mean_p.shape[-1]
    shapes = mean_p.shape, mean_q.shape, S_p.shape, S_q.shape
    if k < 1 or shapes[1][-1:] != (k,) or shapes[2][-2:] != (k, k) or shapes[3][-2:] != (k, k):
        return None
    batches = shapes[0][:-1], shapes[1][:-1], shapes[2][:-2], shapes[3][:-2]
    if not batches[0] == batches[1] == batches[2] == batches[3]:
        try:
            torch.broadcast_shapes(*batches)
        except RuntimeError:
            return None
    return tensors


def moments_of(g: Any) -> tuple[Any, Any]:
    """Mean and covariance where these are what a Gaussian was given by."""
    if isinstance(g, tuple):
        return (g[0], g[1]) if len(g) == 2 else (None, None)
    if getattr(g, "parameterisation", None) == "covariance" and not g.from_numpy:
        return g.parameters["mean"], g.parameters["covariance"]
    return None, None
