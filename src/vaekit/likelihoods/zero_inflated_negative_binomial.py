r"""The zero-inflated negative binomial likelihood: counts that also drop out to zero.

.. math:: p(x_i \mid z) = \pi_i\, [x_i = 0] + (1 - \pi_i)\, \operatorname{NB}(x_i; \mu_i, \theta_i)

Lopez, Regier, Cole, Jordan and Yosef (2018), "Deep generative modeling for single-cell transcriptomics",
methods (scVI); with the logit of :math:`\pi`, computed without ever forming a probability.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.nn.functional import logsigmoid
from torch.types import _size

from vaekit.distributions.plain import ElementwiseDistribution
from vaekit.likelihoods.counts import log_mean_features
from vaekit.likelihoods.negative_binomial import NegativeBinomial
from vaekit.likelihoods.overdispersed import Dispersion, OverdispersedCounts

__all__ = ["ZeroInflatedNegativeBinomialLikelihood"]

_SCALAR = torch.Size()


class ZeroInflatedNegativeBinomialLikelihood(OverdispersedCounts):
    r"""``zero-inflated-negative-binomial``: overdispersed counts with zeros besides.

    The features are the logarithms of the means of the counts that did not drop out, the logits of
    dropping out, and with ``dispersion=per-example`` those of :math:`\log\theta`.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.
    dispersion
        Whose :math:`\theta`, as in :class:`NegativeBinomialLikelihood`.

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
        """Give the features, the same for every latent, with the means of data ``(n, *event)``."""
        return self.features_of(log_mean_features(2 * x))  # of the half that does not drop out at first

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)`` into a distribution over the event."""
        log_mean, dropout_logits, log_concentration = self.parameters_of(features)
        inner = _ZeroInflated(NegativeBinomial(log_mean, log_concentration), dropout_logits)
        return Independent(inner, len(self.event_shape), validate_args=False)


class _ZeroInflated(ElementwiseDistribution):
    """Computes in float64, answers in the type of the features."""

    def __init__(self, base: NegativeBinomial, logits: Tensor) -> None:
        self.base, self.logits, self.dtype = base, logits.double(), logits.dtype
        super().__init__(base.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        counted = logsigmoid(-self.logits) + self.base.log_prob_in_float64(value)
        total = torch.where(value == 0, torch.logaddexp(logsigmoid(self.logits), counted), counted)
        return total.to(self.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: _size = _SCALAR) -> Tensor:
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
