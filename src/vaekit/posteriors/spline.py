r"""The neural spline flow posterior.

.. math:: z = \mu(x) + \sigma(x) \odot f(\epsilon;\ h(x)), \qquad \epsilon \sim \mathcal N(0, I)

Durkan et al. (2019), "Neural Spline Flows", with coupling layers: monotone rational-quadratic splines on
:math:`[-5, 5]`, the identity outside, of half the dimensions given the other half and :math:`h(x)`. Splines have a
place where they act, so here the noise is bent first and then put in place.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Posterior
from vaekit.distributions import FlowDistribution, LocatedFlow, spline_steps
from vaekit.networks.bounded import soft_bound
from vaekit.posteriors.diagonal import LOG_VARIANCE_LIMIT
from vaekit.posteriors.flow import check_context

__all__ = ["SplinePosterior"]


class SplinePosterior(nn.Module, Posterior):
    r"""``spline``: Gaussian noise bent by splines, cheap to draw and cheap to evaluate anywhere.

    A spline of one dimension can have several modes, which one affine step cannot. The features are means,
    logarithms of variances and the context :math:`h(x)`, which every spline's network sees. ``mean`` is
    :math:`\mu + \sigma f(0; h)`, where the centre goes: deterministic, and not the expectation.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        Coupling layers; each bends all dimensions, one half given the other.
    bins
        Pieces of each spline.
    hidden
        Sizes of the hidden layers of each network. None: one, of 64 units.
    context
        Length of :math:`h(x)`.

    Raises
    ------
    UsageError
        If a size is below 1, there are fewer than two bins, or there is no context.

    Examples
    --------
    >>> q = SplinePosterior(3, context=8)(torch.zeros(5, 14))
    >>> q.rsample().shape, q.log_prob(torch.zeros(5, 3)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self,
        latent: int,
        *,
        layers: int = 2,
        bins: int = 8,
        hidden: tuple[int, ...] | None = None,
        context: int = 64,
    ) -> None:
        super().__init__()
        check_context("spline", latent, context)
        self.latent_shape = (latent,)
        self.feature_shape = (2 * latent + context,)
        self.flow = LocatedFlow(
            spline_steps(
                "spline",
                latent,
                context=context,
                layers=layers,
                bins=bins,
                hidden=hidden,
                draws_in_one_pass=True,
            )
        )

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., 2k + context)`` into a distribution over ``(k,)``."""
        k = self.latent_shape[0]
        mean, log_variance, h = features.split([k, k, self.feature_shape[0] - 2 * k], dim=-1)
        log_scale = 0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)
        noise = Normal(torch.zeros_like(mean), torch.ones_like(mean), validate_args=False)
        base = Independent(noise, 1, validate_args=False)
        return FlowDistribution(base, self.flow, (mean, log_scale, h))
