r"""The gradients of the divergence by both covariances: in closed form, and to be differentiated again.

With `W = L_q^{-1}` and `V = (I + X)^{-1} X W`, close pairs keep their digits in
$$ \frac{\partial}{\partial S_p} = \tfrac12 \left( W^\top V + V^\top W - V^\top V \right), \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 W^\top \left( X + X^\top + X X^\top + z z^\top \right) W. $$
Where pairs are far apart, differences of precisions say the same with less work.
"""

import torch
from torch import Tensor

from vaekit.gaussian.dense_plan import NEAR_SQUARED, Plan, exact_of, taken
from vaekit.gaussian.factorization import solve_lower
from vaekit.gaussian.roots import covariance_from, root_of
from vaekit.gaussian.validation import is_concrete

__all__ = ["closed_gradients", "differentiable_gradients"]

#: What a difference of precisions must leave of them, squared (Frobenius, in units of their diagonal).
LEAST_LEFT_SQUARED = 0.1


def closed_gradients(
    plan: Plan, tensors: tuple[Tensor, ...], computed: tuple[Tensor, ...], needs: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """By the mean of p and by the covariances that are needed, from the saved `X`, `z` and root of q."""
    X, z, ratio, kept, suspect = computed
    far = gradients_of_far(plan, tensors, computed) if all(needs) else None
    if far is not None:
        return far
    W = root_of(plan.kind_q, plan.split(tensors)[3], z.shape[-1], kept).replaced(kept).inverse()
    by_mean = (W.mT @ z.unsqueeze(-1)).squeeze(-1)
    by_p = by_q = None
    if needs[0]:
        # V = (I + X)^-1 X W; W^T (I - (I + D)^-1) W = W^T V + V^T W - V^T V
        M = X.clone()
        M.diagonal(dim1=-2, dim2=-1).copy_(ratio)
        V = solve_lower(M, X @ W)
        B = V.mT @ (W - 0.5 * V)
        by_p = 0.5 * (B + B.mT)
    if needs[1]:
        U = X.mT @ W
        B = U.mT @ (W + 0.5 * U)
        by_q = -0.5 * (B + B.mT + by_mean.unsqueeze(-1) * by_mean.unsqueeze(-2))
    if is_concrete(*tensors) and bool(suspect.any()):
        exact = exact_of(plan, *taken(plan, tensors, suspect)).gradients()
        by_mean = replaced(by_mean, suspect, exact[0])
        by_p = None if by_p is None else replaced(by_p, suspect, exact[1])
        by_q = None if by_q is None else replaced(by_q, suspect, exact[2])
    return by_mean, by_p, by_q


def gradients_of_far(
    plan: Plan, tensors: tuple[Tensor, ...], computed: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The same by plain differences of precisions, in less than half the time; None where these lose digits.

    `(S_q^{-1} - S_p^{-1}) / 2` and `(S_q^{-1} - K K^T - m m^T) / 2` with `K = L_q^{-T} (I + X)`.
    """
    X, z, ratio, kept, suspect = computed
    if plan.factor_p is None or not plan.kind_p == plan.kind_q == "covariance" or not is_concrete(*tensors):
        return None
    if bool((X.square().sum((-2, -1)) < NEAR_SQUARED).any()) or bool(suspect.any()):
        return None
    M = X.clone()
    M.diagonal(dim1=-2, dim2=-1).copy_(ratio)
    M = torch.cat([M, z.unsqueeze(-1)], -1)
    if X.dim() > 2:
        # Many small matrices: products are cheaper than solves.
        eye = torch.eye(X.shape[-1], dtype=X.dtype, device=X.device).expand(X.shape)
        W, W_p = solve_lower(kept, eye), solve_lower(plan.factor_p, eye)
        both, inverse_q, inverse_p = W.mT @ M, W.mT @ W, W_p.mT @ W_p
    else:
        both = torch.linalg.solve_triangular(kept.mT, M, upper=True)
        inverse_q, inverse_p = torch.cholesky_inverse(kept), torch.cholesky_inverse(plan.factor_p)
    to_p, to_q = inverse_q - inverse_p, inverse_q - both @ both.mT
    whole = 2 * inverse_q.diagonal(dim1=-2, dim2=-1)
    for difference in (to_p, to_q):
        # In units of the diagonals of the sum of what was subtracted.
        unit = 1 / (whole - difference.diagonal(dim1=-2, dim2=-1))
        left = unit.unsqueeze(-2) @ difference.square() @ unit.unsqueeze(-1)
        if not bool((left > LEAST_LEFT_SQUARED).all()):
            return None
    return both[..., -1], to_p.mul_(0.5), to_q.mul_(0.5)


def replaced(found: Tensor, mask: Tensor, better: Tensor) -> Tensor:
    """The same with the masked items replaced."""
    whole = found.expand(mask.shape + better.shape[1:]).clone()
    whole[mask] = better
    return whole


def differentiable_gradients(plan: Plan, tensors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """The same gradients as differentiable functions of the parameters, without cancellation."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    k = mean_p.shape[-1]
    S_p = covariance_from(plan.kind_p, theta_p, k)
    S_q = covariance_from(plan.kind_q, theta_q, k)
    difference = (mean_p - mean_q).unsqueeze(-1)
    L_p, L_q = torch.linalg.cholesky(S_p), torch.linalg.cholesky(S_q)
    by_mean = torch.cholesky_solve(difference, L_q)
    apart = S_p - S_q
    by_p = 0.5 * torch.cholesky_solve(torch.cholesky_solve(apart, L_q).mT, L_p)
    by_p = 0.5 * (by_p + by_p.mT)
    by_q = -0.5 * torch.cholesky_solve(torch.cholesky_solve(apart + difference @ difference.mT, L_q).mT, L_q)
    return by_mean.squeeze(-1), by_p, 0.5 * (by_q + by_q.mT)
