"""Distributions of independent numbers, one for each entry of a batch: what ours share."""

from typing import Any

from torch import Size
from torch.distributions import Distribution

__all__ = ["ElementwiseDistribution"]


class ElementwiseDistribution(Distribution):
    """Abstract: univariate, never validated; the data are checked at the door, by ``support``.

    Parameters
    ----------
    shape
        The shape of the parameters.
    """

    def __init__(self, shape: Size) -> None:
        super().__init__(shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """None: PyTorch wants to be told, in order to print a distribution."""
        return {}
