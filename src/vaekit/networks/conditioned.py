r"""A condition beside the input of a network: :math:`f(x, c)` from any network of one argument.

Rows and latents are lengthened by :math:`c`; images, for a network that must have images, are given one constant
channel for each of its numbers.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.contracts import Network
from vaekit.errors import UsageError

__all__ = ["ConditionedInput", "conditioned_decoder", "conditioned_encoder", "require_condition"]


class ConditionedInput(nn.Module):
    """A network of the input and the condition put together.

    Parameters
    ----------
    network
        Takes ``(batch, size + width)``, or images ``(batch, channels + width, height, width)``.
    width
        How many numbers a condition has.
    as_channels
        Whether the condition becomes channels of an image.

    Raises
    ------
    UsageError
        When called without a condition, or with one of another width.

    Examples
    --------
    >>> network = ConditionedInput(nn.Linear(6, 2), width=2)
    >>> network(torch.zeros(5, 2, 2), torch.ones(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, network: nn.Module, *, width: int, as_channels: bool = False) -> None:
        super().__init__()
        self.network, self.width, self.as_channels = network, width, as_channels

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Map ``x`` of shape ``(batch, *event)`` and ``c`` of shape ``(batch, width)``."""
        c = require_condition(c)
        if c.shape != (len(x), self.width):
            raise UsageError(
                f"the condition has shape {tuple(c.shape)}; expected ({len(x)}, {self.width}): one row of "
                f"{self.width} numbers for each example"
            )
        if not self.as_channels:
            return self.network(torch.cat([x.flatten(1), c.to(x.dtype)], 1))
        channels = c.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.network(torch.cat([x, channels], 1))


def conditioned_encoder(
    recipe: Any, input_shape: Sequence[int], output_shape: Sequence[int], width: int
) -> nn.Module:
    """Build the encoder of a recipe, with a condition of so many numbers; 0: without one."""
    if not width:
        return recipe.encoder(input_shape, output_shape)
    if Network in type(recipe).__mro__ and recipe.traits.needs_images:
        channels, *size = input_shape
        network = recipe.encoder((channels + width, *size), output_shape)
        return ConditionedInput(network, width=width, as_channels=True)
    return ConditionedInput(recipe.encoder((prod(input_shape) + width,), output_shape), width=width)


def conditioned_decoder(
    recipe: Any, input_shape: Sequence[int], output_shape: Sequence[int], width: int
) -> nn.Module:
    """Build the decoder of a recipe, with a condition of so many numbers; 0: without one."""
    if not width:
        return recipe.decoder(input_shape, output_shape)
    return ConditionedInput(recipe.decoder((prod(input_shape) + width,), output_shape), width=width)


def require_condition(c: Tensor | None) -> Tensor:
    """Give the condition back, or raise a UsageError where there is none."""
    if c is None:
        raise UsageError("the model is conditional: give a condition for every example")
    return c
