"""The bases of our own distributions, and copies with fixed parameters.

:func:`detach_distribution` and :func:`stopped_call` give a distribution, or the call of a module, whose
parameters no gradient flows into: a density that is differentiated with respect to its argument alone.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.utils._pytree import tree_map

from vaekit.contracts import Described, DistributionTraits

__all__ = [
    "DistributionOverCodes",
    "ElementwiseDistribution",
    "PlainDistribution",
    "SampleShape",
    "VectorDistribution",
    "WrappedDistribution",
    "detach_distribution",
    "detach_tensors",
    "stopped_call",
]

_SCALAR = Size()

SampleShape = Size | list[int] | tuple[int, ...]  # as torch's own distributions take it


class PlainDistribution(Described):
    """A distribution whose parameters are not checked. Abstract."""

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """No constraints. PyTorch reads this to print a distribution."""
        return {}


class WrappedDistribution(PlainDistribution):
    """A distribution with the draws and moments of another one, and a density of its own. Abstract.

    Parameters
    ----------
    base
        The other distribution.
    """

    has_rsample = True

    def __init__(self, base: Distribution) -> None:
        self.base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def rsample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw, with gradients where the base has them."""
        return self.base.rsample(sample_shape)

    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw."""
        return self.base.sample(sample_shape)

    @property
    def mean(self) -> Tensor:
        """The mean of the base."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """The variance of the base."""
        return self.base.variance


class VectorDistribution(PlainDistribution):
    """A reparameterised distribution over vectors of real numbers. Abstract."""

    has_rsample = True

    @property
    def support(self) -> constraints.Constraint:
        """Vectors of real numbers."""
        return constraints.independent(constraints.real, 1)


class DistributionOverCodes(VectorDistribution):
    """A probability mass on each point of a code space; the points are written as vectors. Abstract."""

    traits = DistributionTraits(discrete=True)


class ElementwiseDistribution(PlainDistribution):
    """Independent numbers, one for each entry of a batch. Abstract.

    Parameters
    ----------
    shape
        The shape of the parameters.
    """

    def __init__(self, shape: Size) -> None:
        super().__init__(shape, validate_args=False)


def detach_tensors(tree: Any) -> Any:
    """Detach every tensor in tuples, lists and dictionaries.

    Examples
    --------
    >>> detach_tensors((torch.ones(1, requires_grad=True), None))
    (tensor([1.]), None)
    """

    def detached(leaf: Any) -> Any:
        return leaf.detach() if isinstance(leaf, Tensor) else leaf

    return tree_map(detached, tree)


def detach_distribution(distribution: Distribution) -> Distribution:
    """Copy a distribution that holds tensors and other distributions, with every tensor detached.

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
    """Return the call of a module with its parameters detached: no gradient flows into them.

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
