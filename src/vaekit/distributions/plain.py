"""What all distributions of our own have in common, and those over codes besides."""

from typing import Any

from torch.distributions import Distribution, constraints

__all__ = ["DistributionOverCodes", "PlainDistribution"]


class PlainDistribution(Distribution):
    """A distribution whose parameters are as they were given: nothing is checked. Abstract."""

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """None: PyTorch wants to be told, in order to print a distribution."""
        return {}


class DistributionOverCodes(PlainDistribution):
    """Masses on the points of a code space. Abstract."""

    has_rsample = True
    discrete = True

    @property
    def support(self) -> constraints.Constraint:
        """Vectors of numbers, though only those of codes have any mass."""
        return constraints.independent(constraints.real, 1)
