r"""Integrals of the von Mises-Fisher density over the angle to its mean, by Gauss-Legendre quadrature.

.. math:: Z_k(\kappa) = \int_0^\pi e^{-\kappa (1 - \cos\theta)} \sin^{k-2}\theta \, d\theta
          = \sqrt\pi\, \Gamma\!\left(\tfrac{k-1}{2}\right) \left(\tfrac{2}{\kappa}\right)^{k/2-1}
            e^{-\kappa} I_{k/2-1}(\kappa)

(DLMF 10.32.2, with the modified Bessel function of the first kind, exponentially scaled). One integral of a
smooth positive function gives the normaliser to the last digits in any precision, for every
:math:`\kappa \ge 0`, and its derivatives give what else is needed, the ratio of Bessel functions included:

.. math:: -\frac{d \log Z_k}{d\kappa} = \mathbb E[1 - \cos\theta] = 1 - A_k(\kappa), \qquad
          A_k(\kappa) = \frac{I_{k/2}(\kappa)}{I_{k/2-1}(\kappa)}.

The range of integration is where the integrand is within :math:`e^{-40}` of its largest value, so that it is
neither too narrow nor too wide for any :math:`k` and :math:`\kappa`. All computations use gaps
:math:`s = 1 - \cos\theta` instead of cosines: for a large :math:`\kappa` a cosine next to 1 has no digits
left.
"""

from functools import cache
from math import lgamma, log, pi

import numpy as np
import torch
from torch import Tensor

__all__ = ["gap_gradient", "log_area", "log_integral", "log_integral_and_mean_gap"]

_NODES = 64
_DROP = 40.0  # of the logarithm of the integrand, at the ends of the range
_WIDTHS = 12.0  # of a Gaussian no narrower than the integrand


def log_area(k: int) -> float:
    r"""Compute :math:`\log |S^{k-1}| = \log 2 + \frac k 2 \log\pi - \log\Gamma(\frac k 2)`, an area.

    Examples
    --------
    >>> round(log_area(2) - log(2 * pi), 12), round(log_area(3) - log(4 * pi), 12)
    (0.0, 0.0)
    """
    return log(2.0) + 0.5 * k * log(pi) - lgamma(0.5 * k)


def log_integral(concentration: Tensor, k: int) -> Tensor:
    r"""Compute :math:`\log Z_k(\kappa)`, differentiable.

    Parameters
    ----------
    concentration
        :math:`\kappa \ge 0`, of any shape.
    k
        Dimension of the space around the sphere, at least 2.

    Examples
    --------
    In three dimensions it is :math:`\log((1 - e^{-2\kappa}) / \kappa)`.

    >>> log_integral(torch.tensor([0.0, 1.0, 1e5]), 3)
    tensor([  0.6931,  -0.1454, -11.5129])
    """
    return log_integral_and_mean_gap(concentration, k)[0]


def log_integral_and_mean_gap(concentration: Tensor, k: int) -> tuple[Tensor, Tensor]:
    r"""Compute :math:`\log Z_k(\kappa)` and :math:`1 - A_k(\kappa)`, both differentiable and of relative accuracy."""
    with torch.no_grad():
        mode = _mode(concentration, k)
        # The tail is no longer than that of a gamma distribution of shape (k - 1) / 2 and rate kappa, from its mean on.
        end = _end(mode, 0.5 * (k - 1) / concentration, concentration, k)
        theta, weight = _nodes(_start(mode, concentration, k), end)
    gap = 2.0 * (0.5 * theta).sin().square()
    log_value = _log_value(concentration.unsqueeze(-1), gap, theta, k)
    largest = log_value.detach().amax(-1, keepdim=True)
    value = weight * (log_value - largest).exp()
    total = value.sum(-1)
    return total.log() + largest.squeeze(-1), (value / total.unsqueeze(-1) * gap).sum(-1)


def gap_gradient(gap: Tensor, concentration: Tensor, mean_gap: Tensor, k: int) -> Tensor:
    r"""Compute :math:`\partial s / \partial\kappa` of a draw :math:`s` at a fixed value of its distribution function.

    Implicit reparameterisation (Figurnov, Mohamed and Mnih, 2018, "Implicit Reparameterization Gradients",
    equation 6): with the density :math:`g` of :math:`s` and :math:`G` its integral,

    .. math:: \frac{\partial s}{\partial\kappa} = -\frac{\partial G / \partial\kappa}{g(s)}
              = -\int_0^s (\mathbb E s - t) \frac{g(t)}{g(s)} dt = -\int_s^2 (t - \mathbb E s) \frac{g(t)}{g(s)} dt.

    The first form is used below the mean and the second above it, so that the integrand is positive in both.

    Parameters
    ----------
    gap
        :math:`s`, of any shape.
    concentration, mean_gap
        :math:`\kappa` and :math:`\mathbb E s`, of shapes that broadcast with it.
    k
        The dimension of the space around the sphere.
    """
    tiny = torch.finfo(gap.dtype).tiny
    at = 2.0 * (0.5 * gap).clamp(tiny, 1.0).sqrt().asin()
    concentration = concentration.expand(gap.shape)
    below = gap < mean_gap
    start = _start(torch.minimum(at, _mode(concentration, k)), concentration, k)
    theta, weight = _nodes(
        torch.where(below, start, at), torch.where(below, at, _end(at, gap, concentration, k))
    )
    t = 2.0 * (0.5 * theta).sin().square()
    # With d/ds = (1 / sin) d/dtheta, the density of the gap is that of the angle over the sine.
    at = at.unsqueeze(-1)
    log_ratio = -concentration.unsqueeze(-1) * (t - gap.unsqueeze(-1))
    if k > 2:
        log_ratio = log_ratio + (k - 2) * (theta.sin().clamp_min(tiny) / at.sin().clamp_min(tiny)).log()
    distance = (t - mean_gap.unsqueeze(-1)).abs()
    return -(weight * distance * log_ratio.exp()).sum(-1) * at.squeeze(-1).sin()


def _log_value(concentration: Tensor, gap: Tensor, theta: Tensor, k: int) -> Tensor:
    value = -concentration * gap
    return value if k == 2 else value + (k - 2) * theta.sin().log()


def _mode(concentration: Tensor, k: int) -> Tensor:
    r"""Return the angle where the integrand is largest: :math:`(k - 2) \cos\theta = \kappa \sin^2\theta`."""
    n = k - 2
    if n == 0:
        return torch.zeros_like(concentration)
    cosine = 2.0 * concentration / (n + torch.hypot(torch.full_like(concentration, n), 2.0 * concentration))
    sine = torch.where(
        concentration > n, (n * cosine / concentration).sqrt().nan_to_num(), (1.0 - cosine.square()).sqrt()
    )
    return torch.atan2(sine, cosine)


def _start(theta: Tensor, concentration: Tensor, k: int) -> Tensor:
    """Return an angle below which the integrand is negligible against its value at ``theta``, at most the mode.

    To the left its logarithm curves down more and more, so that it lies below the parabola that touches it at
    ``theta``.
    """
    if k == 2:
        return torch.zeros_like(theta)
    bend = concentration * theta.cos() + (k - 2) / theta.sin().square()
    return (theta - _WIDTHS / bend.sqrt()).clamp_min(0.0)


def _end(theta: Tensor, gap: Tensor, concentration: Tensor, k: int) -> Tensor:
    r"""Return an angle beyond which the integrand is negligible against its value at ``theta`` or at ``gap``.

    Relative to its value at a gap :math:`s \ge (k - 3) / 2\kappa`, that at :math:`(1 + v) s` is at most
    :math:`\exp(-\kappa s (v - \log(1 + v)))`; and beyond the mode it falls at least as
    :math:`e^{-(k-2) d^2 / 2}`.
    """
    rate = concentration * gap
    c = _DROP / rate
    far = 0.5 * gap * (1.0 + c + (c * (c + 2.0)).sqrt())
    far = torch.where(rate >= 0.5 * (k - 3), far.nan_to_num(1.0, 1.0), torch.ones_like(far))
    end = 2.0 * far.clamp(0.0, 1.0).sqrt().asin()
    return torch.minimum(end, theta + _WIDTHS / (k - 2) ** 0.5) if k > 2 else end


def _nodes(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nodes and weights of the quadrature, ``(..., nodes)``."""
    place, weight = (torch.as_tensor(v, dtype=low.dtype, device=low.device) for v in _gauss_legendre())
    width = (high - low).unsqueeze(-1)
    return low.unsqueeze(-1) + width * place, width * weight


@cache
def _gauss_legendre() -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes and weights on [0, 1]."""
    place, weight = np.polynomial.legendre.leggauss(_NODES)
    return 0.5 * (place + 1.0), 0.5 * weight
