r"""The inverse autoregressive flow posterior.

.. math:: z_t = \sigma_t \odot z_{t-1} + (1 - \sigma_t) \odot m_t, \qquad
          (m_t, \operatorname{logit} \sigma_t) = \mathrm{MADE}_t(z_{t-1}, h(x))

Kingma et al. (2016), "Improved Variational Inference with Inverse Autoregressive Flow", equations 12 to 14, with
:math:`z_0 \sim \mathcal N(\mu(x), \operatorname{diag} \sigma^2(x))`. Dimension :math:`i` of :math:`m_t` and
:math:`\sigma_t` sees the dimensions of :math:`z_{t-1}` before it, in an order that is reversed from one step to the
next, and all of :math:`h`. A draw and its density are one pass.
"""

from vaekit.distributions import gated_steps
from vaekit.posteriors.flow import FlowPosterior, check_context

__all__ = ["InverseAutoregressivePosterior"]


class InverseAutoregressivePosterior(FlowPosterior):
    r"""``iaf``: a diagonal Gaussian carried along gated autoregressive steps; see :mod:`vaekit.posteriors.flow`.

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
