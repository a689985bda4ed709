r"""Residual networks: fully connected for rows, and convolutional for images of any size.

.. math:: h_0 = W x + b, \quad h_{l+1} = h_l + F_l(h_l), \quad f(x) = W' \phi(\operatorname{norm}(h_L)) + b'

with :math:`F(h) = W_2\, \phi(\operatorname{norm}(W_1\, \phi(\operatorname{norm}(h)) + b_1)) + b_2`: He et al.
(2016), "Identity Mappings in Deep Residual Networks", equation 5, the full pre-activation of figure 4e. There
is a direct path from the input to the output, so that networks can be deep.

For images, each level halves the image with a strided convolution and refines it with residual blocks of two
3 x 3 convolutions. The decoder goes the same way back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from vaekit.contracts import Network, NetworkTraits
from vaekit.networks.convolutional import Reshaped, extra_pixels, halved_sizes
from vaekit.networks.layers import Activation, Initialisation, LayerStyle, Normalisation, check_sizes

__all__ = ["ResidualBlock", "ResidualConvolutionalNetwork", "ResidualNetwork"]


class ResidualBlock(nn.Module):
    """A block that returns :math:`h + F(h)`.

    Parameters
    ----------
    layers
        The layers of :math:`F`, which keep the shape.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, h: Tensor) -> Tensor:
        """Map any shape that the layers keep."""
        return h + self.layers(h)


@dataclass(frozen=True, kw_only=True)
class ResidualNetwork(Network):
    """``residual``: fully connected residual blocks of one width; the decoder has the same number.

    Parameters
    ----------
    hidden
        The width.
    blocks
        The number of blocks, of two layers each.
    activation, normalisation, dropout
        In every block; see :class:`vaekit.networks.MlpNetwork`.
    initialisation
        Initialisation of all weights: ``default`` (PyTorch's) or ``glorot``.

    Raises
    ------
    UsageError
        If there is no unit or no block, or dropout is not in [0, 1).

    Examples
    --------
    >>> import torch
    >>> ResidualNetwork(hidden=8, blocks=5).decoder((2,), (1, 4, 4))(torch.zeros(3, 2)).shape
    torch.Size([3, 1, 4, 4])
    """

    hidden: int = 256
    blocks: int = 2
    activation: Activation = "gelu"
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    initialisation: Initialisation = "default"

    def __post_init__(self) -> None:
        check_sizes("residual", "residual:hidden=256,blocks=2", hidden=self.hidden, blocks=self.blocks)
        self._style()

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder."""
        style = self._style()
        blocks = [
            ResidualBlock(
                *style.norm(self.hidden),
                style.activate(),
                nn.Linear(self.hidden, self.hidden),
                *style.after(self.hidden),
                nn.Linear(self.hidden, self.hidden),
            )
            for _ in range(self.blocks)
        ]
        layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(input_shape), self.hidden),
            *blocks,
            *style.after(self.hidden),
            nn.Linear(self.hidden, prod(output_shape)),
        )
        return style.initialised(Reshaped(layers, input_shape, output_shape))

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder."""
        return self.encoder(input_shape, output_shape)

    def _style(self) -> LayerStyle:
        return LayerStyle(
            kind="residual",
            activation=self.activation,
            normalisation=self.normalisation,
            dropout=self.dropout,
            initialisation=self.initialisation,
        )


@dataclass(frozen=True, kw_only=True)
class ResidualConvolutionalNetwork(Network):
    """``residual-convolutional``: residual blocks between strided convolutions, and their mirror up again.

    Parameters
    ----------
    channels
        Channels after each halving of the image.
    blocks
        Residual blocks after each halving.
    hidden
        Units of the fully connected layers between the last block and the latent side; may be empty.
    activation, normalisation, dropout
        In every block and fully connected layer; see :class:`vaekit.networks.MlpNetwork`.
    initialisation
        Initialisation of all weights: ``default`` (PyTorch's) or ``glorot``.

    Raises
    ------
    UsageError
        If there is no channel or block, dropout is not in [0, 1), or the data are not images.

    Examples
    --------
    >>> import torch
    >>> network = ResidualConvolutionalNetwork(channels=(8, 16), blocks=1, hidden=(32,))
    >>> network.encoder((3, 27, 14), (4,))(torch.zeros(5, 3, 27, 14)).shape
    torch.Size([5, 4])
    """

    traits = NetworkTraits(needs_images=True)

    channels: tuple[int, ...] = (32, 64)
    blocks: int = 2
    hidden: tuple[int, ...] = (256,)
    activation: Activation = "gelu"
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    initialisation: Initialisation = "default"

    def __post_init__(self) -> None:
        check_sizes(
            "residual-convolutional",
            "residual-convolutional:channels=32x64,blocks=2,hidden=256",
            channels=self.channels or 0,
            blocks=self.blocks,
            hidden=self.hidden,
        )
        self._style()

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder from images ``(C, H, W)``."""
        style, sizes = self._style(), halved_sizes("residual-convolutional", input_shape, len(self.channels))
        layers: list[nn.Module] = []
        for channels_in, channels in zip((input_shape[0], *self.channels), self.channels, strict=False):
            layers.append(nn.Conv2d(channels_in, channels, 3, stride=2, padding=1))
            layers += self._blocks(channels)
        layers += [*style.after(self.channels[-1], images=True), nn.Flatten()]
        units = [self.channels[-1] * prod(sizes[-1]), *self.hidden]
        for size_in, size_out in zip(units, units[1:], strict=False):
            layers += style.dense(size_in, size_out)
        layers.append(nn.Linear(units[-1], prod(output_shape)))
        return style.initialised(Reshaped(nn.Sequential(*layers), input_shape, output_shape))

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder to images ``(C, H, W)``."""
        style, sizes = self._style(), halved_sizes("residual-convolutional", output_shape, len(self.channels))
        widths = self.channels[::-1]
        units = [prod(input_shape), *self.hidden[::-1]]
        layers: list[nn.Module] = [nn.Flatten()]
        for size_in, size_out in zip(units, units[1:], strict=False):
            layers += style.dense(size_in, size_out)
        layers += [
            nn.Linear(units[-1], widths[0] * prod(sizes[-1])),
            nn.Unflatten(1, (widths[0], *sizes[-1])),
        ]
        for i, channels in enumerate(widths):
            layers += [*self._blocks(channels), *style.after(channels, images=True)]
            channels_out = widths[i + 1] if i + 1 < len(widths) else output_shape[0]
            extra = extra_pixels(sizes[-1 - i], sizes[-2 - i])
            layers.append(
                nn.ConvTranspose2d(channels, channels_out, 3, stride=2, padding=1, output_padding=extra)
            )
        return style.initialised(Reshaped(nn.Sequential(*layers), input_shape, output_shape))

    def _blocks(self, channels: int) -> list[nn.Module]:
        style = self._style()
        return [
            ResidualBlock(
                *style.norm(channels, images=True),
                style.activate(),
                nn.Conv2d(channels, channels, 3, padding=1),
                *style.after(channels, images=True),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            for _ in range(self.blocks)
        ]

    def _style(self) -> LayerStyle:
        return LayerStyle(
            kind="residual-convolutional",
            activation=self.activation,
            normalisation=self.normalisation,
            dropout=self.dropout,
            initialisation=self.initialisation,
        )
