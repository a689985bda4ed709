r"""The root `L` of a covariance `S = L L^T` in the form its parameterisation offers, and the way back for
gradients.

`whiten` applies `L^{-1}`, `unwhiten` applies `L^{-T}`: a solve where `L` is known, a product where the root
`U = L^{-T}` of the
precision is, a division where the covariance is diagonal.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.gaussian.double_double import DoubleDouble, cholesky, solve_lower_exact, two_product
from vaekit.gaussian.factorization import covariance_factor, precision_factor, solve_lower, symmetric_part

__all__ = ["Root", "covariance_exactly", "covariance_from", "gradients_from", "root_of"]


@dataclass(frozen=True)
class Root:
    """Exactly one of a lower factor (..., k, k), an upper factor of the precision, or deviations (..., k)."""

    lower_factor: Tensor | None = None
    precision_factor: Tensor | None = None
    deviation: Tensor | None = None

    def whiten(self, right: Tensor) -> Tensor:
        """`L^-1 B`."""
        if self.deviation is not None:
            return right / self.deviation.unsqueeze(-1)
        if self.precision_factor is not None:
            return self.precision_factor.mT @ right
        return solve_lower(self._lower(), right)

    def unwhiten(self, right: Tensor) -> Tensor:
        """`L^-T B`."""
        if self.deviation is not None:
            return right / self.deviation.unsqueeze(-1)
        if self.precision_factor is not None:
            return self.precision_factor @ right
        return torch.linalg.solve_triangular(self._lower().mT, right, upper=True)

    def lower(self) -> Tensor:
        """`L` itself."""
        if self.deviation is not None:
            return torch.diag_embed(self.deviation)
        if self.precision_factor is not None:
            k = self.precision_factor.shape[-1]
            eye = torch.eye(k, dtype=self.precision_factor.dtype, device=self.precision_factor.device)
            return solve_lower(self.precision_factor.mT, eye.expand(self.precision_factor.shape))
        return self._lower()

    def inverse(self) -> Tensor:
        """`L^-1` as a matrix."""
        if self.deviation is not None:
            return torch.diag_embed(1 / self.deviation)
        if self.precision_factor is not None:
            return self.precision_factor.mT
        L = self._lower()
        return solve_lower(L, torch.eye(L.shape[-1], dtype=L.dtype, device=L.device).expand(L.shape))

    def items(self, mask: Tensor) -> "Root":
        """The masked items of a batch, the root broadcast to it first."""
        tensor, dims = self.tensor(), 1 if self.deviation is not None else 2
        return self.replaced(tensor.expand(mask.shape + tensor.shape[tensor.dim() - dims :])[mask])

    def tensor(self) -> Tensor:
        """The one tensor that is kept."""
        if self.deviation is not None:
            return self.deviation
        return self.precision_factor if self.precision_factor is not None else self._lower()

    def replaced(self, tensor: Tensor) -> "Root":
        """The same kind of root from another tensor."""
        if self.deviation is not None:
            return Root(deviation=tensor)
        return (
            Root(precision_factor=tensor) if self.precision_factor is not None else Root(lower_factor=tensor)
        )

    def _lower(self) -> Tensor:
        if self.lower_factor is None:
            raise TypeError("this root has no lower factor")
        return self.lower_factor


def root_of(kind: str, parameters: tuple[Tensor, ...], dimension: int, factor: Tensor | None = None) -> Root:
    """The root of a parameterisation; ``factor`` is its matrix factor where that has been computed before."""
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
    """The covariance (..., k, k), differentiably."""
    first = parameters[0]
    if kind == "covariance":
        return symmetric_part(first)
    if kind == "factor":
        return first @ first.mT + torch.diag_embed(parameters[1])
    if kind == "scale_tril":
        return first.tril() @ first.tril().mT
    if kind == "precision":
        return torch.linalg.inv(symmetric_part(first))
    variance = first if kind == "variance" else first.square()
    if kind == "scale":
        variance = variance.unsqueeze(-1).expand(*first.shape, dimension)
    return torch.diag_embed(variance)


def covariance_exactly(kind: str, parameters: tuple[Tensor, ...], dimension: int) -> DoubleDouble:
    """The covariance to about 32 digits."""
    first = parameters[0]
    if kind == "covariance":
        return DoubleDouble(*two_sum_halves(first))
    if kind == "scale_tril":
        factor = DoubleDouble.of(first.tril())
        return factor @ factor.mT
    if kind == "factor":
        factor = DoubleDouble.of(first)
        return factor @ factor.mT + DoubleDouble.of(torch.diag_embed(parameters[1]))
    if kind == "precision":
        factor = cholesky(DoubleDouble(*two_sum_halves(first)))
        eye = torch.eye(dimension, dtype=first.dtype, device=first.device).expand(first.shape)
        half = solve_lower_exact(factor, DoubleDouble.of(eye))
        return half.mT @ half
    if kind == "scale":
        first = first.unsqueeze(-1).expand(*first.shape, dimension)
    square = (first, torch.zeros_like(first)) if kind == "variance" else two_product(first, first)
    return DoubleDouble(torch.diag_embed(square[0]), torch.diag_embed(square[1]))


def two_sum_halves(S: Tensor) -> tuple[Tensor, Tensor]:
    """The exact symmetric part `S/2 + S^T/2` of a matrix."""
    a, b = 0.5 * S, 0.5 * S.mT
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def gradients_from(
    kind: str, parameters: tuple[Tensor, ...], gradient: Tensor, dimension: int
) -> tuple[Tensor, ...]:
    """Gradients by the parameters from the symmetric one (..., k, k) by the covariance, differentiably."""
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
