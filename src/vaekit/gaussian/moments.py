"""Moments and factors of a Gaussian, each by the shortest way that its parameterisation allows.

Every function computes in the dtype of the Gaussian it is given, differentiably, without broadcasting to the
batch. Ill-conditioned covariances get their factor, determinant and distances from double-double arithmetic,
rounded.
"""

import torch
from torch import Tensor

from vaekit.gaussian.low_rank import capacitance, low_rank_log_determinant
from vaekit.gaussian.parameters import Parameterised, is_concrete
from vaekit.gaussian.stable import (
    KnownValue,
    covariance_factor,
    covariance_from,
    precision_factor,
    solve_lower,
    symmetric_part,
)

__all__ = [
    "covariance",
    "deviation",
    "log_determinant",
    "precision",
    "scale_tril",
    "squared_mahalanobis",
    "uses_capacitance",
    "variance",
]

#: The largest dimension in which the covariance of a low-rank Gaussian is factored as any other.
LARGEST_WRITTEN_OUT = 64


def theta(g: Parameterised) -> tuple[Tensor, ...]:
    """Return the tensors that hold the covariance."""
    return tuple(g.parameters.values())[1:]


def traced(g: Parameterised) -> bool:
    """Return whether results must carry gradients, or may not look at values."""
    tensors = g.parameters.values()
    return not is_concrete(*tensors) or (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))


def scale_tril(g: Parameterised) -> Tensor:
    """Return the lower triangular `L` with `L L^T = S`."""
    p, name = g.parameters, g.parameterisation
    if name == "scale_tril":
        return p[name].tril()
    if g.structure in ("diagonal", "isotropic"):
        return torch.diag_embed(deviation(g))
    if not traced(g):
        return g.lower_factor()
    if name == "precision":
        upper = precision_factor(p[name])
        eye = torch.eye(g.dimension, dtype=g.dtype, device=g.device)
        factor = solve_lower(upper.mT, eye.expand(upper.shape))
    else:
        factor = covariance_factor(covariance(g), resolution=g.resolution)
    return KnownValue.apply(factor, g.lower_factor()) if is_concrete(*p.values()) else factor


def deviation(g: Parameterised) -> Tensor:
    """Return the standard deviations of a diagonal or isotropic Gaussian, (..., k)."""
    p, name = g.parameters, g.parameterisation
    if name == "variance":
        return p[name].sqrt()
    if name == "standard_deviation":
        return p[name]
    return p[name].unsqueeze(-1).expand(*p[name].shape, g.dimension)


def variance(g: Parameterised) -> Tensor:
    """Return the diagonal of the covariance, (..., k)."""
    p, name = g.parameters, g.parameterisation
    if name == "variance":
        return p[name]
    if g.structure in ("diagonal", "isotropic"):
        return deviation(g).square()
    if name == "scale_tril":
        return p[name].tril().square().sum(-1)
    if name == "factor":
        return p["diagonal"] + p["factor"].square().sum(-1)
    return covariance(g).diagonal(dim1=-2, dim2=-1)


def covariance(g: Parameterised) -> Tensor:
    """Return the covariance, (..., k, k)."""
    if g.parameterisation == "precision":
        factor = scale_tril(g)
        return factor @ factor.mT
    return covariance_from(g.parameterisation, theta(g), g.dimension)


def precision(g: Parameterised) -> Tensor:
    """Return the inverse covariance, (..., k, k)."""
    p, name = g.parameters, g.parameterisation
    if name == "precision":
        return symmetric_part(p[name])
    if g.structure in ("diagonal", "isotropic"):
        return torch.diag_embed(deviation(g).square().reciprocal())
    if uses_capacitance(g):
        scaled = p["factor"] / p["diagonal"].unsqueeze(-1)
        half = solve_lower(capacitance(p["diagonal"], p["factor"]), scaled.mT)
        return torch.diag_embed(1 / p["diagonal"]) - half.mT @ half
    return torch.cholesky_inverse(scale_tril(g))


def uses_capacitance(g: Parameterised) -> bool:
    """Return whether a low-rank covariance is too large to be written out, and Woodbury's identity holds for it."""
    if g.structure != "low_rank" or g.dimension <= LARGEST_WRITTEN_OUT:
        return False
    diagonal = g.parameters["diagonal"]
    return not (is_concrete(diagonal) and bool((diagonal == 0).any()))


def log_determinant(g: Parameterised) -> Tensor:
    """Return `log det S`, (...)."""
    if g.structure in ("diagonal", "isotropic"):
        if g.parameterisation == "variance":
            return g.parameters["variance"].log().sum(-1)
        return 2 * deviation(g).log().sum(-1)
    if uses_capacitance(g):
        return low_rank_log_determinant(g.parameters["diagonal"], g.parameters["factor"])
    return 2 * scale_tril(g).diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)


def squared_mahalanobis(g: Parameterised, difference: Tensor) -> Tensor:
    """Return `d^T S^-1 d`, (...), for `d` (..., k)."""
    p, name = g.parameters, g.parameterisation
    if g.structure in ("diagonal", "isotropic"):
        return (difference / deviation(g)).square().sum(-1)
    if uses_capacitance(g):
        # |d|^2 less its projection, as the square of what the projection leaves.
        root = p["diagonal"].sqrt()
        B = p["factor"] / root.unsqueeze(-1)
        lower = capacitance(p["diagonal"], p["factor"])
        scaled = (difference / root).unsqueeze(-1)
        weights = torch.linalg.solve_triangular(lower.mT, solve_lower(lower, B.mT @ scaled), upper=True)
        return (scaled - B @ weights).square().sum((-2, -1)) + weights.square().sum((-2, -1))
    if name == "precision":
        value = (precision_factor(p[name]).mT @ difference.unsqueeze(-1)).square().sum((-2, -1))
    else:
        value = solve_lower(scale_tril(g), difference.unsqueeze(-1)).square().sum((-2, -1))
    if not is_concrete(*p.values(), difference):
        return value
    exact = g.exact_mahalanobis(difference)
    return (
        value if exact is None else KnownValue.apply(value, torch.where(exact.isnan(), value.detach(), exact))
    )
