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

from vaekit.gaussian.batched import batched_divergence, fits_lanes

__all__ = ["quick_divergence"]

DTYPES = (torch.float64, torch.float32)


def quick_divergence(p: Any, q: Any, precision: str) -> tuple[Tensor, bool] | None:
    """The divergence and whether it is done; otherwise it is in float64, and some item is not regular.

    None where it is not a plain problem.
    """
    tensors = plain_tensors(p, q)
    if tensors is None or precision == "exact":
        return None
    dtype = tensors[0].dtype
    if fits_lanes(tensors, precision):
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
        if not isinstance(t, Tensor) or t.layout is not torch.strided or is_functorch_wrapped_tensor(t):
            return None
        if t.device.type != "cpu" or t.dtype not in DTYPES or t.dtype is not mean_p.dtype:
            return None
    if mean_p.dim() < 1 or mean_q.dim() < 1:
        return None
    k = mean_p.shape[-1]
    if k < 1 or mean_q.shape[-1] != k or S_p.shape[-2:] != (k, k) or S_q.shape[-2:] != (k, k):
        return None
    if not mean_p.shape[:-1] == mean_q.shape[:-1] == S_p.shape[:-2] == S_q.shape[:-2]:
        try:
            torch.broadcast_shapes(mean_p.shape[:-1], mean_q.shape[:-1], S_p.shape[:-2], S_q.shape[:-2])
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
