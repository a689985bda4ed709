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
from vaekit.gaussian.roots import Root, covariance_from, gradients_from, root_of
from vaekit.gaussian.triangular import divergence_of, excess_of_product, refined_excess, relative_gradient
from vaekit.gaussian.validation import is_concrete

__all__ = ["DenseDivergence", "Plan", "dense_divergence"]

#: Items whose `L_q^-1 L_p - I` is smaller than this in every entry are close: `X` is then found from the
#: difference.
NEAR = 0.5
#: Where Cholesky loses more than this factor "auto" computes an item in double-double, up to the dimension
#: below;
#: close pairs are held to a stricter one, since all their digits can be had.
TOLERATED_LOSS = 1e7
TOLERATED_LOSS_NEAR = 32.0
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
    return DenseDivergence.apply(plan, *tensors)[0]


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
        if torch.is_grad_enabled():
            by_mean, by_p, by_q = differentiable_gradients(plan, tensors)
        else:
            by_mean, by_p, by_q = closed_gradients(plan, tensors, computed)
        _, _, theta_p, theta_q = plan.split(tensors)
        k = by_mean.shape[-1]
        needs = ctx.needs_input_grad
        # An item nobody asks about must not spoil with its NaN what others share with it.
        asked = (grad != 0)[..., None, None]
        zero = torch.zeros((), dtype=grad.dtype, device=grad.device)
        by_mean = torch.where(asked.squeeze(-1), grad.unsqueeze(-1) * by_mean, zero)
        by_p, by_q = (torch.where(asked, grad[..., None, None] * by, zero) for by in (by_p, by_q))
        found: list[Tensor | None] = [None, by_mean, -by_mean]
        any_p = any(needs[3 : 3 + plan.count_p])
        any_q = any(needs[3 + plan.count_p :])
        found += gradients_from(plan.kind_p, theta_p, by_p, k) if any_p else [None] * len(theta_p)
        found += gradients_from(plan.kind_q, theta_q, by_q, k) if any_q else [None] * len(theta_q)
        return (
            None,
            *(
                g.sum_to_size(t.shape) if need and g is not None else None
                for g, t, need in zip(found[1:], tensors, needs[1:], strict=True)
            ),
        )


def quantities(plan: Plan, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Value, `X`, `z`, the diagonal of `I + X`, the root of q, and which items were computed in double-double."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    k = mean_p.shape[-1]
    root_p = root_of(plan.kind_p, theta_p, k, plan.factor_p)
    root_q = root_of(plan.kind_q, theta_q, k, plan.factor_q)
    z = root_q.whiten((mean_p - mean_q).unsqueeze(-1)).squeeze(-1)
    lower_p = root_p.lower()
    M = root_q.whiten(lower_p)
    ratio = M.diagonal(dim1=-2, dim2=-1)
    concrete = is_concrete(*tensors)
    if plan.kind_p in TRIANGULAR and plan.kind_q in TRIANGULAR:
        X = root_q.whiten(lower_p - root_q.lower())
        suspect = close = torch.zeros(X.shape[:-2], dtype=torch.bool, device=X.device)
    else:
        X = excess_of_product(M)
        near = close = X.abs().amax((-2, -1)) < NEAR
        suspect = near
        if not concrete or bool(near.any()):
            refined = nearby_excess(plan, theta_p, theta_q, root_p, root_q)
            if refined is not None:
                found, there = refined
                suspect = near & ~there
                near = near & there
                X = torch.where(near[..., None, None], found, X)
                ratio = torch.where(near[..., None], 1 + X.diagonal(dim1=-2, dim2=-1), ratio)
    value = divergence_of(X, z, ratio=ratio)
    batch = value.shape
    suspect = suspect.expand(batch)
    if plan.precision == "exact":
        suspect = torch.ones_like(suspect)
    elif plan.precision == "fast" or not concrete:
        suspect = torch.zeros_like(suspect)
    elif k <= LARGEST_ESCALATED:
        tolerated = torch.where(close, TOLERATED_LOSS_NEAR, TOLERATED_LOSS)
        suspect = suspect | (cancellation(root_p, root_q) > tolerated).expand(batch)
    if concrete and bool(suspect.any()):
        exact = exact_of(plan, *taken(plan, tensors, suspect))
        value = value.clone()
        value[suspect] = torch.where(exact.value.isnan(), value[suspect], exact.value)
    # An input must not be returned as it is.
    kept = root_q.tensor() if root_q.deviation is None else root_q.tensor().clone()
    return value, X, z, ratio.clone(), kept, suspect


def nearby_excess(
    plan: Plan, theta_p: tuple[Tensor, ...], theta_q: tuple[Tensor, ...], root_p: Root, root_q: Root
) -> tuple[Tensor, Tensor] | None:
    """`X` of close items from the difference of the parameters; None where that is not known to the bit."""
    k = root_q.tensor().shape[-1]
    if plan.kind_p in KNOWN and plan.kind_q in KNOWN:
        difference = covariance_from(plan.kind_p, theta_p, k) - covariance_from(plan.kind_q, theta_q, k)
        D = root_q.whiten(root_q.whiten(difference).mT)
        return refined_excess(0.5 * (D + D.mT))
    if plan.kind_p == plan.kind_q == "precision":
        # U_p^-1 U_q = (I + X)^T, so the same equation holds for the precisions with p and q exchanged, read
        # backwards.
        difference = covariance_from("covariance", theta_q, k) - covariance_from("covariance", theta_p, k)
        F = root_p.tensor().flip((-2, -1))
        reverse = Root(lower_factor=F)
        D = reverse.whiten(reverse.whiten(difference.flip((-2, -1))).mT)
        X, there = refined_excess(0.5 * (D + D.mT))
        return X.flip((-2, -1)).mT, there
    return None


def cancellation(*roots: Root) -> Tensor:
    """The largest ratio of a variance to what the coordinates before leave of it: what Cholesky has lost."""
    worst = torch.zeros((), dtype=torch.float64)
    for root in roots:
        if root.deviation is not None:
            continue
        L = root.tensor() if root.lower_factor is not None else root.tensor().flip((-2, -1))
        lost = (L.square().sum(-1) / L.diagonal(dim1=-2, dim2=-1).square()).amax(-1)
        worst = torch.maximum(worst.to(L.device), lost)
    return worst


def taken(plan: Plan, tensors: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
    """The masked items of every tensor, broadcast to the batch first: one batch dimension."""
    matrices = {"covariance": 2, "scale_tril": 2, "precision": 2, "scale": 0}
    dims = [1, 1]
    for kind, count in ((plan.kind_p, plan.count_p), (plan.kind_q, len(tensors) - 2 - plan.count_p)):
        dims += [2, 1] if kind == "factor" else [matrices.get(kind, 1)] * count
    return tuple(
        t.expand(mask.shape + t.shape[t.dim() - d :])[mask] for t, d in zip(tensors, dims, strict=True)
    )


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
    plan: Plan, tensors: tuple[Tensor, ...], computed: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """By the mean of p and by both covariances, from the saved `X`, `z` and root of q."""
    X, z, ratio, kept, suspect = computed
    root_q = root_of(plan.kind_q, plan.split(tensors)[3], z.shape[-1], kept).replaced(kept)
    by_mean = root_q.unwhiten(z.unsqueeze(-1)).squeeze(-1)
    column = z.unsqueeze(-1)
    by_p = 0.5 * root_q.unwhiten(root_q.unwhiten(relative_gradient(X, ratio)).mT)
    by_q = -0.5 * root_q.unwhiten(root_q.unwhiten(X + X.mT + X @ X.mT + column * column.mT).mT)
    if is_concrete(*tensors) and bool(suspect.any()):
        exact = exact_of(plan, *taken(plan, tensors, suspect)).gradients()
        results = []
        for found, better in zip((by_mean, by_p, by_q), exact, strict=True):
            whole = found.expand(suspect.shape + better.shape[1:]).clone()
            whole[suspect] = better
            results.append(whole)
        by_mean, by_p, by_q = results
    return by_mean, by_p, by_q


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
