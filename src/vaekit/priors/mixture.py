r"""The mixture prior, :math:`p(z) = \sum_{j=1}^K \pi_j\, \mathcal N(z; m_j, \operatorname{diag} s_j^2)`.

Dilokthanakul et al. (2016), "Deep Unsupervised Clustering with Gaussian Mixture VAEs"; Tomczak and Welling
(2018), section 4.1, as "MoG". Weights, means and scales are learned with the rest. With a condition, weights and means
depend on it, up to a constant :math:`\log \pi_j(c) = a_j + b_j^\top c` and :math:`m_j(c) = m_j + B_j c`: for a class
each of the components has a place and a weight of its own, for a covariate a slope. The scales are shared.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from vaekit.contracts import Prior, PriorTraits
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.networks.conditioned import require_condition

__all__ = ["MixturePrior"]


class MixturePrior(nn.Module, Prior):
    """``mixture``: several diagonal Gaussians.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.
    condition
        How many numbers a condition has; 0: the prior has none.
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

    def __init__(self, latent_shape: tuple[int, ...], condition: int = 0, *, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise UsageError(f"mixture: components={components}; give at least 1")
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, *latent_shape))
        self.log_scales = nn.Parameter(torch.zeros(components, *latent_shape))
        if condition:
            self.of_condition = nn.Parameter(torch.zeros(condition, components))
            self.means_of_condition = nn.Parameter(torch.zeros(condition, components, *latent_shape))
            self.traits = PriorTraits(needs=frozenset({"condition"}))

    def forward(self, *, condition: Tensor | None = None) -> Distribution:
        """Give the prior over ``(k,)``, of batch shape ``(batch,)`` where there is a condition ``(batch, d)``."""
        logits, means, scales = self.logits, self.means, soft_bound(self.log_scales).exp()
        if self.traits.needs:
            condition = require_condition(condition)
            logits = logits + condition @ self.of_condition
            means = means + torch.tensordot(condition, self.means_of_condition, 1)
            scales = scales.expand_as(means)
        normal = Normal(means, scales, validate_args=False)
        return MixtureSameFamily(
            Categorical(logits=logits, validate_args=False),
            Independent(normal, self.means.dim() - 1, validate_args=False),
            validate_args=False,
        )
