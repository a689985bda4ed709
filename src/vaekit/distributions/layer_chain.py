r"""Several layers of latents in a chain, each given the layer drawn before it.

.. math:: \log p(h_1, \dots, h_L) = \log p(h_1) + \sum_{l=2}^L \log p(h_l \mid h_{l-1})

Burda, Grosse and Salakhutdinov (2015), "Importance Weighted Autoencoders", equations 1 and 2, or with the
roles of the first and the last layer exchanged. The layers lie side by side in one vector :math:`z`, so that
everything that works on a latent works on all layers at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.distributions.base import (
    VectorDistribution,
    detach_distribution,
    stopped_call,
)
from vaekit.distributions.normals import diagonal_gaussian, settle_overflow
from vaekit.networks.layers import Activation
from vaekit.networks.mlp import MultilayerPerceptron

__all__ = ["ChainDistribution", "GaussianLayer"]


class ChainDistribution(VectorDistribution):
    """The joint distribution of the layers; exact wherever its layers are.

    ``mean`` is the mean of the first layer, followed by the mean of each layer given *the mean of* the layer
    before. It is deterministic, and beyond the first layer it is not the expectation.

    Parameters
    ----------
    first
        The distribution of the layer that is drawn first, of event shape ``(k,)``.
    layers
        Functions from a draw ``(..., k)`` of one layer to the distribution of the next.
    sizes
        The lengths of the layers, in the order in which they are drawn.
    last_first
        Whether the layer drawn last comes first in the vector, as in a prior, which draws from the top down.

    Examples
    --------
    >>> first = diagonal_gaussian(torch.zeros(2), torch.zeros(2))
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
        """The means of the layers, ``(*batch, k_1 + ... + k_L)``."""
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
        return settle_overflow(total, value)

    def split(self, value: Tensor) -> list[Tensor]:
        """Split the vector into its layers, in the order in which they are drawn."""
        sizes = self.sizes[::-1] if self.last_first else self.sizes
        parts = list(value.split(sizes, dim=-1))
        return parts[::-1] if self.last_first else parts

    def detached(self) -> "ChainDistribution":
        """Return the same distribution with a density that has a gradient with respect to :math:`z` alone."""
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
        The lengths of the given layer and of the drawn layer.
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
        return diagonal_gaussian(mean, log_variance)
