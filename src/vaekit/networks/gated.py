r"""Gated fully connected networks: each unit has a second linear map that opens or closes it.

.. math:: h_{l+1} = (W_l h_l + b_l) \odot \sigma(V_l h_l + c_l), \quad f(x) = W_L h_L + b_L

Tomczak and Welling (2018), "VAE with a VampPrior", section 4.1; van den Oord et al. (2016), "Conditional Image
Generation with PixelCNN Decoders", equation 2. The VampPrior's network has two hidden layers of 300.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from vaekit.contracts import Network
from vaekit.networks.layers import Initialisation, LayerStyle, Normalisation, check_sizes
from vaekit.networks.mlp import FlatNetwork

__all__ = ["GatedDense", "GatedNetwork"]


class GatedDense(nn.Module):
    r"""A layer :math:`(W x + b) \odot \sigma(V x + c)`.

    Examples
    --------
    >>> import torch
    >>> GatedDense(3, 4)(torch.zeros(5, 3)).shape
    torch.Size([5, 4])
    """

    def __init__(self, size_in: int, size_out: int) -> None:
        super().__init__()
        self.linear, self.gate = nn.Linear(size_in, size_out), nn.Linear(size_in, size_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., size_in)`` to ``(..., size_out)``."""
        return self.linear(x) * self.gate(x).sigmoid()


@dataclass(frozen=True, kw_only=True)
class GatedNetwork(Network):
    """``gated``: fully connected layers with gates, and their mirror as decoder.

    Parameters
    ----------
    hidden
        Sizes of the encoder's hidden layers; the decoder has them in reverse. Empty (``none``): linear.
    normalisation, dropout
        After every hidden layer; see :class:`vaekit.networks.MlpNetwork`.
    initialisation
        Of all weights: ``default`` (PyTorch's) or ``glorot``, which the paper uses.

    Raises
    ------
    UsageError
        If a hidden layer has no unit, or dropout is not in [0, 1).

    Examples
    --------
    >>> import torch
    >>> GatedNetwork(hidden=(300, 300)).encoder((1, 28, 28), (80,))(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 80])
    """

    hidden: tuple[int, ...] = (300, 300)
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    initialisation: Initialisation = "default"

    def __post_init__(self) -> None:
        check_sizes("gated", "hidden=300x300, or hidden=none for a linear map", hidden=self.hidden)
        self._style()

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder."""
        return self._build(input_shape, output_shape, self.hidden)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder: the hidden layers in reverse."""
        return self._build(input_shape, output_shape, self.hidden[::-1])

    def _style(self) -> LayerStyle:
        return LayerStyle(
            kind="gated",
            normalisation=self.normalisation,
            dropout=self.dropout,
            initialisation=self.initialisation,
        )

    def _build(
        self, input_shape: Sequence[int], output_shape: Sequence[int], hidden: tuple[int, ...]
    ) -> nn.Module:
        style = self._style()

        def layer(size_in: int, size_out: int) -> list[nn.Module]:
            return [GatedDense(size_in, size_out), *style.norm(size_out), *style.drop()]

        return style.initialised(FlatNetwork(input_shape, output_shape, hidden, layer))
