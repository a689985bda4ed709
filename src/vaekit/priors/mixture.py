r"""The mixture prior, :math:`p(z) = \sum_{j=1}^K \pi_j\, \mathcal N(z; m_j, \operatorname{diag} s_j^2)`.

Dilokthanakul et al. (2016), "Deep Unsupervised Clustering with Gaussian Mixture VAEs"; Tomczak and Welling
(2018), section 4.1, as "MoG". Weights, means and scales are learned with the rest.
"""

import torch
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound

__all__ = ["MixturePrior"]


class MixturePrior(nn.Module):
    """``mixture``: several diagonal Gaussians.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    components
        How many.

    Raises
    ------
    UsageError
        If there is no component.

    Examples
    --------
    >>> prior = MixturePrior((2,), components=3)
    >>> prior().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, latent_shape: tuple[int, ...], *, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"mixture: components={components}; give at least 1")
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, *latent_shape))
        self.log_scales = nn.Parameter(torch.zeros(components, *latent_shape))

    def forward(self) -> Distribution:
        """Give the prior over ``(k,)``."""
        normal = Normal(self.means, soft_bound(self.log_scales).exp(), validate_args=False)
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            Independent(normal, self.means.dim() - 1, validate_args=False),
            validate_args=False,
        )
