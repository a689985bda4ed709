r"""The Pareto shape of importance weights: whether so many samples are enough for their mean.

The largest of :math:`S` weights, :math:`M = \min(S / 5, 3 \sqrt S)` of them, are fitted by a generalised Pareto
distribution over the next largest one. Its shape :math:`k` says how many moments the weights have: :math:`1 / k`. Below
0.5 the variance of their mean is finite; up to about 0.7 (:math:`1 - 1 / \log_{10} S` for few samples) it can be
trusted all the same; above 1 the weights have no mean that samples could find. Vehtari, Simpson, Gelman, Yao and Gabry
(2024), "Pareto Smoothed Importance Sampling", Journal of Machine Learning Research 25; the fit is that of Zhang and
Stephens (2009), "A New and Efficient Estimation Method for the Generalized Pareto Distribution", Technometrics 51.
"""

from math import floor, log10, sqrt

import torch
from torch import Tensor

__all__ = ["largest_weights", "pareto_shape", "shape_limit", "tail_size"]

_FEWEST = 5  # weights that a tail can be fitted to
_NEGLIGIBLE = 1e-3  # a tail that rises by less, relative to the largest weight, is none
_AT_ONCE = 256  # rows, whose grids stay in a processor's caches


def tail_size(samples: int) -> int:
    """Return how many of so many weights make the tail; 0 where they are too few to tell.

    >>> tail_size(20), tail_size(200), tail_size(5000)
    (0, 40, 212)
    """
    size = int(min(samples / 5, 3 * sqrt(samples)))
    return size if size >= _FEWEST else 0


def shape_limit(samples: int) -> float:
    """Return the largest shape at which the mean of so many weights can be trusted.

    >>> shape_limit(100), shape_limit(10_000)
    (0.5, 0.7)
    """
    return min(1 - 1 / log10(samples), 0.7) if samples > 10 else 0.0


def largest_weights(log_weight: Tensor) -> Tensor:
    """Return the tail of log-weights ``(samples, n)`` and the next one, ``(tail + 1, n)`` from the largest down."""
    return log_weight.T.topk(tail_size(len(log_weight)) + 1).values.T


def pareto_shape(largest: Tensor) -> Tensor:
    r"""Return the shapes :math:`k`, ``(n,)`` float64, of tails as :func:`largest_weights` gives them.

    They are 0 where the weights are all but equal, and infinite where some are not numbers, or all are zero.

    Examples
    --------
    The weights of the quantiles of a Pareto distribution of shape 0.8:

    >>> u = (torch.arange(4000, dtype=torch.float64)[:, None] + 0.5) / 4000
    >>> tail = largest_weights(-0.8 * u.log())
    >>> round(float(pareto_shape(tail)), 2)
    0.78
    """
    parts = [_shape(part) for part in largest.double().T.split(_AT_ONCE)]
    return torch.cat(parts) if parts else largest.new_zeros(0, dtype=torch.float64)


def _shape(largest: Tensor) -> Tensor:
    """Fit ``(n, tail + 1)`` log-weights from the largest down."""
    top = largest[:, :1]
    weight = (largest - torch.where(top.isfinite(), top, torch.zeros_like(top))).exp()
    over = (weight[:, :-1] - weight[:, -1:]).flip(1)  # ascending
    size = over.shape[1]
    flat = over[:, -1] < _NEGLIGIBLE
    over = torch.where(flat[:, None], torch.ones_like(over), over).clamp_min(1e-300)
    steps = 30 + floor(sqrt(size))
    place = torch.arange(1, steps + 1, dtype=over.dtype, device=over.device)
    quartile = over[:, max(0, floor(size / 4 + 0.5) - 1)]
    theta = 1 / over[:, -1:] + (1 - (steps / (place - 0.5)).sqrt()) / (3 * quartile[:, None])
    shape = torch.log1p(-theta[:, :, None] * over[:, None, :]).mean(-1)
    profile = size * ((-theta / shape).log() - shape - 1)
    best = (theta * profile.softmax(1)).sum(1, keepdim=True)
    found = torch.log1p(-best * over).mean(1)
    found = (found * size + 10 * 0.5) / (
        size + 10
    )  # the weakly informative prior of Vehtari et al., appendix C
    found = torch.where(flat, torch.zeros_like(found), found)
    return torch.where(top[:, 0].isfinite() & ~found.isnan(), found, torch.full_like(found, torch.inf))
