r"""One small pair, in the numbers of Python: for a 4 x 4 matrix calling a library costs more than the sums.

The same quantities as in `dense` and `lanes_kernel`, with lower triangular matrices as lists of rows, or, named
with a `T`, as lists of columns from the diagonal down. `KL` and its gradients come from `X`, `z`, and with
`W = L_q^{-1}`, `V = (I + X)^{-1} X W` and the lower triangular `N` with `N + N^T = D + z z^T`:
$$ \frac{\partial}{\partial S_p} = \tfrac12 \left( W^\top V + V^\top (W - V) \right), \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 \left( W^\top (N W) + (N W)^\top W \right). $$

Whatever is not a regular pair (asymmetric, not positive definite, ill-conditioned, not finite) is left to the
general way.
"""

import math
from operator import mul
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaekit.gaussian.batched import LIMITS, scaled
from vaekit.gaussian.dense_gradients import differentiable_gradients
from vaekit.gaussian.dense_plan import Plan
from vaekit.gaussian.stable import SERIES_COEFFICIENTS, SERIES_RADIUS

__all__ = ["SmallDivergence", "small_divergence"]

#: The largest dimension in which this is the quick way.
LARGEST_SMALL = 8

Rows = list[list[float]]


class Parts(NamedTuple):
    """What the gradients need again."""

    X: Rows
    z: list[float]
    ratio: list[float]
    WT: Rows


def small_divergence(precision: str, tensors: tuple[Tensor, ...]) -> Tensor | None:
    """The divergence of one small pair from means and covariances, a tensor of their dtype.

    None where it is not one, not small or not regular.
    """
    mean_p, mean_q, S_p, S_q = tensors
    single = mean_p.dim() == mean_q.dim() == 1 and S_p.dim() == S_q.dim() == 2
    if not single or len(mean_p) > LARGEST_SMALL or precision == "exact" or not mean_p.is_cpu:
        return None
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        value, regular = SmallDivergence.apply(precision, *tensors)
        return value if regular else None
    found = solved(precision, *(t.tolist() for t in tensors))
    return None if found is None else torch.tensor(found[0], dtype=mean_p.dtype)


class SmallDivergence(torch.autograd.Function):
    """The value, and whether the pair is regular (the value is NaN otherwise)."""

    @staticmethod
    def forward(ctx: Any, precision: str, *tensors: Tensor) -> tuple[Tensor, bool]:
        value, ctx.parts = solved(precision, *(t.tolist() for t in tensors)) or (math.nan, None)
        ctx.dtype = tensors[0].dtype
        ctx.save_for_backward(*tensors)
        return torch.tensor(value, dtype=ctx.dtype), ctx.parts is not None

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad_outputs[0]
        if torch.is_grad_enabled():
            plan = Plan("covariance", "covariance", 1, "auto")
            tensors = tuple(t.double() for t in ctx.saved_tensors)
            by_mean, by_p, by_q = differentiable_gradients(plan, tensors)
            found = scaled((by_mean, -by_mean, by_p, by_q), grad.double(), ctx.needs_input_grad[1:])
            return None, *(None if g is None else g.to(ctx.dtype) for g in found)
        by_mean, by_p, by_q = (np.array(g) for g in gradients(ctx.parts, grad.item()))
        found = (torch.from_numpy(g) for g in (by_mean, -by_mean, by_p, by_q))
        return None, *(found if ctx.dtype == torch.float64 else (g.to(ctx.dtype) for g in found))


def solved(
    precision: str, mean_p: list[float], mean_q: list[float], S_p: Rows, S_q: Rows
) -> tuple[float, Parts] | None:
    """The divergence and its parts; None where the pair is not regular."""
    symmetry, near_squared, loss_far, loss_close, close_squared = LIMITS[precision]
    symmetric = symmetrised(S_p, symmetry) and symmetrised(S_q, symmetry)
    first, second = factored(S_p) if symmetric else None, factored(S_q) if symmetric else None
    if first is None or second is None:
        return None
    (L_p, _, loss_p), (L, inverse, loss_q) = first, second
    k = len(mean_p)
    WT: Rows = [[] for _ in range(k)]
    TT: Rows = [[] for _ in range(k)]
    z: list[float] = []
    for i in range(k):
        row, scale = L[i], inverse[i]
        z.append((mean_p[i] - mean_q[i] - sum(map(mul, row, z))) * scale)
        for j in range(i):
            from_j = row[j:]
            WT[j].append(-sum(map(mul, from_j, WT[j])) * scale)
            TT[j].append((L_p[i][j] - sum(map(mul, from_j, TT[j]))) * scale)
        WT[i].append(scale)
        TT[i].append(L_p[i][i] * scale)
    ratio = [column[0] for column in TT]
    X = [[*(TT[j][i - j] for j in range(i)), ratio[i] - 1] for i in range(k)]
    size = sum(x * x for row in X for x in row)
    if size < near_squared:
        nearby_excess(S_p, S_q, L, inverse, X, ratio)
    value = 0.5 * (sum(x * x for row in X for x in row) + sum(map(mul, z, z)))
    for i in range(k):
        value += log_excess(X[i][i], ratio[i])
    tolerated = loss_close if size < close_squared else loss_far
    if not (loss_p <= tolerated and loss_q <= tolerated and math.isfinite(value)):
        return None
    return value, Parts(X, z, ratio, WT)


def symmetrised(S: Rows, tolerance: float) -> bool:
    """Replace the matrix by its symmetric part; False where it is not symmetric within the tolerance."""
    for i, row in enumerate(S):
        for j in range(i):
            a, b = row[j], S[j][i]
            if a != b:
                if not abs(a - b) <= tolerance * min(row[i], S[j][j]):
                    return False
                row[j] = S[j][i] = 0.5 * a + 0.5 * b
    return True


def factored(S: Rows) -> tuple[Rows, list[float], float] | None:
    """Cholesky's factor, the reciprocals of its diagonal, and the largest ratio of a variance to its pivot."""
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


def log_excess(t: float, ratio: float) -> float:
    """`t - log(1 + t)`, as in `stable`."""
    r = t / (2.0 + t)
    if not abs(r) < SERIES_RADIUS:
        return t - math.log(ratio) if ratio > 0.0 else math.nan
    s = r * r
    total = 0.0
    # Where r is small, few terms reach the last digit.
    for c in LONG if s > SHORT_SQUARED else SHORT:
        total = total * s + c
    return r * (t - 2.0 * s * total)


LONG = SERIES_COEFFICIENTS[::-1]
SHORT, SHORT_SQUARED = SERIES_COEFFICIENTS[3::-1], 1e-4


def gradients(parts: Parts, grad: float) -> tuple[list[float], Rows, Rows]:
    """Times ``grad``: by the mean of p, by the covariance of p and by that of q."""
    X, z, ratio, WT = parts
    k = len(z)
    VT: Rows = [[] for _ in range(k)]
    PT: Rows = [[] for _ in range(k)]
    BT: Rows = [[] for _ in range(k)]
    for i, row in enumerate(X):
        N = [row[j] + sum(map(mul, row, X[j])) + z[i] * z[j] for j in range(i + 1)]
        N[i] = 0.5 * (N[i] + row[i])
        for j in range(i + 1):
            w = WT[j][i - j]
            v = (sum(map(mul, row[j:], PT[j])) + row[i] * w) / ratio[i]
            VT[j].append(v)
            PT[j].append(w - v)
            BT[j].append(sum(map(mul, N[j:], WT[j])))
    mean = [grad * sum(map(mul, WT[j], z[j:])) for j in range(k)]
    half = 0.5 * grad
    by_p, by_q = [[0.0] * k for _ in range(k)], [[0.0] * k for _ in range(k)]
    for i in range(k):
        w, v, b = WT[i], VT[i], BT[i]
        for j in range(i + 1):
            a = i - j
            w_j = WT[j][a:]
            p = half * (sum(map(mul, w, VT[j][a:])) + sum(map(mul, v, PT[j][a:])))
            q = -half * (sum(map(mul, w, BT[j][a:])) + sum(map(mul, b, w_j)))
            by_p[i][j] = by_p[j][i] = p
            by_q[i][j] = by_q[j][i] = q
    return mean, by_p, by_q
