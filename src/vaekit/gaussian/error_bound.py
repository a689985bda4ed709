r"""A bound on the error of a computed divergence, from a running error analysis.

Cholesky's computed factor is exact for a covariance that differs by at most `γ |L||L^T|`, `γ = (k + 2) ε`,
and a triangular
solve for a factor that differs by at most `γ |L|` (N. J. Higham, "Accuracy and Stability of Numerical
Algorithms", 2002,
theorems 8.5 and 10.3). Their effect on the divergence is, to first order, the inner product with its
gradients, which
are known in closed form. It is bounded entry by entry and doubled for the higher orders; where the
perturbation is not
small against 1 the higher orders are not small either, and the bound is infinite.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vaekit.gaussian.factorization import solve_lower
from vaekit.gaussian.triangular import relative_gradient

if TYPE_CHECKING:
    from vaekit.gaussian.dense_plan import Plan
    from vaekit.gaussian.distribution import Gaussian
    from vaekit.gaussian.kl import Precision

__all__ = ["error_bound"]

#: Unit roundoffs of float64 and of double-double.
EPSILON = torch.finfo(torch.float64).eps / 2
EXACT_EPSILON = 2.0**-100


def error_bound(
    p: "Gaussian", q: "Gaussian", value: Tensor, rounded: Tensor, precision: "Precision"
) -> Tensor:
    """Bound on `|rounded - KL|`, (...), for a value computed in float64 and rounded to the output's dtype."""
    from vaekit.gaussian.kl import dense_inputs, way_of

    with torch.no_grad():
        value, rounded = value.detach(), rounded.detach()
        way = way_of(p, q)
        # What follows the factorisations: terms and sums of terms, all of one sign.
        bound = (16 + 8 * p.dimension) * EPSILON * value
        if way == "low_rank":
            from vaekit.gaussian.low_rank import low_rank_loss

            bound = bound + low_rank_loss(p, q, precision)
        elif way == "dense":
            plan, tensors = dense_inputs(p, q, precision)
            bound = bound + propagated(plan, tensors).expand(value.shape)
        info = torch.finfo(rounded.dtype)
        bound = bound + (rounded.double() - value).abs() + torch.where(value > 0, info.tiny, 0.0)
        bound = torch.where(value.isfinite(), bound, torch.where(value.isnan(), torch.nan, 0.0))
        return bound * (1 + 4 * info.eps)


def propagated(plan: "Plan", tensors: tuple[Tensor, ...]) -> Tensor:
    """The effect of the roundings inside the factorisations and solves, to first order and doubled."""
    from vaekit.gaussian.dense import quantities
    from vaekit.gaussian.dense_plan import NEAR_SQUARED
    from vaekit.gaussian.roots import root_of

    _, X, z, ratio, kept, exact = quantities(plan, tensors)
    k = z.shape[-1]
    L_q = root_of(plan.kind_q, plan.split(tensors)[3], k, kept).replaced(kept).lower()
    gamma = (k + 2) * torch.where(exact, EXACT_EPSILON, EPSILON)
    eye = torch.eye(k, dtype=X.dtype, device=X.device)
    M = X * (1 - eye) + torch.diag_embed(ratio)
    # T = |L_q^-1| |L_q|: a solve for x is off by at most gamma T |x|, the factor, whitened, by gamma T T^T.
    T = solve_lower(L_q, eye.expand(L_q.shape)).abs() @ L_q.abs()
    D, R = X + X.mT + X @ X.mT, relative_gradient(X, ratio)
    outer = z.unsqueeze(-1) * z.unsqueeze(-2)
    from_z = (z.abs().unsqueeze(-2) @ T @ z.abs().unsqueeze(-1)).squeeze((-2, -1))
    backward = T @ T.mT
    # Far: S_q, S_p and the solve for M move by themselves.
    spread = T @ M.abs()
    diagonal = M.diagonal(dim1=-2, dim2=-1)
    slope = M.abs() * (1 - eye) + torch.diag_embed((diagonal - 1 / diagonal).abs())
    far = (
        0.5 * total((D + outer).abs(), backward)
        + 0.5 * total(R.abs(), spread @ spread.mT)
        + total(slope, spread)
    )
    # Near: S_p - S_q is known to the bit, so that both covariances move together and the first orders cancel.
    near = 0.5 * total((R @ D + outer).abs(), backward) + 1.5 * total(R.abs(), T @ D.abs() @ T.mT)
    is_near = X.square().sum((-2, -1)) < NEAR_SQUARED
    first_order = gamma * (torch.where(is_near, near, far) + 2 * from_z)
    small = gamma * backward.diagonal(dim1=-2, dim2=-1).sum(-1) < 0.1
    return torch.where(small, 2 * first_order, torch.inf)


def total(first: Tensor, second: Tensor) -> Tensor:
    """The sum of the entrywise product."""
    return (first * second).sum((-2, -1))
