"""What likelihoods of counts share: the data they accept, and the bound of their log-means."""

from math import inf

from torch import Tensor

from vaekit.likelihoods.support import LARGEST_COUNT, Support
from vaekit.networks.bounded import soft_bound

__all__ = ["COUNTS", "bounded_log_mean", "log_mean_features"]

COUNTS = Support(
    f"counts: whole numbers from 0 to {LARGEST_COUNT:,}",
    0.0,
    inf,
    "give raw counts, neither normalised nor logarithms of them, or choose another likelihood",
    whole=True,
)


def bounded_log_mean(features: Tensor) -> Tensor:
    """Bring a network's output to a log-mean in float64, smoothly between -20 and 20.

    In float64, because the terms of a count's log-probability, of the size of the count, cancel: at a million,
    float32 would be off by a nat.

    Examples
    --------
    >>> import torch
    >>> bounded_log_mean(torch.tensor([0.5, 1e4])).exp()
    tensor([1.6485e+00, 4.8515e+08], dtype=torch.float64)
    """
    return soft_bound(features.double(), 20.0)


def log_mean_features(x: Tensor) -> Tensor:
    """Give the features of the columns' means, ``(n, *event)`` to ``event``: the inverse of the bound.

    Half a count is added to each column.

    Examples
    --------
    >>> import torch
    >>> bounded_log_mean(log_mean_features(torch.tensor([[3.0], [4.0]]))).exp()
    tensor([3.7500], dtype=torch.float64)
    """
    n = len(x)
    scaled = ((x.double().sum(0) + 0.5) / n).log() / 20.0
    return (20.0 * scaled / (1 - scaled.square()).sqrt()).to(x.dtype)
