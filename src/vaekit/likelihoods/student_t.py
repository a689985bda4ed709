r"""Student's t likelihood: tails that decay like a power, with a learned exponent.

.. math:: \log p(x \mid z) = \sum_i \left[\log \frac{\Gamma(\frac{\nu+1}2)}{\Gamma(\frac \nu 2)}
          - \tfrac 12 \log \pi \nu - \log \sigma_i
          - \frac{\nu + 1}2 \log\!\left(1 + \frac{(x_i - \mu_i(z))^2}{\nu \sigma_i^2}\right)\right]

The degrees of freedom stay above 2, so that mean and variance :math:`\sigma^2 \nu / (\nu - 2)` exist, and
below :math:`2 + e^{12}`, where it is practically the Gaussian. Lange, Little and Taylor (1989), "Robust
Statistical Modeling Using the t Distribution", section 2.
"""

from collections.abc import Sequence
from math import log, pi

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, StudentT

from vaekit.errors import UsageError
from vaekit.likelihoods.location_scale import LocationScaleLikelihood, Scale
from vaekit.networks.bounded import inverse_soft_bound, soft_bound

__all__ = ["StudentTLikelihood"]

_FAR = 1e9  # in scale units: the square is a number, and 1 beside it is no digit of float64


class StudentTLikelihood(LocationScaleLikelihood):
    r"""``student-t``: real numbers with heavy-tailed noise, robust against outliers.

    The features are the means, and with ``scale=per-example`` the raw log-scales below them.

    Parameters
    ----------
    event_shape, log_jacobian, scale, value
        See :class:`LocationScaleLikelihood`; ``value`` is :math:`\sigma`, which is less than the standard
        deviation.
    degrees
        The degrees of freedom :math:`\nu > 2` at the start. They are learned: one number for all dimensions,
        or one for each with ``scale=per-dimension``.

    Raises
    ------
    UsageError
        If ``degrees`` is not from 2.01 to 1e5, or ``value`` not from 1e-5 to 1e5.

    Examples
    --------
    >>> likelihood = StudentTLikelihood((2,), scale="fixed", degrees=3.0)
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2))[0]
    tensor(-2.0018, grad_fn=<SelectBackward0>)
    """

    kind = "student-t"

    def __init__(
        self,
        event_shape: Sequence[int],
        log_jacobian: float = 0.0,
        *,
        scale: Scale = "learned",
        value: float = 1.0,
        degrees: float = 5.0,
    ) -> None:
        super().__init__(event_shape, log_jacobian, scale=scale, value=value)
        if not 2.01 <= degrees <= 1e5:
            raise UsageError(
                f"student-t: degrees={degrees:g}; give degrees of freedom from 2.01 (below 2 there is no "
                "variance) to 1e5 (by then it is the gaussian)"
            )
        shape = self.event_shape if scale == "per-dimension" else ()
        self.log_degrees = nn.Parameter(torch.full(shape, inverse_soft_bound(log(degrees - 2))))

    def distribution(self, location: Tensor, scale: Tensor) -> Distribution:
        """Return independent t distributions."""
        return _StudentT(2 + soft_bound(self.log_degrees).exp(), location, scale)


class _StudentT(StudentT):
    """Student's t with its normaliser in float64: in float32 it would be 0.03 nats off at 1e5 degrees."""

    def __init__(self, degrees: Tensor, location: Tensor, scale: Tensor) -> None:
        super().__init__(degrees, location, scale, validate_args=False)
        nu = degrees.double()
        constant = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * (nu.log() + log(pi))
        self.constant, self.degrees = constant.to(location.dtype), degrees

    def log_prob(self, value: Tensor) -> Tensor:
        half, half_scale = 0.5 * value - 0.5 * self.loc, 0.5 * self.scale
        far = half.abs() > _FAR * half_scale
        near = (torch.where(far, 0.0, half) / half_scale).square() / self.degrees
        # Far out the square may overflow, and 1 is nothing beside it.
        size = torch.where(far, half.abs(), half_scale)
        squared = 2.0 * (size.log() - half_scale.log()) - self.degrees.log()
        tail = -0.5 * (self.degrees + 1) * torch.where(far, squared, near.log1p())
        return self.constant - self.scale.log() + tail
