r"""The wrapped normal posterior on hyperbolic space (the Poincare VAE).

Mathieu et al. (2019), "Continuous Hierarchical Representations with Poincare Variational Auto-Encoders", section 3.
The features are the centre as a tangent vector at the origin, and the logarithms of the variances: :math:`2k` numbers
an example, or :math:`k + 1` where one variance is shared by all directions, as in the authors' published code. Latents
are such tangent vectors too (see :mod:`vaekit.distributions.hyperbolic`), so that the paper's exponential map after
the encoder and its logarithmic map before the decoder are both in the coordinates.
"""

from math import isfinite

from torch import Tensor, nn

from vaekit.contracts import Posterior, PosteriorTraits
from vaekit.distributions import WrappedNormal
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.posteriors.diagonal import LOG_VARIANCE_LIMIT

__all__ = ["WrappedNormalPosterior"]


class WrappedNormalPosterior(nn.Module, Posterior):
    r"""``wrapped-normal``: latents in hyperbolic space, with the prior ``wrapped-normal``.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    curvature
        :math:`c > 0`; the space has the curvature :math:`-c`, and as :math:`c \to 0` it is :math:`\mathbb R^k`. The
        prior takes it from here.
    isotropic
        Whether an example has one variance for all directions.

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
        """What a prior of the same space must know to be built."""
        return {"curvature": self.curvature}

    def forward(self, features: Tensor) -> WrappedNormal:
        """Turn features, ``(..., 2k)`` or ``(..., k + 1)``, into a distribution over ``(k,)``."""
        (k,) = self.latent_shape
        centre, log_variance = features[..., :k], features[..., k:]
        scale = (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp()
        return WrappedNormal(centre, scale.expand_as(centre), self.curvature)
