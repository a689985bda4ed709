r"""Hyperbolic space of curvature :math:`-c` in geodesic normal coordinates at the origin, and the wrapped normal on it.

A point is written as the tangent vector at the origin whose exponential it is: :math:`z = \log_0` of its
position in the Poincare ball, scaled so that :math:`|z|` is its distance from the origin,

.. math:: \text{ball}(z) = \tanh\!\left(\tfrac{\sqrt c}2 |z|\right) \frac{z}{\sqrt c\, |z|} .

The coordinates cover all of :math:`\mathbb R^k` once. No point has to be distinguished from the boundary of
the ball, where single precision runs out of digits at a distance of about :math:`17 / \sqrt c`. A network
that is given these coordinates works in the tangent space at the origin, as the encoder and decoder of
Mathieu et al. (2019), "Continuous Hierarchical Representations with Poincare Variational Auto-Encoders",
section 3.2, do by the exponential and logarithmic maps. In any coordinates, a circle of radius :math:`R` has
the length :math:`2 \pi \sinh(\sqrt c R) / \sqrt c`: far out, one rounding error of a coordinate is a step of
:math:`\epsilon \sinh(\sqrt c R) / \sqrt c`, and a narrower density cannot be resolved.

The maps at another point are boosts of the hyperboloid. With rapidities :math:`a = \sqrt c |\mu|`,
:math:`r = \sqrt c |v|` and the angle :math:`\theta` between the two vectors, the component of
:math:`\exp_\mu v` along :math:`\mu` is :math:`\sinh(a - r) + \cosh a \sinh r\, (1 + \cos\theta)`, and across
it :math:`\sinh r \sin\theta`. Both are computed divided by :math:`e^{a + r}`, so that nothing overflows.

The wrapped normal (Nagano et al., 2019, "A Wrapped Normal Distribution on Hyperbolic Space for Gradient-Based
Learning", section 3; Mathieu et al., 2019, equation 7) carries a Gaussian by the exponential map. Its density
is per unit of volume *of these coordinates*, for posterior and prior alike:

.. math:: z = \exp_\mu v, \quad v \sim \mathcal N(0, \operatorname{diag}\sigma^2), \qquad
          \log q(z) = \log \mathcal N(u; 0, \operatorname{diag}\sigma^2)
          + (k - 1) \left[ \log\frac{\sinh \sqrt c |z|}{\sqrt c |z|}
          - \log\frac{\sinh \sqrt c |u|}{\sqrt c |u|} \right], \qquad u = \log_\mu z .

Without the first term in brackets (:func:`log_volume`) it is the density per unit of hyperbolic volume.
Divergences and importance weights are the same in either.
"""

from math import log, pi

import torch
from torch import Tensor

from vaekit.distributions.base import PlainDistribution, SampleShape

__all__ = ["WrappedNormal", "exponential_map", "log_volume", "logarithmic_map", "to_ball"]


def exponential_map(centre: Tensor, v: Tensor, curvature: float) -> Tensor:
    r"""Follow the geodesic from a point along a tangent vector: :math:`\exp_\mu(v / \lambda_\mu)` in ball coordinates.

    Parameters
    ----------
    centre
        :math:`\mu`, ``(..., k)``.
    v
        ``(..., k)``, in the frame carried to :math:`\mu` from the origin; :math:`|v|` is the length of the
        path.
    curvature
        :math:`c > 0`.

    Examples
    --------
    >>> exponential_map(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]), 0.7)
    tensor([3.0000, 0.0000])
    """
    return _boost(centre, v, curvature, forwards=True)


def logarithmic_map(centre: Tensor, z: Tensor, curvature: float) -> Tensor:
    r"""Return the tangent vector that leads from a point to another: the inverse of :func:`exponential_map`.

    Examples
    --------
    >>> logarithmic_map(torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0]), 0.7)[0]
    tensor(2.0000)
    """
    return _boost(centre, z, curvature, forwards=False)


def log_volume(z: Tensor, curvature: float) -> Tensor:
    r"""Compute the logarithm of the volume of hyperbolic space per unit of volume of the coordinates.

    .. math:: (k - 1) \log \frac{\sinh(\sqrt c |z|)}{\sqrt c |z|}
    """
    return (z.shape[-1] - 1) * _log_stretch(z, curvature)


def to_ball(z: Tensor, curvature: float) -> Tensor:
    """Return the position of a point in the Poincare ball, whose radius is one over the root of the curvature.

    Examples
    --------
    >>> to_ball(torch.tensor([1e3, 0.0]), 4.0)
    tensor([0.5000, 0.0000])
    """
    root, size = curvature**0.5, _norm(z)
    scale = torch.where(size > 0, (0.5 * root * size).tanh() / (root * torch.where(size > 0, size, 1.0)), 0.5)
    return scale * z


def _log_stretch(z: Tensor, curvature: float) -> Tensor:
    r"""Return :math:`\log(\sinh(\sqrt c |z|) / \sqrt c |z|)`."""
    rapidity = curvature**0.5 * _norm(z).squeeze(-1)
    far = rapidity > 1e-3
    safe = torch.where(far, rapidity, 1.0)
    log_ratio = safe + (-(-2.0 * safe).expm1() / (2.0 * safe)).log()
    return torch.where(far, log_ratio, torch.where(far, 0.0, rapidity).square() / 6.0)


def _boost(centre: Tensor, v: Tensor, curvature: float, *, forwards: bool) -> Tensor:
    root = curvature**0.5
    centre_size, size = _norm(centre), _norm(v)
    along = centre / torch.where(centre_size > 0, centre_size, 1.0)
    direction = v / torch.where(size > 0, size, 1.0)
    a, r = root * centre_size, root * size
    if not forwards:
        along = -along
    # 1 + cos, from a sum of vectors: near cos = -1 the plain form would lose digits
    one_plus = 0.5 * (along + direction).square().sum(-1, keepdim=True)
    shrink = 0.5 * (-2.0 * torch.minimum(a, r)).exp()
    difference = torch.sign(a - r) * shrink * -(-2.0 * (a - r).abs()).expm1()
    gone = -(-2.0 * r).expm1()  # 2 sinh(r) e^-r
    parallel = difference + 0.25 * (1.0 + (-2.0 * a).exp()) * gone * one_plus
    across = direction - (along * direction).sum(-1, keepdim=True) * along
    moved = parallel * along + 0.5 * (-a).exp() * gone * across
    away = _resolved_norm(moved)
    rapidity = _scaled_asinh(away, a + r).clamp_max(torch.finfo(away.dtype).max)
    result = rapidity / root * (moved / torch.where(away > 0, away, 1.0))
    # Along one ray distances are sums and differences, also where the exponentials above underflow.
    result = torch.where(one_plus == 0, (a - r) / root * along, result)
    # At the origin the space is flat to first order, and the maps are a sum and a difference.
    return torch.where(centre_size > 0, result, v + centre if forwards else v - centre)


def _scaled_asinh(x: Tensor, log_scale: Tensor) -> Tensor:
    r"""Return :math:`\operatorname{asinh}(x e^s)` without overflow of the argument."""
    small = log_scale < 20.0
    near = (x * torch.where(small, log_scale, 0.0).exp()).asinh()
    far = log_scale + log(2.0) + torch.where(x > 0, x, 1.0).log()
    # Where x e^s is not large although s is, the point is near the origin.
    returned = torch.where(small, 0.0, far) < 15.0
    back = (
        torch.where(returned, x, 0.0) * torch.where(returned, log_scale, 0.0).clamp_max(80.0).exp()
    ).asinh()
    return torch.where(small, near, torch.where(returned, back, far))


def _norm(z: Tensor) -> Tensor:
    """Return the length, ``(..., 1)``, of vectors of any length; at zero its gradient is 0."""
    largest = z.detach().abs().amax(-1, keepdim=True)
    known = largest > 0
    unit = torch.where(known, largest, 1.0)
    squared = (z / unit).square().sum(-1, keepdim=True)
    return torch.where(known, unit * torch.where(known, squared, 1.0).sqrt(), 0.0)


def _resolved_norm(z: Tensor) -> Tensor:
    """Return the length, ``(..., 1)``; 0, with a gradient of 0, where its square has no digits (1e-15 in float32)."""
    squared = z.square().sum(-1, keepdim=True)
    precision = torch.finfo(z.dtype)
    known = squared > precision.tiny / precision.eps
    return torch.where(known, torch.where(known, squared, 1.0).sqrt(), 0.0)


_SCALAR = torch.Size()


class WrappedNormal(PlainDistribution):
    r"""A Gaussian in the tangent space of a point, carried to hyperbolic space.

    Parameters
    ----------
    centre
        :math:`\mu`, ``(*batch, k)``, in normal coordinates at the origin.
    scale
        :math:`\sigma`, ``(*batch, k)``, positive: standard deviations in hyperbolic distance.
    curvature
        :math:`c > 0`: the space has the curvature :math:`-c`.

    Examples
    --------
    Around the origin, in these coordinates, it is a Gaussian.

    >>> WrappedNormal(torch.zeros(2), torch.ones(2), 0.7).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    has_rsample = True

    def __init__(self, centre: Tensor, scale: Tensor, curvature: float) -> None:
        self.centre, self.scale, self.curvature = centre, scale, curvature
        super().__init__(centre.shape[:-1], centre.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        r""":math:`\mu`: the Frechet mean, the point of least mean squared distance."""
        return self.centre

    def rsample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw ``(*sample_shape, *batch, k)``, with gradients."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.centre.dtype, device=self.centre.device)
        return exponential_map(self.centre.expand(shape), self.scale * noise, self.curvature)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density in nats, per unit of volume of the coordinates."""
        u = logarithmic_map(self.centre, value, self.curvature)
        deviation = u / self.scale
        normal = -(0.5 * deviation) * deviation - self.scale.log() - 0.5 * log(2.0 * pi)
        # The difference first: either volume may be infinite where the difference is a number.
        stretch = _log_stretch(value, self.curvature) - _log_stretch(u, self.curvature)
        return normal.sum(-1) + (value.shape[-1] - 1) * stretch
