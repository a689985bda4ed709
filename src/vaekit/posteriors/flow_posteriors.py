r"""Posteriors made by a flow whose parameters depend on the example.

.. math:: u = \mu(x) + \sigma(x)\, \epsilon, \quad \epsilon \sim \mathcal N(0, I), \qquad z = f(u;\ h(x)), \qquad
          \log q(z \mid x) = \log \mathcal N(u; \mu, \operatorname{diag} \sigma^2)
          - \log \left| \det \frac{\partial f}{\partial u} \right|

The features are the means, the logarithms of the variances, and a context vector :math:`h(x)` that every
network of the flow sees beside the dimensions that came before (Kingma et al., 2016, "Improved Variational
Inference with Inverse Autoregressive Flow", equation 11 and algorithm 1). So the *shape* of the posterior
depends on :math:`x`, and not only its location and scale: a flow without a context would do the same to every
example, and could just as well be part of the prior. The steps are

.. math::

    \text{iaf} &: z_t = \sigma_t \odot z_{t-1} + (1 - \sigma_t) \odot m_t, \quad
                  (m_t, \operatorname{logit} \sigma_t) = \mathrm{MADE}_t(z_{t-1}, h(x)) \\
    \text{maf} &: z_{t-1} = \exp(a_t) \odot z_t + m_t, \quad (m_t, a_t) = \mathrm{MADE}_t(z_t, h(x))

with the order of the dimensions reversed from one step to the next (Kingma et al., 2016, equations 12 to 14;
Papamakarios, Pavlakou and Murray, 2017, "Masked Autoregressive Flow for Density Estimation", equations 3 and
4); ``spline``, :math:`z = \mu(x) + \sigma(x) \odot f(\epsilon;\ h(x))` with coupling layers of monotone
rational-quadratic splines on :math:`[-5, 5]` (Durkan et al., 2019, "Neural Spline Flows"); and ``planar``,
whose :math:`w, u, b` for every step are outputs of the encoder (Rezende and Mohamed, 2015, "Variational
Inference with Normalizing Flows", equation 10 and algorithm 1; see :mod:`vaekit.distributions.planar_steps`).
"""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

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
from vaekit.distributions.normals import LOG_VARIANCE_LIMIT, diagonal_gaussian, independent_normal
from vaekit.errors import UsageError
from vaekit.networks.bounded import soft_bound

__all__ = [
    "FlowPosterior",
    "InverseAutoregressivePosterior",
    "MaskedAutoregressivePosterior",
    "PlanarPosterior",
    "SplinePosterior",
    "check_context",
]


class FlowPosterior(nn.Module, Posterior):
    r"""A diagonal Gaussian carried along a flow. Abstract.

    The ``mean`` of its distributions is :math:`f(\mu(x); h(x))`, the image of the base's mean: deterministic,
    but not the expectation.

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
        base = diagonal_gaussian(mean, log_variance)
        return FlowDistribution(base, self.flow, h)


def check_context(kind: str, latent: int, context: int) -> None:
    """Refuse a flow that does not see the data.

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

    A draw and its density take one pass, which is all that a bound needs. The density at a point that is not
    its own draw (for a VampPrior, or a doubly reparameterised gradient) inverts each step in ``latent``
    passes.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        The number of steps, :math:`T`.
    hidden
        Sizes of the hidden layers of each step's masked network, each at least :math:`k`. None: one layer, of
        64 units or :math:`k`, whichever is more.
    context
        Length of :math:`h(x)`, an output of the encoder beside :math:`\mu(x)` and :math:`\log \sigma^2(x)`.

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

    The density at any point takes one pass. A draw finds one latent dimension after the other, in ``latent``
    passes per step that are all kept for the gradient, where ``iaf`` needs one. It pays in few dimensions
    where densities are needed at many points that are not its own draws, as under a VampPrior.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        The number of steps.
    hidden
        Sizes of the hidden layers of each step's masked network, each at least :math:`k`. None: one layer, of
        64 units or :math:`k`, whichever is more.
    context
        Length of :math:`h(x)`, an output of the encoder beside :math:`\mu(x)` and :math:`\log \sigma^2(x)`.

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
    r"""``spline``: Gaussian noise transformed by splines; fast to draw from, and to evaluate anywhere.

    Even in one dimension the distribution can have several modes. Splines act on a fixed interval, so the
    noise is transformed first, and then scaled and shifted. The features are means, logarithms of variances
    and the context :math:`h(x)`, which every spline's network sees. ``mean`` is :math:`\mu + \sigma f(0; h)`:
    deterministic, but not the expectation.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        The number of coupling layers; each transforms all dimensions, one half given the other.
    bins
        The number of pieces of each spline.
    hidden
        Sizes of the hidden layers of each network. None: one layer of 64 units.
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
        base = independent_normal(torch.zeros_like(mean), torch.ones_like(mean))
        return FlowDistribution(base, self.flow, (mean, log_scale, h))


class PlanarPosterior(nn.Module, Posterior):
    r"""``planar``: a diagonal Gaussian pushed along one direction after another.

    The features are means, logarithms of variances, and for every step :math:`w`, :math:`u` and :math:`b`:
    :math:`2k + T(2k + 1)` numbers per example. It has no parameters of its own. ``mean`` is the image of
    :math:`\mu` under the steps: deterministic, but not the expectation. One step changes the shape only a
    little; in many dimensions ``iaf`` does more.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    layers
        The number of steps, :math:`T`.

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
        base = diagonal_gaussian(mean, log_variance)
        return FlowDistribution(base, self.flow, (w, u, b.squeeze(-1)))
