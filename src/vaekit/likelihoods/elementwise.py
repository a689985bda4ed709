"""Distributions of independent numbers, one for each entry of a batch: what ours share."""

from torch import Size

from vaekit.distributions.plain import PlainDistribution

__all__ = ["ElementwiseDistribution"]


class ElementwiseDistribution(PlainDistribution):
    """Abstract: univariate, never validated; the data are checked at the door, by ``support``.

    Parameters
    ----------
    shape
        The shape of the parameters.
    """

    def __init__(self, shape: Size) -> None:
        super().__init__(shape, validate_args=False)
