r"""A joint mass over codes, one position after the other.

.. math:: \log p(k) = \sum_{i=1}^P \log p(k_i \mid k_1, \dots, k_{i-1})

Germain et al. (2015), "MADE: Masked Autoencoder for Distribution Estimation", equation 3; as the prior of a quantised
model, van den Oord et al. (2017), section 3.4.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.types import _size

from vaekit.contracts import CodeSpace
from vaekit.distributions.plain import DistributionOverCodes

__all__ = ["AutoregressiveCodes"]

_ONE = torch.Size()


class AutoregressiveCodes(DistributionOverCodes):
    """A mass over codes given by a network that sees, for each position, only the ones before it.

    Parameters
    ----------
    network
        From unit vectors ``(..., positions, codes)`` to logits of the same shape; those of a position must not
        depend on that position or on later ones.
    codebook
        How codes are written.
    like
        A tensor of the type and on the device that draws are to have.
    batch_shape
        Where the network is conditional: that of its condition.

    Examples
    --------
    >>> from vaekit.distributions import OneHotCodes
    >>> p = AutoregressiveCodes(torch.zeros_like, OneHotCodes(3, 2), torch.zeros(()))
    >>> p.sample(torch.Size((5,))).shape, p.log_prob(p.sample())
    (torch.Size([5, 6]), tensor(-2.0794))
    """

    has_rsample = False

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        codebook: CodeSpace,
        like: Tensor,
        batch_shape: torch.Size = _ONE,
    ) -> None:
        self.network = network
        self.codebook = codebook
        self.like = like
        super().__init__(batch_shape, codebook.event_shape, validate_args=False)

    def log_mass(self, one_hot: Tensor) -> Tensor:
        """Evaluate unit vectors ``(..., positions, codes)``: ``(..., positions)``, in nats."""
        return (one_hot * self.conditional_log_masses(one_hot)).sum(-1)

    def conditional_log_masses(self, one_hot: Tensor) -> Tensor:
        """Every code's given the codes before: ``(..., positions, codes)``, in nats."""
        return self.network(one_hot).log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the mass of latents, in nats; minus infinity at what is no code."""
        one_hot, exact = self.codebook.one_hot(value)
        return self.log_mass(one_hot).sum(-1).masked_fill(~exact, -torch.inf)

    @torch.no_grad()
    def sample(self, sample_shape: _size = _ONE) -> Tensor:
        """Draw one position after the other: exact."""
        positions, codes = self.codebook.positions, self.codebook.codes
        one_hot = self.like.new_zeros(*sample_shape, *self.batch_shape, positions, codes)
        drawn = []
        for i in range(positions):
            logits = self.conditional_log_masses(one_hot)[..., i, :]
            drawn.append((logits - torch.empty_like(logits).exponential_().log()).argmax(-1))
            one_hot[..., i, :] = F.one_hot(drawn[-1], codes).to(one_hot.dtype)
        return self.codebook.embed(torch.stack(drawn, -1))
