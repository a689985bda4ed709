r"""The square root of a symmetric matrix, differentiable where eigenvalues are equal.

`R^2 = A` has the derivative that solves `R dR + dR R = dA`: in the eigenvectors of `A`, with eigenvalues
`\lambda`,
$$ \left( V^\top dR\, V \right)_{ij}
   = \frac{\left( V^\top dA\, V \right)_{ij}}{\sqrt{\lambda_i} + \sqrt{\lambda_j}}, $$
without the differences of eigenvalues that the derivative of an eigenvector divides by.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["SymmetricRoot", "transport_matrix"]


class SymmetricRoot(torch.autograd.Function):
    """The positive semidefinite root of a positive definite matrix (..., k, k), to be differentiated once."""

    generate_vmap_rule = True

    @staticmethod
    def forward(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eigenvalues, V = torch.linalg.eigh(0.5 * (A + A.mT))
        root = eigenvalues.clamp_min(0).sqrt()
        return (V * root.unsqueeze(-2)) @ V.mT, root, V

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> Tensor:
        root, V = ctx.saved_tensors
        inner = V.mT @ (0.5 * (grad_outputs[0] + grad_outputs[0].mT)) @ V
        return V @ (inner / (root.unsqueeze(-1) + root.unsqueeze(-2))) @ V.mT


def transport_matrix(Sp: Tensor, Sq: Tensor) -> Tensor:
    """`T` with `T S_p T = S_q`, `L_p^{-T} (L_p^T S_q L_p)^{1/2} L_p^{-1}`, as a differentiable function.

    NaN where one of the covariances is not positive definite.

    >>> S = torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> transport_matrix(S, torch.eye(2, dtype=torch.float64))
    tensor([[0.5000, 0.0000],
            [0.0000, 1.0000]], dtype=torch.float64)
    """
    eye = torch.eye(Sp.shape[-1], dtype=Sp.dtype, device=Sp.device)
    with torch.no_grad():
        failed = (torch.linalg.cholesky_ex(Sp).info != 0) | (torch.linalg.cholesky_ex(Sq).info != 0)
        failed = failed[..., None, None]
    # Not a constant: its derivative is to be NaN as well.
    undefined = torch.where(failed, torch.nan, torch.zeros_like(Sp)) * (Sp + Sq)
    Sp, Sq = torch.where(failed, eye, Sp), torch.where(failed, eye, Sq)
    L = torch.linalg.cholesky(Sp)
    R = SymmetricRoot.apply(L.mT @ Sq @ L)[0]  # pyright: ignore[reportOptionalSubscript]
    half = torch.linalg.solve_triangular(L.mT, R, upper=True)
    T = torch.linalg.solve_triangular(L.mT, half.mT, upper=True)
    return torch.where(failed, undefined, T)
