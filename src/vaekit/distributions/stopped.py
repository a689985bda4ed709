"""Distributions and modules with their parameters held fixed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.utils._pytree import tree_map

__all__ = ["detach_distribution", "detach_tensors", "stopped_call"]


def detach_tensors(tree: Any) -> Any:
    """Detach every tensor in tuples, lists and dictionaries.

    Examples
    --------
    >>> detach_tensors((torch.ones(1, requires_grad=True), None))
    (tensor([1.]), None)
    """
    return tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)


def detach_distribution(distribution: Distribution) -> Distribution:
    """Copy a distribution of tensors and distributions, with every tensor detached.

    Examples
    --------
    >>> loc = torch.zeros(1, requires_grad=True)
    >>> detach_distribution(torch.distributions.Normal(loc, 1.0)).loc.requires_grad
    False
    """
    stopped = type(distribution).__new__(type(distribution))
    for name, value in vars(distribution).items():
        stopped.__dict__[name] = (
            detach_distribution(value) if isinstance(value, Distribution) else detach_tensors(value)
        )
    return stopped


def stopped_call(module: nn.Module) -> Callable[..., Any]:
    """Give the module's call, with parameters that no gradient flows into.

    Examples
    --------
    >>> layer = nn.Linear(1, 1)
    >>> stopped_call(layer)(torch.ones(1)).requires_grad, layer(torch.ones(1)).requires_grad
    (False, True)
    """
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def call(*arguments: Any, **options: Any) -> Any:
        return torch.func.functional_call(module, parameters, arguments, options)

    return call
