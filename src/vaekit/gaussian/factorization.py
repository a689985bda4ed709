r"""Triangular factors of covariances, with an honest account of what could not be factored.

A covariance `S` has the factor `L` with `S = L L^T`. A precision `P` has the reversed factor `U` with `P = U
U^T`, `U` upper
triangular (the Cholesky factor of the matrix read backwards), so that `L = U^-T` is the lower factor of
`P^-1`.
"""

import torch
from torch import Tensor

from vaekit.gaussian.validation import is_concrete

__all__ = [
    "covariance_factor",
    "precision_factor",
    "semidefinite_factor",
    "solve_lower",
    "symmetric_part",
]


def symmetric_part(matrix: Tensor) -> Tensor:
    """`(S + S^T) / 2`: the same bits when the matrix is symmetric already."""
    return 0.5 * matrix + 0.5 * matrix.mT


def solve_lower(factor: Tensor, right: Tensor) -> Tensor:
    """`L^-1 B` for a lower triangular `L`, broadcasting over the batch."""
    return torch.linalg.solve_triangular(factor, right, upper=False)


def covariance_factor(
    covariance: Tensor, *, resolution: float | None = None, exactly_symmetric: bool = False
) -> Tensor:
    """Lower triangular `L` with `L L^T = S`; singular items have zeros on its diagonal, indefinite ones hold
    NaN.

    ``resolution`` is the relative rounding error of the entries as they were given (that of their dtype,
    unless told).
    """
    concrete = is_concrete(covariance)
    symmetric = concrete and exactly_symmetric
    factor, info = torch.linalg.cholesky_ex(covariance if symmetric else symmetric_part(covariance))
    if not concrete:
        return torch.where((info != 0)[..., None, None], torch.nan, factor)
    if not bool(info.any()):
        return factor
    failed = info != 0
    mended = semidefinite_factor(covariance[failed], resolution=resolution)
    factor = factor.clone()
    factor[failed] = mended
    return factor


def precision_factor(precision: Tensor) -> Tensor:
    """Upper triangular `U` with `U U^T = P`; NaN where the precision is not positive definite."""
    factor, info = torch.linalg.cholesky_ex(symmetric_part(precision).flip((-2, -1)))
    return torch.where((info != 0)[..., None, None], torch.nan, factor.flip((-2, -1)))


def semidefinite_factor(covariance: Tensor, *, resolution: float | None = None) -> Tensor:
    """Lower triangular factor of a positive semidefinite matrix from its eigenvalues; NaN where indefinite.

    The matrix is brought to a unit diagonal first. Eigenvalues within `k * eps` of zero, relative to the
    largest, count
    as zero: below that the input's own rounding decides their sign.
    """
    k = covariance.shape[-1]
    resolution = torch.finfo(covariance.dtype).eps if resolution is None else resolution
    symmetric = symmetric_part(covariance)
    root = symmetric.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    inverse = torch.where(root > 0, 1 / root, torch.zeros_like(root))
    unit = inverse.unsqueeze(-1) * symmetric * inverse.unsqueeze(-2)
    good = unit.isfinite().all(-1).all(-1)
    # A zero on the diagonal allows nothing else in its row.
    null = root == 0
    good = good & ~((symmetric != 0) & (null.unsqueeze(-1) | null.unsqueeze(-2))).any(-1).any(-1)
    eigenvalues, vectors = torch.linalg.eigh(torch.where(good[..., None, None], unit, torch.zeros_like(unit)))
    tolerance = k * resolution * eigenvalues[..., -1:].clamp_min(0)
    good = good & (eigenvalues >= -tolerance).all(-1)
    kept = torch.where(eigenvalues > tolerance, eigenvalues, torch.zeros_like(eigenvalues))
    square_root = root.unsqueeze(-1) * vectors * kept.sqrt().unsqueeze(-2)
    upper = torch.linalg.qr(square_root.mT, mode="r").R
    sign = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(upper.dtype)
    lower = (sign.unsqueeze(-1) * upper).mT.tril()
    # What is zero up to rounding is zero: the rank is part of the answer.
    diagonal = lower.diagonal(dim1=-2, dim2=-1)
    negligible = diagonal <= 8 * k * resolution * root
    lower = torch.where(torch.diag_embed(negligible), torch.zeros_like(lower), lower)
    return torch.where(good[..., None, None], lower, torch.nan)
