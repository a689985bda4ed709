r"""The wrapped normal prior around the origin of hyperbolic space.

Mathieu et al. (2019), "Continuous Hierarchical Representations with Poincare Variational Auto-Encoders", section 3.
"""

from math import isfinite, log

import torch
from torch import Tensor, nn

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions import WrappedNormal
from vaekit.errors import UsageError

__all__ = ["WrappedNormalPrior"]


class WrappedNormalPrior(nn.Module, Prior):
    r"""``wrapped-normal``: distances from the origin as of a Gaussian's draws, in every direction alike.

    Parameters
    ----------
    latent_shape
        ``(k,)``.
    curvature
        :math:`c > 0`, the posterior's.
    scale
        The standard deviation, in hyperbolic distance.
    learned
        Whether the scale is trained, from this value on.

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
        """Give the prior over ``(k,)``."""
        return WrappedNormal(self.origin, self.log_scale.exp().expand_as(self.origin), self.curvature)
