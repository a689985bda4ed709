r"""Convolutional networks for images of any size, also odd ones.

Each layer of the encoder halves the image (rounding up): a 3 x 3 kernel, stride 2, padding 1 maps a side of
:math:`s` pixels to :math:`\lceil s / 2 \rceil`. The decoder goes through the same sizes in reverse: a
transposed layer gives :math:`2 s - 1` pixels, and one more where the side on the way down was even.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from vaekit.contracts import Network, NetworkTraits
from vaekit.errors import UsageError
from vaekit.networks.layers import Activation, Initialisation, LayerStyle, Normalisation

__all__ = ["ConvolutionalNetwork", "Reshaped", "extra_pixels", "halved_sizes"]


@dataclass(frozen=True, kw_only=True)
class ConvolutionalNetwork(Network):
    """``convolutional``: strided convolutions down to a vector, and their mirror up again.

    Parameters
    ----------
    channels
        Channels after each halving of the image.
    hidden
        Units of the fully connected layers between the last convolution and the latent side; may be empty.
    activation, normalisation, dropout
        After every layer but the last; see :class:`vaekit.networks.MlpNetwork`. ``normalisation=layer`` is over
        channels and pixels together.
    initialisation
        Initialisation of all weights: ``default`` (PyTorch's) or ``glorot``.

    Raises
    ------
    UsageError
        If there is no channel, dropout is not in [0, 1), or the data are not images.

    Examples
    --------
    >>> import torch
    >>> network = ConvolutionalNetwork(channels=(8, 16), hidden=(32,))
    >>> encoder = network.encoder((3, 27, 14), (4,))
    >>> decoder = network.decoder((2,), (3, 27, 14))
    >>> encoder(torch.zeros(5, 3, 27, 14)).shape, decoder(torch.zeros(5, 2)).shape
    (torch.Size([5, 4]), torch.Size([5, 3, 27, 14]))
    """

    traits = NetworkTraits(needs_images=True)

    channels: tuple[int, ...] = (32, 64)
    hidden: tuple[int, ...] = (256,)
    activation: Activation = "gelu"
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    initialisation: Initialisation = "default"

    def __post_init__(self) -> None:
        if not self.channels or min(*self.channels, *self.hidden, 1) < 1:
            raise UsageError(
                f"convolutional: channels={self.channels or 'none'}, hidden={self.hidden or 'none'}: every layer "
                "needs at least one channel or unit, as in convolutional:channels=32x64,hidden=256"
            )
        self._style()

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder from images ``(C, H, W)``."""
        style, sizes = self._style(), halved_sizes("convolutional", input_shape, len(self.channels))
        layers: list[nn.Module] = []
        for channels_in, channels in zip((input_shape[0], *self.channels), self.channels, strict=False):
            layers.append(nn.Conv2d(channels_in, channels, 3, stride=2, padding=1))
            layers += style.after(channels, images=True)
        layers.append(nn.Flatten())
        units = [self.channels[-1] * prod(sizes[-1]), *self.hidden]
        for size_in, size_out in zip(units[:-1], units[1:], strict=True):
            layers += style.dense(size_in, size_out)
        layers.append(nn.Linear(units[-1], prod(output_shape)))
        return style.initialised(Reshaped(nn.Sequential(*layers), input_shape, output_shape))

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder to images ``(C, H, W)``."""
        style, sizes = self._style(), halved_sizes("convolutional", output_shape, len(self.channels))
        units = [prod(input_shape), *self.hidden[::-1], self.channels[-1] * prod(sizes[-1])]
        layers: list[nn.Module] = [nn.Flatten()]
        for size_in, size_out in zip(units[:-1], units[1:], strict=True):
            layers += style.dense(size_in, size_out)
        layers.append(nn.Unflatten(1, (self.channels[-1], *sizes[-1])))
        widths = (*self.channels[::-1], output_shape[0])
        for i, (channels_in, channels) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            extra = extra_pixels(sizes[-1 - i], sizes[-2 - i])
            layers.append(
                nn.ConvTranspose2d(channels_in, channels, 3, stride=2, padding=1, output_padding=extra)
            )
            if i + 1 < len(self.channels):
                layers += style.after(channels, images=True)
        return style.initialised(Reshaped(nn.Sequential(*layers), input_shape, output_shape))

    def _style(self) -> LayerStyle:
        return LayerStyle(
            kind="convolutional",
            activation=self.activation,
            normalisation=self.normalisation,
            dropout=self.dropout,
            initialisation=self.initialisation,
        )


class Reshaped(nn.Module):
    """Layers that need one batch dimension, for inputs with any number of them.

    Parameters
    ----------
    layers
        Layers from ``(batch, *input_shape)`` to as many numbers as ``output_shape`` has.
    input_shape, output_shape
        Event shapes.
    """

    def __init__(self, layers: nn.Module, input_shape: Sequence[int], output_shape: Sequence[int]) -> None:
        super().__init__()
        self.layers = layers
        self.input_dimensions, self.output_shape = len(input_shape), tuple(output_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., *input_shape)`` to ``(..., *output_shape)``."""
        batch_shape = x.shape[: x.dim() - self.input_dimensions]
        features = self.layers(x.reshape(-1, *x.shape[x.dim() - self.input_dimensions :]))
        return features.reshape(*batch_shape, *self.output_shape)


def halved_sizes(kind: str, image_shape: Sequence[int], times: int) -> list[tuple[int, int]]:
    """Return height and width before the first halving (rounding up), and after each.

    Raises
    ------
    UsageError
        If the shape is not that of an image.

    Examples
    --------
    >>> halved_sizes("convolutional", (1, 28, 5), 2)
    [(28, 5), (14, 3), (7, 2)]
    """
    if len(image_shape) != 3:
        raise UsageError(
            f"{kind}: works on images (channels, height, width), not on rows of shape {tuple(image_shape)}; use "
            "mlp for tables, or give the data as images"
        )
    sizes = [(image_shape[1], image_shape[2])]
    for _ in range(times):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


def extra_pixels(small: tuple[int, int], large: tuple[int, int]) -> tuple[int, int]:
    """Return the pixels by which a transposed 3 x 3 convolution of stride 2, with 2 s - 1 pixels, is too small."""
    return large[0] - (2 * small[0] - 1), large[1] - (2 * small[1] - 1)
