"""Small pairs of full covariances: many in the compiled loops of `kernel` (needs numba), one in Python's
numbers.

For one 4 x 4 matrix calling a library takes longer than the sums; for a thousand of them a call for each,
too. Both ways compute what `dense` does, and leave the items that are not regular (ill-conditioned, singular,
not a covariance, at the ends of the range of numbers) to it, so that all ways give the same answers, errors
included. In the loops value and gradients are computed in one pass.
"""

import importlib.util
import math
from functools import cache
from operator import mul
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.gaussian.dense import CLOSE_SQUARED, NEAR_SQUARED, Plan, limits_of, quantities
from vaekit.gaussian.dense_gradients import closed_gradients, differentiable_gradients
from vaekit.gaussian.exceptions import MissingAccelerationError
from vaekit.gaussian.parameters import is_concrete
from vaekit.gaussian.stable import LEAST_VARIANCE, MOST_VARIANCE, SERIES_COEFFICIENTS, SERIES_RADIUS

__all__ = [
    "LARGEST_COMPILED",
    "lanes_are_on",
    "many_divergence",
    "many_factors",
    "numba_is_installed",
    "single_divergence",
    "use_lanes",
    "use_many",
]

#: The largest dimension in which the loops are faster than LAPACK by enough.
LARGEST_COMPILED = 16
#: The fewest items for which they are.
SMALLEST_BATCH = 8
#: The largest dimension in which one pair is quicker in Python's numbers.
LARGEST_SINGLE = 8
#: The largest asymmetry that counts as rounding here; anything worse is judged the general way.
SYMMETRY = 1e-12
#: Trailing dimensions of the two means and the two covariances.
DIMS = (1, 1, 2, 2)

Rows = list[list[float]]

_enabled = True


def use_lanes(enabled: bool) -> None:
    """Switch the compiled loops on (the default, where numba is installed) or off, for the whole process.

    >>> use_lanes(False)
    >>> use_lanes(True)
    """
    global _enabled
    if enabled and not numba_is_installed():
        raise MissingAccelerationError("the compiled loops need numba: pip install 'vaekit[fast]'")
    _enabled = enabled


def lanes_are_on() -> bool:
    """Return whether the compiled loops may be used."""
    return _enabled and numba_is_installed()


@cache
def numba_is_installed() -> bool:
    """Return whether numba can be imported, without importing it."""
    return importlib.util.find_spec("numba") is not None


def use_many(precision: str, tensors: tuple[Tensor, ...]) -> bool:
    """Return whether means and covariances of p and q, in float64, can go through the compiled loops."""
    if not is_concrete(*tensors) or precision == "exact":
        return False
    count = max(t.numel() // t.shape[-1] ** d for t, d in zip(tensors, DIMS, strict=True))
    return count >= SMALLEST_BATCH and lanes_are_on() and all(t.is_cpu and t.numel() > 0 for t in tensors)


def many_factors(covariance: Tensor) -> Tensor | None:
    """Return Cholesky's factors of covariances.

    None where one has none, or is not symmetric, or this does not pay.
    """
    n, k = covariance.shape[:-2].numel(), covariance.shape[-1]
    if not (n >= SMALLEST_BATCH and k <= LARGEST_COMPILED and covariance.is_cpu and lanes_are_on()):
        return None
    from vaekit.gaussian.kernel import factors

    flat = covariance.detach().reshape(-1, k, k).contiguous()
    found = np.zeros(flat.shape)
    return torch.from_numpy(found).reshape(covariance.shape) if factors(flat.numpy(), found) else None


def many_divergence(plan: Plan, tensors: tuple[Tensor, ...]) -> tuple[Tensor, bool]:
    """Return the divergence in float64, and whether every item was regular and symmetric."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return ManyDivergence.apply(plan, *tensors)
    value, _, regular = compute(plan, tensors, False)
    return value, regular


class ManyDivergence(torch.autograd.Function):
    """`many_divergence` with its gradients, which are computed beside the value."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, *tensors: Tensor) -> tuple[Tensor, bool]:
        value, gradients, regular = compute(plan, tensors, True)
        ctx.plan, ctx.gradients = plan, gradients
        ctx.save_for_backward(*tensors)
        return value, regular

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad, tensors, needs = grad_outputs[0], ctx.saved_tensors, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            by_mean, by_p, by_q = differentiable_gradients(ctx.plan, tensors)
            gradients = (by_mean, -by_mean, by_p, by_q)
        else:
            gradients = ctx.gradients
        return None, *(
            g.sum_to_size(t.shape) if g is not None else None
            for g, t in zip(scaled(gradients, grad, needs), tensors, strict=True)
        )


def scaled(gradients: tuple[Tensor, ...], grad: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """Return the gradients times ``grad``, and 0 where that is 0.

    The NaN of an item must not spoil shared ones.
    """
    asked = grad != 0
    whole = bool(asked.all())
    found: list[Tensor | None] = []
    for g, d, need in zip(gradients, DIMS, needs, strict=True):
        shaped = grad[(...,) + (None,) * d]
        product = shaped * g if need else None
        if product is not None and not whole:
            product = torch.where(asked[(...,) + (None,) * d], product, torch.zeros_like(product))
        found.append(product)
    return tuple(found)


def compute(plan: Plan, tensors: tuple[Tensor, ...], want: bool) -> tuple[Tensor, tuple[Tensor, ...], bool]:
    """Return values (...), gradients by means and covariances if wanted, and whether no item was marked."""
    from vaekit.gaussian.kernel import divergences

    batches = [t.shape[: t.dim() - d] for t, d in zip(tensors, DIMS, strict=True)]
    same = batches[0] == batches[1] == batches[2] == batches[3]
    batch = batches[0] if same else torch.broadcast_shapes(*batches)
    flat = [flattened(t, d, batch) for t, d in zip(tensors, DIMS, strict=True)]
    n, k = flat[0].shape
    limits = (SYMMETRY, NEAR_SQUARED, *limits_of(plan.precision, plan.single), CLOSE_SQUARED)
    values, flags = np.empty(n), np.empty(n, np.bool_)
    places = [np.empty((n if want else 0, *(k,) * d)) for d in DIMS]
    marked = divergences(*(t.numpy() for t in flat), limits, want, values, flags, *places)
    value = torch.from_numpy(values)
    gradients = tuple(torch.from_numpy(g) for g in places) if want else ()
    if marked:
        marks = torch.from_numpy(flags)
        alone = Plan("covariance", "covariance", 1, plan.precision, plan.single)
        some = tuple(t[marks] for t in flat)
        general = quantities(alone, some)
        value[marks] = general[0]
        if want:
            by_mean, by_p, by_q = closed_gradients(alone, some, general[1:], (True, True))
            for whole, better in zip(gradients, (by_mean, -by_mean, by_p, by_q), strict=True):
                if better is not None:
                    whole[marks] = better
    if len(batch) != 1:
        value = value.reshape(batch)
        gradients = tuple(g.reshape(*batch, *g.shape[1:]) for g in gradients)
    return value, gradients, not marked


def flattened(t: Tensor, d: int, batch: torch.Size) -> Tensor:
    """Return the tensor with one batch dimension and contiguous, a view where that is possible."""
    t = t.detach()
    tail = t.shape[t.dim() - d :]
    if t.shape[: t.dim() - d] != batch:
        t = t.expand(batch + tail)
    return t.reshape(-1, *tail).contiguous()


def single_divergence(plan: Plan, tensors: tuple[Tensor, ...]) -> Tensor | None:
    """Return the divergence of one small pair.

    None where it is not one, not small, not regular or needs gradients.
    """
    mean_p, mean_q, S_p, S_q = tensors
    single = (
        mean_p.dim() == mean_q.dim() == 1 and S_p.dim() == S_q.dim() == 2 and len(mean_p) <= LARGEST_SINGLE
    )
    if not single or plan.precision == "exact" or not mean_p.is_cpu or not is_concrete(*tensors):
        return None
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return None
    value = divergence_of_rows(limits_of(plan.precision, plan.single), *(t.tolist() for t in tensors))
    return None if value is None else torch.tensor(value, dtype=torch.float64, device="cpu")


def divergence_of_rows(
    limits: tuple[float, float], mean_p: list[float], mean_q: list[float], S_p: Rows, S_q: Rows
) -> float | None:
    """Return the divergence, from matrices as lists of rows; None where the pair is not regular."""
    symmetric = symmetrised(S_p) and symmetrised(S_q)
    first, second = factored(S_p) if symmetric else None, factored(S_q) if symmetric else None
    if first is None or second is None:
        return None
    (L_p, _, loss_p), (L, inverse, loss_q) = first, second
    k = len(mean_p)
    # The columns of I + X = L^-1 L_p, each from its diagonal down.
    columns: Rows = [[] for _ in range(k)]
    z: list[float] = []
    for i in range(k):
        row, scale = L[i], inverse[i]
        z.append((mean_p[i] - mean_q[i] - sum(map(mul, row, z))) * scale)
        for j in range(i + 1):
            columns[j].append((L_p[i][j] - sum(map(mul, row[j:], columns[j]))) * scale)
    ratio = [column[0] for column in columns]
    X = [[*(columns[j][i - j] for j in range(i)), ratio[i] - 1] for i in range(k)]
    size = sum(x * x for row in X for x in row)
    if size < NEAR_SQUARED:
        nearby_excess(S_p, S_q, L, inverse, X, ratio)
    value = 0.5 * (sum(x * x for row in X for x in row) + sum(map(mul, z, z)))
    for i in range(k):
        value += log_excess_of(X[i][i], ratio[i])
    far, close = limits
    tolerated = close if size < CLOSE_SQUARED else far
    return value if loss_p <= tolerated and loss_q <= tolerated and math.isfinite(value) else None


def symmetrised(S: Rows) -> bool:
    """Replace the matrix by its symmetric part, and return whether it is symmetric up to rounding and in range."""
    for i, row in enumerate(S):
        if not LEAST_VARIANCE < row[i] < MOST_VARIANCE:
            return False
        for j in range(i):
            a, b = row[j], S[j][i]
            if a != b:
                if not abs(a - b) <= SYMMETRY * min(row[i], S[j][j]):
                    return False
                row[j] = S[j][i] = 0.5 * a + 0.5 * b
    return True


def factored(S: Rows) -> tuple[Rows, list[float], float] | None:
    """Return Cholesky's factor, the reciprocals of its diagonal, and the largest ratio of a variance to its pivot."""
    L: Rows = []
    inverse: list[float] = []
    loss = 1.0
    for i, given in enumerate(S):
        row: list[float] = []
        for j in range(i):
            row.append((given[j] - sum(map(mul, row, L[j]))) * inverse[j])
        pivot = given[i] - sum(map(mul, row, row))
        if not 0.0 < pivot < math.inf:
            return None
        root = math.sqrt(pivot)
        row.append(root)
        L.append(row)
        inverse.append(1.0 / root)
        loss = max(loss, given[i] / pivot)
    return L, inverse, loss


def nearby_excess(S_p: Rows, S_q: Rows, L: Rows, inverse: list[float], X: Rows, ratio: list[float]) -> None:
    """Replace `X` and the diagonal of `I + X` by those from the difference of the covariances."""
    k = len(S_p)
    # Columns of L^-1 (S_p - S_q), then of D, then the LDL factorisation of I + D that never adds the 1.
    half: Rows = [[] for _ in range(k)]
    D: Rows = [[] for _ in range(k)]
    for i in range(k):
        for j in range(k):
            half[j].append((S_p[i][j] - S_q[i][j] - sum(map(mul, L[i], half[j]))) * inverse[i])
    for i in range(k):
        for j in range(k):
            D[j].append((half[i][j] - sum(map(mul, L[i], D[j]))) * inverse[i])
    C: Rows = [[] for _ in range(k)]
    G: Rows = [[] for _ in range(k)]
    for j in range(k):
        e = D[j][j] - sum(map(mul, C[j], G[j]))
        if not e > -1.0:
            ratio[j] = math.nan
            return
        root = math.sqrt(1.0 + e)
        ratio[j], X[j][j] = root, e / (1.0 + root)
        for i in range(j + 1, k):
            c = D[j][i] - sum(map(mul, C[i], G[j]))
            C[i].append(c)
            G[i].append(c / (1.0 + e))
            X[i][j] = c / root


def log_excess_of(t: float, ratio: float) -> float:
    """Return `t - log(1 + t)` of one number, as in `stable`."""
    r = t / (2.0 + t)
    if not abs(r) < SERIES_RADIUS:
        return t - math.log(ratio) if ratio > 0.0 else math.nan
    s = r * r
    total = 0.0
    for c in reversed(SERIES_COEFFICIENTS):
        total = total * s + c
    return r * (t - 2.0 * s * total)
