"""Shapes between layers: any number of batch dimensions, and images that are halved and doubled again."""

from collections.abc import Sequence

from torch import Tensor, nn

from vaekit.errors import UsageError

__all__ = ["Reshaped", "extra_pixels", "halved_sizes"]


class Reshaped(nn.Module):
    """Layers that want one batch dimension, for inputs with any number of them.

    Parameters
    ----------
    layers
        From ``(batch, *input_shape)`` to as many numbers as ``output_shape`` has.
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
    """Give height and width before the first halving (rounding up), and after each.

    Raises
    ------
    UsageError
        If it is no image.

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
    """Give what a transposed 3 x 3 convolution of stride 2, which makes 2 s - 1 pixels, lacks of the large size."""
    return large[0] - (2 * small[0] - 1), large[1] - (2 * small[1] - 1)
