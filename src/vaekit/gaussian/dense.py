r"""The divergence where at least one covariance is full, with gradients in closed form.

With `X`, `z` and `L_q` as in `triangular`, and `D = X + X^T + X X^T`,
$$ \frac{\partial}{\partial S_p} = \tfrac12 L_q^{-\top} \left(I - (I + D)^{-1}\right) L_q^{-1}, \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 L_q^{-\top} \left(D + z z^\top\right) L_q^{-1}, $$
and by the means `± L_q^{-T} z`; the chain rule takes them to the parameterisation that was given.
Differentiated
again, the same gradients are written as `S_q^{-1} (S_p - S_q) S_p^{-1} / 2` and so on, in differentiable
operations.
"""

from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.dense_gradients import closed_gradients, differentiable_gradients
from vaekit.gaussian.dense_plan import (
    NEAR_SQUARED,
    Plan,
    cancellation,
    exact_of,
    matrix_of,
    taken,
    taken_parameters,
)
from vaekit.gaussian.factorization import symmetric_part
from vaekit.gaussian.roots import Root, gradients_from, root_of
from vaekit.gaussian.stable import log_excess
from vaekit.gaussian.triangular import less_identity, refined_excess
from vaekit.gaussian.validation import is_concrete

__all__ = ["DenseDivergence", "dense_divergence", "quantities"]

#: Where Cholesky loses more than this factor "auto" computes an item in double-double, up to the dimension
#: below;
#: very close pairs are held to a stricter one, since all their digits can be had.
TOLERATED_LOSS = 1e7
TOLERATED_LOSS_CLOSE = 32.0
CLOSE_SQUARED = 0.01
LARGEST_ESCALATED = 64
#: Parameterisations whose covariances are known to the bit, so that their difference is.
KNOWN = ("covariance", "variance")
TRIANGULAR = ("scale_tril", "standard_deviation", "scale")


def dense_divergence(plan: Plan, *tensors: Tensor) -> Tensor:
    """The divergence in float64, (...), of `mean_p, mean_q, *parameters of p, *parameters of q`."""
    if is_concrete(*tensors) and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)):
        return quantities(plan, tensors)[0]
    function = PlainDivergence if is_concrete(*tensors) else DenseDivergence
    return function.apply(plan, *tensors)[0]


class DenseDivergence(torch.autograd.Function):
    """Outputs the value and, not differentiable, what the backward pass needs again."""

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
        # An item nobody asks about must not spoil with its NaN what others share with it.
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
    """The same outside functorch and compilation, without what they need: it starts faster."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor) -> tuple[Tensor, ...]:
        output = quantities(plan, tensors)
        DenseDivergence.setup_context(ctx, (plan, *tensors), output)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        return DenseDivergence.backward(ctx, *grad_outputs)


def quantities(plan: Plan, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Value, `X`, `z`, the diagonal of `I + X`, the root of q, and which items double-double was used for."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    k = mean_p.shape[-1]
    root_p = root_of(plan.kind_p, theta_p, k, plan.factor_p)
    root_q = root_of(plan.kind_q, theta_q, k, plan.factor_q)
    lower_p, difference = root_p.lower(), (mean_p - mean_q).unsqueeze(-1)
    if lower_p.shape[:-1] == difference.shape[:-1] and lower_p.dim() > 2:
        # Many small solves: one call for both right-hand sides.
        both = root_q.whiten(torch.cat([lower_p, difference], -1))
        M, z = both[..., :-1], both[..., -1]
    else:
        M, z = root_q.whiten(lower_p), root_q.whiten(difference).squeeze(-1)
    ratio = M.diagonal(dim1=-2, dim2=-1).clone()
    triangular = plan.kind_p in TRIANGULAR and plan.kind_q in TRIANGULAR
    X = root_q.whiten(lower_p - root_q.lower()) if triangular else less_identity(M)
    size = X.square().sum((-2, -1))
    near = torch.zeros_like(size, dtype=torch.bool) if triangular else size < NEAR_SQUARED
    suspect = torch.zeros_like(near)
    concrete = is_concrete(*tensors)
    if not triangular and not concrete:
        refined = nearby_excess(plan, theta_p, theta_q, root_p, root_q)
        if refined is not None:
            pick = (near & refined[1])[..., None, None]
            X = torch.where(pick, refined[0], X)
            ratio = torch.where(pick.squeeze(-1), 1 + X.diagonal(dim1=-2, dim2=-1), ratio)
            size = X.square().sum((-2, -1))
    elif concrete and plan.precision != "exact" and bool(near.any()):
        some = (taken_parameters(plan.kind_p, theta_p, near), taken_parameters(plan.kind_q, theta_q, near))
        refined = nearby_excess(plan, *some, root_p.items(near), root_q.items(near))
        if refined is None:
            suspect = near
        else:
            found, there = refined
            X[near] = torch.where(there[..., None, None], found, X[near])
            ratio[near] = torch.where(there[..., None], 1 + found.diagonal(dim1=-2, dim2=-1), ratio[near])
            size[near] = X[near].square().sum((-2, -1))
            suspect[near] = ~there
    value = log_excess(X.diagonal(dim1=-2, dim2=-1), ratio).sum(-1) + 0.5 * (size + z.square().sum(-1))
    if not concrete or plan.precision == "fast":
        suspect = torch.zeros_like(value, dtype=torch.bool)
    elif plan.precision == "exact":
        suspect = torch.ones_like(value, dtype=torch.bool)
    elif k <= LARGEST_ESCALATED:
        tolerated = torch.where(size < CLOSE_SQUARED, TOLERATED_LOSS_CLOSE, TOLERATED_LOSS)
        for kind, theta, root in ((plan.kind_p, theta_p, root_p), (plan.kind_q, theta_q, root_q)):
            loss = cancellation(kind, theta, root)
            suspect = suspect if loss is None else suspect | (loss > tolerated)
    suspect = suspect.expand(value.shape)
    if concrete and bool(suspect.any()):
        exact = exact_of(plan, *taken(plan, tensors, suspect))
        value[suspect] = torch.where(exact.value.isnan(), value[suspect], exact.value)
    # An input must not be returned as it is.
    kept = root_q.tensor() if root_q.deviation is None else root_q.tensor().clone()
    return value, X, z, ratio, kept, suspect


def nearby_excess(
    plan: Plan, theta_p: tuple[Tensor, ...], theta_q: tuple[Tensor, ...], root_p: Root, root_q: Root
) -> tuple[Tensor, Tensor] | None:
    """`X` of close items from the difference of the parameters; None where that is not known to the bit."""
    if plan.kind_p in KNOWN and plan.kind_q in KNOWN:
        difference = matrix_of(plan.kind_p, theta_p) - matrix_of(plan.kind_q, theta_q)
        D = root_q.whiten(root_q.whiten(difference).mT)
        return refined_excess(0.5 * (D + D.mT))
    if plan.kind_p == plan.kind_q == "precision":
        # U_p^-1 U_q = (I + X)^T, so the same equation holds for the precisions with p and q exchanged, read
        # backwards.
        difference = symmetric_part(theta_q[0] - theta_p[0])
        F = root_p.tensor().flip((-2, -1))
        reverse = Root(lower_factor=F)
        D = reverse.whiten(reverse.whiten(difference.flip((-2, -1))).mT)
        X, there = refined_excess(0.5 * (D + D.mT))
        return X.flip((-2, -1)).mT, there
    return None
