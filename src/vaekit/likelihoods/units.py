r"""Densities in the units of the data, for models that see scaled data.

If the model sees :math:`y = (x - a) / s`, a density :math:`p_Y` of what it sees is the density

.. math:: \log p_X(x) = \log p_Y(y) + \log \left| \frac{\partial y}{\partial x} \right|
          = \log p_Y(y) - \sum_i \log s_i

of the data. Samples and moments stay in the model's coordinates :math:`y`; only the measure changes.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.types import _size

from vaekit.distributions.plain import PlainDistribution

__all__ = ["InDataUnits"]

_SCALAR = torch.Size()


class InDataUnits(PlainDistribution):
    r"""A distribution over scaled data whose ``log_prob`` is per unit of the data as given.

    Parameters
    ----------
    base
        Distribution over the scaled data :math:`y`.
    log_jacobian
        :math:`-\sum_i \log s_i`, in nats: the sum over all dimensions of an event.

    Examples
    --------
    Data in grams, seen by the model in kilograms: per gram, the density is a thousandth.

    >>> from torch.distributions import Independent, Normal
    >>> base = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    >>> base.log_prob(torch.zeros(1)), InDataUnits(base, -6.9078).log_prob(torch.zeros(1))
    (tensor(-0.9189), tensor(-7.8267))
    """

    has_rsample = True

    def __init__(self, base: Distribution, log_jacobian: float) -> None:
        self.base, self.log_jacobian = base, log_jacobian
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of scaled data ``value``, in nats per unit of the data."""
        return self.base.log_prob(value) + self.log_jacobian

    def rsample(self, sample_shape: _size = _SCALAR) -> Tensor:
        """Draw scaled data, with gradients where the base has them."""
        return self.base.rsample(sample_shape)

    def sample(self, sample_shape: _size = _SCALAR) -> Tensor:
        """Draw scaled data."""
        return self.base.sample(sample_shape)

    @property
    def mean(self) -> Tensor:
        """Mean, in the coordinates of the model."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """Variance, in the coordinates of the model."""
        return self.base.variance
