r"""The uniform prior on the unit sphere, :math:`p(z) = 1 / |S^{k-1}|`: nothing to learn.

Davidson et al. (2018), "Hyperspherical Variational Auto-Encoders", section 3.
"""

import torch
from torch import Tensor, nn

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions import UniformSphere
from vaekit.errors import UsageError

__all__ = ["UniformSpherePrior"]


class UniformSpherePrior(nn.Module, Prior):
    r"""``uniform-sphere``: every direction is as likely as any other.

    Parameters
    ----------
    latent_shape
        ``(k,)``, with :math:`k \ge 2`.

    Raises
    ------
    UsageError
        If :math:`k` is below 2.

    Examples
    --------
    >>> UniformSpherePrior((2,))().log_prob(torch.tensor([0.6, 0.8]))  # -log(2 pi)
    tensor(-1.8379)
    """

    traits = PriorTraits(space="sphere")
    origin: Tensor

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        (k,) = latent_shape
        if k < 2:
            raise UsageError(
                f"uniform-sphere: latent={k}; the unit sphere lies in a space of at least 2 dimensions"
            )
        self.register_buffer("origin", torch.zeros(k), persistent=False)

    def forward(self) -> UniformSphere:
        """Give the prior over the sphere in ``(k,)``."""
        return UniformSphere(self.origin)
