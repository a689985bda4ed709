r"""What layers of every network can have besides weights: activation, normalisation, dropout, initialisation.

A hidden layer is :math:`h = \operatorname{dropout}(\phi(\operatorname{norm}(W x + b)))`. Normalisation is that of the
batch (Ioffe and Szegedy, 2015, "Batch Normalization", algorithm 1) or of the layer (Ba, Kiros and Hinton, 2016, "Layer
Normalization", equation 3; of images, over channels and pixels together). Dropout is that of Srivastava et al. (2014).
Glorot's initialisation draws :math:`W \sim \mathcal U\bigl(\pm\sqrt{6 / (n_\text{in} + n_\text{out})}\bigr)` and sets
:math:`b = 0` (Glorot and Bengio, 2010, equation 16); the default is PyTorch's,
:math:`\mathcal U(\pm 1 / \sqrt{n_\text{in}})` for both.

In training, a network with batch normalisation gives an example features that depend on the batch it is in, and one
with dropout features that are random; at evaluation neither does.

The activations a sentence can name.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from vaekit.errors import UsageError

__all__ = ["Activation", "Initialisation", "LayerStyle", "Normalisation", "build_activation", "check_sizes"]

Activation = Literal["relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "leaky-relu"]

_BUILDERS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "leaky-relu": nn.LeakyReLU,
}


def build_activation(name: Activation) -> nn.Module:
    """Build a fresh activation module by its name.

    >>> build_activation("tanh")
    Tanh()
    """
    return _BUILDERS[name]()


Normalisation = Literal["none", "batch", "layer"]
Initialisation = Literal["default", "glorot"]


@dataclass(frozen=True, kw_only=True)
class LayerStyle:
    """How the layers of a network are made.

    Parameters
    ----------
    kind
        The network, for messages.
    activation, normalisation, dropout, initialisation
        See the module; ``dropout`` is the probability that a unit is left out.

    Raises
    ------
    UsageError
        For a dropout outside [0, 1), or a word that is not known.

    Examples
    --------
    >>> LayerStyle(kind="mlp", activation="relu", dropout=0.5).dense(3, 4)
    [Linear(in_features=3, out_features=4, bias=True), ReLU(), Dropout(p=0.5, inplace=False)]
    """

    kind: str
    activation: Activation = "gelu"
    normalisation: Normalisation = "none"
    dropout: float = 0.0
    initialisation: Initialisation = "default"

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise UsageError(
                f"{self.kind}: dropout={self.dropout:g}; give the probability of leaving a unit out, from 0 to "
                "less than 1, such as 0.1"
            )
        for name, value, known in (
            ("normalisation", self.normalisation, ("none", "batch", "layer")),
            ("initialisation", self.initialisation, ("default", "glorot")),
        ):
            if value not in known:
                raise UsageError(f"{self.kind}: {name}={value!r}; there are {', '.join(known)}")

    def dense(self, size_in: int, size_out: int) -> list[nn.Module]:
        """Make a fully connected hidden layer."""
        return [nn.Linear(size_in, size_out), *self.after(size_out)]

    def after(self, units: int, *, images: bool = False) -> list[nn.Module]:
        """Make what comes after the weights of a hidden layer: normalisation, activation, dropout."""
        return [*self.norm(units, images=images), self.activate(), *self.drop()]

    def activate(self) -> nn.Module:
        """Make the activation."""
        return build_activation(self.activation)

    def norm(self, units: int, *, images: bool = False) -> list[nn.Module]:
        """Make the normalisation of ``units`` units, or of images of so many channels."""
        if self.normalisation == "batch":
            return [BatchNorm2d(units) if images else BatchNorm1d(units)]
        if self.normalisation == "layer":
            return [nn.GroupNorm(1, units) if images else nn.LayerNorm(units)]
        return []

    def drop(self) -> list[nn.Module]:
        """Make the dropout."""
        return [nn.Dropout(self.dropout)] if self.dropout else []

    def initialised(self, network: nn.Module) -> nn.Module:
        """Return the network back, with the weights of all its layers initialised."""
        if self.initialisation == "glorot":
            for layer in network.modules():
                if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                    nn.init.xavier_uniform_(layer.weight)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)
        return network


def check_sizes(kind: str, example: str, **sizes: int | tuple[int, ...]) -> None:
    """Refuse a layer without units.

    Raises
    ------
    UsageError
        If a size is below 1; ``example`` ends the message.
    """
    for name, value in sizes.items():
        each = value if isinstance(value, tuple) else (value,)
        if any(size < 1 for size in each):
            raise UsageError(
                f"{kind}: {name}={'x'.join(map(str, each))} has a layer without units; give sizes of at least 1, "
                f"such as {example}"
            )


class BatchNorm1d(nn.BatchNorm1d):
    """Of units; trains on a single row too, which has no variance.

    The running averages stand in for the batch's moments then, as at evaluation, and stay what they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(batch, units)`` to the same shape."""
        return _by_running_averages(self, input) if _is_alone(self, input) else super().forward(input)


class BatchNorm2d(nn.BatchNorm2d):
    """Of channels; trains on a single pixel too, as :class:`BatchNorm1d` does."""

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(batch, channels, height, width)`` to the same shape."""
        return _by_running_averages(self, input) if _is_alone(self, input) else super().forward(input)


def _is_alone(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> bool:
    return norm.training and x.numel() == x.shape[1]


def _by_running_averages(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
