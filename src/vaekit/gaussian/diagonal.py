r"""The divergence between Gaussians with diagonal covariances: a sum over coordinates.

With `t = (s_p - s_q) / s_q` and `z = (m_p - m_q) / s_q`, the term of one coordinate is
$$ \mathrm{KL} = \tfrac12 t^2 + (t - \log(1 + t)) + \tfrac12 z^2, $$
three non-negative terms, where the usual `log s_q/s_p + (s_p^2 + (m_p-m_q)^2) / (2 s_q^2) - 1/2` cancels as
`t -> 0`. With variances and `u = (v_p - v_q) / v_q` it is `(u - log(1 + u) + z^2) / 2`.

The elementwise term, `normal_kl`, is one autograd node with its derivatives in closed form; these are made of
differentiable operations, so they can be differentiated again. Its sums over rows are done in blocks that
stay in the cache: the divergence of 20,000 pairs in 64 dimensions reads four numbers for each term and writes
one for each pair, and operations on the whole would write and read dozens of temporaries of that size.
"""

from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.double_double import two_product
from vaekit.gaussian.exact import power_of_two_scale
from vaekit.gaussian.parameters import Parameterised, check_one_kind, is_concrete
from vaekit.gaussian.stable import log_excess

__all__ = ["diagonal_divergence", "elementwise_divergence", "normal_kl", "variance_of"]

#: Numbers per block: small enough for the cache, large enough that the calls do not count.
BLOCK = 65_536
#: Rounding errors, in ulps of the sum over a row, that the plain difference may leave.
TOLERATED_ULPS = 8
#: Quotients below this have lost digits, or are 0.
TINY = 1e-300


def normal_kl(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor) -> Tensor:
    """Return `KL(N(mean_p, scale_p^2) || N(mean_q, scale_q^2))` of univariate normals, elementwise, in nats.

    Parameters
    ----------
    mean_p, scale_p, mean_q, scale_q : tensors that broadcast
        Means and standard deviations (positive). All of one dtype; float16 and bfloat16 are computed in
        float32.

    Returns
    -------
    tensor of the broadcast shape
        Never negative, and exactly 0 for equal arguments. float32 for half-precision arguments.

    Notes
    -----
    Values are not inspected: a scale that is 0 or negative gives inf or NaN. Works under
    `torch.compile(fullgraph=True)`, `torch.func.vmap` and double backward.

    Examples
    --------
    >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
    >>> normal_kl(2 * one, one, zero, one)
    tensor(2.)
    >>> normal_kl(zero, one + 2**-20, zero, one)
    tensor(9.0949e-13)
    """
    if not torch.compiler.is_compiling():
        check_one_kind({"mean_p": mean_p, "scale_p": scale_p, "mean_q": mean_q, "scale_q": scale_q})
    if mean_p.dtype in (torch.float16, torch.bfloat16):
        mean_p, scale_p, mean_q, scale_q = mean_p.float(), scale_p.float(), mean_q.float(), scale_q.float()
    return elementwise_divergence(mean_p, scale_p, mean_q, scale_q)


def elementwise_divergence(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor) -> Tensor:
    """Return `normal_kl` without its checks.

    One autograd node, or a plain formula while a graph is compiled.
    """
    inputs = torch.broadcast_tensors(mean_p, scale_p, mean_q, scale_q)
    return formula(*inputs) if torch.compiler.is_compiling() else NormalDivergence.apply(*inputs)


def formula(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor) -> Tensor:
    """Return the sum of the three terms."""
    t = (scale_p - scale_q) / scale_q
    z = (mean_p - mean_q) / scale_q
    return log_excess(t, scale_p / scale_q) + 0.5 * (t * t + z * z)


def formula_of_any(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor) -> Tensor:
    """Return the same for scales whose ratio may underflow."""
    t = (scale_p - scale_q) / scale_q
    z = (mean_p - mean_q) / scale_q
    return far_excess(t, scale_p, scale_q) + 0.5 * (t * t + z * z)


def far_excess(u: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return `u - log(1 + u)`, where the quotient of the other two is `1 + u`, or underflows."""
    ratio = numerator / denominator
    found = log_excess(u, ratio)
    if not is_concrete(found) or not (ratio < TINY).any():
        return found
    apart = u - (torch.log(numerator) - torch.log(denominator))
    return torch.where(ratio < TINY, apart, found)


class NormalDivergence(torch.autograd.Function):
    """Value and gradients from the same `t`, `z` and ratio of scales."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*inputs: Tensor) -> Tensor:
        return formula(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return NormalDivergence.gradients(ctx.saved_tensors, grad_outputs[0], ctx.needs_input_grad)

    @staticmethod
    def gradients(
        inputs: tuple[Tensor, ...], grad: Tensor, needs: tuple[bool, ...]
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients times ``grad``, by each input that needs one."""
        mean_p, scale_p, mean_q, scale_q = inputs
        t = (scale_p - scale_q) / scale_q
        z = (mean_p - mean_q) / scale_q
        unit = grad / scale_q
        to_mean = unit * z
        return (
            to_mean if needs[0] else None,
            grad * t * (1 / scale_p + 1 / scale_q) if needs[1] else None,
            -to_mean if needs[2] else None,
            -unit * (t * (1 + scale_p / scale_q) + z * z) if needs[3] else None,
        )


def diagonal_divergence(p: Parameterised, q: Parameterised) -> Tensor:
    """Return the divergence, (...), between Gaussians whose structure is diagonal or isotropic."""
    mean_p, mean_q = p.parameters["mean"], q.parameters["mean"]
    if p.parameterisation != "variance" and q.parameterisation != "variance":
        inputs = (mean_p, deviation_of(p), mean_q, deviation_of(q))
        if is_concrete(*inputs):
            return RowwiseDivergence.apply(*torch.broadcast_tensors(*inputs))
        return elementwise_divergence(*inputs).sum(-1)
    variance_p, rest_p = variance_of(p)
    variance_q, rest_q = variance_of(q)
    z = (mean_p - mean_q) / variance_q.sqrt()
    if p.parameterisation != q.parameterisation and is_concrete(variance_p, variance_q):
        # In units in which no square leaves the range of numbers.
        given = p if p.parameterisation == "variance" else q
        unit = power_of_two_scale(given.parameters["variance"].detach())
        variance_p, rest_p = variance_of(p, unit)
        variance_q, rest_q = variance_of(q, unit)
        z = (mean_p - mean_q) * unit / variance_q.sqrt()
    rest = rest_p if rest_q is None else -rest_q
    pair = torch.broadcast_tensors(variance_p, variance_q)
    compiling = torch.compiler.is_compiling()
    excess = half_excess if compiling else VarianceDivergence.apply
    half = excess(pair[0], pair[1], rest)
    return (half + 0.5 * z.square()).sum(-1)


def deviation_of(g: Parameterised) -> Tensor:
    """Return standard deviations, (..., k) or (..., 1)."""
    return (
        g.parameters["scale"].unsqueeze(-1)
        if g.structure == "isotropic"
        else g.parameters["standard_deviation"]
    )


def variance_of(g: Parameterised, unit: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Return the variances of `unit x`, and what rounding has taken from them where they are squares."""
    if g.parameterisation == "variance":
        variance = g.parameters["variance"]
        return variance if unit is None else variance * unit * unit, None
    deviation = deviation_of(g) if unit is None else deviation_of(g) * unit
    with torch.no_grad():
        _, rest = two_product(deviation, deviation)
    return deviation.square(), rest


def half_excess(variance_p: Tensor, variance_q: Tensor, rest: Tensor | None) -> Tensor:
    """Return `(u - log(1 + u)) / 2` with `u = (v_p - v_q + rest) / v_q`, elementwise."""
    difference = variance_p - variance_q
    u = (difference if rest is None else difference + rest) / variance_q
    return 0.5 * far_excess(u, variance_p, variance_q)


class VarianceDivergence(torch.autograd.Function):
    """`half_excess` with its derivatives in closed form."""

    generate_vmap_rule = True

    @staticmethod
    def forward(variance_p: Tensor, variance_q: Tensor, rest: Tensor | None) -> Tensor:
        return half_excess(variance_p, variance_q, rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        variance_p, variance_q, rest = ctx.saved_tensors
        difference = variance_p - variance_q
        u = (difference if rest is None else difference + rest) / variance_q
        half = 0.5 * grad_outputs[0] * u
        needs = ctx.needs_input_grad
        return half / variance_p if needs[0] else None, -half / variance_q if needs[1] else None, None


class RowwiseDivergence(torch.autograd.Function):
    """The sum of `normal_kl` over the last dimension, from means and deviations (..., k) of p and q."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs)
        shape, rows = inputs[0].shape[:-1], as_rows(inputs)
        return blockwise_sums(rows).reshape(shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad
        shape, grad = inputs[0].shape, grad_outputs[0].unsqueeze(-1)
        if torch.is_grad_enabled():
            return NormalDivergence.gradients(inputs, grad.expand(shape), needs)
        rows = as_rows(inputs)
        by_row = grad.reshape(-1, 1)
        step = max(1, BLOCK // max(1, shape[-1]))
        pieces = [t.split(step) for t in (*rows, by_row)]
        blocks = [
            NormalDivergence.gradients(block[:4], block[4], needs) for block in zip(*pieces, strict=True)
        ]
        return tuple(
            torch.cat(parts).reshape(shape) if need else None
            for parts, need in zip(zip(*blocks, strict=True), needs, strict=True)
        )


def as_rows(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the tensors with one batch dimension; views where that is possible."""
    return [t.detach().reshape(-1, t.shape[-1]) for t in tensors]


def blockwise_sums(rows: list[Tensor]) -> Tensor:
    """Return the sums over rows, in blocks that share their work arrays."""
    n, k = rows[0].shape
    value = rows[0].new_empty(n)
    step = max(1, BLOCK // max(1, k))
    room = rows[0].new_empty(3, min(step, n), k)
    for first in range(0, n, step):
        block = [t[first : first + step] for t in rows]
        size = block[0].shape[0]
        sums = value[first : first + step]
        lost = plain_sums(block, room[:, :size], sums)
        if bool(lost.any()):
            sums[lost] = formula_of_any(*(t[lost] for t in block)).sum(-1)
    return value


def plain_sums(block: list[Tensor], room: Tensor, value: Tensor) -> Tensor:
    """Write sums of `t - log1p(t) + (t^2 + z^2) / 2`; return which rows have lost digits to the plain
    difference.

    The difference is off by at most an ulp of `t + t / (1 + t)` in each coordinate: nothing beside the sum,
    unless all coordinates of a row are close.
    """
    mean_p, scale_p, mean_q, scale_q = block
    t, z, term = room.unbind()
    torch.sub(scale_p, scale_q, out=t).div_(scale_q)
    torch.sub(mean_p, mean_q, out=z).div_(scale_q)
    torch.sub(t, torch.log1p(t, out=term), out=term)
    size, least = torch.linalg.vector_norm(t, 1, -1), t.amin(-1)
    term.add_(t.mul_(t).addcmul_(z, z), alpha=0.5)
    torch.sum(term, -1, out=value)
    return ~(size * (1 + 1 / (1 + least)) <= TOLERATED_ULPS * value) | value.isinf()
