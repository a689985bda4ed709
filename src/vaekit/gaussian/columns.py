r"""Many small pairs in pure torch: every entry of a matrix is a column over the batch.

With the batch last, `(row, column, item)`, one elementwise operation does a step of an elimination for all
items, where a batched call would solve them one by one. The quantities are those of `dense`: `X`, `z`,
`W = L_q^{-1}`, `V = (I + X)^{-1} X W`, and `D + z z^T = X + X^T + X X^T + z z^T`, with gradients
$$ \frac{\partial}{\partial S_p} = \tfrac12 \left( W^\top V + V^\top (W - V) \right), \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 W^\top (D + z z^\top) W. $$
The batch is done in chunks whose work arrays stay in the cache.
"""

import math

import torch
from torch import Tensor

from vaekit.gaussian.stable import log_excess

__all__ = ["LARGEST_COLUMNS", "columns_divergence"]

#: The largest dimension in which this beats batched calls of LAPACK, and the numbers of a matrix per chunk.
LARGEST_COLUMNS = 8
CHUNK = 2**16

Chunk = tuple[Tensor, Tensor, tuple[Tensor, ...]]


def columns_divergence(
    tensors: list[Tensor], limits: tuple[float, ...], want: bool
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Values (n), which items are not regular, and if wanted gradients by means and covariances.

    From means (n, k) and covariances (n, k, k) of p and q; ``limits`` as those of the kernel of the lanes.
    """
    n, k = tensors[0].shape
    size = max(1, CHUNK // (k * k))
    pieces = [t.split(size) for t in tensors] if n > size else [[t] for t in tensors]
    chunks = [chunk(piece, limits, want) for piece in zip(*pieces, strict=True)]
    if len(chunks) == 1:
        return chunks[0]
    values, marks, gradients = zip(*chunks, strict=True)
    return torch.cat(values), torch.cat(marks), tuple(torch.cat(g) for g in zip(*gradients, strict=True))


def chunk(tensors: tuple[Tensor, ...], limits: tuple[float, ...], want: bool) -> Chunk:
    """The same for items that are done together."""
    symmetry, near_squared, loss_far, loss_close, close_squared = limits
    mean_p, mean_q, S_p, S_q = tensors
    k = mean_p.shape[-1]
    S = torch.stack([S_p, S_q]).permute(0, 2, 3, 1).contiguous()
    mirrored = S.transpose(1, 2)
    marked = None
    if not torch.equal(S, mirrored):
        variance = S.diagonal(dim1=1, dim2=2).amin(-1).amin(0)
        marked = ~((S - mirrored).abs().amax((0, 1, 2)) <= symmetry * variance)
        S = 0.5 * S + 0.5 * mirrored
    L, inverse, loss = factored(S)
    columns = [L[0], (mean_p - mean_q).mT.unsqueeze(1)]
    if want:
        columns.append(torch.eye(k, dtype=S.dtype).unsqueeze(-1).expand_as(L[0]))
    right = torch.cat(columns, 1)
    eliminated(L[1], inverse[1], right)
    X, z = right[:, :k], right[:, k]
    diagonal = torch.diagonal(X, 0, 0, 1).mT
    ratio = diagonal.clone()
    diagonal.sub_(1)
    squares = X.square().sum((0, 1))
    near = squares < near_squared
    if bool(near.any()):
        nearby, root = excess_of_nearby(S[0] - S[1], L[1], inverse[1])
        X.copy_(torch.where(near, nearby, X))
        ratio = torch.where(near, root, ratio)
        squares = torch.where(near, X.square().sum((0, 1)), squares)
    value = log_excess(diagonal, ratio).sum(0) + 0.5 * (squares + z.square().sum(0))
    irregular = ~value.isfinite()
    if loss_far < math.inf:
        irregular |= loss > torch.where(squares < close_squared, loss_close, loss_far)
    marked = irregular if marked is None else marked | irregular
    return value, marked, gradients(X, z, ratio, right[:, k + 1 :]) if want else ()


def factored(S: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cholesky's factors, the reciprocals of their diagonals, the largest ratio of a variance to its pivot."""
    k = S.shape[1]
    rest, L = S.clone(), torch.zeros_like(S)
    inverse = S.new_empty(S.shape[0], k, S.shape[-1])
    for j in range(k):
        scale = inverse[:, j]
        torch.rsqrt(rest[:, j, j], out=scale)
        column = L[:, j:, j]
        torch.mul(rest[:, j:, j], scale.unsqueeze(1), out=column)
        if j + 1 < k:
            below = column[:, 1:]
            rest[:, j + 1 :, j + 1 :].addcmul_(below.unsqueeze(2), below.unsqueeze(1), value=-1)
    loss = (S.diagonal(dim1=1, dim2=2).mT * inverse.square()).amax((0, 1))
    return L, inverse, loss


def eliminated(L: Tensor, inverse: Tensor, right: Tensor) -> None:
    """Solve `L Y = R` in place."""
    k = L.shape[0]
    for i in range(k):
        row = right[i]
        row.mul_(inverse[i])
        if i + 1 < k:
            right[i + 1 :].addcmul_(L[i + 1 :, i, None], row, value=-1)


def excess_of_nearby(difference: Tensor, L: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """`X` and the diagonal of `I + X` from the difference of the covariances: LDL of `I + D` without the 1."""
    k = L.shape[0]
    eliminated(L, inverse, difference)
    D = difference.transpose(0, 1).contiguous()
    eliminated(L, inverse, D)
    X, ratio = torch.zeros_like(D), torch.empty_like(D[0])
    for j in range(k):
        e = D[j, j]
        pivot = e + 1
        root = torch.sqrt(pivot, out=ratio[j])
        torch.div(e, root + 1, out=X[j, j])
        if j + 1 < k:
            c = D[j + 1 :, j]
            torch.div(c, root, out=X[j + 1 :, j])
            D[j + 1 :, j + 1 :].addcmul_((c / pivot).unsqueeze(1), c, value=-1)
    return X, ratio


def gradients(X: Tensor, z: Tensor, ratio: Tensor, W: Tensor) -> tuple[Tensor, ...]:
    """By the means and covariances, (n, k) and (n, k, k)."""
    k = X.shape[0]
    V, P = torch.empty_like(W), W.clone()
    M = X + X.transpose(0, 1)
    M.addcmul_(z.unsqueeze(1), z)
    for i in range(k):
        v = torch.mul(X[i, i], W[i], out=V[i])
        for t in range(i):
            v.addcmul_(X[i, t], P[t])
        v.div_(ratio[i])
        P[i].sub_(v)
        # Column i of X is 0 above the diagonal.
        M[i:, i:].addcmul_(X[i:, i].unsqueeze(1), X[i:, i])
    G = M[:, 0, None] * W[0]
    for t in range(1, k):
        G[:, : t + 1].addcmul_(M[:, t, None], W[t, : t + 1])
    by_p, by_q, by_mean = torch.zeros_like(W), torch.zeros_like(W), torch.zeros_like(z)
    for t in range(k):
        # Row t of a lower triangular matrix ends at its diagonal.
        w, p = W[t, : t + 1], P[t, : t + 1]
        by_p[: t + 1, : t + 1].addcmul_(w.unsqueeze(1), V[t, : t + 1]).addcmul_(V[t, : t + 1].unsqueeze(1), p)
        by_q[: t + 1].addcmul_(w.unsqueeze(1), G[t])
        by_mean[: t + 1].addcmul_(w, z[t])
    by_p, by_q = (0.25 * (S + S.transpose(0, 1)) for S in (by_p, by_q))
    by_mean = by_mean.mT.contiguous()
    return by_mean, -by_mean, by_p.permute(2, 0, 1).contiguous(), by_q.neg_().permute(2, 0, 1).contiguous()
