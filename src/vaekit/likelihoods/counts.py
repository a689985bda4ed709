"""What likelihoods of counts share: the data they accept, and the bound of their log-means."""

from math import inf

from torch import Tensor

from vaekit.likelihoods.support import LARGEST_COUNT, Support
from vaekit.networks.bounded import soft_bound

__all__ = ["COUNTS", "bounded_log_mean"]

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
