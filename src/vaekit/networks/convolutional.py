r"""Convolutional networks for images of any size, odd ones included.

Each layer of the encoder halves the image (rounding up): a 3 x 3 kernel, stride 2, padding 1 takes a side
of :math:`s` pixels to :math:`\lceil s / 2 \rceil`. The decoder retraces the very same sizes: a transposed
layer gives :math:`2 s - 1` pixels and one more where the side on the way down was even.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from vaekit.errors import UsageError
from vaekit.networks.activations import Activation, build_activation

__all__ = ["ConvolutionalNetwork"]


@dataclass(frozen=True, kw_only=True)
class ConvolutionalNetwork:
    """``convolutional``: strided convolutions down to a vector, and their mirror up again.

    Parameters
    ----------
    channels
        Channels after each halving of the image.
    hidden
        Units of the fully connected layers between the last convolution and the latent side; may be empty.
    activation
        Applied after every layer but the last.

    Raises
    ------
    UsageError
        If there is no channel, or the data are not images.

    Examples
    --------
    >>> import torch
    >>> network = ConvolutionalNetwork(channels=(8, 16), hidden=(32,))
    >>> encoder = network.encoder((3, 27, 14), (4,))
    >>> decoder = network.decoder((2,), (3, 27, 14))
    >>> encoder(torch.zeros(5, 3, 27, 14)).shape, decoder(torch.zeros(5, 2)).shape
    (torch.Size([5, 4]), torch.Size([5, 3, 27, 14]))
    """

    channels: tuple[int, ...] = (32, 64)
    hidden: tuple[int, ...] = (256,)
    activation: Activation = "gelu"

    def __post_init__(self) -> None:
        if not self.channels or min(*self.channels, *self.hidden, 1) < 1:
            raise UsageError(
                f"convolutional: channels={self.channels or 'none'}, hidden={self.hidden or 'none'}: every layer "
                "needs at least one channel or unit, as in convolutional:channels=32x64,hidden=256"
            )

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder from images ``(C, H, W)``."""
        sizes = self._sizes(input_shape)
        layers: list[nn.Module] = []
        for channels_in, channels_out in zip(
            (input_shape[0], *self.channels[:-1]), self.channels, strict=True
        ):
            layers += [
                nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1),
                build_activation(self.activation),
            ]
        layers.append(nn.Flatten())
        units = [self.channels[-1] * prod(sizes[-1]), *self.hidden, prod(output_shape)]
        layers += self._dense(units)[:-1]
        return _Reshaped(nn.Sequential(*layers), input_shape, output_shape)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder to images ``(C, H, W)``."""
        sizes = self._sizes(output_shape)
        units = [prod(input_shape), *self.hidden[::-1], self.channels[-1] * prod(sizes[-1])]
        layers = [nn.Flatten(), *self._dense(units), nn.Unflatten(1, (self.channels[-1], *sizes[-1]))]
        widths = (*self.channels[::-1], output_shape[0])
        for i, (channels_in, channels_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            small, large = sizes[-1 - i], sizes[-2 - i]
            extra = (large[0] - (2 * small[0] - 1), large[1] - (2 * small[1] - 1))
            layers += [
                nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=extra),
                build_activation(self.activation),
            ]
        return _Reshaped(nn.Sequential(*layers[:-1]), input_shape, output_shape)

    def _dense(self, units: Sequence[int]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for size_in, size_out in zip(units[:-1], units[1:], strict=True):
            layers += [nn.Linear(size_in, size_out), build_activation(self.activation)]
        return layers

    def _sizes(self, image_shape: Sequence[int]) -> list[tuple[int, int]]:
        """Height and width before the first layer, and after each."""
        if len(image_shape) != 3:
            raise UsageError(
                f"convolutional: works on images (channels, height, width), not on rows of shape "
                f"{tuple(image_shape)}; use mlp for tables, or give the data as images"
            )
        sizes = [(image_shape[1], image_shape[2])]
        for _ in self.channels:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        return sizes


class _Reshaped(nn.Module):
    """Layers that want one batch dimension, for inputs with any number of them."""

    def __init__(self, layers: nn.Module, input_shape: Sequence[int], output_shape: Sequence[int]) -> None:
        super().__init__()
        self.layers = layers
        self.input_dimensions, self.output_shape = len(input_shape), tuple(output_shape)

    def forward(self, x: Tensor) -> Tensor:
        batch_shape = x.shape[: x.dim() - self.input_dimensions]
        features = self.layers(x.reshape(-1, *x.shape[x.dim() - self.input_dimensions :]))
        return features.reshape(*batch_shape, *self.output_shape)
