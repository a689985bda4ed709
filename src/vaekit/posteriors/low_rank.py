r"""The low-rank Gaussian posterior, :math:`q(z \mid x) = \mathcal N(z; \mu, F F^\top + \operatorname{diag} d)`.

Between ``diagonal`` and ``full``: :math:`r` directions in which the latent dimensions move together (Rezende,
Mohamed and Wierstra, 2014, section 4.3, there for the precision). The features are means, :math:`\log d`, and
:math:`F`, row by row: :math:`(2 + r) k` numbers an example.
"""

from torch import Tensor, nn
from torch.distributions import Distribution, LowRankMultivariateNormal

from vaekit.contracts import Posterior
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.posteriors.diagonal import LOG_VARIANCE_LIMIT

__all__ = ["LowRankPosterior"]


class LowRankPosterior(nn.Module, Posterior):
    """``low-rank``: a diagonal Gaussian plus a few directions.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    rank
        Number of directions, :math:`r`.

    Raises
    ------
    UsageError
        If ``latent`` or ``rank`` is below 1.

    Examples
    --------
    >>> import torch
    >>> posterior = LowRankPosterior(4, rank=2)
    >>> posterior(torch.zeros(5, 16)).mean.shape
    torch.Size([5, 4])
    """

    def __init__(self, latent: int, *, rank: int = 1) -> None:
        super().__init__()
        if latent < 1 or rank < 1:
            raise UsageError(f"low-rank: latent={latent}, rank={rank}; both must be at least 1")
        self.latent_shape = (latent,)
        self.feature_shape = ((2 + rank) * latent,)
        self.rank = rank

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., (2 + r) k)`` into a distribution over ``(k,)``."""
        k = self.latent_shape[0]
        mean, log_variance, factor = features.split([k, k, self.rank * k], dim=-1)
        variance = soft_bound(log_variance, LOG_VARIANCE_LIMIT).exp()
        factor = factor.unflatten(-1, (k, self.rank))
        return LowRankMultivariateNormal(mean, factor, variance, validate_args=False)
