r"""Residual fully connected networks, for rows: every block adds to what it is given.

.. math:: h_0 = W x + b, \quad h_{l+1} = h_l + F_l(h_l), \quad f(x) = W' \phi(\operatorname{norm}(h_L)) + b'

with :math:`F(h) = W_2\, \phi(\operatorname{norm}(W_1\, \phi(\operatorname{norm}(h)) + b_1)) + b_2`: He et al. (2016),
"Identity Mappings in Deep Residual Networks", equation 5, the full pre-activation of figure 4e. There is a straight
path from the input to the output, so that networks can be deep.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from vaekit.contracts import Network
from vaekit.networks.activations import Activation
from vaekit.networks.layers import Initialisation, LayerStyle, Normalisation, check_sizes
from vaekit.networks.shapes import Reshaped

__all__ = ["ResidualBlock", "ResidualNetwork"]


class ResidualBlock(nn.Module):
    """Gives :math:`h + F(h)`.

    Parameters
    ----------
    layers
        :math:`F`, from a shape to the same.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, h: Tensor) -> Tensor:
        """Map any shape that the layers keep."""
        return h + self.layers(h)


@dataclass(frozen=True, kw_only=True)
class ResidualNetwork(Network):
    """``residual``: fully connected residual blocks of one width; the decoder has as many.

    Parameters
    ----------
    hidden
        The width.
    blocks
        The number of blocks, of two layers each.
    activation, normalisation, dropout
        In every block; see :class:`vaekit.networks.MlpNetwork`.
    initialisation
        Of all weights: ``default`` (PyTorch's) or ``glorot``.

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
