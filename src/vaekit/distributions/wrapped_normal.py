r"""The wrapped normal distribution on hyperbolic space.

.. math:: z = \exp_\mu v, \quad v \sim \mathcal N(0, \operatorname{diag}\sigma^2)

(Nagano et al., 2019, "A Wrapped Normal Distribution on Hyperbolic Space for Gradient-Based Learning", section 3;
Mathieu et al., 2019, equation 7.) Points are written in geodesic normal coordinates at the origin (see
:mod:`vaekit.distributions.hyperbolic`), and the density is per unit of volume *of these coordinates*, for posterior and
prior alike:

.. math:: \log q(z) = \log \mathcal N(u; 0, \operatorname{diag}\sigma^2)
          + (k - 1) \left[ \log\frac{\sinh \sqrt c |z|}{\sqrt c |z|}
          - \log\frac{\sinh \sqrt c |u|}{\sqrt c |u|} \right], \qquad u = \log_\mu z .

Without the first term in brackets (:func:`vaekit.distributions.hyperbolic.log_volume`) it is the density per unit of
hyperbolic volume. Divergences and importance weights are the same in either.
"""

from math import log, pi

import torch
from torch import Tensor
from torch.types import _size

from vaekit.distributions.hyperbolic import exponential_map, log_volume, logarithmic_map
from vaekit.distributions.plain import PlainDistribution

__all__ = ["WrappedNormal"]

_SCALAR = torch.Size()


class WrappedNormal(PlainDistribution):
    r"""A Gaussian in the tangent space of a point, carried to hyperbolic space.

    Parameters
    ----------
    centre
        :math:`\mu`, ``(*batch, k)``, in normal coordinates at the origin.
    scale
        :math:`\sigma`, ``(*batch, k)``, positive: standard deviations in hyperbolic distance.
    curvature
        :math:`c > 0`: the space has the curvature :math:`-c`.

    Examples
    --------
    Around the origin, in these coordinates, it is a Gaussian.

    >>> WrappedNormal(torch.zeros(2), torch.ones(2), 0.7).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    has_rsample = True

    def __init__(self, centre: Tensor, scale: Tensor, curvature: float) -> None:
        self.centre, self.scale, self.curvature = centre, scale, curvature
        super().__init__(centre.shape[:-1], centre.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`: the Frechet mean, the point of least mean squared distance."""
        return self.centre

    def rsample(self, sample_shape: _size = _SCALAR) -> Tensor:
        """Draw ``(*sample_shape, *batch, k)``, with gradients."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.centre.dtype, device=self.centre.device)
        return exponential_map(self.centre.expand(shape), self.scale * noise, self.curvature)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, per unit of volume of the coordinates."""
        u = logarithmic_map(self.centre, value, self.curvature)
        normal = -0.5 * (u / self.scale).square() - self.scale.log() - 0.5 * log(2.0 * pi)
        return normal.sum(-1) + log_volume(value, self.curvature) - log_volume(u, self.curvature)
