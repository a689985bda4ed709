r"""Fully connected networks of any depth; with no hidden layer, a linear map.

.. math:: h_0 = x, \quad h_{l+1} = \phi(W_l h_l + b_l), \quad f(x) = W_L h_L + b_L
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from vaekit.errors import UsageError
from vaekit.networks.activations import Activation, build_activation

__all__ = ["MlpNetwork", "MultilayerPerceptron"]


class MultilayerPerceptron(nn.Module):
    """Fully connected layers between two shapes.

    Parameters
    ----------
    input_shape, output_shape
        Event shapes; leading dimensions of the input are batch.
    hidden
        Sizes of the hidden layers; empty for a linear map.
    activation
        Applied after every hidden layer.

    Examples
    --------
    >>> import torch
    >>> network = MultilayerPerceptron((1, 28, 28), (40,), hidden=(400,))
    >>> network(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 40])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        output_shape: Sequence[int],
        *,
        hidden: Sequence[int] = (400,),
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.input_shape, self.output_shape = tuple(input_shape), tuple(output_shape)
        sizes = [prod(self.input_shape), *hidden, prod(self.output_shape)]
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(size_in, size_out), build_activation(activation)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., *input_shape)`` to ``(..., *output_shape)``."""
        if len(self.input_shape) > 1:
            x = x.flatten(-len(self.input_shape))
        features = self.layers(x)
        return features.unflatten(-1, self.output_shape) if len(self.output_shape) > 1 else features


@dataclass(frozen=True, kw_only=True)
class MlpNetwork:
    """``mlp``: fully connected encoder, and its mirror as decoder.

    Parameters
    ----------
    hidden
        Sizes of the encoder's hidden layers; the decoder has them in reverse. Empty (``none``): linear.
    activation
        Applied after every hidden layer.

    Raises
    ------
    UsageError
        If a hidden layer has no unit.

    Examples
    --------
    >>> MlpNetwork(hidden=(8, 4)).decoder((2,), (3,)).layers[0]
    Linear(in_features=2, out_features=4, bias=True)
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: Activation = "gelu"

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.hidden):
            raise UsageError(
                f"mlp: hidden={'x'.join(map(str, self.hidden))} has a layer without units; give sizes of at "
                "least 1, such as hidden=200x200, or hidden=none for a linear map"
            )

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder."""
        return MultilayerPerceptron(input_shape, output_shape, hidden=self.hidden, activation=self.activation)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder: the hidden layers in reverse."""
        return MultilayerPerceptron(
            input_shape, output_shape, hidden=self.hidden[::-1], activation=self.activation
        )
