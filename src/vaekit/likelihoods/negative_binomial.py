r"""Likelihoods of overdispersed counts: the negative binomial, by mean and dispersion, and its zero-inflated form.

.. math:: \log p(x \mid z) = \sum_i \left[\log \frac{\Gamma(x_i + \theta_i)}{\Gamma(\theta_i)\, x_i!}
          + \theta_i \log \frac{\theta_i}{\theta_i + \mu_i} + x_i \log \frac{\mu_i}{\theta_i + \mu_i}\right],
          \qquad \operatorname{Var} x_i = \mu_i + \frac{\mu_i^2}{\theta_i}

It is a Poisson whose mean is gamma distributed with shape :math:`\theta`, the inverse dispersion: counts that
vary more than their mean. Zero-inflated, counts also drop out to zero,

.. math:: p(x_i \mid z) = \pi_i\, [x_i = 0] + (1 - \pi_i)\, \operatorname{NB}(x_i; \mu_i, \theta_i)

with the logit of :math:`\pi`, computed without forming a probability. Lopez, Regier, Cole, Jordan and Yosef
(2018), "Deep generative modeling for single-cell transcriptomics", methods (scVI); Hilbe (2011), "Negative
Binomial Regression", equation 8.8 (NB2).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import logsigmoid, softplus

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.distributions.base import ElementwiseDistribution, SampleShape
from vaekit.likelihoods.conventions import require_no_jacobian, stacked_shape, unstack
from vaekit.likelihoods.poisson import COUNTS, bounded_log_mean, log_mean_features
from vaekit.networks.bounded import soft_bound
from vaekit.networks.network_inputs import LogCounts

__all__ = [
    "Dispersion",
    "NegativeBinomial",
    "NegativeBinomialLikelihood",
    "OverdispersedCounts",
    "ZeroInflatedNegativeBinomialLikelihood",
]

Dispersion = Literal["learned", "per-dimension", "per-example"]


class OverdispersedCounts(nn.Module, Likelihood):
    r"""Counts with a dispersion; of the features, log-means come first and :math:`\log\theta` last. Abstract.

    Parameters
    ----------
    name
        The name of the likelihood, for messages.
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.
    parameters
        The number of the decoder's outputs per dimension, without :math:`\log\theta`.
    dispersion
        ``learned``: one :math:`\theta` for all dimensions; ``per-dimension``: one for each; ``per-example``:
        an output of the decoder.
    """

    traits = LikelihoodTraits(measure="counts", column=True, takes_missing=True)
    support = COUNTS

    def __init__(
        self,
        name: str,
        event_shape: Sequence[int],
        log_jacobian: float,
        parameters: int,
        dispersion: Dispersion,
    ) -> None:
        super().__init__()
        require_no_jacobian(name, log_jacobian)
        self.event_shape = tuple(event_shape)
        own = dispersion != "per-example"
        self.feature_shape = stacked_shape(self.event_shape, parameters if own else parameters + 1)
        shape = self.event_shape if dispersion == "per-dimension" else ()
        self.log_concentration = nn.Parameter(torch.zeros(shape)) if own else None
        self.encoder_input = LogCounts()

    def features_of(self, log_mean: Tensor) -> Tensor:
        """Return the features with these log-means, and 0 for all other parameters."""
        beside = self.feature_shape[0] // self.event_shape[0] - 1
        return torch.cat([log_mean, *[0 * log_mean] * beside])

    def parameters_of(self, features: Tensor) -> list[Tensor]:
        r"""Split features ``(..., *feature_shape)`` into parameters; the last is :math:`\log\theta`."""
        parts = list(unstack(features, self.event_shape))
        return parts if self.log_concentration is None else [*parts, self.log_concentration]


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
        ``learned``: one :math:`\theta` for all dimensions; ``per-dimension``: one for each; ``per-example``:
        an output of the decoder. It is always learned, smoothly bounded between 6e-6 and 1.6e5.

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
        """Return the features of the means of data ``(n, *event)``, for every latent alike."""
        return self.features_of(log_mean_features(x))

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)``, the log-means first, into a distribution over the event."""
        log_mean, log_concentration = self.parameters_of(features)
        inner = NegativeBinomial(log_mean, log_concentration)
        return Independent(inner, len(self.event_shape), validate_args=False)


class NegativeBinomial(ElementwiseDistribution):
    r"""Independent negative binomials, computed in float64 and returned in the type of ``log_mean``.

    Parameters
    ----------
    log_mean
        :math:`\log \mu` before it is softly bounded between -20 and 20, of any shape.
    log_concentration
        :math:`\log \theta` before it is softly bounded between -12 and 12; broadcasts with ``log_mean``.

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
        """Evaluate the log-probability of counts ``value``, in nats."""
        return self.log_prob_in_float64(value).to(self.dtype)

    def log_prob_in_float64(self, value: Tensor) -> Tensor:
        """Evaluate the log-probability of counts ``value`` in nats, in float64."""
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
    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw a gamma distributed mean, then a Poisson count."""
        theta = self.log_concentration.exp().expand(self._extended_shape(sample_shape))
        rate = torch.distributions.Gamma(theta, theta / self.log_mean.exp(), validate_args=False).sample()
        return torch.poisson(rate).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        r"""The mean, :math:`\mu`."""
        return self.log_mean.exp().to(self.dtype)

    @property
    def variance(self) -> Tensor:
        r"""The variance, :math:`\mu + \mu^2 / \theta`."""
        return (self.log_mean.exp() + (2 * self.log_mean - self.log_concentration).exp()).to(self.dtype)


class ZeroInflatedNegativeBinomialLikelihood(OverdispersedCounts):
    r"""``zero-inflated-negative-binomial``: overdispersed counts with additional zeros.

    The features are the logarithms of the means of counts that do not drop out, the logits of dropping out,
    and with ``dispersion=per-example`` :math:`\log\theta`.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.
    dispersion
        As for :class:`NegativeBinomialLikelihood`.

    Examples
    --------
    >>> likelihood = ZeroInflatedNegativeBinomialLikelihood((1,))
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 1)).exp()[0]
    tensor(0.7500, grad_fn=<SelectBackward0>)
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        log_jacobian: float = 0.0,
        *,
        dispersion: Dispersion = "per-dimension",
    ) -> None:
        super().__init__("zero-inflated-negative-binomial", event_shape, log_jacobian, 2, dispersion)

    def marginal_features(self, x: Tensor) -> Tensor:
        """Return the features of the means of data ``(n, *event)``, for every latent alike."""
        return self.features_of(log_mean_features(2 * x))  # at first, half of the counts drop out

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)`` into a distribution over the event."""
        log_mean, dropout_logits, log_concentration = self.parameters_of(features)
        inner = _ZeroInflated(NegativeBinomial(log_mean, log_concentration), dropout_logits)
        return Independent(inner, len(self.event_shape), validate_args=False)


class _ZeroInflated(ElementwiseDistribution):
    """Independent zero-inflated counts, computed in float64 and returned in the type of the features."""

    def __init__(self, base: NegativeBinomial, logits: Tensor) -> None:
        self.base, self.logits, self.dtype = base, logits.double(), logits.dtype
        super().__init__(base.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        counted = logsigmoid(-self.logits) + self.base.log_prob_in_float64(value)
        total = torch.where(value == 0, torch.logaddexp(logsigmoid(self.logits), counted), counted)
        return total.to(self.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        counts = self.base.sample(sample_shape)
        dropped = torch.rand(counts.shape, dtype=self.logits.dtype, device=counts.device)
        return torch.where(dropped < self.logits.sigmoid(), torch.zeros_like(counts), counts)

    @property
    def mean(self) -> Tensor:
        return (-self.logits).sigmoid().to(self.dtype) * self.base.mean

    @property
    def variance(self) -> Tensor:
        dropped, mean = self.logits.sigmoid(), self.base.log_mean.exp()
        extra = (-self.base.log_concentration).exp() + dropped
        return ((1 - dropped) * (mean + mean.square() * extra)).to(self.dtype)
