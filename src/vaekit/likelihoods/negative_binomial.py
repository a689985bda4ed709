r"""The negative binomial likelihood of counts, by mean and dispersion.

.. math:: \log p(x \mid z) = \sum_i \left[\log \frac{\Gamma(x_i + \theta_i)}{\Gamma(\theta_i)\, x_i!}
          + \theta_i \log \frac{\theta_i}{\theta_i + \mu_i} + x_i \log \frac{\mu_i}{\theta_i + \mu_i}\right],
          \qquad \operatorname{Var} x_i = \mu_i + \frac{\mu_i^2}{\theta_i}

A Poisson whose mean is gamma distributed with shape :math:`\theta`, the inverse dispersion: counts that vary
more than their mean. Lopez, Regier, Cole, Jordan and Yosef (2018), "Deep generative modeling for single-cell
transcriptomics", methods (scVI); Hilbe (2011), "Negative Binomial Regression", equation 8.8 (NB2).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus
from torch.types import _size

from vaekit.distributions.plain import ElementwiseDistribution
from vaekit.likelihoods.counts import bounded_log_mean, log_mean_features
from vaekit.likelihoods.overdispersed import Dispersion, OverdispersedCounts
from vaekit.networks.bounded import soft_bound

__all__ = ["NegativeBinomial", "NegativeBinomialLikelihood"]

_SCALAR = torch.Size()


class NegativeBinomialLikelihood(OverdispersedCounts):
    r"""``negative-binomial``: counts whose variance exceeds their mean.

    The features are the logarithms of the means, bounded smoothly between -20 and 20, and with
    ``dispersion=per-example`` those of :math:`\theta` below them.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.
    dispersion
        Whose :math:`\theta`, always learned, smoothly between 6e-6 and 1.6e5: ``learned`` is one for all
        dimensions, ``per-dimension`` one for each, ``per-example`` an output of the decoder.

    Examples
    --------
    >>> likelihood = NegativeBinomialLikelihood((2,))
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2)).exp()[0]
    tensor(0.2500, grad_fn=<SelectBackward0>)
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        log_jacobian: float = 0.0,
        *,
        dispersion: Dispersion = "per-dimension",
    ) -> None:
        super().__init__("negative-binomial", event_shape, log_jacobian, 1, dispersion)

    def marginal_features(self, x: Tensor) -> Tensor:
        """Give the features, the same for every latent, with the means of data ``(n, *event)``."""
        return self.features_of(log_mean_features(x))

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)``, the log-means first, into a distribution over the event."""
        log_mean, log_concentration = self.parameters_of(features)
        inner = NegativeBinomial(log_mean, log_concentration)
        return Independent(inner, len(self.event_shape), validate_args=False)


class NegativeBinomial(ElementwiseDistribution):
    r"""Independent negative binomials; computes in float64, answers in the type of ``log_mean``.

    Parameters
    ----------
    log_mean
        :math:`\log \mu`, any shape, still to be bounded between -20 and 20.
    log_concentration
        :math:`\log \theta`, broadcasts with it, still to be bounded between -12 and 12.

    Examples
    --------
    >>> NegativeBinomial(torch.zeros(1), torch.zeros(1)).variance
    tensor([2.])
    """

    def __init__(self, log_mean: Tensor, log_concentration: Tensor) -> None:
        self.dtype = log_mean.dtype
        self.log_mean, self.log_concentration = torch.broadcast_tensors(
            bounded_log_mean(log_mean), soft_bound(log_concentration.double())
        )
        super().__init__(self.log_mean.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts ``value`` in nats."""
        return self.log_prob_in_float64(value).to(self.dtype)

    def log_prob_in_float64(self, value: Tensor) -> Tensor:
        """The same before it is rounded."""
        x, theta = value.double(), self.log_concentration.exp()
        log_odds = self.log_mean - self.log_concentration
        return (
            torch.lgamma(x + theta)
            - torch.lgamma(theta)
            - torch.lgamma(x + 1)
            - theta * softplus(log_odds)
            - x * softplus(-log_odds)
        )

    @torch.no_grad()
    def sample(self, sample_shape: _size = _SCALAR) -> Tensor:
        """Draw a gamma distributed mean, then a Poisson count."""
        theta = self.log_concentration.exp().expand(self._extended_shape(sample_shape))
        rate = torch.distributions.Gamma(theta, theta / self.log_mean.exp(), validate_args=False).sample()
        return torch.poisson(rate).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`."""
        return self.log_mean.exp().to(self.dtype)

    @property
    def variance(self) -> Tensor:
        r""":math:`\mu + \mu^2 / \theta`."""
        return (self.log_mean.exp() + (2 * self.log_mean - self.log_concentration).exp()).to(self.dtype)
