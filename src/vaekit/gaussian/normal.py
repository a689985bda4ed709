r"""The divergence between univariate normals, elementwise: the term of a diagonal VAE's training step.

With `t = (s_p - s_q) / s_q` and `z = (m_p - m_q) / s_q`,
$$ \mathrm{KL} = \tfrac12 t^2 + (t - \log(1 + t)) + \tfrac12 z^2, $$
three non-negative terms, where the usual `log s_q/s_p + (s_p^2 + (m_p-m_q)^2) / (2 s_q^2) - 1/2` cancels as
`t -> 0`. One autograd
node with its derivatives in closed form; these are made of differentiable operations, so they can be
differentiated again.
"""

from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.stable import log_excess
from vaekit.gaussian.validation import check_one_kind

__all__ = ["elementwise_divergence", "normal_kl"]


def normal_kl(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor) -> Tensor:
    """`KL(N(mean_p, scale_p^2) || N(mean_q, scale_q^2))` of univariate normals, elementwise, in nats.

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
    `torch.compile(fullgraph=True)`,
    `torch.func.vmap` and double backward.

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
    """`normal_kl` without its checks: one node, or open to fusion while a graph is being compiled."""
    inputs = torch.broadcast_tensors(mean_p, scale_p, mean_q, scale_q)
    return formula(*inputs) if torch.compiler.is_compiling() else NormalDivergence.apply(*inputs)


def formula(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor) -> Tensor:
    """The three terms."""
    t = (scale_p - scale_q) / scale_q
    z = (mean_p - mean_q) / scale_q
    return log_excess(t, scale_p / scale_q) + 0.5 * (t * t + z * z)


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
        """Times ``grad``, by each input that needs one."""
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
