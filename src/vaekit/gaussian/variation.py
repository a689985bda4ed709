r"""Bounds of the total variation distance between Gaussians, which has no closed form in general.

`TV = 1/2 int |p - q|`. Equal covariances: `TV = erf(|z| / sqrt 8)` exactly. Otherwise

* lower: the largest of `1 - int sqrt(p q)` (Le Cam) and of the exact univariate distances along each
  direction of the relative spectrum and along the mean difference (a projection can only lower it);
* upper: the smallest of `sqrt(1 - (int sqrt(p q))^2)` (Le Cam), `sqrt(KL / 2)` (Pinsker) and
  `sqrt(1 - exp(-KL))` (Bretagnolle and Huber), for KL in both directions.

References
----------
Devroye, Mehrabian, Reddad (2018), The total variation distance between high-dimensional Gaussians;
Bretagnolle, Huber (1979), Estimation des densités: risque minimax.
"""

import math
from typing import Any

import torch
from torch import Tensor

from vaekit.gaussian.information_geometry import Bounds
from vaekit.gaussian.kl import deliver, pair_of
from vaekit.gaussian.relative import Whitened, whitened
from vaekit.gaussian.spectral import log_ratio
from vaekit.gaussian.stable import log_excess

__all__ = ["total_variation_bounds"]


def total_variation_bounds(p: Any, q: Any) -> Bounds:
    """Return the lower and upper bound of the total variation distance `1/2 int |p - q|`, between 0 and 1.

    Parameters
    ----------
    p, q : Gaussian, torch distribution, or tuple (mean, covariance)
        Batches broadcast.

    Returns
    -------
    Bounds
        ``lower`` and ``upper``, each (...), without gradients; both the exact value for equal covariances and
        both 1 where the supports differ.

    Raises
    ------
    GaussianError
        For a pair of different sizes, dtypes or devices.

    Examples
    --------
    >>> lower, upper = total_variation_bounds(([2.0], [[1.0]]), ([0.0], [[1.0]]))
    >>> round(float(lower), 6), round(float(upper), 6)
    (0.682689, 0.682689)
    """
    p, q = pair_of(p, q)
    with torch.no_grad():
        pair = whitened(p.promoted(), q.promoted())
        lower, upper = _bounds(pair)
        if pair.disjoint is not None:
            one = torch.ones_like(lower)
            lower, upper = torch.where(pair.disjoint, one, lower), torch.where(pair.disjoint, one, upper)
    return Bounds(*(deliver(x, p, q) for x in (lower, upper)))


def _bounds(pair: Whitened) -> tuple[Tensor, Tensor]:
    e, r, w, v = pair.excess, pair.ratio, pair.forward, pair.backward
    forward = 0.5 * (log_excess(e, r) + w.square()).sum(-1)
    backward = 0.5 * (log_excess(-e / r, 1 / r) + v.square()).sum(-1)
    distance = _bhattacharyya(e, r, w)
    divergence = torch.minimum(forward, backward)
    upper = torch.stack(
        [
            (-torch.expm1(-2 * distance)).sqrt(),
            (0.5 * divergence).sqrt(),
            (-torch.expm1(-divergence)).sqrt(),
            torch.ones_like(divergence),
        ]
    ).amin(0)
    along = torch.maximum(_along_means(e, r, w), _along_means(-e / r, 1 / r, v))
    each = univariate_total_variation(e, r, w).amax(-1)
    lower = torch.stack([-torch.expm1(-distance), each, along]).amax(0)
    exact = torch.erf(w.norm(dim=-1) / math.sqrt(8))
    same = (e == 0).all(-1)
    upper = torch.where(same, exact, upper)
    return torch.where(same, exact, torch.minimum(lower, upper)), upper


def _bhattacharyya(e: Tensor, r: Tensor, w: Tensor) -> Tensor:
    half = 0.5 * e
    near = 0.5 * log_excess(e, r) - log_excess(half, 1 + half)
    far = torch.log1p(half) - 0.5 * torch.log(r)
    terms = torch.where((e > -0.4) & (e < 0.5), near, far)
    return 0.5 * terms.sum(-1) + 0.125 * (w.square() / (1 + half)).sum(-1)


def _along_means(e: Tensor, r: Tensor, w: Tensor) -> Tensor:
    """Return the distance after projection on the mean difference, in the coordinates in which q is standard."""
    size = w.square().sum(-1)
    share = torch.where((size > 0).unsqueeze(-1), w.square() / size.unsqueeze(-1), torch.zeros_like(w))
    found = univariate_total_variation((share * e).sum(-1), (share * r).sum(-1), size.sqrt())
    return torch.where(size > 0, found, torch.zeros_like(found))


def univariate_total_variation(excess: Tensor, ratio: Tensor, shift: Tensor) -> Tensor:
    """Return the exact distance of `N(shift, ratio)` from `N(0, 1)`, elementwise, with ``ratio = 1 + excess``.

    The densities cross where `excess x^2 + 2 shift x - (shift^2 + ratio log ratio) = 0`; the distance is the
    difference of the masses between the two crossings.

    >>> one = torch.ones(1, dtype=torch.float64)
    >>> univariate_total_variation(3 * one, 4 * one, 0 * one).round(decimals=6)
    tensor([0.3227], dtype=torch.float64)
    """
    s = ratio.sqrt()
    m = shift.abs()
    equal = excess == 0
    a = torch.where(equal, torch.ones_like(excess), excess)
    log = log_ratio(excess, ratio)
    c = m.square() + ratio * log
    # Both roots without cancellation: the one of larger size first, the other from their product.
    root = (ratio * (m.square() + excess * log)).sqrt()
    t = -(m + root)
    x1, x2 = t / a, torch.where(t == 0, torch.zeros_like(t), -c / torch.where(t == 0, torch.ones_like(t), t))
    between = _mass(x1, x2) - _mass((x1 - m) / s, (x2 - m) / s)
    return torch.where(equal, torch.erf(m / math.sqrt(8)), between.abs())


def _mass(a: Tensor, b: Tensor) -> Tensor:
    """Return the standard normal mass between a and b, signed."""
    return 0.5 * (torch.erf(b / math.sqrt(2)) - torch.erf(a / math.sqrt(2)))
