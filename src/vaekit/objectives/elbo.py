r"""The evidence lower bound, with options for the weight of its KL.

.. math:: \mathcal L(x) = \mathbb E_{q(z \mid x)} \log p(x \mid z) - \mathrm{KL}(q(z \mid x) \,\|\, p(z))
          \le \log p(x)

Kingma and Welling (2013), equation 3, estimated with one reparameterised draw (equation 7: the KL in closed
form where there is one). The surrogate may change the KL by

* a weight :math:`\beta` (Higgins et al., 2017, equation 4);
* a capacity, :math:`\beta \, |\mathrm{KL} - C|` (Burgess et al., 2018, "Understanding disentangling in
  beta-VAE", equation 8), which has a gradient on both sides of :math:`C`, also for :math:`C = 0`;
* free bits, :math:`\sum_j \max(\lambda, \mathbb E_{x} \mathrm{KL}_j)` with the mean over the batch (Kingma et
  al., 2016, "Improved Variational Inference with Inverse Autoregressive Flow", equation 16).
"""

from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_scalar
from vaekit.objectives.building_blocks import reconstruct, subtract_auxiliary_loss
from vaekit.objectives.divergence import divergence
from vaekit.runtime.rows import whole_batch
from vaekit.vae import VAE

__all__ = ["Elbo"]


class Elbo(Annealed, Objective):
    r"""``elbo``: reconstruction minus KL, with one draw per example.

    Parameters
    ----------
    beta
        The weight of the KL in the surrogate. The reported bound always has weight 1.
    free_bits
        :math:`\lambda`, in nats (the name is the paper's): a latent dimension whose mean KL over the batch is
        at most this costs :math:`\lambda`, without a gradient. Where the KL is not a sum over dimensions, all
        of it counts as one dimension.
    capacity
        :math:`C`, in nats: the surrogate pulls the KL to this value from both sides. None: the KL is
        penalised itself.
    warmup
        The KL's weight rises linearly from 0 to ``beta`` over this many epochs.

    Raises
    ------
    UsageError
        If a value is negative or not finite, or free bits and a capacity are asked for together.

    Examples
    --------
    >>> Elbo(beta=-1.0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: elbo: beta=-1; give a number of at least 0 (1 is the evidence lower bound...
    >>> Elbo(beta=1000.0, capacity=Schedule("linear", 0.0, 25.0, 100)).capacity
    0.0
    """

    traits = ObjectiveTraits(takes_relaxation=True)
    beta: float
    free_bits: float
    capacity: float | None
    warmth: float

    def __init__(
        self,
        *,
        beta: float | Schedule = 1.0,
        free_bits: float | Schedule = 0.0,
        capacity: float | Schedule | None = None,
        warmup: float = 0.0,
    ) -> None:
        check_scalar(
            "elbo",
            "beta",
            beta,
            meaning="1 is the evidence lower bound; less than 0 rewards ignoring the prior",
        )
        check_scalar("elbo", "free_bits", free_bits, meaning="nats per latent dimension; 0 is none")
        if capacity is not None:
            check_scalar("elbo", "capacity", capacity, meaning="nats; leave it out for the plain KL")
            if free_bits != 0.0:
                raise UsageError(
                    f"elbo: free_bits={free_bits} and capacity={capacity} both say where the KL is to stop; give one"
                )
        check_scalar("elbo", "warmup", warmup, meaning="epochs; 0 is none")
        warmth = Schedule("linear", 0.0, 1.0, warmup) if warmup > 0 else 1.0
        super().__init__(beta=beta, free_bits=free_bits, capacity=capacity, warmth=warmth)

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z, reconstruction, seen = reconstruct(model, q, x, c)
        kl, per_dimension = divergence(q, p, z)
        bound = reconstruction - kl
        plain = not self.schedules and self.beta == 1 and not self.free_bits and self.capacity is None
        plain = plain and seen is reconstruction
        surrogate = bound if plain else seen - self._weighted(kl, per_dimension)
        return ObjectiveResult(
            bound, subtract_auxiliary_loss(surrogate, q, p), reconstruction, kl, per_dimension
        )

    def _weighted(self, kl: Tensor, per_dimension: Tensor | None) -> Tensor:
        """Return the weighted KL that is subtracted from the reconstruction, ``(batch,)``."""
        if self.capacity is not None:
            kl = (kl - self.capacity).abs()
        elif self.free_bits or "free_bits" in self.schedules:
            each = kl[:, None] if per_dimension is None else per_dimension.flatten(1)
            # An example's KL where the dimension's mean exceeds the free bits: the mean is the paper's max.
            kl = each.where(whole_batch(each.detach()).mean(0) > self.free_bits, self.free_bits).sum(1)
        return (self.beta * self.warmth) * kl
