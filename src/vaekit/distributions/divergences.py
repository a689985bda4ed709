r"""The divergence between categorical variables, as a sum of terms that are never negative.

.. math:: \mathrm{KL}(q \,\|\, p) = \sum_k q_k \log \frac{q_k}{p_k}
          = \sum_k q_k \bigl(d_k + e^{-d_k} - 1\bigr), \qquad d_k = \log q_k - \log p_k,

the same because both sum to one; the terms of the first form have both signs and cancel.
"""

import torch
from torch import Tensor

__all__ = ["categorical_kl"]

_NEAR, _TERMS = 0.3, 14  # below the first, the series of so many terms has all digits of float64


def categorical_kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    r"""Compute :math:`\mathrm{KL}(q \,\|\, p)` of categorical variables, in nats.

    Parameters
    ----------
    log_q, log_p
        ``(..., codes)``: logarithms of masses that sum to one.

    Returns
    -------
    Tensor
        ``(...)``: never negative, and exactly 0 for equal arguments.

    Examples
    --------
    >>> categorical_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log())
    tensor(0.1438)
    """
    difference = log_q - log_p
    q = log_q.exp()
    near = difference.detach().abs() < _NEAR
    d = torch.where(near, difference, 0.0)
    series = torch.ones_like(d)  # d + exp(-d) - 1 = d^2 / 2 (1 - d / 3 (1 - d / 4 (...)))
    for k in range(_TERMS, 2, -1):
        series = 1.0 - d / k * series
    close = q * (0.5 * d * d * series)
    far = q * (difference - 1.0) + log_p.exp()
    return torch.where(near, close, far).sum(-1)
