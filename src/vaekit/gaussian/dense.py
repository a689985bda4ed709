r"""The divergence where at least one covariance is full, with gradients in closed form.

With `X`, `z` and `L_q` as in `triangular`, and `D = X + X^T + X X^T`,
$$ \frac{\partial}{\partial S_p} = \tfrac12 L_q^{-\top} \left(I - (I + D)^{-1}\right) L_q^{-1}, \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 L_q^{-\top} \left(D + z z^\top\right) L_q^{-1}, $$
and by the means `± L_q^{-T} z`; the chain rule takes them to the parameterisation that was given.
Differentiated
again, the same gradients are written as `S_q^{-1} (S_p - S_q) S_p^{-1} / 2` and so on, in differentiable
operations.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.exact import ExactDivergence, exact_divergence
from vaekit.gaussian.factorization import solve_lower, symmetric_part
from vaekit.gaussian.roots import Root, covariance_from, gradients_from, root_of
from vaekit.gaussian.stable import log_excess
from vaekit.gaussian.triangular import less_identity, refined_excess
from vaekit.gaussian.validation import is_concrete

__all__ = ["DenseDivergence", "Plan", "dense_divergence"]

#: Items with `|X|^2` below this (Frobenius) are close: `X` is then found from the difference.
NEAR_SQUARED = 0.25
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


@dataclass(frozen=True)
class Plan:
    """What the autograd function has to know beside tensors."""

    kind_p: str
    kind_q: str
    count_p: int
    precision: str
    factor_p: Tensor | None = field(default=None, compare=False)
    factor_q: Tensor | None = field(default=None, compare=False)

    def split(
        self, tensors: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The means and the covariance parameters of p and of q."""
        mean_p, mean_q, *rest = tensors
        return mean_p, mean_q, tuple(rest[: self.count_p]), tuple(rest[self.count_p :])


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
        zero = torch.zeros((), dtype=grad.dtype, device=grad.device)
        by_mean = torch.where(asked.squeeze(-1), grad.unsqueeze(-1) * by_mean, zero)
        found: list[Tensor | None] = [None, by_mean, -by_mean]
        for kind, theta, by, needed in (
            (plan.kind_p, theta_p, by_p, any_p),
            (plan.kind_q, theta_q, by_q, any_q),
        ):
            if by is None or not needed:
                found += [None] * len(theta)
                continue
            found += gradients_from(kind, theta, torch.where(asked, grad[..., None, None] * by, zero), k)
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


def matrix_of(kind: str, theta: tuple[Tensor, ...]) -> Tensor:
    """A covariance that is known to the bit, as a symmetric matrix."""
    return symmetric_part(theta[0]) if kind == "covariance" else torch.diag_embed(theta[0])


def cancellation(kind: str, theta: tuple[Tensor, ...], root: Root) -> Tensor | None:
    """What Cholesky has lost: the largest ratio of a variance to what the coordinates before leave of it."""
    if kind in ("covariance", "precision"):
        pivots = root.tensor().diagonal(dim1=-2, dim2=-1).square()
        return (theta[0].diagonal(dim1=-2, dim2=-1) / pivots).amax(-1)
    if kind == "factor":
        L = root.tensor()
        return (L.square().sum(-1) / L.diagonal(dim1=-2, dim2=-1).square()).amax(-1)
    return None


def taken(plan: Plan, tensors: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
    """The masked items of means and parameters, broadcast to the batch first: one batch dimension."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    means = tuple(items(t, 1, mask) for t in (mean_p, mean_q))
    return (
        *means,
        *taken_parameters(plan.kind_p, theta_p, mask),
        *taken_parameters(plan.kind_q, theta_q, mask),
    )


def taken_parameters(kind: str, theta: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
    """The masked items of the parameters of a covariance."""
    if kind == "factor":
        return items(theta[0], 2, mask), items(theta[1], 1, mask)
    dimensions = {"covariance": 2, "scale_tril": 2, "precision": 2, "scale": 0}.get(kind, 1)
    return tuple(items(t, dimensions, mask) for t in theta)


def items(tensor: Tensor, dimensions: int, mask: Tensor) -> Tensor:
    """The masked items of a tensor with so many trailing dimensions."""
    return tensor.expand(mask.shape + tensor.shape[tensor.dim() - dimensions :])[mask]


def exact_of(plan: Plan, *tensors: Tensor) -> ExactDivergence:
    """The same in double-double."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    k = mean_p.shape[-1]
    if plan.kind_q == "precision":
        variance_q = 1 / theta_q[0].diagonal(dim1=-2, dim2=-1)
    elif plan.kind_q == "scale":
        variance_q = theta_q[0].square().unsqueeze(-1).expand(*theta_q[0].shape, k)
    elif plan.kind_q in ("variance", "standard_deviation"):
        variance_q = theta_q[0] if plan.kind_q == "variance" else theta_q[0].square()
    else:
        variance_q = covariance_from(plan.kind_q, theta_q, k).diagonal(dim1=-2, dim2=-1)
    return exact_divergence((mean_p, mean_q), (plan.kind_p, theta_p), (plan.kind_q, theta_q), variance_q)


def closed_gradients(
    plan: Plan, tensors: tuple[Tensor, ...], computed: tuple[Tensor, ...], needs: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """By the mean of p and by the covariances that are needed, from the saved `X`, `z` and root of q."""
    X, z, ratio, kept, suspect = computed
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
