"""The bases of our own distributions: unchecked parameters, vectors of numbers, and codes."""

from typing import Any

from torch import Size
from torch.distributions import constraints

from vaekit.contracts import Described, DistributionTraits

__all__ = ["DistributionOverCodes", "ElementwiseDistribution", "PlainDistribution", "VectorDistribution"]


class PlainDistribution(Described):
    """A distribution whose parameters are not checked. Abstract."""

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """No constraints; PyTorch asks for them in order to print a distribution."""
        return {}


class VectorDistribution(PlainDistribution):
    """A reparameterised distribution over vectors of real numbers. Abstract."""

    has_rsample = True

    @property
    def support(self) -> constraints.Constraint:
        """Vectors of real numbers."""
        return constraints.independent(constraints.real, 1)


class DistributionOverCodes(VectorDistribution):
    """Masses on the points of a code space, which are written as vectors. Abstract."""

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
