r"""A mixture of discretised logistic distributions over the levels 0 to L - 1.

.. math:: p(x_i \mid z) = \sum_k \pi_{ik} \left[\sigma\!\left(\frac{x_i + \frac12 - \mu_{ik}}{s_{ik}}\right)
          - \sigma\!\left(\frac{x_i - \frac12 - \mu_{ik}}{s_{ik}}\right)\right]

where the bin of level 0 extends to :math:`-\infty` and that of level L - 1 to :math:`+\infty`, so that the
probabilities sum to one. Salimans, Karpathy, Chen and Kingma (2017), "PixelCNN++", equation 2; here the
dimensions, channels included, are independent given :math:`z`. The difference is computed without
cancellation:

.. math:: \log[\sigma(b) - \sigma(a)] = \log \sigma(b) + \log \sigma(-a) + \log(1 - e^{-(b - a)}), \qquad
          b - a = 1 / s
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import logsigmoid

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.distributions.base import ElementwiseDistribution, SampleShape
from vaekit.errors import UsageError
from vaekit.likelihoods.conventions import require_no_jacobian, stacked_shape, unstack
from vaekit.likelihoods.support import levels_support
from vaekit.networks.bounded import soft_bound
from vaekit.networks.network_inputs import CenteredLevels

__all__ = ["DiscretizedLogisticLikelihood", "DiscretizedLogisticMixture"]

_SCALAR = torch.Size()


class DiscretizedLogisticLikelihood(nn.Module, Likelihood):
    r"""``discretized-logistic``: whole numbers from 0 to ``levels - 1``, with similar probabilities of neighbours.

    :math:`\log p(x)` is the logarithm of a probability, so that bits per dimension compare with the
    literature. The features are, per dimension and component, the logit of its weight, its mean and its raw
    log-scale, in coordinates in which the levels are in [-1, 1]; the means start evenly spread.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.
    mixture
        The number of components per dimension.
    levels
        The number of levels, at least 2.

    Raises
    ------
    UsageError
        If there is no component, or fewer than 2 levels or more than 65,536.

    Examples
    --------
    >>> likelihood = DiscretizedLogisticLikelihood((1,), mixture=2, levels=4)
    >>> levels = torch.arange(4.0)[:, None]
    >>> likelihood(torch.randn(6)).log_prob(levels).exp().sum().round(decimals=5)
    tensor(1.)
    """

    traits = LikelihoodTraits(measure="levels", scaling="levels", takes_missing=True)

    def __init__(
        self,
        event_shape: Sequence[int],
        log_jacobian: float = 0.0,
        *,
        mixture: int = 5,
        levels: int = 256,
    ) -> None:
        super().__init__()
        require_no_jacobian("discretized-logistic", log_jacobian)
        self.support = levels_support("discretized-logistic", levels)
        if mixture < 1:
            raise UsageError(f"discretized-logistic: mixture={mixture}; give at least 1 component")
        self.levels, self.count, self.mixture = levels, levels, mixture
        self.event_shape = tuple(event_shape)
        self.feature_shape = stacked_shape(self.event_shape, 3 * mixture)
        self.encoder_input = CenteredLevels(levels)

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)`` into a distribution over the event."""
        stacked = unstack(features, self.event_shape).unflatten(0, (3, self.mixture))
        logits, mean, log_scale = stacked.movedim(1, -1)  # each (..., *event, mixture)
        spread = (2 * torch.arange(self.mixture, dtype=mean.dtype, device=mean.device) + 1) / self.mixture - 1
        inner = DiscretizedLogisticMixture(logits, mean + spread, soft_bound(log_scale).exp(), self.count)
        return Independent(inner, len(self.event_shape), validate_args=False)


class DiscretizedLogisticMixture(ElementwiseDistribution):
    """Independent mixtures of discretised logistics.

    Parameters
    ----------
    logits, location, scale
        ``(..., components)``: the logits of the weights, and locations and scales in coordinates in which the
        levels are in [-1, 1].
    levels
        The number of levels.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> DiscretizedLogisticMixture(one, 0 * one, one, 4).mean
    tensor(1.5000)
    """

    def __init__(self, logits: Tensor, location: Tensor, scale: Tensor, levels: int) -> None:
        self.logits = logits.log_softmax(-1)
        self.location, self.scale, self.levels = location, scale, levels
        self.half = (levels - 1) / 2
        super().__init__(logits.shape[:-1])

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-probability of whole numbers ``value``, in nats."""
        x = value.unsqueeze(-1)
        below = logsigmoid(((x + 0.5) / self.half - 1 - self.location) / self.scale)
        above = logsigmoid((self.location + 1 - (x - 0.5) / self.half) / self.scale)
        inside = below + above + torch.log(-torch.expm1(-1 / (self.half * self.scale)))
        component = torch.where(x > 0, torch.where(x < self.levels - 1, inside, above), below)
        return torch.logsumexp(self.logits + component, -1)

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw a component, then a logistic number from it, and round it to the nearest level."""
        shape = (*self._extended_shape(sample_shape), self.location.shape[-1])
        dtype, device = self.location.dtype, self.location.device
        gumbel = -torch.empty(shape, dtype=dtype, device=device).exponential_().log()
        chosen = (self.logits + gumbel).argmax(-1, keepdim=True)
        location = self.location.expand(shape).gather(-1, chosen).squeeze(-1)
        scale = self.scale.expand(shape).gather(-1, chosen).squeeze(-1)
        uniform = torch.rand(location.shape, dtype=dtype, device=device)
        # logit(0) is -inf, and becomes level 0
        return (self.half * (location + scale * uniform.logit() + 1)).round().clamp(0, self.levels - 1)

    @property
    def mean(self) -> Tensor:
        r"""The mean, :math:`\sum_{j \ge 0} P(x > j)`."""
        return self._moments()[0]

    @property
    def variance(self) -> Tensor:
        r"""The variance: :math:`\sum_{j \ge 0} (2 j + 1) P(x > j)` minus the square of the mean."""
        mean, second = self._moments()
        return second - mean.square()

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return the first two moments, summed level by level: all levels at once would take 256 times the memory."""
        weight = self.logits.exp()
        first = torch.zeros_like(weight[..., 0])
        second = torch.zeros_like(first)
        for level in range(self.levels - 1):
            above = (weight * ((self.location + 1 - (level + 0.5) / self.half) / self.scale).sigmoid()).sum(
                -1
            )
            first = first + above
            second = second + (2 * level + 1) * above
        return first, second
