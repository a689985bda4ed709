r"""Disentangled inferred prior: a penalty that pulls the covariance of the aggregate posterior to the identity.

.. math:: \mathcal L(x) - \lambda_{od} \sum_{i \ne j} C_{ij}^2 - \lambda_d \sum_i (C_{ii} - 1)^2

Kumar, Sattigeri and Balakrishnan (2018), "Variational Inference of Disentangled Latent Concepts from
Unlabeled Observations", equations 6 and 7: :math:`C = \mathrm{Cov}_x[\mu(x)]` in kind 1, and in kind 2
:math:`C = \mathrm{Cov}_x[\mu(x)] + \mathbb E_x[\Sigma(x)]`, the covariance of :math:`q(z)`; both over the
batch.
"""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, LowRankMultivariateNormal, MultivariateNormal

from vaekit.contracts import Objective, ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_scalar
from vaekit.objectives.building_blocks import probe_posterior, subtract_auxiliary_loss
from vaekit.objectives.divergence import divergence
from vaekit.vae import VAE

__all__ = ["DisentangledInferredPrior"]


class DisentangledInferredPrior(Annealed, Objective):
    r"""``dip``: the ELBO, and a penalty on the covariance of the aggregate posterior.

    The penalty is one number per batch, in the surrogate of each of its examples. The moments divide by the
    size of the batch, so that in a batch of one the covariance of the means is 0. The reported bound is the
    plain ELBO.

    Parameters
    ----------
    kind
        1: the covariance of the means alone; 2: the covariance of :math:`q(z)`.
    off_diagonal
        :math:`\lambda_{od}`, in nats.
    diagonal
        :math:`\lambda_d`, in nats. The paper takes ten times :math:`\lambda_{od}` in kind 1 and the same in 2.

    Raises
    ------
    UsageError
        If a weight is negative or not finite, or the kind is not 1 or 2; and when called, if kind 2 meets a
        posterior without a covariance.

    Examples
    --------
    >>> DisentangledInferredPrior(kind=3)
    Traceback (most recent call last):
    vaekit.errors.UsageError: dip: kind=3; there are 1 (covariance of the means) and 2 (covariance of q(z))
    """

    traits = ObjectiveTraits(looks_over_batch=True)
    off_diagonal: float
    diagonal: float

    def __init__(
        self, *, kind: int = 2, off_diagonal: float | Schedule = 10.0, diagonal: float | Schedule = 10.0
    ) -> None:
        if kind not in (1, 2):
            raise UsageError(
                f"dip: kind={kind}; there are 1 (covariance of the means) and 2 (covariance of q(z))"
            )
        for name, value in (("off_diagonal", off_diagonal), ("diagonal", diagonal)):
            check_scalar("dip", name, value, meaning="0 is the evidence lower bound")
        super().__init__(off_diagonal=off_diagonal, diagonal=diagonal)
        self.kind = kind

    def check(self, model: VAE) -> None:
        """Refuse a posterior without a covariance, in kind 2."""
        q = probe_posterior(model)
        if q is not None and self.kind == 2:
            _mean_covariance(q)

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        kl, per_dimension = divergence(q, p, z)
        bound = reconstruction - kl
        surrogate = subtract_auxiliary_loss(bound - self._penalty(q), q, p)
        return ObjectiveResult(bound, surrogate, reconstruction, kl, per_dimension)

    def _penalty(self, q: Distribution) -> Tensor:
        """Return the penalty, one number for the batch, in nats."""
        mean = q.mean.flatten(1)
        centred = mean - mean.mean(0)
        covariance = centred.T @ centred / len(mean)
        if self.kind == 2:
            covariance = covariance + _mean_covariance(q)
        on_diagonal = covariance.diagonal()
        off_diagonal = covariance - on_diagonal.diag()
        return (
            self.off_diagonal * off_diagonal.square().sum() + self.diagonal * (on_diagonal - 1).square().sum()
        )


def _mean_covariance(q: Distribution) -> Tensor:
    r"""Return :math:`\mathbb E_x[\Sigma(x)]` over the batch, ``(latent, latent)``."""
    if isinstance(q, Independent) and not q.base_dist.event_shape:
        return q.variance.flatten(1).mean(0).diag()
    covariance = (
        q.covariance_matrix if isinstance(q, MultivariateNormal | LowRankMultivariateNormal) else None
    )
    if not isinstance(covariance, torch.Tensor):
        raise UsageError(
            f"dip: kind=2 needs the covariance of the posterior, which a {type(q).__name__} does not give; use kind=1, "
            "or posterior=diagonal"
        )
    return covariance.mean(0)
