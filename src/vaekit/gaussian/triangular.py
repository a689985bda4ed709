r"""The divergence as a function of one triangular matrix.

Everything goes through the lower triangular `X` with `I + X = L_q^{-1} L_p` and `z = L_q^{-1} (m_p - m_q)`:
$$ 2\,\mathrm{KL} = \sum_i \left( X_{ii}^2 + 2 (X_{ii} - \log(1 + X_{ii})) \right)
   + \sum_{i>j} X_{ij}^2 + |z|^2. $$

When p and q are close, `L_q^{-1} L_p - I` keeps no digit of `X`. Then `X` comes from the difference
`D = L_q^{-1} (S_p - S_q) L_q^{-T}`, whose entries are accurate relative to `|D|`, as the solution of
`X + X^T + X X^T = D`: the Cholesky factor of `I + D` less the identity is a first guess with the error of the
1 that was
added, and one Newton step from the residual, which never adds the 1, removes it.
"""

import torch
from torch import Tensor

from vaekit.gaussian.factorization import solve_lower

__all__ = ["less_identity", "refined_excess", "relative_gradient"]


def less_identity(M: Tensor) -> Tensor:
    """`M - I`, in the memory of `M`."""
    M.diagonal(dim1=-2, dim2=-1).sub_(1)
    return M


def refined_excess(D: Tensor) -> tuple[Tensor, Tensor]:
    """The lower triangular `X` with `(I + X)(I + X)^T = I + D`, accurate relative to `D`.

    Also returns where there is one. For `D` of order 1 at most. `D = 0` gives `X = 0` exactly.
    """
    shifted = D.clone()
    shifted.diagonal(dim1=-2, dim2=-1).add_(1)
    C, info = torch.linalg.cholesky_ex(shifted)
    X = less_identity(C.clone())
    residual = D - (X + X.mT + X @ X.mT)
    inner = solve_lower(C, solve_lower(C, residual).mT)
    half = inner.tril()
    half.diagonal(dim1=-2, dim2=-1).mul_(0.5)
    return X + C @ half, info == 0


def relative_gradient(X: Tensor, ratio: Tensor) -> Tensor:
    """`I - ((I + X)(I + X)^T)^{-1}`, without the subtraction: `Y + Y^T - Y^T Y` with `Y = (I + X)^{-1} X`.

    ``ratio`` is the diagonal of `I + X`, which `X` does not hold any more where it is small.
    """
    M = X.clone()
    M.diagonal(dim1=-2, dim2=-1).copy_(ratio)
    Y = solve_lower(M, X)
    return Y + Y.mT - Y.mT @ Y
