r"""The full Gaussian posterior, :math:`q(z \mid x) = \mathcal N(z; \mu(x), L(x) L(x)^\top)`.

Kingma and Welling (2019), "An Introduction to Variational Autoencoders", section 2.5.1. The features are the
means, the logarithms of the squared diagonal of the Cholesky factor :math:`L`, and its entries below the
diagonal, row by row: :math:`2k + k(k-1)/2` numbers an example.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vaekit.contracts import Posterior
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.posteriors.diagonal import LOG_VARIANCE_LIMIT

__all__ = ["FullPosterior"]


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
        return MultivariateNormal(mean, scale_tril=scale_tril, validate_args=False)
