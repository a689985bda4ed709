r"""Functions of the relative spectrum, and their gradients without eigenvectors.

A divergence of the form `F = sum_i g(e_i) + sum_i h(e_i) w_i^2` is the function `tr g(D) + z^T h(D) z` of the
whitened pair. Its value comes from the spectrum, which is accurate; its gradient from rational functions of
the matrix `D`, which need no eigenvectors: so equal eigenvalues do no harm, and the gradient can be
differentiated again.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.relative import Whitened
from vaekit.gaussian.stable import KnownValue, log_excess

__all__ = ["evaluate", "excess_less_log", "identity_plus", "log_ratio", "outer", "safe_sqrt"]

#: From excess, ratio, forward and backward shift (..., k) to the value (...).
Value = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
#: From `D` (..., k, k), `z` (..., k) and `(I + D)^{-1}` to the gradients by `D` and `z`, differentiably.
Gradient = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def evaluate(pair: Whitened, value: Value, gradient: Gradient, *, disjoint: float) -> Tensor:
    """Return the functional of a whitened pair, (...); ``disjoint`` is its value for different supports.

    Where the value is infinite the gradient is zero.
    """
    if pair.moments is None or pair.frame is None:
        result = value(pair.excess, pair.ratio, pair.forward, pair.backward)
    else:
        given, frame = pair.moments, pair.frame
        with torch.no_grad():
            found = value(pair.excess, pair.ratio, pair.forward, pair.backward)
        result = SpectralFunctional.apply(
            *(given.covariance_p, given.covariance_q, given.mean_difference),
            *(pair.difference, pair.shift, frame.W, frame.M, frame.N),
            found,
            gradient,
        )
    return result if pair.disjoint is None else torch.where(pair.disjoint, disjoint, result)


class SpectralFunctional(torch.autograd.Function):
    r"""A value from the spectrum as a function of both covariances and of the mean difference.

    With the gradients `G` by `D` and `g` by `z`, that by `S_p` is `W^T G W`, that by the mean difference
    `W^T g`, and with `R = I + D = M M^T` (by a symmetric change of `L_q`: rotations are not seen) by `S_q`
    $$ -\tfrac12 W^\top \big( G R + R G + \tfrac12 (g z^\top + z g^\top) \big) W. $$
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        Sp: Tensor,
        Sq: Tensor,
        mean_difference: Tensor,
        D: Tensor,
        z: Tensor,
        W: Tensor,
        M: Tensor,
        N: Tensor,
        value: Tensor,
        gradient: Gradient,
    ) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:9])
        ctx.gradient = inputs[9]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        Sp, Sq, mean_difference, difference, shift, inverse, root, root_inverse, value = ctx.saved_tensors
        grad = grad_outputs[0][..., None, None]
        mask = value.isfinite()[..., None, None]
        eye = torch.eye(difference.shape[-1], dtype=difference.dtype, device=difference.device)
        M, N = torch.where(mask, root, eye), torch.where(mask, root_inverse, eye)
        found = torch.where(mask, difference, 0.0), torch.where(mask[..., 0], shift, 0.0)
        known = *found, torch.where(mask, inverse, eye), M @ M.mT
        if torch.is_grad_enabled():
            # To be differentiated again: the same values, now as functions of the moments.
            moments = torch.where(mask, Sp, eye), torch.where(mask, Sq, eye), mean_difference
            known = _traced(*moments, *known)
        D, z, W, R = known
        by_D, g = ctx.gradient(D, z, KnownInverse.apply(identity_plus(D), N.mT @ N))
        G = 0.5 * (by_D + by_D.mT)
        both = G @ R + 0.5 * outer(g, z)
        to_p, to_q = W.mT @ G @ W, -0.5 * W.mT @ (both + both.mT) @ W
        to_mean = (W.mT @ g.unsqueeze(-1)).squeeze(-1)
        to_p, to_q = (torch.where(mask, grad * x, 0.0) for x in (to_p, to_q))
        to_mean = torch.where(mask[..., 0], grad[..., 0] * to_mean, 0.0)
        return to_p, to_q, to_mean, None, None, None, None, None, None, None


def _traced(
    Sp: Tensor, Sq: Tensor, mean_difference: Tensor, D: Tensor, z: Tensor, W: Tensor, R: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return `D`, `z`, `W` and `R` with their known values, as functions of the moments around a fixed `W`."""
    outside = torch.diag_embed((W == 0).all(-1).to(W.dtype))
    E = W @ Sq @ W.mT + outside
    L = torch.linalg.cholesky(0.5 * (E + E.mT))

    def whiten(right: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(L, right, upper=False)

    traced_W = KnownValue.apply(whiten(W), W)
    traced_D = KnownValue.apply(whiten(whiten(W @ (Sp - Sq) @ W.mT).mT), D)
    traced_z = KnownValue.apply(whiten(W @ mean_difference.unsqueeze(-1)).squeeze(-1), z)
    return traced_D, traced_z, traced_W, KnownValue.apply(identity_plus(traced_D), R)


class KnownInverse(torch.autograd.Function):
    """The inverse of the first argument, which is the second: more accurate than an inversion would be."""

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor, inverse: Tensor) -> Tensor:
        return inverse.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (inverse,) = ctx.saved_tensors
        return -inverse.mT @ grad_outputs[0] @ inverse.mT, None


class ExcessLessLog(torch.autograd.Function):
    """`u - log(1 + u)` with its derivative `u / (1 + u)`; the second argument is `1 + u`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, ratio: Tensor) -> Tensor:
        return log_excess(u, ratio)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        u, ratio = ctx.saved_tensors
        return grad_outputs[0] * u / ratio, None


def excess_less_log(u: Tensor, ratio: Tensor) -> Tensor:
    """Return `u - log(ratio)` with `ratio = 1 + u`, accurate for every `u > -1`, differentiable.

    >>> u = torch.tensor(1e-9, dtype=torch.float64)
    >>> float(excess_less_log(u, 1 + u))
    4.999999996666666e-19
    """
    return ExcessLessLog.apply(u, ratio)  # pyright: ignore[reportReturnType]


def log_ratio(excess: Tensor, ratio: Tensor) -> Tensor:
    """Return `log(1 + e)`, from whichever of `e` and `1 + e` has the digits."""
    near = excess.abs() < 0.5
    inner = torch.where(near, excess, torch.zeros_like(excess))
    return torch.where(near, torch.log1p(inner), torch.log(torch.where(near, torch.ones_like(ratio), ratio)))


def identity_plus(D: Tensor) -> Tensor:
    """Return `I + D`."""
    return D + torch.eye(D.shape[-1], dtype=D.dtype, device=D.device)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """Return `a b^T`."""
    return a.unsqueeze(-1) * b.unsqueeze(-2)


def safe_sqrt(x: Tensor) -> Tensor:
    """Return the square root of something non-negative, with gradient 0 at 0 (a subgradient of a distance
    there).

    >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
    >>> safe_sqrt(x).sum().backward(); x.grad
    tensor([0.0000, 0.2500])
    """
    positive = x > 0
    root = torch.where(positive, x, torch.ones_like(x)).sqrt()
    return torch.where(positive, root, torch.where(x == 0, torch.zeros_like(x), torch.nan))
