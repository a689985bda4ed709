r"""A bound on the error of a computed dense divergence, from a running error analysis.

Cholesky's computed factor is exact for a covariance that differs from the given one by at most `γ s s^T`,
entry by entry, with `γ = (k + 2) ε` and the standard deviations `s`; a triangular solve is exact for a factor
that differs by at most `γ |L|` (N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
theorems 8.5 and 10.3). Their effect on the divergence is, to first order, the inner product with its
gradients, which are known in closed form. It is bounded entry by entry and doubled for the higher orders.
Where the perturbation is not small against 1 the higher orders are not small either, and the bound is
infinite.
"""

import torch
from torch import Tensor

from vaekit.gaussian.dense import KNOWN, NEAR_SQUARED, TRIANGULAR, Plan, quantities
from vaekit.gaussian.stable import Root, identity_like, root_of, solve_lower

__all__ = ["dense_bound", "finished_bound"]

#: Unit roundoffs of float64 and of double-double.
EPSILON = torch.finfo(torch.float64).eps / 2
EXACT_EPSILON = 2.0**-96


def finished_bound(bound: Tensor, value: Tensor, rounded: Tensor, dimension: int) -> Tensor:
    """Return the bound with the roundings of the last sums and of the output's dtype added to it.

    ``value`` is in float64, ``rounded`` the same in the dtype of the output. NaN where the value is.
    """
    # The terms of the sums are all of one sign.
    bound = bound + (16 + 8 * dimension) * EPSILON * value
    info = torch.finfo(rounded.dtype)
    bound = bound + (rounded.double() - value).abs() + torch.where(value > 0, info.tiny, 0.0)
    bound = torch.where(value.isfinite(), bound, torch.where(value.isnan(), torch.nan, 0.0))
    return bound * (1 + 4 * info.eps)


def dense_bound(plan: Plan, tensors: tuple[Tensor, ...], value: Tensor) -> Tensor:
    """Return the effect of the roundings inside the factorisations and solves, (...), to first order and doubled."""
    _, X, z, ratio, kept, exact = quantities(plan, tensors)
    _, _, theta_p, theta_q = plan.split(tensors)
    k = z.shape[-1]
    root_q = root_of(plan.kind_q, theta_q, k, kept).replaced(kept)
    root_p = root_of(plan.kind_p, theta_p, k, plan.factor_p)
    gamma = (k + 2) * torch.where(exact, EXACT_EPSILON, EPSILON)
    eye = identity_like(X)
    M = X * (1 - eye) + torch.diag_embed(ratio)
    # T = |L^-1| |L|: a solve for x is off by at most gamma T |x|.
    T_p, T_q = solve_growth(root_p), solve_growth(root_q)
    u_p, u_q = whitened_error(plan.kind_p, root_p), whitened_error(plan.kind_q, root_q)
    D, R = X + X.mT + X @ X.mT, relative_gradient(X, ratio)
    outer = z.unsqueeze(-1) * z.unsqueeze(-2)
    by_q = (D + outer).abs()
    by_p = (X + X.mT + X.mT @ X).abs()
    size = z.abs().unsqueeze(-1)
    from_z = total(size, T_q @ size)
    # The gradient by M, and the errors of M: of the solve, and for a precision of the factor that is solved
    # for.
    diagonal = M.diagonal(dim1=-2, dim2=-1)
    slope = M.abs() * (1 - eye) + torch.diag_embed((diagonal - 1 / diagonal).abs())
    size_of = M.abs()
    if plan.kind_p in TRIANGULAR and plan.kind_q in TRIANGULAR:
        # X is solved for by itself; its diagonal is a quotient, and so is that of M.
        size_of = torch.where(eye.bool(), torch.minimum(X.abs(), M.abs()), X.abs())
    spread = T_q @ size_of
    if plan.kind_p == "precision":
        spread = spread + M.abs() @ T_p @ T_p
    far = 0.5 * form(by_q, u_q) + 0.5 * form(by_p, u_p) + total(slope, spread)
    # Where S_p - S_q is known to the bit, both covariances of a close pair move together, and first orders
    # cancel.
    known = (plan.kind_p in KNOWN and plan.kind_q in KNOWN) or plan.kind_p == plan.kind_q == "precision"
    if known:
        T = torch.maximum(T_p, T_q)
        near = 0.5 * form((R @ D).abs(), torch.maximum(u_p, u_q)) + 0.5 * form(outer.abs(), u_q)
        near = near + 1.5 * total(R.abs(), T @ D.abs() @ T.mT)
        far = torch.where(X.square().sum((-2, -1)) < NEAR_SQUARED, near, far)
    first_order = gamma * (far + 2 * from_z)
    small = gamma * (u_p.square().sum(-1) + u_q.square().sum(-1)) < 0.1
    return torch.where(small, 2 * first_order, torch.inf).expand(value.shape)


def solve_growth(root: Root) -> Tensor:
    """Return `|L^-1| |L|`, (..., k, k)."""
    if root.deviation is not None:
        return identity_like(torch.diag_embed(root.deviation))
    return root.inverse().abs() @ root.lower().abs()


def whitened_error(kind: str, root: Root) -> Tensor:
    """Return `u` (..., k) such that rounding moves the covariance by at most `γ u u^T` in its own units."""
    if kind in TRIANGULAR:
        # Factors that were given are not rounded.
        return torch.zeros_like(root.tensor() if root.deviation is not None else root.tensor()[..., 0])
    if root.deviation is not None:
        return torch.ones_like(root.deviation)
    factor = root.tensor()
    scale = factor.square().sum(-1).sqrt().unsqueeze(-1)
    if kind == "precision":
        inverse = torch.linalg.solve_triangular(factor, identity_like(factor), upper=True)
    else:
        inverse = solve_lower(factor, identity_like(factor))
    return (inverse.abs() @ scale).squeeze(-1)


def form(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return `u^T A u`."""
    return (vector.unsqueeze(-2) @ matrix @ vector.unsqueeze(-1)).squeeze((-2, -1))


def total(first: Tensor, second: Tensor) -> Tensor:
    """Return the sum of the entrywise product."""
    return (first * second).sum((-2, -1))


def relative_gradient(X: Tensor, ratio: Tensor) -> Tensor:
    """Return `I - ((I + X)(I + X)^T)^{-1}`, without the subtraction: `Y + Y^T - Y^T Y` with `Y = (I + X)^{-1}
    X`.

    ``ratio`` is the diagonal of `I + X`, which `X` does not hold any more where it is small.
    """
    M = X.clone()
    M.diagonal(dim1=-2, dim2=-1).copy_(ratio)
    Y = solve_lower(M, X)
    return Y + Y.mT - Y.mT @ Y
