r"""The divergence between Gaussians with diagonal covariances: a sum over coordinates.

With standard deviations the term is `normal_kl`. With variances and `u = (v_p - v_q) / v_q`,
$$ 2\,\mathrm{KL} = \sum_i \left( u_i - \log(1 + u_i) + z_i^2 \right), \qquad z = (m_p - m_q) / \sqrt{v_q}. $$
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vaekit.gaussian.double_double import two_product
from vaekit.gaussian.normal import elementwise_divergence
from vaekit.gaussian.rowwise import RowwiseDivergence
from vaekit.gaussian.stable import log_excess
from vaekit.gaussian.validation import is_concrete

if TYPE_CHECKING:
    from vaekit.gaussian.distribution import Gaussian

__all__ = ["diagonal_divergence"]


def diagonal_divergence(p: "Gaussian", q: "Gaussian") -> Tensor:
    """The divergence, (...), between Gaussians whose structure is diagonal or isotropic."""
    mean_p, mean_q = p.parameters["mean"], q.parameters["mean"]
    if p.parameterisation != "variance" and q.parameterisation != "variance":
        inputs = (mean_p, deviation_of(p), mean_q, deviation_of(q))
        if is_concrete(*inputs):
            return RowwiseDivergence.apply(*torch.broadcast_tensors(*inputs))
        return elementwise_divergence(*inputs).sum(-1)
    variance_p, rest_p = variance_of(p)
    variance_q, rest_q = variance_of(q)
    rest = rest_p if rest_q is None else -rest_q
    z = (mean_p - mean_q) / variance_q.sqrt()
    pair = torch.broadcast_tensors(variance_p, variance_q)
    compiling = torch.compiler.is_compiling()
    excess = half_excess if compiling else VarianceDivergence.apply
    half = excess(pair[0], pair[1], rest)
    return (half + 0.5 * z.square()).sum(-1)


def deviation_of(g: "Gaussian") -> Tensor:
    """Standard deviations, (..., k) or (..., 1)."""
    return (
        g.parameters["scale"].unsqueeze(-1)
        if g.structure == "isotropic"
        else g.parameters["standard_deviation"]
    )


def variance_of(g: "Gaussian") -> tuple[Tensor, Tensor | None]:
    """Variances, and what their rounding has taken away, where they are squares."""
    if g.parameterisation == "variance":
        return g.parameters["variance"], None
    deviation = deviation_of(g)
    with torch.no_grad():
        _, rest = two_product(deviation, deviation)
    return deviation.square(), rest


def half_excess(variance_p: Tensor, variance_q: Tensor, rest: Tensor | None) -> Tensor:
    """`(u - log(1 + u)) / 2` with `u = (v_p - v_q + rest) / v_q`, elementwise."""
    difference = variance_p - variance_q
    u = (difference if rest is None else difference + rest) / variance_q
    return 0.5 * log_excess(u, variance_p / variance_q)


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
