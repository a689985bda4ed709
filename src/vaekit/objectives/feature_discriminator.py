"""A discriminator of data whose hidden layer can be looked at, on the scale of its spread over the data.

Differences of features are measured with unit variance, which means something only if the features keep their scale.
The networks of the VAE/GAN paper have batch normalisation there, by which an example would depend on its batch; here
features are divided by one number, the root of their mean variance over the data, a running average that moves with the
discriminator's steps alone.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from vaekit.networks.activations import build_activation

__all__ = ["FeatureDiscriminator"]

_MOMENTUM, _TINY = 0.1, 1e-5  # as batch normalisation has them


class FeatureDiscriminator(nn.Module):
    """From examples to features and the logit of their being data.

    Parameters
    ----------
    event_shape
        Of an example: an image ``(C, H, W)`` is taken through strided convolutions, anything else as a row.
    hidden
        Sizes of hidden layers. Of rows, the last one is the features; of images they follow them.
    channels
        Of the convolutions, each of which halves the image.
    transform
        Without parameters, applied to the examples first.

    Examples
    --------
    >>> features, logit = FeatureDiscriminator((1, 8, 8), hidden=(16,), channels=(4, 8))(torch.zeros(5, 1, 8, 8))
    >>> features.shape, logit.shape
    (torch.Size([5, 32]), torch.Size([5]))
    """

    variance: Tensor

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        hidden: Sequence[int],
        channels: Sequence[int],
        transform: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.transform = nn.Identity() if transform is None else transform
        layers: list[nn.Module]
        if len(event_shape) == 3:
            sides = event_shape[1:]
            layers = []
            for channels_in, channels_out in zip((event_shape[0], *channels), channels, strict=False):
                layers += [nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), _activation()]
                sides = [(side + 1) // 2 for side in sides]
            self.body = nn.Sequential(*layers, nn.Flatten())
            self.head = nn.Sequential(*_dense([channels[-1] * prod(sides), *hidden]))
        else:
            layers = _dense([prod(event_shape), *hidden])
            self.body = nn.Sequential(nn.Flatten(), *layers)
            self.head = nn.Sequential()
        self.head.append(nn.Linear(hidden[-1], 1))
        self.register_buffer("variance", torch.ones(()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(batch, *event)`` to features ``(batch, d)`` and logits ``(batch,)``."""
        features = self.body(self.transform(x))
        return features * (self.variance + _TINY).rsqrt(), self.head(features).squeeze(1)

    @torch.no_grad()
    def follow(self, features: Tensor) -> None:
        """Move the running average to the spread of data's features, as :meth:`forward` gave them."""
        if len(features) > 1:
            found = features.var(0).mean() * (self.variance + _TINY)
            self.variance.lerp_(found, _MOMENTUM)


def _activation() -> nn.Module:
    return build_activation("leaky-relu")


def _dense(sizes: Sequence[int]) -> list[nn.Module]:
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    return [layer for size_in, size_out in pairs for layer in (nn.Linear(size_in, size_out), _activation())]
