r"""The Gaussian likelihood, :math:`p(x \mid z) = \mathcal N(x; \mu(z), \operatorname{diag} \sigma^2)`.

.. math:: \log p(x \mid z) = -\sum_i \left[\tfrac 12 \log 2 \pi + \log \sigma_i
          + \frac{(x_i - \mu_i)^2}{2 \sigma_i^2}\right]

Kingma and Welling (2013), appendix C.2; whose :math:`\sigma` it is, see :mod:`vaekit.likelihoods.location_scale`.
"""

from torch import Tensor
from torch.distributions import Distribution, Normal

from vaekit.likelihoods.location_scale import LocationScaleLikelihood

__all__ = ["GaussianLikelihood"]


class GaussianLikelihood(LocationScaleLikelihood):
    """``gaussian``: real numbers with Gaussian noise.

    The features are the means, and with ``scale=per-example`` the raw log-scales below them. For the
    parameters see :class:`LocationScaleLikelihood`; ``value`` is a standard deviation.

    Examples
    --------
    >>> import torch
    >>> likelihood = GaussianLikelihood((2,), scale="fixed", value=1.0)
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2))[0]
    tensor(-1.8379)
    """

    kind = "gaussian"
    scale_in_words = "standard deviation"

    def distribution(self, location: Tensor, scale: Tensor) -> Distribution:
        """Make independent normal distributions."""
        return Normal(location, scale, validate_args=False)
