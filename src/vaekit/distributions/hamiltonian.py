r"""Draws carried by Hamiltonian dynamics on a target known up to a constant, and their extended density.

With :math:`U(z) = -\log p(x, z)`, :math:`z_0 \sim q_0`, :math:`\gamma \sim \mathcal N(0, I)` and
:math:`\rho_0 = \gamma / \sqrt{\beta_0}`, for :math:`k = 1, \dots, K`:

.. math::

    \tilde\rho &= \rho_{k-1} - \tfrac 1 2 \varepsilon \odot \nabla U(z_{k-1}) \\
    z_k        &= z_{k-1} + \varepsilon \odot \tilde\rho \\
    \rho_k     &= \sqrt{\beta_{k-1} / \beta_k}\,
                  \bigl(\tilde\rho - \tfrac 1 2 \varepsilon \odot \nabla U(z_k)\bigr) \\
    1 / \sqrt{\beta_k} &= (1 - 1 / \sqrt{\beta_0})\, k^2 / K^2 + 1 / \sqrt{\beta_0}

Caterini, Doucet and Sejdinovic (2018), "Hamiltonian Variational Auto-Encoder", equations 10 to 12 and algorithm 1.
Leapfrog steps keep the volume, and the tempering shrinks it by :math:`\beta_0^{d/2}`, just what the density of
:math:`\rho_0` grew by. So for the target :math:`p(x, z)\, \mathcal N(\rho; 0, I)` on the extended space the weight is

.. math:: \log w = \log p(x, z_K) - \bigl[\log q_0(z_0) + \log \mathcal N(\gamma; 0, I)
          - \log \mathcal N(\rho_K; 0, I)\bigr], \qquad \mathbb E\, w = p(x).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts import DistributionTraits
from vaekit.distributions.plain import VectorDistribution
from vaekit.errors import UsageError

__all__ = ["HamiltonianDistribution"]


class HamiltonianDistribution(VectorDistribution):
    r"""The distribution of :math:`z_K`, presented by the extended density of its own draws.

    ``log_prob`` of the tensor that the last ``rsample`` or ``sample`` gave is the bracket above: what a bound or an
    importance weight has to subtract, though the marginal :math:`\log q(z_K \mid x)` itself is an integral over the
    momenta that nobody knows. It has the gradient of the draw: none for ``sample``. At any other point there is no
    density, and asking for it raises. ``mean`` is where the dynamics take the mean of :math:`q_0` from rest:
    deterministic, and not the expectation.

    Parameters
    ----------
    base
        :math:`q_0`, of event shape ``(k,)``.
    log_target
        From ``(..., *batch, k)`` to :math:`\log p(x, z)`, ``(..., *batch)``.
    step_size
        :math:`\varepsilon`, ``(k,)``, positive.
    root_temperature
        :math:`1 / \sqrt{\beta_0}`, a scalar of at least 1; 1 is no tempering.
    steps
        :math:`K`.

    Examples
    --------
    >>> from torch.distributions import Independent, Normal
    >>> target = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    >>> base = Independent(Normal(torch.ones(3, 2), torch.ones(3, 2)), 1)
    >>> q = HamiltonianDistribution(base, target.log_prob, torch.full((2,), 0.1), torch.tensor(1.0), 3)
    >>> z = q.rsample()
    >>> q.log_prob(z).shape
    torch.Size([3])
    >>> q.log_prob(z + 1)
    Traceback (most recent call last):
    vaekit.errors.UsageError: a Hamiltonian posterior knows the density of its last draw alone, ...
    """

    traits = DistributionTraits(scores_own_draws_only=True)

    def __init__(
        self,
        base: Distribution,
        log_target: Callable[[Tensor], Tensor],
        step_size: Tensor,
        root_temperature: Tensor,
        steps: int,
    ) -> None:
        self.base = base
        self.log_target = log_target
        self.step_size = step_size
        self.root_temperature = root_temperature
        self.steps = steps
        self._drawn: tuple[Tensor, Tensor] | None = None  # z and its extended log-density
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """``(*batch, k)``: where the dynamics take the centre of the base, starting at rest."""
        z = self.base.mean
        return self.evolve(z, torch.zeros_like(z))[0]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch, k)``, reparameterised; remembers the draw's extended density."""
        start = self.base.rsample(torch.Size(sample_shape))
        noise = torch.randn_like(start)
        z, momentum = self.evolve(start, noise * self.root_temperature)
        # The constants of the two standard Gaussians cancel.
        extended = self.base.log_prob(start) + 0.5 * (momentum.square() - noise.square()).sum(-1)
        self._drawn = z, extended
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Give the extended log-density of the last draw, in nats; raises a UsageError for any other point."""
        if self._drawn is not None:
            z, extended = self._drawn
            if value is z:
                return extended
        raise UsageError(
            "a Hamiltonian posterior knows the density of its last draw alone, with the momenta that made it; at any "
            "other point the density is an integral that has no closed form"
        )

    def evolve(self, z: Tensor, momentum: Tensor) -> tuple[Tensor, Tensor]:
        r"""Run the tempered dynamics from :math:`(z_0, \rho_0)` to :math:`(z_K, \rho_K)`."""
        force = torch.func.grad(lambda z: self.log_target(z).sum())
        pull = force(z)
        root = self.root_temperature
        for step in range(1, self.steps + 1):
            momentum = momentum + 0.5 * self.step_size * pull
            z = z + self.step_size * momentum
            pull = force(z)
            colder = (1 - self.root_temperature) * (step / self.steps) ** 2 + self.root_temperature
            momentum = (colder / root) * (momentum + 0.5 * self.step_size * pull)
            root = colder
        return z, momentum

    def detached(self) -> "HamiltonianDistribution":
        """Refuse: with its parameters held, the density would have to be known as a function of z."""
        raise UsageError(
            "a Hamiltonian posterior has no density as a function of z alone, which this gradient needs; use "
            "gradient=standard"
        )
