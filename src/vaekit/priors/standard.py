r"""The standard Gaussian prior, :math:`p(z) = \mathcal N(z; 0, I)`: nothing to learn."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Prior

__all__ = ["StandardPrior"]


class StandardPrior(nn.Module, Prior):
    """``standard``: independent Gaussians of mean 0 and standard deviation 1.

    Parameters
    ----------
    latent_shape
        The shape of :math:`z`.

    Examples
    --------
    >>> import torch
    >>> StandardPrior((2,))().log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_shape), persistent=False)
        self.register_buffer("scale", torch.ones(latent_shape), persistent=False)

    def forward(self) -> Distribution:
        """Give the prior over ``latent_shape``."""
        normal = Normal(self.mean, self.scale, validate_args=False)
        return Independent(normal, self.mean.dim(), validate_args=False)
