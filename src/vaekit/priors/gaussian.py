r"""The learned Gaussian prior, :math:`p(z) = \mathcal N(z; m, L L^\top)`, starting as the standard one."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from vaekit.networks.bounded import soft_bound

__all__ = ["GaussianPrior"]


class GaussianPrior(nn.Module):
    """``gaussian``: one Gaussian with a learned mean and a learned full covariance.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`, ``(k,)``.

    Examples
    --------
    >>> GaussianPrior((2,))().log_prob(torch.zeros(2))
    tensor(-1.8379, grad_fn=<SubBackward0>)
    """

    needs: frozenset[str] = frozenset()

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        (k,) = latent_shape
        self.mean = nn.Parameter(torch.zeros(k))
        self.log_diagonal = nn.Parameter(torch.zeros(k))
        self.below = nn.Parameter(torch.zeros(k, k))

    def forward(self) -> Distribution:
        """Give the prior over ``(k,)``."""
        return MultivariateNormal(self.mean, scale_tril=self._scale_tril(), validate_args=False)

    def _scale_tril(self) -> Tensor:
        return torch.diag(soft_bound(self.log_diagonal).exp()) + self.below.tril(-1)
