r"""The Gaussian likelihood, :math:`p(x \mid z) = \mathcal N(x; \mu(z), \operatorname{diag} \sigma^2)`.

With a learned :math:`\sigma` there is no loss weight to guess: the maximum of the bound sets the noise to the
mean squared error that is left, which is what a weight on the KL would otherwise stand for (Rybkin, Daniilidis
and Levine, 2021, "Simple and Effective VAE Training with Calibrated Decoders", section 3).
"""

from collections.abc import Sequence
from math import log
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.errors import UsageError
from vaekit.likelihoods.support import Support
from vaekit.likelihoods.units import InDataUnits
from vaekit.networks.bounded import inverse_soft_bound, soft_bound

__all__ = ["GaussianLikelihood"]


class GaussianLikelihood(nn.Module):
    """``gaussian``: real numbers with Gaussian noise.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Logarithm of the Jacobian of the data's scaling, in nats (see :class:`InDataUnits`).
    scale
        Whose standard deviation: ``learned`` is one for all dimensions, ``per-dimension`` one for each,
        ``fixed`` is ``value`` for ever.
    value
        The standard deviation to start from, or to keep, in the coordinates of the model (scaled data).

    Raises
    ------
    UsageError
        If ``value`` is not positive.

    Examples
    --------
    >>> likelihood = GaussianLikelihood((2,), scale="fixed", value=1.0)
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2))[0]
    tensor(-1.8379)
    """

    needs: frozenset[str] = frozenset()
    support = Support("finite numbers", -torch.inf, torch.inf, "no likelihood accepts anything else")
    is_density = True

    def __init__(
        self,
        event_shape: Sequence[int],
        log_jacobian: float = 0.0,
        *,
        scale: Literal["learned", "per-dimension", "fixed"] = "learned",
        value: float = 1.0,
    ) -> None:
        super().__init__()
        if not 1e-5 <= value <= 1e5:
            raise UsageError(
                f"gaussian: value={value:g} is no standard deviation to start from; give a number from 1e-5 to 1e5, "
                "in units of the scaled data"
            )
        self.event_shape = self.feature_shape = tuple(event_shape)
        self.log_jacobian = log_jacobian
        self.value = value
        start = torch.full(
            self.event_shape if scale == "per-dimension" else (), inverse_soft_bound(log(value))
        )
        self.log_scale = None if scale == "fixed" else nn.Parameter(start)

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *event_shape)``, the means, into a distribution over the event."""
        scale = (
            features.new_tensor(self.value) if self.log_scale is None else soft_bound(self.log_scale).exp()
        )
        normal = Normal(features, scale.expand(self.event_shape), validate_args=False)
        independent = Independent(normal, len(self.event_shape), validate_args=False)
        return InDataUnits(independent, self.log_jacobian) if self.log_jacobian else independent
