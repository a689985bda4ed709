r"""The deterministic posterior, a point mass: :math:`q(z \mid x) = \delta(z - f(x))`.

The features are the code :math:`z` itself: :math:`k` numbers per example. Tolstikhin et al. (2018),
"Wasserstein Auto-Encoders", section 3; Ghosh et al. (2020), "From Variational to Deterministic Autoencoders".
"""

from typing import NoReturn

import torch
from torch import Tensor, nn

from vaekit.contracts import DistributionTraits, Posterior, PosteriorTraits
from vaekit.distributions.base import PlainDistribution, SampleShape
from vaekit.errors import UsageError

__all__ = ["PointMass", "PointPosterior"]

_SCALAR = torch.Size()


class PointMass(PlainDistribution):
    r"""All probability at one point. It has draws, but no density: the trait ``has_density`` is False.

    Its divergence from any prior with a density is infinite, so a model with such a posterior has no evidence
    lower bound.

    Parameters
    ----------
    point
        ``(*batch, *event)``.
    event_dims
        The number of trailing dimensions that make one event.

    Examples
    --------
    >>> q = PointMass(torch.ones(5, 2))
    >>> q.rsample((3,)).shape, q.mean.shape
    (torch.Size([3, 5, 2]), torch.Size([5, 2]))
    """

    has_rsample = True
    traits = DistributionTraits(has_density=False)

    def __init__(self, point: Tensor, event_dims: int = 1) -> None:
        self.point = point
        split = point.dim() - event_dims
        super().__init__(point.shape[:split], point.shape[split:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The point."""
        return self.point

    @property
    def mode(self) -> Tensor:
        """The point."""
        return self.point

    @property
    def variance(self) -> Tensor:
        """The variance: zero."""
        return torch.zeros_like(self.point)

    def rsample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Repeat the point: ``(*sample_shape, *batch, *event)``."""
        return self.point.expand(*sample_shape, *self.point.shape)

    def log_prob(self, value: Tensor) -> NoReturn:
        """Refuse: there is no density.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(
            "a point mass has no density, so there is no log q(z|x), no KL and no evidence lower bound: train the "
            "deterministic posterior `point` with an objective that needs none, such as mmd"
        )


class PointPosterior(nn.Module, Posterior):
    """``point``: a deterministic encoder.

    It goes with objectives that need no density of the posterior, such as ``mmd``; others refuse it.

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
    >>> PointPosterior(2)(torch.zeros(5, 2)).traits.has_density
    False
    """

    traits = PosteriorTraits(has_density=False)

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent < 1:
            raise UsageError(f"latent={latent}: a latent space needs at least 1 dimension")
        self.latent_shape = (latent,)
        self.feature_shape = (latent,)

    def forward(self, features: Tensor) -> PointMass:
        """Turn features ``(..., k)`` into a point mass over ``(k,)``."""
        return PointMass(features)
