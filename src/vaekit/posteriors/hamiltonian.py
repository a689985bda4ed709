r"""The Hamiltonian posterior: a diagonal Gaussian, then leapfrog steps towards :math:`p(z \mid x)` itself.

With the force of the model's own :math:`U(z) = -\log p(x, z)`, a start :math:`z_0 \sim q_0`,
:math:`\gamma \sim \mathcal N(0, I)` and :math:`\rho_0 = \gamma / \sqrt{\beta_0}`, for :math:`k = 1, \dots, K`:

.. math::

    \tilde\rho &= \rho_{k-1} - \tfrac 1 2 \varepsilon \odot \nabla U(z_{k-1}) \\
    z_k        &= z_{k-1} + \varepsilon \odot \tilde\rho \\
    \rho_k     &= \sqrt{\beta_{k-1} / \beta_k}\,
                  \bigl(\tilde\rho - \tfrac 1 2 \varepsilon \odot \nabla U(z_k)\bigr) \\
    1 / \sqrt{\beta_k} &= (1 - 1 / \sqrt{\beta_0})\, k^2 / K^2 + 1 / \sqrt{\beta_0}

Caterini, Doucet and Sejdinovic (2018), "Hamiltonian Variational Auto-Encoder", equations 10 to 12 and
algorithm 1. Leapfrog steps preserve volume, and the tempering shrinks it by :math:`\beta_0^{d/2}`, exactly
the factor by which the density of :math:`\rho_0` is larger. So for the target
:math:`p(x, z)\, \mathcal N(\rho; 0, I)` on the extended space the weight is

.. math:: \log w = \log p(x, z_K) - \bigl[\log q_0(z_0) + \log \mathcal N(\gamma; 0, I)
          - \log \mathcal N(\rho_K; 0, I)\bigr], \qquad \mathbb E\, w = p(x).
"""

from collections.abc import Callable
from math import log, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import DistributionTraits, Posterior, PosteriorTraits
from vaekit.distributions.base import VectorDistribution
from vaekit.distributions.normals import diagonal_gaussian
from vaekit.errors import UsageError
from vaekit.networks.bounded import inverse_soft_bound, soft_bound

__all__ = ["HamiltonianDistribution", "HamiltonianPosterior"]


class HamiltonianPosterior(nn.Module, Posterior):
    r"""``hamiltonian``: draws that follow the gradient of the decoder.

    Bounds, importance weights and evaluations are over the extended space of latents and momenta, and are
    bounds and estimates of :math:`\log p(x)` all the same. Every step costs one gradient of the decoder for
    each draw. Whatever needs the density at points that are not its own draws refuses it: a VampPrior,
    ``gradient=dreg`` and ``stl``, ``tc``.

    Parameters
    ----------
    latent
        Number of latent dimensions, :math:`k`.
    steps
        The number of leapfrog steps, :math:`K`.
    step_size
        :math:`\varepsilon` at the start; learned, one for each latent dimension. If it is too large for the
        curvature of :math:`\log p(x, z)`, the dynamics diverge.
    inverse_temperature
        :math:`\beta_0` at the start, in (0, 1]: the inverse temperature of the first momenta, which is raised
        quadratically to 1. It is learned if it starts below 1; 1 is no tempering, and stays.

    Raises
    ------
    UsageError
        If a value is out of range.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8", posterior="hamiltonian:steps=2"), (3,), latent=2)
    >>> model.encode(torch.ones(4, 3)).rsample().shape
    torch.Size([4, 2])
    """

    traits = PosteriorTraits(needs=frozenset({"log_joint", "x", "condition"}), scores_own_draws_only=True)

    def __init__(
        self, latent: int, *, steps: int = 3, step_size: float = 0.05, inverse_temperature: float = 0.5
    ) -> None:
        super().__init__()
        if latent < 1 or steps < 1:
            raise UsageError(f"hamiltonian: latent={latent}, steps={steps}; both must be at least 1")
        if not 1e-5 < step_size < 1e5:
            raise UsageError(f"hamiltonian: step_size={step_size:g}; give a positive number, such as 0.05")
        if not 1e-6 < inverse_temperature <= 1:
            raise UsageError(
                f"hamiltonian: inverse_temperature={inverse_temperature:g}; give a number above 0, and 1 at most (1 is "
                "no tempering)"
            )
        self.latent_shape = (latent,)
        self.feature_shape = (2 * latent,)
        self.steps = steps
        self.raw_step_size = nn.Parameter(torch.full((latent,), inverse_soft_bound(log(step_size))))
        excess = 1 / sqrt(inverse_temperature) - 1
        self.raw_excess = nn.Parameter(torch.tensor(inverse_soft_bound(log(excess)))) if excess > 0 else None

    @property
    def step_size(self) -> Tensor:
        r""":math:`\varepsilon`, ``(k,)``."""
        return soft_bound(self.raw_step_size).exp()

    @property
    def root_temperature(self) -> Tensor:
        r""":math:`1 / \sqrt{\beta_0}`, a scalar of at least 1."""
        if self.raw_excess is None:
            return torch.ones_like(self.raw_step_size[0])
        return 1 + soft_bound(self.raw_excess).exp()

    def forward(
        self,
        features: Tensor,
        *,
        log_joint: Callable[[Tensor, Tensor, Tensor | None], Tensor],
        x: Tensor,
        condition: Tensor | None,
    ) -> Distribution:
        """Turn features ``(..., 2k)`` of ``x`` into a distribution over ``(k,)``."""
        return self._around(features, lambda z: log_joint(x, z, condition))

    def probe(self, features: Tensor) -> Distribution:
        """Return the distribution with a placeholder target, for checks before training."""
        return self._around(features, lambda z: z.sum(-1))

    def _around(self, features: Tensor, log_target: Callable[[Tensor], Tensor]) -> Distribution:
        mean, log_variance = features.chunk(2, dim=-1)
        base = diagonal_gaussian(mean, log_variance)
        return HamiltonianDistribution(base, log_target, self.step_size, self.root_temperature, self.steps)


class HamiltonianDistribution(VectorDistribution):
    r"""The distribution of :math:`z_K`, with the extended density of its own draws.

    ``log_prob`` of the tensor that the last ``rsample`` or ``sample`` returned is the bracket above, the term
    that a bound or an importance weight subtracts; the marginal :math:`\log q(z_K \mid x)` is an integral
    over the momenta without a closed form. It has the gradient of the draw, which is none for ``sample``. At
    any other point ``log_prob`` raises. ``mean`` is the point where the dynamics take the mean of :math:`q_0`
    from rest: deterministic, but not the expectation.

    Parameters
    ----------
    base
        :math:`q_0`, of event shape ``(k,)``.
    log_target
        A function from ``(..., *batch, k)`` to :math:`\log p(x, z)`, ``(..., *batch)``.
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
        """The point where the dynamics take the mean of the base, starting at rest; ``(*batch, k)``."""
        z = self.base.mean
        return self.evolve(z, torch.zeros_like(z))[0]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch, k)``, reparameterised, and remember the extended density of the draw."""
        start = self.base.rsample(torch.Size(sample_shape))
        noise = torch.randn_like(start)
        z, momentum = self.evolve(start, noise * self.root_temperature)
        # The constants of the two standard Gaussians cancel.
        extended = self.base.log_prob(start) + 0.5 * (momentum.square() - noise.square()).sum(-1)
        self._drawn = z, extended
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the extended log-density of the last draw, in nats; raise a UsageError for any other point."""
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

        def total(z: Tensor) -> Tensor:
            return self.log_target(z).sum()

        force = torch.func.grad(total)
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
        """Refuse: with fixed parameters the density would have to be known as a function of z."""
        raise UsageError(
            "a Hamiltonian posterior has no density as a function of z alone, which this gradient needs; use "
            "gradient=standard"
        )
