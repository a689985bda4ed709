r"""The Laplace likelihood: absolute rather than squared errors, for data with outliers.

.. math:: \log p(x \mid z) = -\sum_i \left[\log 2 b_i + \frac{|x_i - \mu_i(z)|}{b_i}\right]

With a learned scale :math:`b` its maximum is the mean absolute error. Kotz, Kozubowski and Podgorski (2001),
"The Laplace Distribution and Generalizations", equation 2.1.1.
"""

from torch import Tensor
from torch.distributions import Distribution, Laplace

from vaekit.likelihoods.location_scale import LocationScaleLikelihood

__all__ = ["LaplaceLikelihood"]


class LaplaceLikelihood(LocationScaleLikelihood):
    r"""``laplace``: real numbers with noise that has exponential tails.

    The features are the medians, and with ``scale=per-example`` the raw log-scales below them. For the
    parameters see :class:`LocationScaleLikelihood`; ``value`` is :math:`b`, the mean absolute deviation: the
    standard deviation is :math:`\sqrt 2\, b`.

    Examples
    --------
    >>> import torch
    >>> likelihood = LaplaceLikelihood((2,), scale="fixed", value=0.5)
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.ones(5, 2))[0]
    tensor(-4.)
    """

    kind = "laplace"
    scale_in_words = "mean absolute deviation"

    def distribution(self, location: Tensor, scale: Tensor) -> Distribution:
        """Make independent Laplace distributions."""
        return Laplace(location, scale, validate_args=False)
