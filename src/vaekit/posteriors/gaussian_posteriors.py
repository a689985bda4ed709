r"""Gaussian posteriors: diagonal, low-rank and full covariances.

.. math::

    \text{diagonal} &: q(z \mid x) = \mathcal N(z; \mu(x), \operatorname{diag} \sigma^2(x)) \\
    \text{low-rank} &: q(z \mid x) = \mathcal N(z; \mu(x), F(x) F(x)^\top + \operatorname{diag} d(x)) \\
    \text{full}     &: q(z \mid x) = \mathcal N(z; \mu(x), L(x) L(x)^\top)

Kingma and Welling (2013), equation 9; Rezende, Mohamed and Wierstra (2014), section 4.3, who take the low
rank for the precision; Kingma and Welling (2019), "An Introduction to Variational Autoencoders", section
2.5.1. The features of an example are the means and the logarithms of the variances, then :math:`F` row by
row, or the entries of the Cholesky factor :math:`L` below its diagonal row by row.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Posterior
from vaekit.distributions.normals import LOG_VARIANCE_LIMIT, FullNormal, LowRankNormal, diagonal_gaussian
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound

__all__ = ["DiagonalPosterior", "FullPosterior", "LowRankPosterior"]


class DiagonalPosterior(nn.Module, Posterior):
    """``diagonal``: independent Gaussians, one per latent dimension.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.

    Raises
    ------
    UsageError
        If ``latent`` is below 1.

    Examples
    --------
    >>> import torch
    >>> posterior = DiagonalPosterior(2)
    >>> posterior(torch.zeros(5, 4)).mean.shape
    torch.Size([5, 2])
    """

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent < 1:
            raise UsageError(f"latent={latent}: a latent space needs at least 1 dimension")
        self.latent_shape = (latent,)
        self.feature_shape = (2 * latent,)

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., 2k)`` into a distribution over ``(k,)``."""
        mean, log_variance = features.chunk(2, dim=-1)
        return diagonal_gaussian(mean, log_variance)


class LowRankPosterior(nn.Module, Posterior):
    """``low-rank``: a diagonal Gaussian, and a few directions in which the latent dimensions vary together.

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
        return LowRankNormal(mean, factor, variance, validate_args=False)


class FullPosterior(nn.Module, Posterior):
    """``full``: one Gaussian with any covariance.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.

    Raises
    ------
    UsageError
        If ``latent`` is below 1.

    Examples
    --------
    >>> FullPosterior(3)(torch.zeros(5, 9)).covariance_matrix[0]
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """

    places: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent < 1:
            raise UsageError(f"latent={latent}: a latent space needs at least 1 dimension")
        self.latent_shape = (latent,)
        self.feature_shape = (2 * latent + latent * (latent - 1) // 2,)
        rows, columns = torch.tril_indices(latent, latent, offset=-1)
        self.register_buffer("places", rows * latent + columns, persistent=False)

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., 2k + k(k-1)/2)`` into a distribution over ``(k,)``."""
        k = self.latent_shape[0]
        mean, log_variance, below = features.split([k, k, self.feature_shape[0] - 2 * k], dim=-1)
        diagonal = (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp()
        flat = features.new_zeros(*features.shape[:-1], k * k).index_copy(-1, self.places, below)
        scale_tril = torch.diag_embed(diagonal) + flat.unflatten(-1, (k, k))
        return FullNormal(mean, scale_tril=scale_tril, validate_args=False)
