"""Moments and factors of a Gaussian, each by the shortest way its parameterisation allows.

Every function computes in the dtype of the Gaussian it is given, differentiably, without broadcasting to the
batch.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaekit.gaussian.factorization import covariance_factor, precision_factor, solve_lower, symmetric_part
from vaekit.gaussian.validation import is_concrete

if TYPE_CHECKING:
    from vaekit.gaussian.state import GaussianState

__all__ = [
    "capacitance_factor",
    "covariance",
    "deviation",
    "log_determinant",
    "precision",
    "scale_tril",
    "singular_diagonal",
    "squared_mahalanobis",
    "variance",
]


def scale_tril(g: "GaussianState") -> Tensor:
    p, name = g.parameters, g.parameterisation
    if name == "scale_tril":
        return p[name].tril()
    if g.structure in ("diagonal", "isotropic"):
        return torch.diag_embed(deviation(g))
    if not p[name].requires_grad and name == "covariance":
        return g.matrix_factor()
    if name == "precision":
        upper = precision_factor(p[name])
        eye = torch.eye(g.dimension, dtype=g.dtype, device=g.device)
        return solve_lower(upper.mT, eye.expand(upper.shape))
    return covariance_factor(covariance(g), resolution=g.resolution)


def deviation(g: "GaussianState") -> Tensor:
    p, name = g.parameters, g.parameterisation
    if name == "variance":
        return p[name].sqrt()
    return (
        p[name] if name == "standard_deviation" else p[name].unsqueeze(-1).expand(*p[name].shape, g.dimension)
    )


def variance(g: "GaussianState") -> Tensor:
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


def covariance(g: "GaussianState") -> Tensor:
    p, name = g.parameters, g.parameterisation
    if name == "covariance":
        return symmetric_part(p[name])
    if name == "factor":
        return torch.diag_embed(p["diagonal"]) + p["factor"] @ p["factor"].mT
    if g.structure in ("diagonal", "isotropic"):
        return torch.diag_embed(variance(g))
    factor = scale_tril(g)
    return factor @ factor.mT


def precision(g: "GaussianState") -> Tensor:
    p, name = g.parameters, g.parameterisation
    if name == "precision":
        return symmetric_part(p[name])
    if g.structure in ("diagonal", "isotropic"):
        return torch.diag_embed(1 / variance(g))
    if g.structure == "low_rank":
        scaled = p["factor"] / p["diagonal"].unsqueeze(-1)
        half = solve_lower(capacitance_factor(g), scaled.mT)
        return torch.diag_embed(1 / p["diagonal"]) - half.mT @ half
    return torch.cholesky_inverse(scale_tril(g))


def capacitance_factor(g: "GaussianState") -> Tensor:
    """Lower Cholesky factor of `I + W^T D^-1 W`, (..., r, r), for the covariance `D + W W^T`."""
    factor = g.parameters["factor"]
    inner = factor.mT @ (factor / g.parameters["diagonal"].unsqueeze(-1))
    return torch.linalg.cholesky(inner + torch.eye(factor.shape[-1], dtype=g.dtype, device=g.device))


def log_determinant(g: "GaussianState") -> Tensor:
    name = g.parameterisation
    if g.structure in ("diagonal", "isotropic"):
        return 2 * deviation(g).log().sum(-1)
    if g.structure == "low_rank" and not singular_diagonal(g):
        inner = capacitance_factor(g).diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return g.parameters["diagonal"].log().sum(-1) + 2 * inner
    if name == "precision":
        upper = precision_factor(g.parameters[name])
        return -2 * upper.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 2 * scale_tril(g).diagonal(dim1=-2, dim2=-1).log().sum(-1)


def squared_mahalanobis(g: "GaussianState", difference: Tensor) -> Tensor:
    """`d^T S^-1 d` for `d` (..., k)."""
    p, name = g.parameters, g.parameterisation
    if g.structure in ("diagonal", "isotropic"):
        return (difference / deviation(g)).square().sum(-1)
    if g.structure == "low_rank":
        scaled = difference / p["diagonal"]
        inner = solve_lower(capacitance_factor(g), (p["factor"].mT @ scaled.unsqueeze(-1)))
        return (difference * scaled).sum(-1) - inner.square().sum((-2, -1))
    if name == "precision":
        upper = precision_factor(p[name])
        return (upper.mT @ difference.unsqueeze(-1)).square().sum((-2, -1))
    return solve_lower(scale_tril(g), difference.unsqueeze(-1)).square().sum((-2, -1))


def singular_diagonal(g: "GaussianState") -> bool:
    """Whether a low-rank Gaussian has a zero on its diagonal, where Woodbury's identity does not hold."""
    diagonal = g.parameters["diagonal"]
    return is_concrete(diagonal) and bool((diagonal == 0).any())
