r"""The von Mises-Fisher posterior on the unit sphere, :math:`q(z \mid x) \propto e^{\kappa(x)\, \mu(x)^\top z}`.

Davidson et al. (2018), "Hyperspherical Variational Auto-Encoders", section 3. The features are a vector, whose
direction is :math:`\mu`, and one number, whose softplus is :math:`\kappa`: :math:`k + 1` numbers an example. Its
divergence from the uniform prior has a closed form, and vanishes without the mean being drawn to any place.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.distributions import VonMisesFisher
from vaekit.errors import UsageError

__all__ = ["VonMisesFisherPosterior"]


class VonMisesFisherPosterior(nn.Module, Posterior):
    r"""``von-mises-fisher``: latents on the unit sphere of :math:`\mathbb R^k`, with the prior ``uniform-sphere``.

    Parameters
    ----------
    latent
        :math:`k`, at least 2: the sphere :math:`S^{k-1}` has one dimension less.
    floor
        What is added to the softplus: the least concentration. The paper's experiments have 1, which keeps every
        posterior from the uniform distribution and so from collapse.

    Raises
    ------
    UsageError
        If ``latent`` is below 2, or ``floor`` is negative or not finite.

    Examples
    --------
    >>> q = VonMisesFisherPosterior(3)(torch.tensor([[0.0, 2.0, 0.0, 0.0]]))
    >>> q.mode, q.concentration
    (tensor([[0., 1., 0.]]), tensor([[0.6931]]))
    """

    traits = PosteriorTraits(space="sphere")

    def __init__(self, latent: int, *, floor: float = 0.0) -> None:
        super().__init__()
        if latent < 2:
            raise UsageError(
                f"von-mises-fisher: latent={latent}; the unit sphere lies in a space of at least 2 dimensions"
            )
        if not 0 <= floor < float("inf"):
            raise UsageError(
                f"von-mises-fisher: floor={floor:g}; give a number of at least 0, such as 0 or 1"
            )
        self.latent_shape = (latent,)
        self.feature_shape = (latent + 1,)
        self.floor = floor

    def forward(self, features: Tensor) -> VonMisesFisher:
        """Turn features ``(..., k + 1)`` into a distribution over the sphere in ``(k,)``."""
        k = self.latent_shape[0]
        vector, raw = features.split([k, 1], dim=-1)
        return VonMisesFisher(_direction(vector), softplus(raw) + self.floor)


def _direction(vector: Tensor) -> Tensor:
    """Scale to length 1, at any length; the zero vector, which has no direction, becomes the first axis."""
    largest = vector.detach().abs().amax(-1, keepdim=True)
    first_axis = torch.eye(1, vector.shape[-1], dtype=vector.dtype, device=vector.device)
    scaled = torch.where(largest > 0, vector, first_axis) / torch.where(largest > 0, largest, 1.0)
    return scaled / scaled.square().sum(-1, keepdim=True).sqrt()
