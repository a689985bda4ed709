r"""Hamiltonian transitions along the geometric path from a start distribution to :math:`p(x, z)`.

.. math:: f_\beta(z) = r(z)^{1 - \beta}\, p(x, z)^\beta, \qquad 0 \le \beta \le 1

A transition draws momenta, follows the dynamics of :math:`-\log f_\beta` by leapfrog steps, and accepts the end by the
rule of Metropolis: it leaves :math:`f_\beta` unchanged and is its own reversal (Neal, 2011, "MCMC Using Hamiltonian
Dynamics", section 5.3.2), whatever the size of the steps, as long as that does not depend on where the chain is. All
chains of all examples take a step in one product; each example has steps of its own size.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts import Model

__all__ = ["AnnealingPath", "Place", "hamiltonian_transition"]

_JITTER = 0.2  # of the size of the steps, so that no trajectory is a whole period


class Place(NamedTuple):
    r"""Latents and what the path says of them.

    Parameters
    ----------
    z
        ``(chains, n, d)``.
    start, target
        :math:`\log r(z)` and :math:`\log p(x, z)`, ``(chains, n)`` in nats.
    start_slope, target_slope
        Their gradients, ``(chains, n, d)``.
    """

    z: Tensor
    start: Tensor
    target: Tensor
    start_slope: Tensor
    target_slope: Tensor

    def value(self, beta: float) -> Tensor:
        r"""Return :math:`\log f_\beta`, ``(chains, n)``."""
        return (1 - beta) * self.start + beta * self.target

    def slope(self, beta: float) -> Tensor:
        r"""Return the gradient of :math:`\log f_\beta`, ``(chains, n, d)``."""
        return (1 - beta) * self.start_slope + beta * self.target_slope


class AnnealingPath:
    r"""The path of some examples, from their prior or posterior to :math:`p(x, z)`.

    Parameters
    ----------
    model, x, c
        As for :func:`vaekit.evaluation.log_likelihood`.
    prior
        :math:`p(z)`, of batch shape ``()`` or ``(n,)``.
    posterior
        :math:`q(z \mid x)`, which the path then starts from; None: it starts from the prior.
    """

    def __init__(
        self, model: Model, x: Tensor, c: Tensor | None, prior: Distribution, posterior: Distribution | None
    ) -> None:
        self.model, self.x, self.c, self.prior, self.posterior = model, x, c, prior, posterior
        self.event = prior.event_shape

    def draw(self, chains: int) -> Tensor:
        """Draw ``(chains, n, d)`` from the start."""
        start = self.prior if self.posterior is None else self.posterior
        shape = torch.Size((chains,) if start.batch_shape else (chains, len(self.x)))
        return start.sample(shape).flatten(2)

    def at(self, z: Tensor) -> Place:
        """Evaluate latents ``(chains, n, d)``."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            shaped = z.reshape(*z.shape[:2], *self.event)
            log_prior = self.prior.log_prob(shaped)
            log_likelihood = self.model.decode(shaped, self.c).log_prob(self.x)
            of_prior = _slope(log_prior, z)
            of_joint = of_prior + _slope(log_likelihood, z)
            start, of_start = log_prior, of_prior
            if self.posterior is not None:
                start = self.posterior.log_prob(shaped)
                of_start = _slope(start, z)
        target = (log_prior + log_likelihood).detach()
        return Place(z.detach(), start.detach(), target, of_start, of_joint)


def _slope(value: Tensor, z: Tensor) -> Tensor:
    """Return the gradient of log-densities; 0 where they do not depend on the latents."""
    if not value.requires_grad:
        return torch.zeros_like(z)
    return torch.autograd.grad(value.sum(), z, allow_unused=True, materialize_grads=True)[0]


def hamiltonian_transition(
    path: AnnealingPath, place: Place, beta: float, step: Tensor, steps: int
) -> tuple[Place, Tensor]:
    r"""Move every chain once, leaving :math:`f_\beta` unchanged.

    Parameters
    ----------
    path, place
        The path, and where the chains are on it.
    beta
        :math:`\beta`.
    step
        The size of the leapfrog steps, broadcast to ``(chains, n, d)``: ``(n, d)``, say.
    steps
        The number of leapfrog steps.

    Returns
    -------
    Place
        The chains after it.
    Tensor
        ``(chains, n)``: the probability with which each was to be accepted.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (3,), latent=2)
    >>> path = AnnealingPath(model, torch.ones(5, 3), None, model.prior(), None)
    >>> place, accepted = hamiltonian_transition(path, path.at(path.draw(4)), 0.5, torch.full((5, 2), 0.1), 3)
    >>> place.z.shape, accepted.shape, bool((accepted > 0.9).all())
    (torch.Size([4, 5, 2]), torch.Size([4, 5]), True)
    """
    z = place.z
    jitter = 1 + _JITTER * (2 * torch.rand(*z.shape[:2], 1, dtype=z.dtype, device=z.device) - 1)
    step = step * jitter
    momentum = torch.randn_like(z)
    before = place.value(beta) - 0.5 * momentum.square().sum(-1)
    momentum = momentum + 0.5 * step * place.slope(beta)
    moved = place
    for turn in range(steps):
        moved = path.at(moved.z + step * momentum)
        momentum = momentum + (0.5 if turn == steps - 1 else 1.0) * step * moved.slope(beta)
    after = moved.value(beta) - 0.5 * momentum.square().sum(-1)
    gain = after - before
    accepted = torch.where(gain.isnan(), -torch.inf, gain).clamp_max(0).exp()
    taken = torch.rand_like(accepted) < accepted
    return Place(*(_either(taken, new, old) for new, old in zip(moved, place, strict=True))), accepted


def _either(taken: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(taken if new.dim() == 2 else taken.unsqueeze(-1), new, old)
