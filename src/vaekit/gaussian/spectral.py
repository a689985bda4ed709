r"""Functions of the relative spectrum, and their gradients without eigenvectors.

A divergence of the form `F = sum_i g(e_i) + sum_i h(e_i) w_i^2` is the function
`tr g(D) + z^T h(D) z` of the whitened pair. Its value comes from the spectrum, which is accurate; its
gradient from rational functions of the matrix `D`, which need no eigenvectors: so equal eigenvalues do no
harm, and the gradient can be differentiated again.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.relative import Whitened
from vaekit.gaussian.stable import log_excess

__all__ = ["evaluate", "excess_less_log", "identity_plus", "log_ratio", "outer", "safe_sqrt"]

#: From excess, ratio, forward and backward shift (..., k) to the value (...).
Value = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
#: From `D` (..., k, k) and `z` (..., k) to the gradients of the same shapes, in differentiable operations.
Gradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def evaluate(pair: Whitened, value: Value, gradient: Gradient, *, disjoint: float) -> Tensor:
    """The functional of a whitened pair, (...); ``disjoint`` is its value for different supports.

    Where the value is infinite the gradient is zero.
    """
    if pair.is_diagonal:
        result = value(pair.excess, pair.ratio, pair.forward, pair.backward)
    else:
        spectrum = (pair.excess, pair.ratio, pair.forward, pair.backward)
        result = SpectralFunctional.apply(pair.difference, pair.shift, *spectrum, value, gradient)
    return result if pair.disjoint is None else torch.where(pair.disjoint, disjoint, result)


class SpectralFunctional(torch.autograd.Function):
    """Value from the spectrum, gradient from the matrix."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        D: Tensor,
        z: Tensor,
        excess: Tensor,
        ratio: Tensor,
        forward: Tensor,
        backward: Tensor,
        value: Value,
        gradient: Gradient,
    ) -> Tensor:
        return value(excess, ratio, forward, backward)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], inputs[1], output)
        ctx.gradient = inputs[7]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        D, z, output = ctx.saved_tensors
        finite = output.isfinite()
        mask = finite[..., None, None]
        to_D, to_z = ctx.gradient(torch.where(mask, D, 0.0), torch.where(mask[..., 0], z, 0.0))
        to_D = torch.where(mask, grad[..., None, None] * (0.5 * (to_D + to_D.mT)), 0.0)
        to_z = torch.where(mask[..., 0], grad[..., None] * to_z, 0.0)
        return to_D, to_z, None, None, None, None, None, None


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
    """`u - log(ratio)` with `ratio = 1 + u`, accurate for every `u > -1`, differentiable.

    >>> u = torch.tensor(1e-9, dtype=torch.float64)
    >>> float(excess_less_log(u, 1 + u))
    4.999999996666666e-19
    """
    return ExcessLessLog.apply(u, ratio)  # pyright: ignore[reportReturnType]


def log_ratio(excess: Tensor, ratio: Tensor) -> Tensor:
    """`log(1 + e)`, from whichever of `e` and `1 + e` has the digits."""
    near = excess.abs() < 0.5
    inner = torch.where(near, excess, torch.zeros_like(excess))
    return torch.where(near, torch.log1p(inner), torch.log(torch.where(near, torch.ones_like(ratio), ratio)))


def identity_plus(D: Tensor) -> Tensor:
    """`I + D`."""
    return D + torch.eye(D.shape[-1], dtype=D.dtype, device=D.device)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """`a b^T`."""
    return a.unsqueeze(-1) * b.unsqueeze(-2)


def safe_sqrt(x: Tensor) -> Tensor:
    """The square root of something non-negative, with gradient 0 at 0 (a subgradient of a distance there).

    >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
    >>> safe_sqrt(x).sum().backward(); x.grad
    tensor([0.0000, 0.2500])
    """
    positive = x > 0
    root = torch.where(positive, x, torch.ones_like(x)).sqrt()
    return torch.where(positive, root, torch.where(x == 0, torch.zeros_like(x), torch.nan))
