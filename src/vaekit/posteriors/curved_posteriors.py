r"""Posteriors on curved spaces: the unit sphere, and hyperbolic space (the Poincare VAE).

**Sphere**, :math:`q(z \mid x) \propto e^{\kappa(x)\, \mu(x)^\top z}`: Davidson et al. (2018), "Hyperspherical
Variational Auto-Encoders", section 3. The features are a vector, whose direction is :math:`\mu`, and one
number, whose softplus is :math:`\kappa`: :math:`k + 1` numbers per example. The divergence from the uniform
prior has a closed form, and does not depend on :math:`\mu`.

**Hyperbolic space**: Mathieu et al. (2019), "Continuous Hierarchical Representations with Poincare
Variational Auto-Encoders", section 3. The features are the centre as a tangent vector at the origin, and the
logarithms of the variances: :math:`2k` numbers per example, or :math:`k + 1` where all directions share one
variance, as in the authors' published code. Latents are such tangent vectors too (see
:mod:`vaekit.distributions.hyperbolic`), so that the paper's exponential map after the encoder and its
logarithmic map before the decoder are both part of the coordinates.
"""

from math import isfinite

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.distributions import VonMisesFisher, WrappedNormal
from vaekit.distributions.normals import LOG_VARIANCE_LIMIT
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound

__all__ = ["VonMisesFisherPosterior", "WrappedNormalPosterior"]


class VonMisesFisherPosterior(nn.Module, Posterior):
    r"""``von-mises-fisher``: latents on the unit sphere of :math:`\mathbb R^k`, with the prior ``uniform-sphere``.

    Parameters
    ----------
    latent
        :math:`k`, at least 2; the sphere :math:`S^{k-1}` has one dimension less.
    floor
        The least concentration, added to the softplus. The paper's experiments have 1, which keeps every
        posterior away from the uniform distribution, and so from collapse.

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
    """Scale a vector of any length to length 1; the zero vector becomes the first axis."""
    largest = vector.detach().abs().amax(-1, keepdim=True)
    first_axis = torch.eye(1, vector.shape[-1], dtype=vector.dtype, device=vector.device)
    scaled = torch.where(largest > 0, vector, first_axis) / torch.where(largest > 0, largest, 1.0)
    return scaled / scaled.square().sum(-1, keepdim=True).sqrt()


class WrappedNormalPosterior(nn.Module, Posterior):
    r"""``wrapped-normal``: latents in hyperbolic space, with the prior ``wrapped-normal``.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    curvature
        :math:`c > 0`: the space has the curvature :math:`-c`, and tends to :math:`\mathbb R^k` as
        :math:`c \to 0`. The prior takes it from here.
    isotropic
        Whether all directions of an example share one variance.

    Raises
    ------
    UsageError
        If ``latent`` is below 1, or the curvature is not a positive number.

    Examples
    --------
    >>> import torch
    >>> WrappedNormalPosterior(2, curvature=0.7)(torch.zeros(5, 4)).mean.shape
    torch.Size([5, 2])
    >>> WrappedNormalPosterior(2, isotropic=True).feature_shape
    (3,)
    """

    traits = PosteriorTraits(space="poincare")

    def __init__(self, latent: int, *, curvature: float = 1.0, isotropic: bool = False) -> None:
        super().__init__()
        if latent < 1:
            raise UsageError(f"latent={latent}: a latent space needs at least 1 dimension")
        if not (isfinite(curvature) and curvature > 0):
            raise UsageError(
                f"wrapped-normal: curvature={curvature:g}; give a positive number, such as 1 (for a flat space: "
                "posterior=diagonal)"
            )
        self.latent_shape = (latent,)
        self.feature_shape = (latent + (1 if isotropic else latent),)
        self.curvature = curvature

    @property
    def shared(self) -> dict[str, float]:
        """The curvature, for a prior on the same space."""
        return {"curvature": self.curvature}

    def forward(self, features: Tensor) -> WrappedNormal:
        """Turn features, ``(..., 2k)`` or ``(..., k + 1)``, into a distribution over ``(k,)``."""
        (k,) = self.latent_shape
        centre, log_variance = features[..., :k], features[..., k:]
        scale = (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp()
        return WrappedNormal(centre, scale.expand_as(centre), self.curvature)
