r"""Normal distributions whose log-density does not overflow before it is taken.

PyTorch's own classes divide a square by a variance,

.. math:: \log \mathcal N(x; \mu, \sigma^2) = -\frac{(x - \mu)^2}{2 \sigma^2} - \log \sigma - \tfrac 12 \log 2 \pi,

or subtract one square from another. In single precision a deviation of :math:`2 \cdot 10^{19}` has no square,
although its log-density at :math:`\sigma = 10^5` is a plain number. Here deviations are divided by the scale
before they are squared, and far out everything is computed in units of the largest deviation. A log-density
that the type cannot hold is minus infinity, never NaN.
"""

from math import log, pi

import torch
from torch import Tensor
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal
from torch.distributions.multivariate_normal import _batch_mahalanobis  # pyright: ignore[reportPrivateUsage]

from vaekit.networks.bounded import soft_bound

__all__ = [
    "LOG_VARIANCE_LIMIT",
    "FullNormal",
    "LowRankNormal",
    "PlainNormal",
    "diagonal_gaussian",
    "independent_normal",
    "settle_overflow",
]

LOG_VARIANCE_LIMIT = 24.0  # standard deviations from 6e-6 to 1.6e5
_FAR = 1e8  # beyond it deviations are divided by the largest of them


class PlainNormal(Normal):
    """A normal distribution.

    Examples
    --------
    >>> PlainNormal(torch.zeros(()), torch.tensor(1e5)).log_prob(torch.tensor(1e23))
    tensor(-5.0000e+35)
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density in nats."""
        deviation = (value - self.loc) / self.scale
        return -(0.5 * deviation) * deviation - self.scale.log() - 0.5 * log(2.0 * pi)


class FullNormal(MultivariateNormal):
    r"""A normal distribution with covariance :math:`L L^\top`.

    Examples
    --------
    >>> FullNormal(torch.zeros(2), scale_tril=1e5 * torch.eye(2)).log_prob(torch.tensor([1e23, 0.0]))
    tensor(-5.0000e+35)
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density in nats."""
        half, unit = _half_deviation(value, self.loc)
        factor = self._unbroadcasted_scale_tril
        squared = _batch_mahalanobis(factor, half / unit)
        log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return _gaussian(squared, unit, log_det, self.event_shape[0])


class LowRankNormal(LowRankMultivariateNormal):
    r"""A normal distribution with covariance :math:`F F^\top + \operatorname{diag} d`.

    Its squared deviation is the sum of squares :math:`\min_u |d^{-1/2} (x - \mu - F u)|^2 + |u|^2`, never a
    difference.

    Examples
    --------
    >>> p = LowRankNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2))
    >>> p.log_prob(torch.tensor([1e15, -1e15])), p.log_prob(torch.tensor([1e38, 1e38]))
    (tensor(-1.0000e+30), tensor(-inf))
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density in nats."""
        half, unit = _half_deviation(value, self.loc)
        deviation = half / unit
        factor, variance = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        capacitance = self._capacitance_tril  # of I + F' D^-1 F
        projected = (factor.mT @ (deviation / variance).unsqueeze(-1)).expand(
            *deviation.shape[:-1], factor.shape[-1], 1
        )
        u = torch.cholesky_solve(
            projected, capacitance.expand(*deviation.shape[:-1], *capacitance.shape[-2:])
        )
        left = (deviation - (factor @ u).squeeze(-1)) / variance.sqrt()
        squared = left.square().sum(-1) + u.squeeze(-1).square().sum(-1)
        log_det = capacitance.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 0.5 * variance.log().sum(-1)
        return _gaussian(squared, unit, log_det, self.event_shape[0])


def independent_normal(loc: Tensor, scale: Tensor, dimensions: int = 1) -> "Independent[Normal]":
    """Return independent normals over the last dimensions.

    Examples
    --------
    >>> independent_normal(torch.zeros(2), torch.ones(2)).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """
    return Independent(PlainNormal(loc, scale, validate_args=False), dimensions, validate_args=False)


def diagonal_gaussian(mean: Tensor, log_variance: Tensor) -> "Independent[Normal]":
    """Return independent normals over the last dimension, with log-variances that are softly bounded.

    Examples
    --------
    >>> diagonal_gaussian(torch.zeros(5, 2), torch.zeros(5, 2)).stddev[0]
    tensor([1., 1.])
    """
    return independent_normal(mean, (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp())


def settle_overflow(log_density: Tensor, value: Tensor) -> Tensor:
    """Return a log-density with minus infinity in place of NaN where the value is too large for a network to map.

    For densities with Gaussian tails that map ``value``, ``(..., k)``, by a network first. Far beyond the
    root of the largest number, sums in a network overflow with both signs; the log-density there is less than
    the type can hold.

    Examples
    --------
    >>> settle_overflow(torch.tensor([torch.nan, torch.nan]), torch.tensor([[1e38], [1.0]]))
    tensor([-inf, nan])
    """
    far = value.abs().amax(-1) > torch.finfo(value.dtype).max ** 0.5
    return torch.where(far & log_density.isnan(), -torch.inf, log_density)


def _half_deviation(value: Tensor, loc: Tensor) -> tuple[Tensor, Tensor]:
    """Return half the deviation, which does not overflow, and the unit to divide it by: 1, or far out its size."""
    half = 0.5 * value - 0.5 * loc
    size = half.detach().abs().amax(-1, keepdim=True)
    return half, torch.where(size > _FAR, size, 1.0)


def _gaussian(squared: Tensor, unit: Tensor, log_det: Tensor, k: int) -> Tensor:
    """Return the log-density for squares of half deviations in a unit, and the log-determinant of the factor."""
    unit = unit.squeeze(-1)
    return -2.0 * (unit * squared) * unit - log_det - 0.5 * k * log(2.0 * pi)
