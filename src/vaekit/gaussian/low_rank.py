r"""The divergence between covariances `D + W W^T` in large dimensions, without a k x k matrix.

In units of `D_q`: `S_p = \mathrm{diag}(\rho) + A A^T`, `\rho = 1 + e`, and `S_q = I + B B^T`. With the thin
factorisation `[B; I] = [Q; Q_2] R` Woodbury's identity says `S_q^{-1} = I - Q Q^T`, and a quadratic form in
it is the smallest value of a sum of squares, so that it does not cancel:
$$ a^\top S_q^{-1} a = \min_x |a - B x|^2 + |x|^2 = |(I - [Q; Q_2] [Q; Q_2]^\top) [a; 0]|^2. $$
With `R_p` of `[\rho^{-1/2} A; I]`, and `z` the difference of the means,
$$ 2\,\mathrm{KL} = \sum_i (e_i - \log(1 + e_i)) - \sum_i \rho_i |Q_i|^2 + \operatorname{tr}(A^\top S_q^{-1} A)
   + z^\top S_q^{-1} z - 2 \log |R_p| + 2 \log |R|. $$

This is not a sum of non-negative terms: what it may lose is estimated, and the items that lose too much are
computed again in double-double, where the cancellation does not reach the digits that are returned. Gradients
are written with `S_p - S_q = \mathrm{diag}(D_p - D_q) + E W_p^T + W_q E^T`, `E = W_p - W_q`, which does not
cancel.
"""

from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.diagonal import variance_of
from vaekit.gaussian.double_double import DoubleDouble, logarithm, two_sum
from vaekit.gaussian.parameters import Parameterised, is_concrete
from vaekit.gaussian.stable import log_excess, log_excess_series, solve_lower

__all__ = ["capacitance", "low_rank_bound", "low_rank_divergence", "low_rank_log_determinant"]

#: Estimated relative error above which "auto" computes an item again in double-double.
TOLERATED_ERROR = 1e-13
#: By how much less double-double loses than float64, with some room.
GAIN = 2.0**-46
Rests = tuple[Tensor | None, Tensor | None]
#: Trailing dimensions of mean_p, mean_q, diagonal_p, factor_p, diagonal_q, factor_q.
DIMS = (1, 1, 1, 2, 1, 2)


def low_rank_divergence(p: Parameterised, q: Parameterised, precision: str) -> Tensor:
    """Return the divergence, (...), between Gaussians of which each is low-rank, diagonal or isotropic."""
    rests, tensors = inputs_of(p, q)
    return LowRankDivergence.apply(precision, rests, *tensors)


def low_rank_bound(p: Parameterised, q: Parameterised, precision: str, value: Tensor) -> Tensor:
    """Return a bound on what the value has lost to cancellation and rounding, (...)."""
    rests, tensors = inputs_of(p, q)
    plain, lost = fast_value(rests, *tensors)
    worst = lost * p.dimension / 4
    return torch.where(to_repeat(precision, plain, lost), worst * GAIN, worst).expand(value.shape)


def inputs_of(p: Parameterised, q: Parameterised) -> tuple[Rests, tuple[Tensor, ...]]:
    """Return the rounding errors of the diagonals, and the means, diagonals and factors of both."""
    form_p, form_q = low_rank_form(p), low_rank_form(q)
    return (form_p[2], form_q[2]), (p.parameters["mean"], q.parameters["mean"], *form_p[:2], *form_q[:2])


def low_rank_form(g: Parameterised) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the diagonal (..., k), the factor (..., k, r), r = 0 if there is none, and the diagonal's rounding."""
    if g.structure == "low_rank":
        return g.parameters["diagonal"], g.parameters["factor"], None
    variance, rest = variance_of(g)
    variance = variance.expand(*variance.shape[:-1], g.dimension)
    return variance, variance.new_zeros(g.dimension, 0), rest


def to_repeat(precision: str, value: Tensor, lost: Tensor) -> Tensor:
    """Return the mask of the items to be computed in double-double."""
    if precision == "auto":
        return ~(lost <= TOLERATED_ERROR * value)
    return torch.full_like(lost, precision == "exact", dtype=torch.bool)


class LowRankDivergence(torch.autograd.Function):
    """From the means, then diagonal and factor of p and of q; the gradients can be differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(precision: str, rests: Rests, *tensors: Tensor) -> Tensor:
        value, lost = fast_value(rests, *tensors)
        if not is_concrete(*tensors):
            return value
        again = to_repeat(precision, value, lost) & value.isfinite()
        if again.any():
            zero = torch.zeros_like(tensors[0][..., :1])
            both = [zero if rest is None else rest for rest in rests]
            items = (
                t.expand(again.shape + t.shape[t.dim() - d :])[again]
                for t, d in zip((*both, *tensors), (1, 1, *DIMS), strict=True)
            )
            value = value.clone()
            value[again] = exact_value(*items)
        return value

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad_outputs[0].unsqueeze(-1)
        tensors = ctx.saved_tensors
        weights = (grad, grad, grad, grad.unsqueeze(-1), grad, grad.unsqueeze(-1))
        each = zip(weights, gradients(*tensors), tensors, ctx.needs_input_grad[2:], strict=True)
        return None, None, *((w * g).sum_to_size(t.shape) if need else None for w, g, t, need in each)


def bordered(factor: Tensor) -> Tensor:
    """Return `[B; I]`, (..., k + r, r)."""
    r = factor.shape[-1]
    eye = torch.eye(r, dtype=factor.dtype, device=factor.device).expand(*factor.shape[:-2], r, r)
    return torch.cat([factor, eye], -2)


def capacitance(diagonal: Tensor, factor: Tensor) -> Tensor:
    """Return a lower triangular `C` with `C C^T = I + W^T D^-1 W`; its diagonal may have either sign."""
    return torch.linalg.qr(bordered(factor / diagonal.sqrt().unsqueeze(-1)))[1].mT


def growth(V: Tensor, R: Tensor) -> Tensor:
    """Return by what factor relative errors of the columns of `V = Q R` grow in its subspace and in `log |R|`."""
    if R.shape[-1] == 0:
        return torch.zeros(R.shape[:-2], dtype=R.dtype, device=R.device)
    eye = torch.eye(R.shape[-1], dtype=R.dtype, device=R.device).expand(R.shape)
    inverse = torch.linalg.solve_triangular(R, eye, upper=True)
    sizes = torch.linalg.vector_norm(V, dim=-2)
    return torch.linalg.vector_norm(sizes.unsqueeze(-1) * inverse, dim=(-2, -1))


def fast_value(
    rests: Rests,
    mean_p: Tensor,
    mean_q: Tensor,
    diagonal_p: Tensor,
    factor_p: Tensor,
    diagonal_q: Tensor,
    factor_q: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the value in float64, and an estimate of its absolute error."""
    root = diagonal_q.sqrt()
    ratio = diagonal_p / diagonal_q
    e = diagonal_p - diagonal_q
    for rest, sign in zip(rests, (1, -1), strict=True):
        e = e if rest is None else e + sign * rest
    e = e / diagonal_q
    A, B = factor_p / root.unsqueeze(-1), factor_q / root.unsqueeze(-1)
    z = (mean_p - mean_q) / root
    V_p, V = bordered(A / ratio.sqrt().unsqueeze(-1)), bordered(B)
    R_p, (Q, R) = torch.linalg.qr(V_p)[1], torch.linalg.qr(V)
    log_p, log_q = (2 * T.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1) for T in (R_p, R))
    batch = torch.broadcast_shapes(A.shape[:-1], z.shape)
    columns = torch.cat([A.expand(*batch, A.shape[-1]), z.expand(batch).unsqueeze(-1)], -1)
    Q1 = Q[..., : z.shape[-1], :]
    inside = Q1.mT @ columns
    # The projection, once more on what it leaves, and the part of it below the columns.
    left, below = columns - Q1 @ inside, -(Q[..., z.shape[-1] :, :] @ inside)
    left_squared = left.square().sum((-2, -1)) + below.square().sum((-2, -1))
    taken = (Q1.square() * ratio.unsqueeze(-1)).sum((-2, -1))
    excess = log_excess(e, ratio).sum(-1)
    value = 0.5 * (excess - taken + left_squared - log_p + log_q)
    size, grown = columns.square().sum((-2, -1)).sqrt(), growth(V, R)
    lost = excess + left_squared + taken + log_p.abs() + log_q.abs() + growth(V_p, R_p)
    lost = lost + left_squared.sqrt() * size * (1 + grown)
    lost = 8 * torch.finfo(value.dtype).eps * (lost + grown * (1 + ratio.amax(-1)))
    same = (e == 0).all(-1) & (z == 0).all(-1) & same_factor(factor_p, factor_q)
    value = torch.where(same, torch.zeros_like(value), value.clamp_min(0))
    return value, torch.where(same, torch.zeros_like(lost), lost)


def same_factor(factor_p: Tensor, factor_q: Tensor) -> Tensor:
    """Return which items have the same factor, to the bit."""
    first, second = padded(factor_p, factor_q)
    return (first == second).all(-1).all(-1)


def padded(factor_p: Tensor, factor_q: Tensor) -> tuple[Tensor, Tensor]:
    """Return both with as many columns as the wider has, the others 0."""
    r = max(factor_p.shape[-1], factor_q.shape[-1])
    pad = torch.nn.functional.pad
    return pad(factor_p, (0, r - factor_p.shape[-1])), pad(factor_q, (0, r - factor_q.shape[-1]))


def exact_value(
    rest_p: Tensor,
    rest_q: Tensor,
    mean_p: Tensor,
    mean_q: Tensor,
    diagonal_p: Tensor,
    factor_p: Tensor,
    diagonal_q: Tensor,
    factor_q: Tensor,
) -> Tensor:
    """Return the value of items (n, ...) in double-double, rounded once.

    Matrices are kept transposed, (n, r, k).
    """
    D_p, D_q = (DoubleDouble(*two_sum(diagonal_p, rest_p)), DoubleDouble(*two_sum(diagonal_q, rest_q)))
    root = D_q.sqrt()
    A, B = (DoubleDouble.of(W.mT.contiguous()) / root.unsqueeze(-2) for W in (factor_p, factor_q))
    ratio = D_p / D_q
    z = DoubleDouble(*two_sum(mean_p, -mean_q)) / root
    r = B.hi.shape[-2]
    columns = [wide(x, r) for x in (A, z.unsqueeze(-2))]
    Q, log_q, left = orthogonalised(exactly_bordered(B), joined(columns, -2))
    _, log_p, _ = orthogonalised(exactly_bordered(A / ratio.sqrt().unsqueeze(-2)), None)
    total = excess_sum((D_p - D_q) / D_q, ratio) + log_q - log_p
    if left is not None:
        total = total + flat_sum(left * left)
    if Q is not None:
        Q1 = Q[..., : mean_p.shape[-1]]
        total = total - flat_sum(Q1 * Q1 * ratio.unsqueeze(-2))
    return (0.5 * total.value).clamp_min(0)


def orthogonalised(
    V: DoubleDouble, rest: DoubleDouble | None
) -> tuple[DoubleDouble | None, DoubleDouble, DoubleDouble | None]:
    """Return an orthonormal basis of the rows of `V`, `log det V V^T`, and the other rows orthogonal to it.

    By the modified Gram-Schmidt process, whose error grows with the condition number of `V`, not with its
    square.
    """
    basis: list[DoubleDouble] = []
    remaining = V
    zero = torch.zeros(V.hi.shape[:-2], dtype=V.hi.dtype, device=V.hi.device)
    log = DoubleDouble(zero, zero)
    for _ in range(V.hi.shape[-2]):
        row, remaining = remaining[..., 0, :], remaining[..., 1:, :]
        square = (row * row).sum()
        log = log + logarithm(square)
        unit = row / square.sqrt().unsqueeze(-1)
        remaining = without(remaining, unit)
        rest = None if rest is None else without(rest, unit)
        basis.append(unit.unsqueeze(-2))
    return joined(basis, -2) if basis else None, log, rest


def without(rows: DoubleDouble, unit: DoubleDouble) -> DoubleDouble:
    """Return the rows less their parts along a unit vector."""
    if rows.hi.shape[-2] == 0:
        return rows
    unit = unit.unsqueeze(-2)
    return rows - (rows * unit).sum().unsqueeze(-1) * unit


def joined(parts: list[DoubleDouble], dimension: int) -> DoubleDouble:
    """Return the parts one after another."""
    return DoubleDouble(
        torch.cat([x.hi for x in parts], dimension), torch.cat([x.lo for x in parts], dimension)
    )


def wide(rows: DoubleDouble, r: int) -> DoubleDouble:
    """Return the rows with `r` zeros after each."""
    pad = torch.nn.functional.pad
    return DoubleDouble(pad(rows.hi, (0, r)), pad(rows.lo, (0, r)))


def exactly_bordered(rows: DoubleDouble) -> DoubleDouble:
    """Return `[B^T I]`."""
    r = rows.hi.shape[-2]
    eye = torch.eye(r, dtype=rows.hi.dtype, device=rows.hi.device).expand(*rows.hi.shape[:-2], r, r)
    return joined([rows, DoubleDouble.of(eye)], -1)


def low_rank_log_determinant(diagonal: Tensor, factor: Tensor) -> Tensor:
    """Return `log det(D + W W^T)`, (...), differentiably."""
    inner = capacitance(diagonal, factor).diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
    return diagonal.log().sum(-1) + 2 * inner


def flat_sum(A: DoubleDouble) -> DoubleDouble:
    """Return the sum over the last two dimensions; 0 where they are empty."""
    if A.hi.shape[-2] == 0:
        zero = A.hi.sum((-2, -1))
        return DoubleDouble(zero, zero)
    return DoubleDouble(A.hi.flatten(-2), A.lo.flatten(-2)).sum()


def excess_sum(e: DoubleDouble, ratio: DoubleDouble) -> DoubleDouble:
    """Return `sum_i (e_i - log(1 + e_i))`."""
    # The series is good to 1e-16 of itself, the logarithm to about 1e-31: each where it is the better one.
    near = DoubleDouble.of(log_excess_series(e.hi)[0] + e.lo * (e.hi / (1 + e.hi)))
    is_near = e.hi.abs() < 3e-7
    far = e - logarithm(ratio)
    return DoubleDouble(torch.where(is_near, near.hi, far.hi), torch.where(is_near, near.lo, far.lo)).sum()


def gradients(
    mean_p: Tensor, mean_q: Tensor, diagonal_p: Tensor, factor_p: Tensor, diagonal_q: Tensor, factor_q: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradients by each argument, differentiably; nothing larger than k x r is formed."""
    W_p, W_q = torch.broadcast_tensors(*padded(factor_p, factor_q))
    E = W_p - W_q
    delta = diagonal_p - diagonal_q
    difference = mean_p - mean_q
    inverse_p, inverse_q = Inverse(diagonal_p, factor_p), Inverse(diagonal_q, factor_q)
    by_mean = inverse_q.times(difference.unsqueeze(-1))

    def apart(right: Tensor) -> Tensor:
        """Return `(S_p - S_q) V`."""
        return delta.unsqueeze(-1) * right + E @ (W_p.mT @ right) + W_q @ (E.mT @ right)

    U, V = torch.cat([E, W_q], -1), torch.cat([W_p, E], -1)
    by_factor_p = inverse_q.times(apart(inverse_p.times_factor()))
    solved_q = inverse_q.times_factor()
    by_factor_q = -inverse_q.times(apart(solved_q)) - by_mean * (by_mean * factor_q).sum(-2, keepdim=True)
    by_diagonal_p = 0.5 * diagonal_of_product(inverse_q, delta, U, V, inverse_p)
    by_diagonal_q = -0.5 * (
        diagonal_of_product(inverse_q, delta, U, V, inverse_q) + by_mean.squeeze(-1).square()
    )
    mean = by_mean.squeeze(-1)
    return mean, -mean, by_diagonal_p, by_factor_p, by_diagonal_q, by_factor_q


class Inverse:
    """`(D + W W^T)^-1 = D^-1 - F F^T` with `F` (..., k, r)."""

    def __init__(self, diagonal: Tensor, factor: Tensor) -> None:
        self.reciprocal = 1 / diagonal
        self.capacitance = capacitance(diagonal, factor)
        self.F = solve_lower(self.capacitance, (self.reciprocal.unsqueeze(-1) * factor).mT).mT

    def times(self, right: Tensor) -> Tensor:
        """Return the inverse times a tall matrix."""
        return self.reciprocal.unsqueeze(-1) * right - self.F @ (self.F.mT @ right)

    def times_factor(self) -> Tensor:
        """Return the inverse times `W`, `D^-1 W C^-1`.

        The difference in `times` would cancel where `W` is large.
        """
        return torch.linalg.solve_triangular(self.capacitance.mT, self.F.mT, upper=True).mT


def diagonal_of_product(first: Inverse, delta: Tensor, U: Tensor, V: Tensor, second: Inverse) -> Tensor:
    """Return the diagonal of `P (diag(delta) + U V^T) R` for inverses `P` and `R`, row by row."""
    low = (first.times(U) * second.times(V)).sum(-1)
    F, H = first.F, second.F
    middle = F.mT @ (delta.unsqueeze(-1) * H)
    return (
        low
        + delta * first.reciprocal * second.reciprocal
        - delta * (second.reciprocal * F.square().sum(-1) + first.reciprocal * H.square().sum(-1))
        + ((F @ middle) * H).sum(-1)
    )
