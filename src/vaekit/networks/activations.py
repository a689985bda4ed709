"""The activations a sentence can name."""

from typing import Literal

from torch import nn

__all__ = ["Activation", "build_activation"]

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
