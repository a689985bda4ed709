r"""A fully connected network in which the output at a position depends only on the positions before it.

Germain et al. (2015), "MADE: Masked Autoencoder for Distribution Estimation", equations 8 and 9: hidden unit
:math:`h` has a degree :math:`m(h)`. There is a weight from :math:`i` to :math:`h` only if :math:`m(h) \ge i`,
and from :math:`h` to the output at :math:`j` only if :math:`j > m(h)`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaekit.networks.layers import Activation, build_activation

__all__ = ["MaskedNetwork"]


class MaskedNetwork(nn.Module):
    """An autoregressive map of ``(..., positions, width)`` to the same shape, zero at first.

    Parameters
    ----------
    positions, width
        The shape of input and output.
    hidden
        Sizes of the hidden layers; empty: linear.
    activation
        Applied after every hidden layer.
    condition
        The number of numbers in a condition, which every output may depend on; 0: there is none.

    Examples
    --------
    >>> network = MaskedNetwork(3, 2, hidden=(8,))
    >>> network(torch.zeros(5, 3, 2)).shape
    torch.Size([5, 3, 2])
    """

    def __init__(
        self,
        positions: int,
        width: int,
        *,
        hidden: Sequence[int] = (128,),
        activation: Activation = "gelu",
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.positions, self.width = positions, width
        self.activation = build_activation(activation)
        place = torch.arange(1, positions + 1).repeat_interleave(width)
        degrees = [place, *(1 + torch.arange(size) % max(1, positions - 1) for size in hidden)]
        masks = [after[:, None] >= before for before, after in zip(degrees[:-1], degrees[1:], strict=True)]
        masks.append(place[:, None] > degrees[-1])
        layers = [_MaskedLinear(mask) for mask in masks]
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)
        self.layers = nn.ModuleList(layers)
        # Into the hidden units, and directly to the output: the first position depends on no hidden unit.
        sizes = [*hidden[:1], positions * width] if condition else []
        of_condition = [nn.Linear(condition, size, bias=False) for size in sizes]
        for last in of_condition[-1:]:
            nn.init.zeros_(last.weight)
        self.of_condition = nn.ModuleList(of_condition)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map ``(..., positions, width)``, given a condition ``(..., d)``."""
        x = x.flatten(-2)
        for i, layer in enumerate(list(self.layers)[:-1]):
            x = layer(x)
            if condition is not None and i == 0:
                x = x + self.of_condition[0](condition)
            x = self.activation(x)
        x = self.layers[-1](x)
        if condition is not None:
            x = x + self.of_condition[-1](condition)
        return x.unflatten(-1, (self.positions, self.width))


class _MaskedLinear(nn.Linear):
    """A linear layer whose weights are multiplied by a mask."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight * self.mask, self.bias)
