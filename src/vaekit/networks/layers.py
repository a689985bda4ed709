r"""The parts of a layer besides weights: activation, normalisation, dropout and initialisation.

A hidden layer is :math:`h = \operatorname{dropout}(\phi(\operatorname{norm}(W x + b)))`. Normalisation is
over the batch (Ioffe and Szegedy, 2015, "Batch Normalization", algorithm 1) or the layer (Ba, Kiros and
Hinton, 2016, "Layer Normalization", equation 3; of images, over channels and pixels together). Dropout:
Srivastava et al. (2014). Glorot's initialisation draws
:math:`W \sim \mathcal U\bigl(\pm\sqrt{6 / (n_\text{in} + n_\text{out})}\bigr)` and sets :math:`b = 0` (Glorot
and Bengio, 2010, equation 16); the default is PyTorch's, :math:`\mathcal U(\pm 1 / \sqrt{n_\text{in}})` for
both.

In training, batch normalisation makes the features of an example depend on its batch, and dropout makes them
random; in evaluation neither does.
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
    """Build an activation module by its name.

    >>> build_activation("tanh")
    Tanh()
    """
    return _BUILDERS[name]()


Normalisation = Literal["none", "batch", "layer"]
Initialisation = Literal["default", "glorot"]


@dataclass(frozen=True, kw_only=True)
class LayerStyle:
    """The style of a network's layers.

    Parameters
    ----------
    kind
        The name of the network, for messages.
    activation, normalisation, dropout, initialisation
        See the module's description; ``dropout`` is the probability that a unit is left out.

    Raises
    ------
    UsageError
        For a dropout outside [0, 1), or an unknown value of another option.

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
        """Return the modules of a fully connected hidden layer."""
        return [nn.Linear(size_in, size_out), *self.after(size_out)]

    def after(self, units: int, *, images: bool = False) -> list[nn.Module]:
        """Return the modules after the weights of a hidden layer: normalisation, activation, dropout."""
        return [*self.norm(units, images=images), self.activate(), *self.drop()]

    def activate(self) -> nn.Module:
        """Return a new activation."""
        return build_activation(self.activation)

    def norm(self, units: int, *, images: bool = False) -> list[nn.Module]:
        """Return the normalisation of ``units`` units, or of images with so many channels."""
        if self.normalisation == "batch":
            return [BatchNorm2d(units) if images else BatchNorm1d(units)]
        if self.normalisation == "layer":
            return [nn.GroupNorm(1, units) if images else nn.LayerNorm(units)]
        return []

    def drop(self) -> list[nn.Module]:
        """Return the dropout, if there is any."""
        return [nn.Dropout(self.dropout)] if self.dropout else []

    def initialised(self, network: nn.Module) -> nn.Module:
        """Initialise the weights of all layers of a network, and return it."""
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
    """Batch normalisation of units that also trains on a single row, which has no variance.

    The running averages then replace the moments of the batch, as in evaluation, and do not change.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(batch, units)`` to the same shape."""
        return _by_running_averages(self, input) if _is_alone(self, input) else super().forward(input)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation of channels that also trains on a single pixel, as :class:`BatchNorm1d` does."""

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(batch, channels, height, width)`` to the same shape."""
        return _by_running_averages(self, input) if _is_alone(self, input) else super().forward(input)


def _is_alone(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> bool:
    return norm.training and x.numel() == x.shape[1]


def _by_running_averages(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
