"""Losses that a distribution brings along: a codebook's, say."""

from torch import Tensor
from torch.distributions import Distribution

__all__ = ["subtract_auxiliary_loss"]


def subtract_auxiliary_loss(surrogate: Tensor, *distributions: Distribution) -> Tensor:
    """Subtract the auxiliary losses of distributions from a surrogate.

    A posterior or prior may set ``auxiliary_loss``, ``(batch,)`` or a scalar in nats, on the distribution it returns,
    whatever its type: it is minimised beside the objective. Every objective passes its surrogate through here, and
    never its bound.

    Parameters
    ----------
    surrogate
        ``(batch,)``.
    distributions
        Those the objective used; most carry nothing.

    Returns
    -------
    Tensor
        ``(batch,)``; the same object where there is nothing to subtract.

    Examples
    --------
    >>> import torch
    >>> q = torch.distributions.Normal(torch.zeros(2), 1.0)
    >>> q.auxiliary_loss = torch.tensor([0.5, 2.0])
    >>> subtract_auxiliary_loss(torch.zeros(2), q)
    tensor([-0.5000, -2.0000])
    """
    for distribution in distributions:
        loss = vars(distribution).get("auxiliary_loss")
        if loss is not None:
            surrogate = surrogate - loss
    return surrogate
