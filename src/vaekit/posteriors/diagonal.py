r"""The diagonal Gaussian posterior, :math:`q(z \mid x) = \mathcal N(z; \mu(x), \operatorname{diag} \sigma^2(x))`.

Kingma and Welling (2013), equation 9. The features are the means, then the logarithms of the variances: one
fused head, :math:`2k` numbers an example.
"""

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Posterior
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound

__all__ = ["LOG_VARIANCE_LIMIT", "DiagonalPosterior"]

LOG_VARIANCE_LIMIT = 24.0  # standard deviations from 6e-6 to 1.6e5


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
        scale = (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp()
        normal = Normal(mean, scale, validate_args=False)
        return Independent(normal, 1, validate_args=False)
