r"""What the posteriors made by an amortised flow have in common.

.. math:: u = \mu(x) + \sigma(x)\, \epsilon, \quad \epsilon \sim \mathcal N(0, I), \qquad z = f(u;\ h(x)), \qquad
          \log q(z \mid x) = \log \mathcal N(u; \mu, \operatorname{diag} \sigma^2)
          - \log \left| \det \frac{\partial f}{\partial u} \right|

The features are the means, the logarithms of the variances, and a context vector :math:`h(x)` that goes into every
network of the flow beside the dimensions that came before (Kingma et al., 2016, "Improved Variational Inference
with Inverse Autoregressive Flow", equation 11 and algorithm 1). So the *shape* of the posterior depends on
:math:`x`, and not its place and size alone: a flow without a context would do to every example the same, and could
as well be part of the prior.
"""

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Posterior
from vaekit.distributions import FlowDistribution, FlowSteps
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.posteriors.diagonal import LOG_VARIANCE_LIMIT

__all__ = ["FlowPosterior", "check_context"]


class FlowPosterior(nn.Module, Posterior):
    r"""A diagonal Gaussian carried along a flow; abstract.

    Its distributions' ``mean`` is :math:`f(\mu(x); h(x))`, the image of the base's mean: deterministic, and not the
    expectation.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    context
        Length of :math:`h`.
    flow
        :math:`f`.
    """

    def __init__(self, latent: int, context: int, flow: FlowSteps) -> None:
        super().__init__()
        self.latent_shape = (latent,)
        self.feature_shape = (2 * latent + context,)
        self.flow = flow

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., 2k + context)`` into a distribution over ``(k,)``."""
        k = self.latent_shape[0]
        mean, log_variance, h = features.split([k, k, self.feature_shape[0] - 2 * k], dim=-1)
        scale = (0.5 * soft_bound(log_variance, LOG_VARIANCE_LIMIT)).exp()
        base = Independent(Normal(mean, scale, validate_args=False), 1, validate_args=False)
        return FlowDistribution(base, self.flow, h)


def check_context(kind: str, latent: int, context: int) -> None:
    """Refuse a flow that would not see the data.

    Raises
    ------
    UsageError
        If there is no context, or no latent dimension.

    Examples
    --------
    >>> check_context("iaf", 2, 0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: iaf: context=0; the flow would do the same to every example: a learned prior in...
    """
    if latent < 1:
        raise UsageError(f"latent={latent}: a latent space needs at least 1 dimension")
    if context < 1:
        raise UsageError(
            f"{kind}: context={context}; the flow would do the same to every example: a learned prior in disguise. "
            "Give context=64 or so, or use posterior=diagonal with prior=flow"
        )
