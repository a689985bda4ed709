r"""The planar flow posterior: :math:`z = f_T \circ \dots \circ f_1(\mu(x) + \sigma(x)\, \epsilon)`.

Rezende and Mohamed (2015), "Variational Inference with Normalizing Flows", equation 10 and algorithm 1: every step's
:math:`w, u, b` come out of the encoder, so the shape of the posterior depends on :math:`x`. See
:mod:`vaekit.distributions.planar` for the steps and what keeps them invertible.
"""

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Posterior
from vaekit.distributions import FlowDistribution, PlanarFlow
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.posteriors.diagonal import LOG_VARIANCE_LIMIT

__all__ = ["PlanarPosterior"]


class PlanarPosterior(nn.Module, Posterior):
    r"""``planar``: a diagonal Gaussian pushed along one direction after the other.

    The features are means, logarithms of variances, and for every step :math:`w`, :math:`u` and :math:`b`:
    :math:`2k + T(2k + 1)` numbers an example. It has no parameters of its own. ``mean`` is where the steps take
    :math:`\mu`: deterministic, and not the expectation. One step bends little; in many dimensions ``iaf`` does more.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        Steps, :math:`T`.

    Raises
    ------
    UsageError
        If either is below 1.

    Examples
    --------
    >>> import torch
    >>> posterior = PlanarPosterior(3, layers=2)
    >>> q = posterior(torch.randn(5, *posterior.feature_shape))
    >>> q.rsample().shape, q.log_prob(torch.zeros(5, 3)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(self, latent: int, *, layers: int = 8) -> None:
        super().__init__()
        if latent < 1 or layers < 1:
            raise UsageError(f"planar: latent={latent}, layers={layers}; both must be at least 1")
        self.latent_shape = (latent,)
        self.feature_shape = (2 * latent + layers * (2 * latent + 1),)
        self.layers = layers
        self.flow = PlanarFlow()

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., 2k + layers (2k + 1))`` into a distribution over ``(k,)``."""
        k = self.latent_shape[0]
        mean, log_variance, rest = features.split([k, k, self.layers * (2 * k + 1)], dim=-1)
        w, u, b = rest.unflatten(-1, (self.layers, 2 * k + 1)).split([k, k, 1], dim=-1)
        scale = (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp()
        base = Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)
        return FlowDistribution(base, self.flow, (w, u, b.squeeze(-1)))
