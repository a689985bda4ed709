r"""Importance samples of a batch, their weights, and the logarithm of a mean of weights.

.. math:: \log w_k = \log p(x \mid z_k) + \log p(z_k) - \log q(z_k \mid x), \qquad z_k \sim q(z \mid x)
"""

from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts import ObjectiveResult
from vaekit.objectives.building_blocks import subtract_auxiliary_loss
from vaekit.objectives.divergence import closed_divergence
from vaekit.objectives.gradient_paths import GradientGate, open_gate, stop_gradient
from vaekit.vae import VAE

__all__ = ["Draws", "draw", "log_mean_exp", "with_gradient_of"]


class Draws(NamedTuple):
    """Importance samples of a batch, with the samples as the first dimension; log-densities in nats.

    Parameters
    ----------
    q, p
        Posterior and prior.
    log_likelihood, log_prior, log_posterior
        ``(samples, batch)``.
    gate
        The gate before likelihood and prior, if there is one.
    """

    q: Distribution
    p: Distribution
    log_likelihood: Tensor
    log_prior: Tensor
    log_posterior: Tensor
    gate: GradientGate | None

    @property
    def log_joint(self) -> Tensor:
        """Log-likelihood plus log-prior, ``(samples, batch)``."""
        return self.log_likelihood + self.log_prior

    @property
    def log_weight(self) -> Tensor:
        """The logarithms of the weights, ``(samples, batch)``."""
        return self.log_joint - self.log_posterior

    def result(self, bound: Tensor, surrogate: Tensor) -> ObjectiveResult:
        """Return the result, with the KL in closed form, or else the mean of its one-sample estimates."""
        closed = closed_divergence(self.q, self.p)
        kl = (self.log_posterior - self.log_prior).mean(0) if closed is None else closed.total
        per_dimension = (
            None if closed is None or closed.per_dimension is None else closed.per_dimension.detach()
        )
        reconstruction = self.log_likelihood.detach().mean(0)
        surrogate = subtract_auxiliary_loss(surrogate, self.q, self.p)
        return ObjectiveResult(bound, surrogate, reconstruction, kl.detach(), per_dimension)


def draw(
    model: VAE,
    x: Tensor,
    c: Tensor | None,
    samples: int,
    *,
    stop_posterior: bool = False,
    gated: bool = False,
) -> Draws:
    r"""Draw ``samples`` latents per example, encoding once, and evaluate the terms of their weights.

    Parameters
    ----------
    model, x, c
        As for an objective.
    samples
        The number of importance samples per example.
    stop_posterior
        Whether the gradient of :math:`\log q(z \mid x)` is with respect to :math:`z` alone.
    gated
        Whether :math:`z` goes through a gate (see :mod:`vaekit.objectives.gradient_paths`). With
        ``stop_posterior`` the posterior's own term uses :math:`z` behind the gate, otherwise before it.
    """
    q, p = model.encode(x, c), model.prior(c)
    z = q.rsample(torch.Size((samples,)))
    gate = open_gate(z, 2) if gated else None
    behind = z if gate is None else gate.z
    log_posterior = stop_gradient(q).log_prob(behind) if stop_posterior else q.log_prob(z)
    return Draws(q, p, model.decode(behind, c).log_prob(x), p.log_prob(behind), log_posterior, gate)


def log_mean_exp(log_weight: Tensor, dim: int = 0) -> Tensor:
    """Compute the logarithm of the mean of weights given as logarithms, without overflow.

    Examples
    --------
    >>> log_mean_exp(torch.tensor([1e6, 1e6 - 1e3]))
    tensor(999999.3125)
    """
    return log_weight.logsumexp(dim) - log(log_weight.shape[dim])


def with_gradient_of(value: Tensor, source: Tensor) -> Tensor:
    """Return a tensor with the value of one tensor and the gradient of another.

    Examples
    --------
    >>> with_gradient_of(torch.tensor(2.0), torch.tensor(1.0, requires_grad=True))
    tensor(2., grad_fn=<AddBackward0>)
    """
    return value.detach() + (source - source.detach())
