r"""Layers of latents in a chain, each given the one drawn before it.

.. math:: \log p(h_1, \dots, h_L) = \log p(h_1) + \sum_{l=2}^L \log p(h_l \mid h_{l-1})

Burda, Grosse and Salakhutdinov (2015), "Importance Weighted Autoencoders", equations 1 and 2, or with the roles of
first and last exchanged. The layers lie side by side in one vector :math:`z`: whatever works on a latent works on
all of them at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.distributions.base import VectorDistribution, detach_distribution, stopped_call
from vaekit.networks.bounded import soft_bound
from vaekit.networks.layers import Activation
from vaekit.networks.mlp import MultilayerPerceptron

__all__ = ["ChainDistribution", "GaussianLayer"]

_LOG_VARIANCE_LIMIT = 24.0


class ChainDistribution(VectorDistribution):
    """The joint distribution of the layers; exact wherever its layers are.

    ``mean`` is the mean of the first layer drawn, then of each layer given *the mean of* the one before:
    deterministic, and beyond the first layer not the expectation.

    Parameters
    ----------
    first
        Of the layer that is drawn first, event shape ``(k,)``.
    layers
        Each turns a draw ``(..., k)`` of one layer into the distribution of the next.
    sizes
        Lengths of the layers, in the order in which they are drawn.
    last_first
        Whether the layer drawn last comes first in the vector, as in a prior, which draws from the top down.

    Examples
    --------
    >>> first = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    >>> p = ChainDistribution(first, [GaussianLayer(2, 3, hidden=(8,))], (2, 3), last_first=True)
    >>> z = p.rsample(torch.Size((4,)))
    >>> z.shape, p.log_prob(z).shape
    (torch.Size([4, 5]), torch.Size([4]))
    """

    def __init__(
        self,
        first: Distribution,
        layers: Sequence[Callable[[Tensor], Distribution]],
        sizes: Sequence[int],
        *,
        last_first: bool,
    ) -> None:
        self.first = first
        self.layers = layers
        self.sizes = tuple(sizes)
        self.last_first = last_first
        super().__init__(first.batch_shape, torch.Size((sum(sizes),)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """``(*batch, k_1 + ... + k_L)``."""
        drawn = [self.first.mean]
        for layer in self.layers:
            drawn.append(layer(drawn[-1]).mean)
        return self._join(drawn)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch, k_1 + ... + k_L)``, reparameterised."""
        drawn = [self.first.rsample(torch.Size(sample_shape))]
        for layer in self.layers:
            drawn.append(layer(drawn[-1]).rsample())
        return self._join(drawn)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the joint log-density in nats."""
        drawn = self.split(value)
        total = self.first.log_prob(drawn[0])
        for layer, given, next_one in zip(self.layers, drawn[:-1], drawn[1:], strict=True):
            total = total + layer(given).log_prob(next_one)
        return total

    def split(self, value: Tensor) -> list[Tensor]:
        """Take the vector apart into its layers, in the order in which they are drawn."""
        sizes = self.sizes[::-1] if self.last_first else self.sizes
        parts = list(value.split(sizes, dim=-1))
        return parts[::-1] if self.last_first else parts

    def detached(self) -> "ChainDistribution":
        """Give the same distribution, whose density has a gradient with respect to :math:`z` and to nothing else."""
        layers = [stopped_call(layer) if isinstance(layer, nn.Module) else layer for layer in self.layers]
        first = detach_distribution(self.first)
        return ChainDistribution(first, layers, self.sizes, last_first=self.last_first)

    def _join(self, drawn: list[Tensor]) -> Tensor:
        return torch.cat(drawn[::-1] if self.last_first else drawn, dim=-1)


class GaussianLayer(nn.Module):
    r"""A diagonal Gaussian given a layer: :math:`\mathcal N(\mu(h), \operatorname{diag} \sigma^2(h))`.

    Parameters
    ----------
    size_in, size_out
        Lengths of the layer that is given and the one that is drawn.
    hidden
        Sizes of the deterministic layers between them.
    activation
        Applied after each of those.

    Examples
    --------
    >>> GaussianLayer(3, 2, hidden=(8,))(torch.zeros(4, 3)).mean.shape
    torch.Size([4, 2])
    """

    def __init__(
        self, size_in: int, size_out: int, *, hidden: Sequence[int], activation: Activation = "tanh"
    ) -> None:
        super().__init__()
        self.network = MultilayerPerceptron((size_in,), (2 * size_out,), hidden=hidden, activation=activation)

    def forward(self, given: Tensor) -> Distribution:
        """Turn ``(..., size_in)`` into a distribution over ``(size_out,)``."""
        mean, log_variance = self.network(given).chunk(2, dim=-1)
        scale = (0.5 * soft_bound(log_variance, _LOG_VARIANCE_LIMIT)).exp()
        return Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)
