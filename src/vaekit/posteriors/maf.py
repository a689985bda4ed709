r"""The masked autoregressive flow posterior.

.. math:: z_{t-1} = \exp(a_t) \odot z_t + m_t, \qquad (m_t, a_t) = \mathrm{MADE}_t(z_t, h(x))

Papamakarios, Pavlakou and Murray (2017), "Masked Autoregressive Flow for Density Estimation", equations 3 and 4, with
:math:`z_0 \sim \mathcal N(\mu(x), \operatorname{diag} \sigma^2(x))`: the density anywhere is one pass, and it is the
draw that is sequential.
"""

from vaekit.distributions import masked_affine_steps
from vaekit.posteriors.flow import FlowPosterior, check_context

__all__ = ["MaskedAutoregressivePosterior"]


class MaskedAutoregressivePosterior(FlowPosterior):
    r"""``maf``: a diagonal Gaussian carried along masked autoregressive steps; see :mod:`vaekit.posteriors.flow`.

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
