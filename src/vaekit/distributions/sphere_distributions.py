r"""Distributions on the unit sphere :math:`S^{k-1}` in :math:`\mathbb R^k`: von Mises-Fisher, and uniform.

.. math:: q(z) = C_k(\kappa)\, e^{\kappa \mu^\top z}, \qquad
          C_k(\kappa) = \frac{\kappa^{k/2-1}}{(2\pi)^{k/2} I_{k/2-1}(\kappa)}, \qquad p(z) = \frac 1 {|S^{k-1}|},

densities with respect to the area of the sphere (Davidson et al., 2018, "Hyperspherical Variational
Auto-Encoders", equation 4). The first is computed as :math:`e^{-\kappa s} / (Z_k(\kappa)\, |S^{k-2}|)` with
the gap :math:`s = 1 - \mu^\top z = \tfrac12 |\mu - z|^2` (see :mod:`vaekit.distributions.sphere_integrals`).
"""

import torch
from torch import Tensor

from vaekit.distributions.base import PlainDistribution, SampleShape
from vaekit.distributions.sphere_integrals import gap_gradient, log_area, log_integral_and_mean_gap
from vaekit.distributions.sphere_sampling import draw_gap, rotate_to, uniform_directions

__all__ = ["UniformSphere", "VonMisesFisher"]

_SCALAR = torch.Size()


class VonMisesFisher(PlainDistribution):
    r"""A unimodal, rotationally symmetric distribution on the unit sphere.

    Draws are reparameterised: the direction by a rotation, and the concentration by the implicit derivative
    of the gap. That derivative is exact, and needs no correction for the rejection step of the sampler.

    Parameters
    ----------
    direction
        :math:`\mu`, ``(*batch, k)``, unit vectors; :math:`k \ge 2`.
    concentration
        :math:`\kappa \ge 0`, ``(*batch, 1)``; at 0 the distribution is uniform.

    Examples
    --------
    >>> q = VonMisesFisher(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0]))
    >>> q.log_prob(torch.tensor([1.0, 0.0, 0.0]))  # -log(4 pi)
    tensor(-2.5310)
    """

    has_rsample = True

    def __init__(self, direction: Tensor, concentration: Tensor) -> None:
        self.direction, self.concentration = direction, concentration
        super().__init__(direction.shape[:-1], direction.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        r""":math:`\mathbb E z = A_k(\kappa) \mu`, a point inside the sphere."""
        return (1.0 - self.mean_gap.unsqueeze(-1)) * self.direction

    @property
    def mode(self) -> Tensor:
        r""":math:`\mu`, also called the mean direction."""
        return self.direction

    @property
    def code(self) -> Tensor:
        """The point on the sphere that stands for the distribution: its mode."""
        return self.direction

    @property
    def mean_gap(self) -> Tensor:
        r""":math:`1 - A_k(\kappa)`, with :math:`A_k = I_{k/2} / I_{k/2-1}`, ``(*batch,)``."""
        return self._integrals()[1]

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density in nats, per unit of area of the sphere."""
        gap = 0.5 * (value - self.direction).square().sum(-1)
        return -self.concentration.squeeze(-1) * gap - self._log_normaliser(self._integrals()[0])

    def rsample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw ``(*sample_shape, *batch, k)``, with gradients of direction and concentration."""
        k = self.direction.shape[-1]
        shape = self._extended_shape(sample_shape)[:-1]
        concentration = self.concentration.squeeze(-1)
        with torch.no_grad():
            gap = draw_gap(concentration, shape, k)
            around = uniform_directions(concentration, shape, k - 1)
        if concentration.requires_grad and torch.is_grad_enabled():
            with torch.no_grad():
                slope = gap_gradient(gap, concentration, self.mean_gap, k)
            gap = gap + slope * (concentration - concentration.detach())
        # sin^2 = s (2 - s). Where s rounds to 0 or 2 the root has no slope, and none is needed.
        inside = (gap > 0) & (gap < 2)
        sine = torch.where(inside, gap * (2.0 - gap), 1.0).sqrt()
        sine = torch.where(inside, sine, 0.0)
        pole = torch.cat([(1.0 - gap).unsqueeze(-1), sine.unsqueeze(-1) * around], -1)
        return rotate_to(self.direction, pole)

    def entropy(self) -> Tensor:
        """Return the entropy in nats, relative to the area of the sphere; ``(*batch,)``."""
        integral, mean_gap = self._integrals()
        return self.concentration.squeeze(-1) * mean_gap + self._log_normaliser(integral)

    def kl_to_uniform(self) -> Tensor:
        r"""Compute :math:`\mathrm{KL}(q \,\|\, \mathrm{uniform})` in nats, ``(*batch,)``.

        .. math:: \log |S^{k-1}| - \mathbb H[q], \qquad \frac{d}{d\kappa} = \kappa A_k'(\kappa)

        For a small :math:`\kappa` that is a difference of nearly equal numbers. It is then computed as
        :math:`2 x M'(x) / M(x) - \log M(x)` with :math:`x = \kappa^2 / 4` and the power series
        :math:`M = {}_0F_1(; \tfrac k 2; x)` of the moments of the uniform distribution.
        """
        k = self.direction.shape[-1]
        concentration = self.concentration.squeeze(-1)
        is_small = concentration.square() < 2.0 * k
        small = torch.where(is_small, concentration, 1.0)
        series = _kl_by_series(0.25 * small.square(), 0.5 * k)
        return torch.where(is_small, series, log_area(k) - self.entropy())

    def _integrals(self) -> tuple[Tensor, Tensor]:
        return log_integral_and_mean_gap(self.concentration.squeeze(-1), self.direction.shape[-1])

    def _log_normaliser(self, integral: Tensor) -> Tensor:
        r""":math:`-\log C_k(\kappa) - \kappa`."""
        return integral + log_area(self.direction.shape[-1] - 1)


def _kl_by_series(x: Tensor, order: float) -> Tensor:
    """Sum the power series; ``x`` must be at most of the size of the order, so that term j is at most 1 / j!."""
    term = x / order
    beyond_one, slope = term, term  # M - 1, and x M'
    for j in range(2, 24):
        term = term * x / (j * (order + j - 1))
        beyond_one, slope = beyond_one + term, slope + j * term
    return 2.0 * slope / (1.0 + beyond_one) - beyond_one.log1p()


class UniformSphere(PlainDistribution):
    """Uniform on the unit sphere, with respect to its area.

    Parameters
    ----------
    origin
        ``(k,)`` zeros: the centre of the sphere. Draws have its dtype and device.

    Examples
    --------
    >>> p = UniformSphere(torch.zeros(3))
    >>> p.log_prob(torch.tensor([[0.0, 0.0, 1.0]])), p.sample((5,)).shape  # -log(4 pi)
    (tensor([-2.5310]), torch.Size([5, 3]))
    """

    has_rsample = True

    def __init__(self, origin: Tensor) -> None:
        self.origin = origin
        super().__init__(torch.Size(), origin.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The centre, which is not on the sphere."""
        return self.origin

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density in nats, per unit of area of the sphere."""
        return value.new_full(value.shape[:-1], -self.entropy_in_nats)

    def rsample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw ``(*sample_shape, k)``."""
        return uniform_directions(self.origin, torch.Size(sample_shape), self.origin.shape[-1])

    def entropy(self) -> Tensor:
        """Return the entropy in nats, relative to the area of the sphere."""
        return self.origin.new_tensor(self.entropy_in_nats)

    @property
    def entropy_in_nats(self) -> float:
        """The logarithm of the sphere's area."""
        return log_area(self.origin.shape[-1])
