r"""The divergence between covariances `D + W W^T`, without a k x k matrix.

In units of `D_q`: `S_p = \mathrm{diag}(1 + e) + A A^T`, `S_q = I + B B^T`, and with `C = I + B^T B`, by
Woodbury's identity,
$$ 2\,\mathrm{KL} = \sum_i (e_i - \log(1 + e_i)) + |A|^2 - \log\det(I + A^\top (1 + e)^{-1} A)
   - \operatorname{tr}\left( C^{-1} B^\top S_p B \right) + \log\det C + |z|^2. $$

This is not a sum of non-negative terms: what it may lose is estimated, and the items that lose too much are
computed again in
double-double, where the cancellation does not reach the digits that are returned. Gradients are written with
`S_p - S_q = \mathrm{diag}(D_p - D_q) + E W_p^T + W_q E^T`, `E = W_p - W_q`, which does not cancel.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vaekit.gaussian.diagonal import variance_of
from vaekit.gaussian.double_double import DoubleDouble, cholesky, solve_lower_exact, two_sum
from vaekit.gaussian.factorization import solve_lower
from vaekit.gaussian.stable import log_excess, log_excess_series
from vaekit.gaussian.validation import is_concrete

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import Gaussian

__all__ = ["LowRankDivergence", "low_rank_divergence", "low_rank_form", "low_rank_loss"]

#: Estimated relative error above which "auto" computes an item again in double-double.
TOLERATED_ERROR = 1e-13
Rests = tuple[Tensor | None, Tensor | None]

#: Trailing dimensions of mean_p, mean_q, diagonal_p, factor_p, diagonal_q, factor_q.
DIMS = (1, 1, 1, 2, 1, 2)


def low_rank_divergence(p: "Gaussian", q: "Gaussian", precision: str) -> Tensor:
    """The divergence, (...), between Gaussians of which each is low-rank, diagonal or isotropic."""
    form_p, form_q = low_rank_form(p), low_rank_form(q)
    rests = (form_p[2], form_q[2])
    tensors = (p.parameters["mean"], q.parameters["mean"], *form_p[:2], *form_q[:2])
    return LowRankDivergence.apply(precision, rests, *tensors)


def low_rank_loss(p: "Gaussian", q: "Gaussian", precision: str) -> Tensor:
    """An estimate of what the value has lost to cancellation, (...)."""
    form_p, form_q = low_rank_form(p), low_rank_form(q)
    tensors = (p.parameters["mean"], q.parameters["mean"], *form_p[:2], *form_q[:2])
    value, lost = fast_value((form_p[2], form_q[2]), *tensors)
    if precision == "fast":
        return 4 * lost
    again = (
        torch.ones_like(lost, dtype=torch.bool)
        if precision == "exact"
        else ~(lost <= TOLERATED_ERROR * value)
    )
    return 4 * torch.where(again, lost * 2.0**-44, lost)


def low_rank_form(g: "Gaussian") -> tuple[Tensor, Tensor, Tensor | None]:
    """The diagonal (..., k), the factor (..., k, r), r = 0 if there is none, and the diagonal's rounding."""
    if g.structure == "low_rank":
        return g.parameters["diagonal"], g.parameters["factor"], None
    variance, rest = variance_of(g)
    variance = variance.expand(*variance.shape[:-1], g.dimension)
    return variance, variance.new_zeros(g.dimension, 0), rest


class LowRankDivergence(torch.autograd.Function):
    """From the means, then diagonal and factor of p and of q; the gradients can be differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(precision: str, rests: Rests, *tensors: Tensor) -> Tensor:
        value, lost = fast_value(rests, *tensors)
        if precision == "fast" or not is_concrete(*tensors):
            return value
        again = (
            torch.ones_like(lost, dtype=torch.bool)
            if precision == "exact"
            else ~(lost <= TOLERATED_ERROR * value)
        )
        again = again & value.isfinite()
        if bool(again.any()):
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
        found = gradients(*tensors)
        weights = (grad, grad, grad, grad.unsqueeze(-1), grad, grad.unsqueeze(-1))
        needs = ctx.needs_input_grad[2:]
        return (
            None,
            None,
            *(
                (w * g).sum_to_size(t.shape) if need else None
                for w, g, t, need in zip(weights, found, tensors, needs, strict=True)
            ),
        )


def capacitance(diagonal: Tensor, factor: Tensor) -> Tensor:
    """Lower factor of `I + W^T D^-1 W`."""
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    L, info = torch.linalg.cholesky_ex(eye + factor.mT @ (factor / diagonal.unsqueeze(-1)))
    return torch.where((info != 0)[..., None, None], torch.nan, L)


def fast_value(
    rests: Rests,
    mean_p: Tensor,
    mean_q: Tensor,
    diagonal_p: Tensor,
    factor_p: Tensor,
    diagonal_q: Tensor,
    factor_q: Tensor,
) -> tuple[Tensor, Tensor]:
    """The value in float64, and an estimate of its absolute error."""
    root = diagonal_q.sqrt()
    ratio = diagonal_p / diagonal_q
    e = diagonal_p - diagonal_q
    for rest, sign in zip(rests, (1, -1), strict=True):
        e = e if rest is None else e + sign * rest
    e = e / diagonal_q
    A, B = factor_p / root.unsqueeze(-1), factor_q / root.unsqueeze(-1)
    z = (mean_p - mean_q) / root
    K, C = capacitance(ratio, A), capacitance(torch.ones_like(ratio), B)
    F = solve_lower(C, B.mT)  # (..., r, k), F^T F = B C^-1 B^T
    log_p = 2 * K.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_q = 2 * C.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    size = A.square().sum((-2, -1))
    taken = (F.square() * ratio.unsqueeze(-2)).sum((-2, -1)) + (F @ A).square().sum((-2, -1))
    squared = z.square().sum(-1)
    along = (F @ z.unsqueeze(-1)).square().sum((-2, -1))
    excess = log_excess(e, ratio).sum(-1)
    value = 0.5 * (excess + (size - log_p) + (log_q - taken) + (squared - along))
    condition = 1 + (
        C.diagonal(dim1=-2, dim2=-1).square().amax(-1) if C.shape[-1] else torch.zeros_like(log_q)
    )
    lost = (size + log_p + log_q + condition * (taken + squared + along)) * (8 * torch.finfo(value.dtype).eps)
    same = (e == 0).all(-1) & (z == 0).all(-1) & same_factor(factor_p, factor_q)
    value = torch.where(same, torch.zeros_like(value), value.clamp_min(0))
    return value, torch.where(same, torch.zeros_like(lost), lost)


def same_factor(factor_p: Tensor, factor_q: Tensor) -> Tensor:
    """Which items have the same factor, to the bit."""
    first, second = padded(factor_p, factor_q)
    return (first == second).all(-1).all(-1)


def padded(factor_p: Tensor, factor_q: Tensor) -> tuple[Tensor, Tensor]:
    """Both with as many columns as the wider has, the others 0."""
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
    """The same in double-double, of items (n, ...), rounded once."""
    D_p, D_q = (DoubleDouble(*two_sum(diagonal_p, rest_p)), DoubleDouble(*two_sum(diagonal_q, rest_q)))
    root = D_q.sqrt().unsqueeze(-1)
    A, B = DoubleDouble.of(factor_p) / root, DoubleDouble.of(factor_q) / root
    ratio = D_p / D_q
    e = (D_p - D_q) / D_q
    z = (DoubleDouble(*two_sum(mean_p, -mean_q)) / D_q.sqrt()).unsqueeze(-1)
    K = cholesky(plus_identity(inner(A, A / ratio.unsqueeze(-1))))
    C = cholesky(plus_identity(inner(B, B)))
    total = excess_sum(e, ratio) + flat_sum(A * A) + flat_sum(z * z)
    total = total - log_determinant(K) + log_determinant(C)
    if factor_q.shape[-1]:
        for target, weight in ((B, ratio), (A, None), (z, None)):
            if target.hi.shape[-1] == 0:
                continue
            if weight is not None:
                # tr(C^-1 B^T diag(ratio) B)
                half = solve_lower_exact(C, inner(B, B * weight.unsqueeze(-1)))
                total = total - trace(solve_lower_exact(C, half.mT))
            else:
                G = solve_lower_exact(C, inner(B, target))
                total = total - flat_sum(G * G)
    return (0.5 * total.value).clamp_min(0)


def inner(A: DoubleDouble, B: DoubleDouble) -> DoubleDouble:
    """`A^T B` of tall factors (..., k, r): the long dimension is summed by halves."""
    rows = [(A[..., :, i].unsqueeze(-2) * B.mT).sum() for i in range(A.hi.shape[-1])]
    if not rows:
        empty = A.hi.new_zeros(*A.hi.shape[:-2], 0, B.hi.shape[-1])
        return DoubleDouble(empty, empty)
    return DoubleDouble(torch.stack([r.hi for r in rows], -2), torch.stack([r.lo for r in rows], -2))


def plus_identity(S: DoubleDouble) -> DoubleDouble:
    """`I + S`."""
    eye = torch.eye(S.hi.shape[-1], dtype=S.hi.dtype, device=S.hi.device)
    return S + DoubleDouble.of(eye.expand(S.hi.shape))


def flat_sum(A: DoubleDouble) -> DoubleDouble:
    """The sum over the last two dimensions; 0 where they are empty."""
    if A.hi.shape[-1] == 0:
        zero = A.hi.sum((-2, -1))
        return DoubleDouble(zero, zero)
    return DoubleDouble(A.hi.flatten(-2), A.lo.flatten(-2)).sum()


def trace(A: DoubleDouble) -> DoubleDouble:
    """The sum of the diagonal."""
    return A.diagonal().sum()


def log_determinant(L: DoubleDouble) -> DoubleDouble:
    """`log det L L^T` in double-double: the logarithm of each pivot, refined by one Newton step."""
    d = L.diagonal()
    if d.hi.shape[-1] == 0:
        return DoubleDouble(d.hi.sum(-1), d.hi.sum(-1))
    return logarithm(d * d).sum()


def logarithm(x: DoubleDouble) -> DoubleDouble:
    """`log x` in double-double: `y + 2 artanh((x - e^y) / (x + e^y))` with the rounded logarithm `y`."""
    y = torch.log(x.hi)
    expy = exponential(y)
    r = (x - expy) / (x + expy)
    return DoubleDouble.of(y) + r + r


def exponential(y: Tensor) -> DoubleDouble:
    """`e^y` in double-double: reduced by powers of two, Taylor series, squared back."""
    squarings = 12
    u = DoubleDouble.of(y * 2.0**-squarings)
    term = DoubleDouble.of(torch.ones_like(y))
    total = DoubleDouble.of(torch.zeros_like(y))  # e^u - 1
    for n in range(1, 14):
        term = term * u / DoubleDouble.of(torch.full_like(y, float(n)))
        total = total + term
    for _ in range(squarings):
        total = total + total + total * total
    return total + DoubleDouble.of(torch.ones_like(y))


def excess_sum(e: DoubleDouble, ratio: DoubleDouble) -> DoubleDouble:
    """`sum_i (e_i - log(1 + e_i))`."""
    # The series is good to 1e-16 of itself, the logarithm to about 1e-31: each where it is the better one.
    near = DoubleDouble.of(log_excess_series(e.hi)[0] + e.lo * (e.hi / (1 + e.hi)))
    is_near = e.hi.abs() < 3e-7
    far = e - logarithm(ratio)
    return DoubleDouble(torch.where(is_near, near.hi, far.hi), torch.where(is_near, near.lo, far.lo)).sum()


def gradients(
    mean_p: Tensor, mean_q: Tensor, diagonal_p: Tensor, factor_p: Tensor, diagonal_q: Tensor, factor_q: Tensor
) -> tuple[Tensor, ...]:
    """By each argument, differentiably; nothing larger than k x r is formed."""
    W_p, W_q = torch.broadcast_tensors(*padded(factor_p, factor_q))
    E = W_p - W_q
    delta = diagonal_p - diagonal_q
    difference = mean_p - mean_q
    inverse_p, inverse_q = Inverse(diagonal_p, factor_p), Inverse(diagonal_q, factor_q)
    by_mean = inverse_q.times(difference.unsqueeze(-1))

    def apart(right: Tensor) -> Tensor:
        """`(S_p - S_q) V`."""
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
        """The inverse times a tall matrix."""
        return self.reciprocal.unsqueeze(-1) * right - self.F @ (self.F.mT @ right)

    def times_factor(self) -> Tensor:
        """The inverse times `W`, `D^-1 W C^-1`: the difference in `times` would cancel where `W` is large."""
        return torch.linalg.solve_triangular(self.capacitance.mT, self.F.mT, upper=True).mT


def diagonal_of_product(first: Inverse, delta: Tensor, U: Tensor, V: Tensor, second: Inverse) -> Tensor:
    """The diagonal of `P (diag(delta) + U V^T) R` for inverses `P` and `R`, row by row."""
    low = (first.times(U) * second.times(V)).sum(-1)
    F, H = first.F, second.F
    middle = F.mT @ (delta.unsqueeze(-1) * H)
    return (
        low
        + delta * first.reciprocal * second.reciprocal
        - delta * (second.reciprocal * F.square().sum(-1) + first.reciprocal * H.square().sum(-1))
        + ((F @ middle) * H).sum(-1)
    )
