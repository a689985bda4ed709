r"""Priors on curved spaces: uniform on the unit sphere, and a wrapped normal at the origin of hyperbolic space.

.. math:: \text{uniform-sphere}: p(z) = 1 / |S^{k-1}|

Davidson et al. (2018), "Hyperspherical Variational Auto-Encoders", section 3; Mathieu et al. (2019),
"Continuous Hierarchical Representations with Poincare Variational Auto-Encoders", section 3.
"""

from math import isfinite, log

import torch
from torch import Tensor, nn

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions import UniformSphere, WrappedNormal
from vaekit.errors import UsageError

__all__ = ["UniformSpherePrior", "WrappedNormalPrior"]


class UniformSpherePrior(nn.Module, Prior):
    r"""``uniform-sphere``: all directions are equally likely.

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
        """Return the prior over the sphere in ``(k,)``."""
        return UniformSphere(self.origin)


class WrappedNormalPrior(nn.Module, Prior):
    r"""``wrapped-normal``: a Gaussian in the tangent space at the origin, the same in all directions.

    Parameters
    ----------
    latent_shape
        ``(k,)``.
    curvature
        :math:`c > 0`, the posterior's.
    scale
        The standard deviation, in hyperbolic distance.
    learned
        Whether the scale is trained, starting at this value.

    Raises
    ------
    UsageError
        If the scale is not a positive number.

    Examples
    --------
    >>> WrappedNormalPrior((2,), 0.7)().log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    traits = PriorTraits(space="poincare")
    origin: Tensor
    log_scale: Tensor

    def __init__(
        self, latent_shape: tuple[int, ...], curvature: float, *, scale: float = 1.0, learned: bool = False
    ) -> None:
        super().__init__()
        if not (isfinite(scale) and scale > 0):
            raise UsageError(f"wrapped-normal: scale={scale:g}; a standard deviation is a positive number")
        self.curvature = curvature
        self.register_buffer("origin", torch.zeros(latent_shape), persistent=False)
        log_scale = torch.full((1,), log(scale))
        if learned:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale, persistent=False)

    def forward(self) -> WrappedNormal:
        """Return the prior over ``(k,)``."""
        return WrappedNormal(self.origin, self.log_scale.exp().expand_as(self.origin), self.curvature)
