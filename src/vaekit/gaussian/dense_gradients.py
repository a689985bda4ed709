r"""The gradients of the dense divergence: in closed form, and to be differentiated again.

With `W = L_q^{-1}` and `V = (I + X)^{-1} X W`, close pairs keep their digits in
$$ \frac{\partial}{\partial S_p} = \tfrac12 \left( W^\top V + V^\top W - V^\top V \right), \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 W^\top \left( X + X^\top + X X^\top + z z^\top \right) W. $$
Where pairs are far apart, differences of precisions say the same with less work. By the means the gradients
are `± W^T z`, and the chain rule takes all of them to the parameterisation that was given.
"""

from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.dense import NEAR_SQUARED, Plan, exact_of, quantities, taken
from vaekit.gaussian.parameters import is_concrete
from vaekit.gaussian.stable import covariance_from, gradients_from, identity_like, root_of, solve_lower

__all__ = ["DenseDivergence", "closed_gradients", "differentiable_divergence", "differentiable_gradients"]

#: What a difference of precisions must leave of them, squared (Frobenius, in units of their diagonal).
LEAST_LEFT_SQUARED = 0.1


def differentiable_divergence(plan: Plan, *tensors: Tensor) -> Tensor:
    """Return the divergence in float64, (...), of `mean_p, mean_q, *parameters of p, *parameters of q`."""
    function = PlainDivergence if is_concrete(*tensors) else DenseDivergence
    return function.apply(plan, *tensors)[0]


class DenseDivergence(torch.autograd.Function):
    """The divergence; its other outputs are not differentiable and serve the backward pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(plan: Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
        return quantities(plan, tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.plan = inputs[0]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[1:], *output[1:])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        grad = grad_outputs[0]
        count = len(ctx.needs_input_grad) - 1
        tensors, computed = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        if grad is None:
            return (None,) * (count + 1)
        plan: Plan = ctx.plan
        needs = ctx.needs_input_grad
        any_p, any_q = any(needs[3 : 3 + plan.count_p]), any(needs[3 + plan.count_p :])
        if torch.is_grad_enabled():
            by_mean, by_p, by_q = differentiable_gradients(plan, tensors)
        else:
            by_mean, by_p, by_q = closed_gradients(plan, tensors, computed, (any_p, any_q))
        _, _, theta_p, theta_q = plan.split(tensors)
        k = by_mean.shape[-1]
        # The NaN of an item without a gradient must not spoil what others share with it.
        asked = (grad != 0)[..., None, None]
        all_asked = is_concrete(grad) and bool(asked.all())

        def weighted(by: Tensor, dimensions: int) -> Tensor:
            product = grad[(..., *(None,) * dimensions)] * by
            if all_asked:
                return product
            return torch.where(asked if dimensions == 2 else asked.squeeze(-1), product, 0.0)

        by_mean = weighted(by_mean, 1)
        found: list[Tensor | None] = [None, by_mean, -by_mean]
        for kind, theta, by, needed in (
            (plan.kind_p, theta_p, by_p, any_p),
            (plan.kind_q, theta_q, by_q, any_q),
        ):
            if by is None or not needed:
                found += [None] * len(theta)
                continue
            found += gradients_from(kind, theta, weighted(by, 2), k)
        return (
            None,
            *(
                g.sum_to_size(t.shape) if need and g is not None else None
                for g, t, need in zip(found[1:], tensors, needs[1:], strict=True)
            ),
        )


class PlainDivergence(torch.autograd.Function):
    """The same function outside functorch and compilation: without what these need it starts faster."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
        output = quantities(plan, tensors)
        DenseDivergence.setup_context(ctx, (plan, *tensors), output)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        return DenseDivergence.backward(ctx, *grad_outputs)


def closed_gradients(
    plan: Plan, tensors: tuple[Tensor, ...], computed: tuple[Tensor, ...], needs: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return the gradients by the mean of p and by the covariances that are needed.

    ``computed`` is the `X`, `z`, diagonal of `I + X`, root of q and double-double items of the forward pass.
    """
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
        C = U.mT @ (W + 0.5 * U)
        by_q = -0.5 * (C + C.mT + by_mean.unsqueeze(-1) * by_mean.unsqueeze(-2))
    if is_concrete(*tensors) and bool(suspect.any()):
        exact = exact_of(plan, *taken(plan, tensors, suspect)).gradients()
        by_mean = replaced(by_mean, suspect, exact[0])
        by_p = None if by_p is None else replaced(by_p, suspect, exact[1])
        by_q = None if by_q is None else replaced(by_q, suspect, exact[2])
    return by_mean, by_p, by_q


def gradients_of_far(
    plan: Plan, tensors: tuple[Tensor, ...], computed: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the gradients as plain differences of precisions, in half the time; None where these lose digits.

    `(S_q^{-1} - S_p^{-1}) / 2` and `(S_q^{-1} - K K^T - m m^T) / 2` with `K = L_q^{-T} (I + X)`.
    """
    X, z, ratio, kept, suspect = computed
    if plan.factor_p is None or not plan.kind_p == plan.kind_q == "covariance" or not is_concrete(*tensors):
        return None
    if bool((X.square().sum((-2, -1)) < NEAR_SQUARED).any()) or bool(suspect.any()):
        return None
    R = X.clone()
    R.diagonal(dim1=-2, dim2=-1).copy_(ratio)
    M = torch.cat([R, z.unsqueeze(-1)], -1)
    if X.dim() > 2:
        # Many small matrices: products are cheaper than solves.
        eye = identity_like(X)
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
    """Return the gradient with the masked items replaced."""
    whole = found.expand(mask.shape + better.shape[1:]).clone()
    whole[mask] = better
    return whole


def differentiable_gradients(plan: Plan, tensors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients as differentiable functions of the parameters, without cancellation."""
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
