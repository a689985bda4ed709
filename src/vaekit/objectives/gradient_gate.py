r"""A gate in the backward pass: scale the gradient of some rows by factors that are known only later.

The doubly reparameterised gradient weighs the path through :math:`z` otherwise than the decoder, with weights
that depend on what the decoder says of :math:`z`. So the factors are not there yet when :math:`z` enters the
decoder: they come back with the gradient, on two tickets of value zero that are handed out with :math:`z` and
added to the loss at its end. One pass, one loss, no hook: it compiles to one graph.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["GradientGate", "open_gate"]


class GradientGate(NamedTuple):
    """What :func:`open_gate` gives.

    Parameters
    ----------
    z
        The same values.
    numerator, denominator
        Zeros of the batch shape.
    """

    z: Tensor
    numerator: Tensor
    denominator: Tensor

    def close(self, factor: Tensor) -> Tensor:
        """Zeros of the batch shape, to be added to the loss of each row: the gradient of its ``z`` is scaled."""
        return factor.detach() * self.numerator + self.denominator


def open_gate(z: Tensor, batch_dims: int) -> GradientGate:
    """Let ``z`` through a gate.

    Parameters
    ----------
    z
        ``(*batch, *event)``.
    batch_dims
        The number of batch dimensions: a factor for each row of them.

    Examples
    --------
    >>> z = torch.ones(2, 3, requires_grad=True)
    >>> gate = open_gate(z, 1)
    >>> loss = gate.z.square().sum(1)
    >>> (loss + gate.close(loss.detach())).mean().backward()  # 2 z / 2, times 3
    >>> z.grad
    tensor([[3., 3., 3.],
            [3., 3., 3.]])
    """
    return GradientGate(*_Gate.apply(z, z.shape[:batch_dims]))


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
        return z.view_as(z), z.new_zeros(shape), z.new_zeros(shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        gradient, numerator, denominator = grad_outputs
        # A row that does not count has gradients of zero on both tickets.
        factor = torch.where(denominator == 0, 0.0, numerator / denominator)
        return gradient * factor.reshape(*factor.shape, *[1] * (gradient.dim() - factor.dim())), None
