r"""Building blocks that keep their digits: factors of covariances, and the function `u - log(1 + u)`.

A covariance `S` has the lower triangular factor `L` with `S = L L^T`. A precision `P` has the upper
triangular factor `U` with `P = U U^T` (the Cholesky factor of the matrix read backwards), so that `L =
U^{-T}` is the lower factor of `P^{-1}`. Singular and indefinite covariances are told apart: a singular one
has zeros on the diagonal of its factor, an indefinite one has NaN.

Near 0 the difference `u - log(1 + u)` keeps no digit as it stands. The right side of
$$ u - \log(1 + u) = r \Big( u - 2 r^2 \sum_{j \ge 0} \frac{r^{2j}}{2j + 3} \Big), \; r = \frac{u}{2 + u}, $$
keeps all of them; it follows from `log(1 + u) = 2 artanh(r)` and `u - 2 r = u r`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.parameters import is_concrete

__all__ = [
    "LEAST_VARIANCE",
    "MOST_VARIANCE",
    "SERIES_COEFFICIENTS",
    "SERIES_RADIUS",
    "KnownValue",
    "Root",
    "covariance_factor",
    "covariance_from",
    "gradients_from",
    "identity_like",
    "log_excess",
    "log_excess_series",
    "precision_factor",
    "root_of",
    "semidefinite_factor",
    "solve_lower",
    "symmetric_part",
]

#: The series is used up to this |r| (-0.305 < u < 0.439); above it the plain difference loses at most 2 bits.
SERIES_RADIUS = 0.18
#: 1/3, 1/5, 1/7, ...: enough terms for the last bit of float64 at the radius.
SERIES_COEFFICIENTS = tuple(1 / (2 * j + 3) for j in range(10))
#: The number of terms that the last bit of float32 needs.
SINGLE_TERMS = 4
#: Variances outside of this range are left to the general way by the ways for small pairs.
LEAST_VARIANCE, MOST_VARIANCE = 1e-280, 1e280


def symmetric_part(matrix: Tensor) -> Tensor:
    """Return `(S + S^T) / 2`: the same bits when the matrix is symmetric already."""
    return 0.5 * matrix + 0.5 * matrix.mT


def solve_lower(factor: Tensor, right: Tensor) -> Tensor:
    """Return `L^-1 B` for a lower triangular `L`, broadcast over the batch."""
    return torch.linalg.solve_triangular(factor, right, upper=False)


def covariance_factor(
    covariance: Tensor, *, resolution: float | None = None, exactly_symmetric: bool = False
) -> Tensor:
    """Return the lower triangular `L` with `L L^T = S`.

    Singular items have zeros on the diagonal of `L`, indefinite items hold NaN. ``resolution`` is the
    relative rounding error of the entries as they were given (that of their dtype, unless told).
    """
    concrete = is_concrete(covariance)
    symmetric = concrete and exactly_symmetric
    factor, info = torch.linalg.cholesky_ex(covariance if symmetric else symmetric_part(covariance))
    if not concrete:
        return torch.where((info != 0)[..., None, None], torch.nan, factor)
    if not info.any():
        return factor
    failed = info != 0
    mended = semidefinite_factor(covariance[failed], resolution=resolution)
    factor = factor.clone()
    factor[failed] = mended
    return factor


def precision_factor(precision: Tensor) -> Tensor:
    """Return the upper triangular `U` with `U U^T = P`; NaN where the precision is not positive definite."""
    factor, info = torch.linalg.cholesky_ex(symmetric_part(precision).flip((-2, -1)))
    return torch.where((info != 0)[..., None, None], torch.nan, factor.flip((-2, -1)))


def semidefinite_factor(covariance: Tensor, *, resolution: float | None = None) -> Tensor:
    """Return the lower triangular factor of a positive semidefinite matrix; NaN where it is indefinite.

    The matrix is brought to a unit diagonal first. Eigenvalues within `k * eps` of zero, relative to the
    largest, count as zero: below that the rounding of the input decides their sign.
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


@dataclass(frozen=True)
class Root:
    """The root `L` of a covariance `S = L L^T`, in the form that its parameterisation offers.

    It is exactly one of a lower factor (..., k, k), an upper factor of the precision (..., k, k), or
    deviations (..., k).
    """

    lower_factor: Tensor | None = None
    precision_factor: Tensor | None = None
    deviation: Tensor | None = None

    def whiten(self, right: Tensor) -> Tensor:
        """Return `L^-1 B`: a solve, a product with the precision's factor, or a division."""
        if self.deviation is not None:
            return right / self.deviation.unsqueeze(-1)
        if self.precision_factor is not None:
            return self.precision_factor.mT @ right
        return solve_lower(self.tensor(), right)

    def lower(self) -> Tensor:
        """Return `L` itself."""
        if self.deviation is not None:
            return torch.diag_embed(self.deviation)
        if self.precision_factor is not None:
            return solve_lower(self.precision_factor.mT, identity_like(self.precision_factor))
        return self.tensor()

    def inverse(self) -> Tensor:
        """Return `L^-1` as a matrix."""
        if self.deviation is not None:
            return torch.diag_embed(1 / self.deviation)
        if self.precision_factor is not None:
            return self.precision_factor.mT
        return solve_lower(self.tensor(), identity_like(self.tensor()))

    def items(self, mask: Tensor) -> "Root":
        """Return the root of the masked items of a batch, broadcast to it first."""
        tensor, dims = self.tensor(), 1 if self.deviation is not None else 2
        return self.replaced(tensor.expand(mask.shape + tensor.shape[tensor.dim() - dims :])[mask])

    def tensor(self) -> Tensor:
        """Return the one tensor that is kept."""
        for kept in (self.deviation, self.precision_factor, self.lower_factor):
            if kept is not None:
                return kept
        raise TypeError("a root needs a lower factor, a precision factor or deviations")

    def replaced(self, tensor: Tensor) -> "Root":
        """Return the same kind of root from another tensor."""
        if self.deviation is not None:
            return Root(deviation=tensor)
        if self.precision_factor is not None:
            return Root(precision_factor=tensor)
        return Root(lower_factor=tensor)


class KnownValue(torch.autograd.Function):
    """The second argument, with the gradient of the first, which is the same less accurately."""

    generate_vmap_rule = True

    @staticmethod
    def forward(traced: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0], None


def identity_like(matrix: Tensor) -> Tensor:
    """Return identities in the shape of a batch of square matrices."""
    return torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device).expand(matrix.shape)


def root_of(kind: str, parameters: tuple[Tensor, ...], dimension: int, factor: Tensor | None = None) -> Root:
    """Return the root of a parameterisation; ``factor`` is its matrix factor if that is known already."""
    first = parameters[0]
    if kind == "variance":
        return Root(deviation=first.sqrt())
    if kind == "standard_deviation":
        return Root(deviation=first)
    if kind == "scale":
        return Root(deviation=first.unsqueeze(-1).expand(*first.shape, dimension))
    if kind == "scale_tril":
        return Root(lower_factor=first.tril())
    if kind == "precision":
        return Root(precision_factor=precision_factor(first) if factor is None else factor)
    if factor is None:
        factor = covariance_factor(covariance_from(kind, parameters, dimension))
    return Root(lower_factor=factor)


def covariance_from(kind: str, parameters: tuple[Tensor, ...], dimension: int) -> Tensor:
    """Return the covariance (..., k, k) of a parameterisation, differentiably."""
    first = parameters[0]
    if kind == "covariance":
        return symmetric_part(first)
    if kind == "factor":
        return first @ first.mT + torch.diag_embed(parameters[1])
    if kind == "scale_tril":
        return first.tril() @ first.tril().mT
    if kind == "precision":
        lower = root_of(kind, parameters, dimension).lower()
        return lower @ lower.mT
    variance = first if kind == "variance" else first.square()
    if kind == "scale":
        variance = variance.unsqueeze(-1).expand(*first.shape, dimension)
    return torch.diag_embed(variance)


def gradients_from(
    kind: str, parameters: tuple[Tensor, ...], gradient: Tensor, dimension: int
) -> tuple[Tensor, ...]:
    """Return the gradients by the parameters, differentiably, from the symmetric one by the covariance."""
    first = parameters[0]
    if kind == "covariance":
        return (gradient,)
    if kind == "scale_tril":
        return ((2 * gradient @ first.tril()).tril(),)
    if kind == "precision":
        covariance = covariance_from(kind, parameters, dimension)
        return (-(covariance @ gradient @ covariance),)
    diagonal = gradient.diagonal(dim1=-2, dim2=-1)
    if kind == "factor":
        return (2 * gradient @ first, diagonal)
    if kind == "variance":
        return (diagonal,)
    if kind == "standard_deviation":
        return (2 * first * diagonal,)
    return (2 * first * diagonal.sum(-1),)


def log_excess(u: Tensor, ratio: Tensor | None = None) -> Tensor:
    """Return `u - log(1 + u)`, at least 0 and accurate to the last bits for every `u > -1`.

    ``ratio`` is `1 + u` where the caller knows it better than the addition would give it. Not differentiable
    by itself: it is for use inside autograd functions, where the derivative is `u / (1 + u)`.

    >>> float(log_excess(torch.tensor(1e-9, dtype=torch.float64)))
    4.999999996666666e-19
    """
    near, is_near = log_excess_series(u)
    return torch.where(is_near, near, u - torch.log(1 + u if ratio is None else ratio))


def log_excess_series(u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the series of `u - log(1 + u)`, and where it holds."""
    r = u / (2 + u)
    s = r * r
    coefficients = SERIES_COEFFICIENTS if u.dtype == torch.float64 else SERIES_COEFFICIENTS[:SINGLE_TERMS]
    series = torch.full_like(s, coefficients[-1])
    recorded = torch.compiler.is_compiling() or s.requires_grad
    for c in reversed(coefficients[:-1]):
        series = series * s + c if recorded else series.mul_(s).add_(c)
    return r * (u - 2 * s * series), r.abs() < SERIES_RADIUS
