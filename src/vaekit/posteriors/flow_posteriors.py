r"""Posteriors made by a flow.

What the posteriors made by an amortised flow have in common.

.. math:: u = \mu(x) + \sigma(x)\, \epsilon, \quad \epsilon \sim \mathcal N(0, I), \qquad z = f(u;\ h(x)), \qquad
          \log q(z \mid x) = \log \mathcal N(u; \mu, \operatorname{diag} \sigma^2)
          - \log \left| \det \frac{\partial f}{\partial u} \right|

The features are the means, the logarithms of the variances, and a context vector :math:`h(x)` that goes into every
network of the flow beside the dimensions that came before (Kingma et al., 2016, "Improved Variational Inference
with Inverse Autoregressive Flow", equation 11 and algorithm 1). So the *shape* of the posterior depends on
:math:`x`, and not its place and size alone: a flow without a context would do to every example the same, and could
as well be part of the prior.

The inverse autoregressive flow posterior.

.. math:: z_t = \sigma_t \odot z_{t-1} + (1 - \sigma_t) \odot m_t, \qquad
          (m_t, \operatorname{logit} \sigma_t) = \mathrm{MADE}_t(z_{t-1}, h(x))

Kingma et al. (2016), "Improved Variational Inference with Inverse Autoregressive Flow", equations 12 to 14, with
:math:`z_0 \sim \mathcal N(\mu(x), \operatorname{diag} \sigma^2(x))`. Dimension :math:`i` of :math:`m_t` and
:math:`\sigma_t` sees the dimensions of :math:`z_{t-1}` before it, in an order that is reversed from one step to the
next, and all of :math:`h`. A draw and its density are one pass.

The masked autoregressive flow posterior.

.. math:: z_{t-1} = \exp(a_t) \odot z_t + m_t, \qquad (m_t, a_t) = \mathrm{MADE}_t(z_t, h(x))

Papamakarios, Pavlakou and Murray (2017), "Masked Autoregressive Flow for Density Estimation", equations 3 and 4, with
:math:`z_0 \sim \mathcal N(\mu(x), \operatorname{diag} \sigma^2(x))`: the density anywhere is one pass, and it is the
draw that is sequential.

The neural spline flow posterior.

.. math:: z = \mu(x) + \sigma(x) \odot f(\epsilon;\ h(x)), \qquad \epsilon \sim \mathcal N(0, I)

Durkan et al. (2019), "Neural Spline Flows", with coupling layers: monotone rational-quadratic splines on
:math:`[-5, 5]`, the identity outside, of half the dimensions given the other half and :math:`h(x)`. Splines have a
place where they act, so here the noise is bent first and then put in place.

The planar flow posterior: :math:`z = f_T \circ \dots \circ f_1(\mu(x) + \sigma(x)\, \epsilon)`.

Rezende and Mohamed (2015), "Variational Inference with Normalizing Flows", equation 10 and algorithm 1: every step's
:math:`w, u, b` come out of the encoder, so the shape of the posterior depends on :math:`x`. See
:mod:`vaekit.distributions.planar_steps` for the steps and what keeps them invertible.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from vaekit.contracts import Posterior
from vaekit.distributions import (
    FlowDistribution,
    FlowSteps,
    LocatedFlow,
    PlanarFlow,
    gated_steps,
    masked_affine_steps,
    spline_steps,
)
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound
from vaekit.posteriors.gaussian_posteriors import LOG_VARIANCE_LIMIT

__all__ = [
    "FlowPosterior",
    "InverseAutoregressivePosterior",
    "MaskedAutoregressivePosterior",
    "PlanarPosterior",
    "SplinePosterior",
    "check_context",
]


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


class InverseAutoregressivePosterior(FlowPosterior):
    r"""``iaf``: a diagonal Gaussian carried along gated autoregressive steps.

    Cheap where the posterior is drawn from, as in every bound. A density at a point that is no draw of its own
    (a VampPrior's, a doubly reparameterised gradient's) inverts each step in ``latent`` passes.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        Steps, :math:`T`.
    hidden
        Sizes of the hidden layers of each step's masked network, each at least :math:`k`. None: one, of 64 units
        or :math:`k`, whichever is more.
    context
        Length of :math:`h(x)`, which the encoder gives beside :math:`\mu(x)` and :math:`\log \sigma^2(x)`.

    Raises
    ------
    UsageError
        If a size is below 1, a hidden layer below :math:`k`, or there is no context.

    Examples
    --------
    >>> import torch
    >>> q = InverseAutoregressivePosterior(3, context=8)(torch.zeros(5, 14))
    >>> q.rsample().shape, q.log_prob(torch.zeros(5, 3)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self, latent: int, *, layers: int = 2, hidden: tuple[int, ...] | None = None, context: int = 64
    ) -> None:
        check_context("iaf", latent, context)
        flow = gated_steps("iaf", latent, context=context, layers=layers, hidden=hidden)
        super().__init__(latent, context, flow)


class MaskedAutoregressivePosterior(FlowPosterior):
    r"""``maf``: a diagonal Gaussian carried along masked autoregressive steps.

    A draw finds one latent dimension after the other: ``latent`` passes a step, each kept for the gradient, where
    ``iaf`` needs one. Worth it where densities are asked for at many points that are no draws of its own
    (under a VampPrior, say), in few dimensions.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        Steps.
    hidden
        Sizes of the hidden layers of each step's masked network, each at least :math:`k`. None: one, of 64 units
        or :math:`k`, whichever is more.
    context
        Length of :math:`h(x)`, which the encoder gives beside :math:`\mu(x)` and :math:`\log \sigma^2(x)`.

    Raises
    ------
    UsageError
        If a size is below 1, a hidden layer below :math:`k`, or there is no context.

    Examples
    --------
    >>> import torch
    >>> q = MaskedAutoregressivePosterior(3, context=8)(torch.zeros(5, 14))
    >>> q.rsample().shape, q.log_prob(torch.zeros(5, 3)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self, latent: int, *, layers: int = 2, hidden: tuple[int, ...] | None = None, context: int = 64
    ) -> None:
        check_context("maf", latent, context)
        flow = masked_affine_steps("maf", latent, context=context, layers=layers, hidden=hidden)
        super().__init__(latent, context, flow)


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
