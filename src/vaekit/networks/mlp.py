r"""Fully connected networks of any depth, with or without gates; without a hidden layer, a linear map.

.. math::

    \text{mlp}   &: h_0 = x, \quad h_{l+1} = \phi(W_l h_l + b_l), \quad f(x) = W_L h_L + b_L \\
    \text{shortcut} &: f(x) = W_L h_L + b_L + A x \\
    \text{gated} &: h_{l+1} = (W_l h_l + b_l) \odot \sigma(V_l h_l + c_l)

A linear map beside the layers, from the input straight to the output, begins as principal components do, so that
latents are used from the first steps on, and few rows are enough for it: Dieng et al. (2019), "Avoiding Latent
Variable Collapse with Generative Skip Models", section 3. Gates: Tomczak and Welling (2018), "VAE with a
VampPrior", section 4.1, whose network has two hidden layers of 300; van den Oord et al. (2016), "Conditional
Image Generation with PixelCNN Decoders", equation 2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from vaekit.contracts import Network
from vaekit.networks.layers import Activation, Initialisation, LayerStyle, Normalisation, check_sizes

__all__ = ["FlatNetwork", "GatedDense", "GatedNetwork", "MlpNetwork", "MultilayerPerceptron"]


class FlatNetwork(nn.Module):
    """Layers of units between two shapes, the last one linear.

    Parameters
    ----------
    input_shape, output_shape
        Event shapes; leading dimensions of the input are batch.
    hidden
        Sizes of the hidden layers; empty for a linear map.
    layer
        A function that makes the modules of a hidden layer from one size to another.
    shortcut
        Whether a linear map of the input is added to the output.

    Examples
    --------
    >>> import torch
    >>> network = FlatNetwork((1, 28, 28), (2, 5), (400,), lambda m, n: [nn.Linear(m, n), nn.ReLU()])
    >>> network(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 2, 5])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        output_shape: Sequence[int],
        hidden: Sequence[int],
        layer: Callable[[int, int], list[nn.Module]],
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.input_shape, self.output_shape = tuple(input_shape), tuple(output_shape)
        sizes = [prod(self.input_shape), *hidden]
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes[:-1], sizes[1:], strict=True):
            layers += layer(size_in, size_out)
        size_in, size_out = prod(self.input_shape), prod(self.output_shape)
        self.shortcut = nn.Linear(size_in, size_out, bias=False) if shortcut else None
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], size_out))

    @property
    def last(self) -> nn.Module:
        """The last layer, which is linear."""
        return self.layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., *input_shape)`` to ``(..., *output_shape)``."""
        batch_shape = x.shape[: x.dim() - len(self.input_shape)]
        if len(self.input_shape) > 1:
            x = x.flatten(-len(self.input_shape))
        # Batch normalisation needs exactly one batch dimension.
        flat = x if len(batch_shape) == 1 else x.reshape(-1, x.shape[-1])
        features = self.layers(flat)
        if self.shortcut is not None:
            features = features + self.shortcut(flat)
        if len(batch_shape) == 1 and len(self.output_shape) == 1:
            return features
        return features.reshape(*batch_shape, *self.output_shape)


class MultilayerPerceptron(FlatNetwork):
    """Fully connected layers between two shapes.

    Parameters
    ----------
    input_shape, output_shape
        Event shapes; leading dimensions of the input are batch.
    hidden
        Sizes of the hidden layers; empty for a linear map.
    activation
        Applied after every hidden layer.
    style
        The style of the hidden layers, instead of the activation alone.
    shortcut
        Whether a linear map of the input is added to the output.

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
        style: LayerStyle | None = None,
        shortcut: bool = False,
    ) -> None:
        style = LayerStyle(kind="mlp", activation=activation) if style is None else style
        super().__init__(input_shape, output_shape, hidden, style.dense, shortcut)
        style.initialised(self)


@dataclass(frozen=True, kw_only=True)
class MlpNetwork(Network):
    """``mlp``: fully connected encoder, and its mirror as decoder.

    Parameters
    ----------
    hidden
        Sizes of the encoder's hidden layers; the decoder has them in reverse order. Empty (``none``): linear.
    activation
        Applied after every hidden layer.
    normalisation
        Before every activation: ``none``, ``batch`` or ``layer``. In training, ``batch`` makes an example's
        features depend on the batch it is in; a batch of one row is normalised with the running averages.
    dropout
        Probability of leaving a hidden unit out of a training step, from 0 to less than 1.
    initialisation
        Initialisation of all weights: ``default`` (PyTorch's) or ``glorot`` (uniform, with biases of zero).
    shortcut
        Whether a linear map of the input is added to the output, in encoder and decoder.

    Raises
    ------
    UsageError
        If a hidden layer has no unit, or dropout is not in [0, 1).

    Examples
    --------
    >>> MlpNetwork(hidden=(8, 4)).decoder((2,), (3,)).layers[0]
    Linear(in_features=2, out_features=4, bias=True)
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: Activation = "gelu"
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    initialisation: Initialisation = "default"
    shortcut: bool = False

    def __post_init__(self) -> None:
        check_sizes("mlp", "hidden=200x200, or hidden=none for a linear map", hidden=self.hidden)
        self._style()

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder."""
        return self._build(input_shape, output_shape, self.hidden)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder: the hidden layers in reverse."""
        return self._build(input_shape, output_shape, self.hidden[::-1])

    def _build(
        self, input_shape: Sequence[int], output_shape: Sequence[int], hidden: tuple[int, ...]
    ) -> nn.Module:
        return MultilayerPerceptron(
            input_shape, output_shape, hidden=hidden, style=self._style(), shortcut=self.shortcut
        )

    def _style(self) -> LayerStyle:
        return LayerStyle(
            kind="mlp",
            activation=self.activation,
            normalisation=self.normalisation,
            dropout=self.dropout,
            initialisation=self.initialisation,
        )


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
        Sizes of the encoder's hidden layers; the decoder has them in reverse order. Empty (``none``): linear.
    normalisation, dropout
        After every hidden layer; see :class:`vaekit.networks.MlpNetwork`.
    initialisation
        Initialisation of all weights: ``default`` (PyTorch's) or ``glorot``, which the paper uses.

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
