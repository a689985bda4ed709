r"""Maximum mean discrepancy between aggregate posterior and prior (InfoVAE).

.. math:: \mathbb E_q \log p(x \mid z) - (1 - \alpha) \mathrm{KL}(q(z \mid x) \,\|\, p(z))
          - (\alpha + \lambda - 1) \, \mathrm{MMD}^2(q(z), p(z))

Zhao, Song and Ermon (2019), "InfoVAE: Balancing Learning and Inference in Variational Autoencoders", equation 6.
With :math:`\alpha = 1` no example's posterior is drawn to the prior, only their mixture. The discrepancy is
estimated without bias from the batch's draws and as many from the prior (Gretton et al., 2012, "A Kernel Two-Sample
Test", equation 3):

.. math:: \mathrm{MMD}^2 = \mathbb E\, k(z, z') + \mathbb E\, k(y, y') - 2 \, \mathbb E\, k(z, y),
          \qquad z, z' \sim q(z), \; y, y' \sim p(z)

with :math:`k(z, y) = \exp(-r^2 / C)` or, with heavier tails, :math:`C / (C + r^2)` (Tolstikhin et al., 2018,
"Wasserstein Auto-Encoders", section 4), :math:`r` the distance and :math:`C = 2 d h^2` in :math:`d` dimensions:
for :math:`h = 1` the mean squared distance between two draws from a standard Gaussian.
"""

from typing import Literal

import torch
from torch import Tensor

from vaekit.errors import UsageError
from vaekit.objectives.annealed import Annealed, check_scalar
from vaekit.objectives.auxiliary import subtract_auxiliary_loss
from vaekit.objectives.kl import divergence
from vaekit.objectives.result import ObjectiveResult
from vaekit.objectives.schedules import Schedule
from vaekit.vae import VAE

__all__ = ["MaximumMeanDiscrepancy", "squared_mmd"]

Kernel = Literal["imq", "rbf"]


class MaximumMeanDiscrepancy(Annealed):
    r"""``mmd``: reconstruction, a share of the KL, and the discrepancy between :math:`q(z)` and the prior.

    The discrepancy is one number a batch, in the surrogate of each of its examples. The bound that is reported
    is the plain ELBO.

    Parameters
    ----------
    alpha
        :math:`\alpha`, at most 1: the KL counts :math:`1 - \alpha`.
    weight
        :math:`\lambda`, in nats: the discrepancy counts :math:`\alpha + \lambda - 1`.
    kernel
        ``imq`` (inverse multiquadric) or ``rbf`` (Gaussian).
    bandwidth
        :math:`h`, in units of the prior's standard deviation.

    Raises
    ------
    UsageError
        If a value is not finite or out of range, or the discrepancy would be rewarded
        (:math:`\alpha + \lambda < 1`).

    Examples
    --------
    >>> MaximumMeanDiscrepancy(alpha=0.0, weight=0.5)
    Traceback (most recent call last):
    vaekit.errors.UsageError: mmd: alpha=0.0, weight=0.5 give the discrepancy the weight alpha + weight - 1 = -0.5...
    """

    alpha: float
    weight: float

    def __init__(
        self,
        *,
        alpha: float | Schedule = 0.0,
        weight: float | Schedule = 1000.0,
        kernel: Kernel = "imq",
        bandwidth: float = 1.0,
    ) -> None:
        check_scalar(
            "mmd",
            "alpha",
            alpha,
            at_least=-float("inf"),
            at_most=1.0,
            meaning="the KL counts 1 - alpha, never less than 0",
        )
        check_scalar("mmd", "weight", weight, meaning="the discrepancy counts alpha + weight - 1")
        smallest = _smallest(alpha) + _smallest(weight) - 1.0
        if smallest < 0:
            raise UsageError(
                f"mmd: alpha={alpha}, weight={weight} give the discrepancy the weight alpha + weight - 1 = "
                f"{smallest:g}, which rewards missing the prior; give a larger weight"
            )
        if kernel not in ("imq", "rbf"):
            raise UsageError(f"mmd: kernel={kernel!r}; there are imq and rbf")
        if not 0 < bandwidth < float("inf"):
            raise UsageError(f"mmd: bandwidth={bandwidth:g}; give a positive number, such as 1")
        super().__init__(alpha=alpha, weight=weight)
        self.kernel: Kernel = kernel
        self.bandwidth = bandwidth

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        kl, per_dimension = divergence(q, p, z)
        shape = torch.Size(() if p.batch_shape else (len(x),))
        draws = p.rsample(shape) if p.has_rsample else p.sample(shape)
        discrepancy = squared_mmd(
            z.flatten(1), draws.flatten(1), kernel=self.kernel, bandwidth=self.bandwidth
        )
        surrogate = reconstruction - (1.0 - self.alpha) * kl - (self.alpha + self.weight - 1.0) * discrepancy
        surrogate = subtract_auxiliary_loss(surrogate, q, p)
        return ObjectiveResult(reconstruction - kl, surrogate, reconstruction, kl, per_dimension)


def squared_mmd(a: Tensor, b: Tensor, *, kernel: Kernel = "imq", bandwidth: float = 1.0) -> Tensor:
    r"""Estimate :math:`\mathrm{MMD}^2` from draws of two distributions, without bias: it may be negative.

    Parameters
    ----------
    a, b
        ``(n, d)`` and ``(m, d)``. A single draw makes no pairs: the term of its distribution is then left out.
    kernel, bandwidth
        As for :class:`MaximumMeanDiscrepancy`.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> squared_mmd(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]]))  # 1 + 1 - 2 * 2 / 3
    tensor(0.6667)
    """
    scale = 2.0 * a.shape[1] * bandwidth**2

    def mean_kernel(first: Tensor, second: Tensor, *, pairs: bool) -> Tensor:
        distance = (first[:, None] - second).square().sum(2) / scale
        value = (-distance).exp() if kernel == "rbf" else 1.0 / (1.0 + distance)
        if not pairs:
            return value.mean()
        n = len(first)
        return (value.sum() - n) / max(1, n * (n - 1))  # the diagonal is k(z, z) = 1

    return (
        mean_kernel(a, a, pairs=True) + mean_kernel(b, b, pairs=True) - 2.0 * mean_kernel(a, b, pairs=False)
    )


def _smallest(value: float | Schedule) -> float:
    return min(value.start, value.end) if isinstance(value, Schedule) else value
