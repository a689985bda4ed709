r"""A gamma likelihood and a Laplace prior for vaekit.

.. math:: \log p(x \mid z) = \sum_i \left[a_i \log \frac{a_i}{m_i(z)} - \log \Gamma(a_i) + (a_i - 1) \log x_i
          - \frac{a_i x_i}{m_i(z)}\right]

with the mean :math:`m_i(z)` from the decoder and a learned shape :math:`a_i`: positive numbers whose standard deviation
is proportional to their mean (amounts of money or rain, durations).
"""

from collections.abc import Sequence
from math import inf

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.distributions import Distribution, Gamma, Independent, Laplace

from vaekit.contracts import Likelihood, LikelihoodTraits, Prior
from vaekit.likelihoods import Support

__all__ = ["GammaLikelihood", "LaplacePrior"]

_SMALLEST = 1e-30


class Logarithm(nn.Module):
    """The logarithm of the data, which is what the encoder sees."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, *event)`` to the same shape."""
        return x.log()


class GammaLikelihood(nn.Module, Likelihood):
    """``gamma``: positive numbers, skewed to the right.

    Parameters
    ----------
    event_shape
        The shape of one example.
    shape
        The gamma's shape to start from; it is learned, one for each dimension.

    Examples
    --------
    >>> GammaLikelihood((2,), shape=1.0)(torch.zeros(5, 2)).log_prob(torch.ones(5, 2))[0]
    tensor(-2., grad_fn=<SelectBackward0>)
    """

    # A density in the units of the data, which are not scaled; it may also describe single columns of a table.
    # Its cells are independent, so that rows of which some are missing can be evaluated.
    traits = LikelihoodTraits(measure="density", scaling="none", column=True, takes_missing=True)
    support = Support(
        "positive numbers", _SMALLEST, inf, "a gamma has no zeros: shift them, or choose another likelihood"
    )

    def __init__(self, event_shape: Sequence[int], *, shape: float = 2.0) -> None:
        super().__init__()
        self.event_shape = self.feature_shape = tuple(event_shape)
        self.encoder_input = Logarithm()
        self.log_shape = nn.Parameter(torch.full(self.event_shape, shape).log())

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *event_shape)``, the logarithms of the means, into a distribution."""
        a = self.log_shape.exp()
        gamma = Gamma(a.expand_as(features), a * (-features).exp(), validate_args=False)
        return Independent(gamma, len(self.event_shape), validate_args=False)

    def marginal_features(self, x: Tensor) -> Tensor:
        """Return the features that give data ``(n, *event)`` their means, for every latent."""
        return x.mean(0).log()

    def baseline(self, train: np.ndarray, held_out: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Return the baseline that a fit is compared with: an independent gamma for each column."""
        columns = zip(train.T, held_out.T, strict=True)
        total = sum(stats.gamma.logpdf(new, *stats.gamma.fit(old, floc=0)) for old, new in columns)
        return [("independent gammas", np.asarray(total))]


class LaplacePrior(nn.Module, Prior):
    """``laplace``: independent Laplace distributions of variance 1, which keep most latents near zero.

    Parameters
    ----------
    latent_shape
        The shape of one latent.

    Examples
    --------
    >>> LaplacePrior((2,))().variance
    tensor([1.0000, 1.0000])
    """

    def __init__(self, latent_shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(*latent_shape), persistent=False)

    def forward(self) -> Distribution:
        """Return the prior."""
        scale = torch.full_like(self.centre, 0.5**0.5)
        return Independent(Laplace(self.centre, scale, validate_args=False), 1, validate_args=False)
