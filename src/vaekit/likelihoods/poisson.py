r"""The Poisson likelihood of counts, :math:`\lambda_i = e^{f_i(z)}`, and the conventions of all likelihoods of counts.

.. math:: \log p(x \mid z) = \sum_i \left[x_i \log \lambda_i - \lambda_i - \log x_i!\right]

Johnson, Kemp and Kotz (2005), "Univariate Discrete Distributions", equation 4.1.
"""

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.distributions.base import ElementwiseDistribution, SampleShape
from vaekit.likelihoods.conventions import require_no_jacobian
from vaekit.likelihoods.support import LARGEST_COUNT, Support
from vaekit.networks.bounded import soft_bound
from vaekit.networks.network_inputs import LogCounts

__all__ = ["COUNTS", "PoissonLikelihood", "bounded_log_mean", "log_mean_features"]

COUNTS = Support(
    f"counts: whole numbers from 0 to {LARGEST_COUNT:,}",
    0.0,
    inf,
    "give raw counts, neither normalised nor logarithms of them, or choose another likelihood",
    whole=True,
)


_SCALAR = torch.Size()


class PoissonLikelihood(nn.Module, Likelihood):
    r"""``poisson``: counts whose variance is their mean.

    The features are the logarithms of the means, bounded smoothly between -20 and 20.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.

    Examples
    --------
    >>> likelihood = PoissonLikelihood((2,))
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.zeros(5, 2))[0]
    tensor(-2.)
    """

    traits = LikelihoodTraits(measure="counts", column=True, takes_missing=True)
    support = COUNTS

    def __init__(self, event_shape: Sequence[int], log_jacobian: float = 0.0) -> None:
        super().__init__()
        require_no_jacobian("poisson", log_jacobian)
        self.event_shape = self.feature_shape = tuple(event_shape)
        self.encoder_input = LogCounts()

    def marginal_features(self, x: Tensor) -> Tensor:
        """Return the features of the means of data ``(n, *event)``, for every latent alike."""
        return log_mean_features(x)

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *event_shape)``, the log-means, into a distribution over the event."""
        return Independent(_Poisson(features), len(self.event_shape), validate_args=False)


class _Poisson(ElementwiseDistribution):
    """Independent Poisson distributions, computed in float64 and returned in the type of the features."""

    def __init__(self, features: Tensor) -> None:
        self.log_mean, self.dtype = bounded_log_mean(features), features.dtype
        super().__init__(features.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        x = value.double()
        return (x * self.log_mean - self.log_mean.exp() - torch.lgamma(x + 1)).to(self.dtype)

    @torch.no_grad()
    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        return torch.poisson(self.log_mean.exp().expand(self._extended_shape(sample_shape))).to(self.dtype)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp().to(self.dtype)

    @property
    def variance(self) -> Tensor:
        return self.mean


def bounded_log_mean(features: Tensor) -> Tensor:
    """Return a network's output as a log-mean in float64, smoothly bounded between -20 and 20.

    The terms of a log-probability are as large as the count, and cancel: for a million, float32 would be off
    by a nat.

    Examples
    --------
    >>> import torch
    >>> bounded_log_mean(torch.tensor([0.5, 1e4])).exp()
    tensor([1.6485e+00, 4.8515e+08], dtype=torch.float64)
    """
    return soft_bound(features.double(), 20.0)


def log_mean_features(x: Tensor) -> Tensor:
    """Return the features, of shape ``event``, that give data ``(n, *event)`` their means.

    Half a count is added to each column.

    Examples
    --------
    >>> import torch
    >>> bounded_log_mean(log_mean_features(torch.tensor([[3.0], [4.0]]))).exp()
    tensor([3.7500], dtype=torch.float64)
    """
    n = len(x)
    scaled = ((x.double().sum(0) + 0.5) / n).log() / 20.0
    return (20.0 * scaled / (1 - scaled.square()).sqrt()).to(x.dtype)
