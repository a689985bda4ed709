r"""The divergence where at least one covariance is full.

Everything goes through the lower triangular `X` with `I + X = L_q^{-1} L_p` and `z = L_q^{-1} (m_p - m_q)`:
$$ 2\,\mathrm{KL} = \sum_i \left( X_{ii}^2 + 2 (X_{ii} - \log(1 + X_{ii})) \right) + \sum_{i>j} X_{ij}^2 + |z|^2. $$

When p and q are close, `L_q^{-1} L_p - I` keeps no digit of `X`. Then `X` comes from the difference `D =
L_q^{-1} (S_p - S_q) L_q^{-T}`, whose entries are accurate relative to `|D|`, as the solution of `X + X^T + X
X^T = D`: the Cholesky factor of `I + D` less the identity is a first guess with the error of the 1 that was
added, and one Newton step from the residual, which never adds the 1, removes it.

Items that float64 would get wrong, because a factorisation cancels too much, are computed again in
double-double.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vaekit.gaussian.exact import ExactDivergence, exact_divergence
from vaekit.gaussian.parameters import EVENT_DIMENSIONS, is_concrete
from vaekit.gaussian.stable import Root, covariance_from, log_excess, root_of, solve_lower, symmetric_part

__all__ = [
    "CLOSE_SQUARED",
    "KNOWN",
    "LARGEST_ESCALATED",
    "NEAR_SQUARED",
    "TOLERATED_LOSS",
    "TRIANGULAR",
    "Plan",
    "cancellation",
    "exact_of",
    "limits_of",
    "quantities",
    "taken",
]

#: Items with `|X|^2` below this (Frobenius) are close: `X` is then found from the difference.
NEAR_SQUARED = 0.25
#: Items with `|X|^2` below this are very close. All their digits can be had, so they are held to a stricter
#: limit.
CLOSE_SQUARED = 0.01
#: "auto" computes an item in double-double if a factorisation loses more than the first factor, or more than
#: the second where the pair is very close: for results in float64, and for results in float32.
TOLERATED_LOSS = {False: (1e3, 32.0), True: (1e7, 1e5)}
#: The largest dimension in which "auto" uses double-double.
LARGEST_ESCALATED = 64
#: Parameterisations whose covariances are known to the bit, so that their difference is.
KNOWN = ("covariance", "variance")
TRIANGULAR = ("scale_tril", "standard_deviation", "scale")


@dataclass(frozen=True)
class Plan:
    """The part of a problem that is not in tensors: the parameterisations, the precision, and known factors.

    Parameters
    ----------
    kind_p, kind_q
        The parameterisations.
    count_p
        How many tensors hold the covariance of p.
    precision
        "auto", "fast" or "exact".
    single
        Whether the result is wanted to the digits of float32 only.
    factor_p, factor_q
        The matrix factors, where they are known already.
    """

    kind_p: str
    kind_q: str
    count_p: int
    precision: str
    single: bool = False
    factor_p: Tensor | None = field(default=None, compare=False)
    factor_q: Tensor | None = field(default=None, compare=False)

    def split(
        self, tensors: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the means and the covariance parameters of p and of q."""
        mean_p, mean_q, *rest = tensors
        return mean_p, mean_q, tuple(rest[: self.count_p]), tuple(rest[self.count_p :])


def limits_of(precision: str, single: bool) -> tuple[float, float]:
    """Return the tolerated loss of far and of very close pairs; "fast" tolerates any."""
    return (torch.inf, torch.inf) if precision == "fast" else TOLERATED_LOSS[single]


def quantities(plan: Plan, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the value, `X`, `z`, the diagonal of `I + X`, the root of q, and which items are in double-double."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    k = mean_p.shape[-1]
    root_p = root_of(plan.kind_p, theta_p, k, plan.factor_p)
    root_q = root_of(plan.kind_q, theta_q, k, plan.factor_q)
    lower_p, difference = root_p.lower(), (mean_p - mean_q).unsqueeze(-1)
    M, z = whitened_pair(root_q, lower_p, difference)
    ratio = M.diagonal(dim1=-2, dim2=-1).clone()
    triangular = plan.kind_p in TRIANGULAR and plan.kind_q in TRIANGULAR
    excess = root_q.whiten(lower_p - root_q.lower()) if triangular else less_identity(M)
    size = excess.square().sum((-2, -1))
    near = torch.zeros_like(size, dtype=torch.bool) if triangular else size < NEAR_SQUARED
    concrete = is_concrete(*tensors)
    suspect = None
    if not triangular and not concrete:
        refined = nearby_excess(plan, theta_p, theta_q, root_p, root_q)
        if refined is not None:
            pick = (near & refined[1])[..., None, None]
            excess = torch.where(pick, refined[0], excess)
            ratio = torch.where(pick.squeeze(-1), 1 + excess.diagonal(dim1=-2, dim2=-1), ratio)
            size = excess.square().sum((-2, -1))
    elif concrete and plan.precision != "exact" and near.any():
        some = (taken_parameters(plan.kind_p, theta_p, near), taken_parameters(plan.kind_q, theta_q, near))
        refined = nearby_excess(plan, *some, root_p.items(near), root_q.items(near))
        if refined is None:
            suspect = near
        else:
            found, there = refined
            excess[near] = torch.where(there[..., None, None], found, excess[near])
            ratio[near] = torch.where(there[..., None], 1 + found.diagonal(dim1=-2, dim2=-1), ratio[near])
            size[near] = excess[near].square().sum((-2, -1))
            suspect = near.clone()
            suspect[near] = ~there
    value = log_excess(excess.diagonal(dim1=-2, dim2=-1), ratio).sum(-1) + 0.5 * (size + z.square().sum(-1))
    # An input must not be returned as it is.
    kept = root_q.tensor() if root_q.deviation is None else root_q.tensor().clone()
    if not concrete:
        return value, excess, z, ratio, kept, torch.zeros_like(value, dtype=torch.bool)
    if plan.precision == "fast":
        suspect = None
    elif plan.precision == "exact":
        suspect = torch.ones_like(value, dtype=torch.bool)
    elif k <= LARGEST_ESCALATED:
        far, close = limits_of(plan.precision, plan.single)
        tolerated = torch.where(size < CLOSE_SQUARED, close, far)
        for kind, theta, root in ((plan.kind_p, theta_p, root_p), (plan.kind_q, theta_q, root_q)):
            loss = cancellation(kind, theta, root)
            if loss is not None:
                suspect = loss > tolerated if suspect is None else suspect | (loss > tolerated)
    if suspect is None:
        return value, excess, z, ratio, kept, torch.zeros_like(value, dtype=torch.bool)
    suspect = suspect.expand(value.shape)
    if suspect.any():
        exact = exact_of(plan, *taken(plan, tensors, suspect))
        value[suspect] = torch.where(exact.value.isnan(), value[suspect], exact.value)
    return value, excess, z, ratio, kept, suspect


def whitened_pair(root: Root, lower: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """Return `L_q^{-1}` times a lower triangle and times a column, in one call where their batches agree."""
    if lower.shape[:-1] != difference.shape[:-1]:
        return root.whiten(lower), root.whiten(difference).squeeze(-1)
    both = root.whiten(torch.cat([lower, difference], -1))
    return both[..., :-1], both[..., -1]


def nearby_excess(
    plan: Plan, theta_p: tuple[Tensor, ...], theta_q: tuple[Tensor, ...], root_p: Root, root_q: Root
) -> tuple[Tensor, Tensor] | None:
    """Return `X` of close items from the difference of the parameters.

    None where that is not known to the bit.
    """
    if plan.kind_p in KNOWN and plan.kind_q in KNOWN:
        first, second = (
            symmetric_part(theta[0]) if kind == "covariance" else torch.diag_embed(theta[0])
            for kind, theta in ((plan.kind_p, theta_p), (plan.kind_q, theta_q))
        )
        D = root_q.whiten(root_q.whiten(first - second).mT)
        return refined_excess(0.5 * (D + D.mT))
    if plan.kind_p == plan.kind_q == "precision":
        # U_p^-1 U_q = (I + X)^T: the same equation holds for the precisions, read backwards and with p and q
        # exchanged.
        difference = symmetric_part(theta_q[0] - theta_p[0]).flip((-2, -1))
        F = root_p.tensor().flip((-2, -1))
        E = solve_lower(F, solve_lower(F, difference).mT)
        X, there = refined_excess(0.5 * (E + E.mT))
        return X.flip((-2, -1)).mT, there
    return None


def refined_excess(D: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower triangular `X` with `(I + X)(I + X)^T = I + D`, accurate relative to `D`, and where it
    exists.

    For `D` of order 1 at most. `D = 0` gives `X = 0` exactly.
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


def less_identity(M: Tensor) -> Tensor:
    """Return `M - I`, in the memory of `M`."""
    M.diagonal(dim1=-2, dim2=-1).sub_(1)
    return M


def cancellation(kind: str, theta: tuple[Tensor, ...], root: Root) -> Tensor | None:
    """Return by what factor rounding errors grow in the root of a covariance, or in a solve with it.

    For Cholesky it is the largest ratio of a variance to what the coordinates before leave of it. A factor
    that was given is not rounded: a solve with it loses the square root of that ratio.
    """
    if kind in ("covariance", "precision"):
        pivots = root.tensor().diagonal(dim1=-2, dim2=-1).square()
        return (theta[0].diagonal(dim1=-2, dim2=-1) / pivots).amax(-1)
    if kind in ("factor", "scale_tril"):
        L = root.tensor()
        ratio = (L.square().sum(-1) / L.diagonal(dim1=-2, dim2=-1).square()).amax(-1)
        return ratio if kind == "factor" else ratio.sqrt()
    return None


def taken(plan: Plan, tensors: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
    """Return the masked items of means and parameters, broadcast to the batch first: one batch dimension."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    return (
        items(mean_p, 1, mask),
        items(mean_q, 1, mask),
        *taken_parameters(plan.kind_p, theta_p, mask),
        *taken_parameters(plan.kind_q, theta_q, mask),
    )


def taken_parameters(kind: str, theta: tuple[Tensor, ...], mask: Tensor) -> tuple[Tensor, ...]:
    """Return the masked items of the parameters of a covariance."""
    names = ("factor", "diagonal") if kind == "factor" else (kind,)
    return tuple(items(t, EVENT_DIMENSIONS[name], mask) for name, t in zip(names, theta, strict=True))


def items(tensor: Tensor, dimensions: int, mask: Tensor) -> Tensor:
    """Return the masked items of a tensor with so many trailing dimensions."""
    return tensor.expand(mask.shape + tensor.shape[tensor.dim() - dimensions :])[mask]


def exact_of(plan: Plan, *tensors: Tensor) -> ExactDivergence:
    """Return the divergence of the same pair in double-double."""
    mean_p, mean_q, theta_p, theta_q = plan.split(tensors)
    k = mean_p.shape[-1]
    if plan.kind_q == "precision":
        variance_q = 1 / theta_q[0].diagonal(dim1=-2, dim2=-1)
    elif plan.kind_q in ("covariance", "factor", "scale_tril"):
        variance_q = covariance_from(plan.kind_q, theta_q, k).diagonal(dim1=-2, dim2=-1)
    else:
        deviation = root_of(plan.kind_q, theta_q, k).tensor()
        variance_q = deviation.square()
    return exact_divergence((mean_p, mean_q), (plan.kind_p, theta_p), (plan.kind_q, theta_q), variance_q)
