r"""How a prior learns where an objective has no KL that would teach it: by maximum likelihood of the draws."""

from torch import Tensor
from torch.distributions import Distribution

__all__ = ["prior_fit"]


def prior_fit(p: Distribution, z: Tensor) -> Tensor:
    r"""Zeros whose gradient with respect to the prior's parameters is that of :math:`\log p(z)`; none reaches ``z``.

    It is also the evidence lower bound's gradient with respect to them, :math:`\mathbb E_{q(z)} \nabla \log p(z)`.

    Parameters
    ----------
    p
        The prior.
    z
        ``(batch, *latent)``.

    Returns
    -------
    Tensor
        ``(batch,)``, to be added to a surrogate.

    Examples
    --------
    >>> import torch
    >>> mean, z = torch.zeros(1, requires_grad=True), torch.tensor([2.0], requires_grad=True)
    >>> prior_fit(torch.distributions.Normal(mean, 1.0), z).sum().backward()
    >>> mean.grad, z.grad
    (tensor([2.]), None)
    """
    log_density = p.log_prob(z.detach())
    return log_density - log_density.detach()
