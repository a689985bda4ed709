r"""Maximum mean discrepancy between aggregate posterior and prior (InfoVAE).

.. math:: \mathbb E_q \log p(x \mid z) - (1 - \alpha) \mathrm{KL}(q(z \mid x) \,\|\, p(z))
          - (\alpha + \lambda - 1) \, \mathrm{MMD}^2(q(z), p(z))

Zhao, Song and Ermon (2019), "InfoVAE: Balancing Learning and Inference in Variational Autoencoders", equation
6. The Wasserstein autoencoder (Tolstikhin et al., 2018, "Wasserstein Auto-Encoders", equation 4) is the case
of a deterministic posterior, which has no KL:
:math:`\mathbb E_q \log p(x \mid z) - \lambda \, \mathrm{MMD}^2`.

With :math:`\alpha = 1` the posteriors of single examples are not pulled to the prior, only their mixture. The
discrepancy is estimated without bias from the draws of the batch and as many from the prior (Gretton et al.,
2012, "A Kernel Two-Sample Test", equation 3):

.. math:: \mathrm{MMD}^2 = \mathbb E\, k(z, z') + \mathbb E\, k(y, y') - 2 \, \mathbb E\, k(z, y),
          \qquad z, z' \sim q(z), \; y, y' \sim p(z)

with :math:`k(z, y) = \exp(-r^2 / C)` or, with heavier tails, :math:`C / (C + r^2)` (Tolstikhin et al.,
section 4), :math:`r` the distance and :math:`C = 2 d h^2` in :math:`d` dimensions: for :math:`h = 1` the mean
squared distance between two draws from a standard Gaussian. From a mixture prior, every component is drawn
from and its draws are weighted by :math:`\pi_j`, so that components and weights are both trained.
"""

from typing import Literal, TypedDict

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily

from vaekit.contracts import Objective, ObjectiveResult, ObjectiveTraits, traits_of
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_scalar
from vaekit.objectives.building_blocks import prior_fit, subtract_auxiliary_loss
from vaekit.objectives.divergence import divergence
from vaekit.vae import VAE

__all__ = ["MaximumMeanDiscrepancy", "squared_mmd"]

Kernel = Literal["imq", "rbf"]


class _Options(TypedDict):
    kernel: Kernel
    bandwidth: float


class MaximumMeanDiscrepancy(Annealed, Objective):
    r"""``mmd``: reconstruction, a share of the KL, and the discrepancy between :math:`q(z)` and the prior.

    The discrepancy is one number per batch, in the surrogate of each of its examples. The reported bound is
    the plain ELBO; with a posterior without a density it is the objective itself.

    Parameters
    ----------
    alpha
        :math:`\alpha`, at most 1: the KL counts :math:`1 - \alpha`. None: 0, or 1 where the posterior has no
        density and therefore no KL (``point``); then no other value is accepted.
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

    alpha: float | None
    weight: float
    traits = ObjectiveTraits(needs_density=False, looks_over_batch=True)

    def __init__(
        self,
        *,
        alpha: float | Schedule | None = None,
        weight: float | Schedule = 1000.0,
        kernel: Kernel = "imq",
        bandwidth: float = 1.0,
    ) -> None:
        if alpha is not None:
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
                f"{smallest:g}, which rewards missing the prior; give a larger weight, or alpha=1"
            )
        if kernel not in ("imq", "rbf"):
            raise UsageError(f"mmd: kernel={kernel!r}; there are imq and rbf")
        if not 0 < bandwidth < float("inf"):
            raise UsageError(f"mmd: bandwidth={bandwidth:g}; give a positive number, such as 1")
        super().__init__(alpha=alpha, weight=weight)
        self.kernel: Kernel = kernel
        self.bandwidth = bandwidth

    def check(self, model: VAE) -> None:
        """Refuse a share of a KL that does not exist, and a prior that could not be trained."""
        if not model.has_density and not (self.alpha in (None, 1.0) and "alpha" not in self.schedules):
            raise UsageError(
                f"mmd: alpha={self.schedules.get('alpha', self.alpha)} asks for a share of the KL, which a posterior "
                "without a density does not have; leave alpha out"
            )
        if "condition" not in model.prior_part.traits.needs:
            trained = any(p.requires_grad for p in model.parts["prior"].parameters())
            _check_draws(model.prior(), trained=trained)

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        discrepancy = self._discrepancy(z, p)
        if traits_of(p).bound_samples is not None:
            # Only its density, and not its draws, trains the networks that the density is estimated with.
            discrepancy = discrepancy - prior_fit(p, z)
        if not model.has_density:
            surrogate = reconstruction - self.weight * discrepancy
            weight = self.schedules["weight"].end if "weight" in self.schedules else self.weight
            return ObjectiveResult.without_density(
                reconstruction - weight * discrepancy,
                subtract_auxiliary_loss(surrogate, q, p),
                reconstruction,
            )
        kl, per_dimension = divergence(q, p, z)
        alpha = 0.0 if self.alpha is None else self.alpha
        surrogate = reconstruction - (1.0 - alpha) * kl - (alpha + self.weight - 1.0) * discrepancy
        surrogate = subtract_auxiliary_loss(surrogate, q, p)
        return ObjectiveResult(reconstruction - kl, surrogate, reconstruction, kl, per_dimension)

    def _discrepancy(self, z: Tensor, p: Distribution) -> Tensor:
        """Return the discrepancy, one number for the batch."""
        options: _Options = {"kernel": self.kernel, "bandwidth": self.bandwidth}
        if isinstance(p, MixtureSameFamily):
            return _squared_mmd_to_mixture(z.flatten(1), p, **options)
        shape = torch.Size(() if p.batch_shape else (len(z),))
        draws = p.rsample(shape) if p.has_rsample else p.sample(shape)
        return squared_mmd(z.flatten(1), draws.flatten(1), **options)


def squared_mmd(a: Tensor, b: Tensor, *, kernel: Kernel = "imq", bandwidth: float = 1.0) -> Tensor:
    r"""Estimate :math:`\mathrm{MMD}^2` from draws of two distributions, without bias: it may be negative.

    Parameters
    ----------
    a, b
        ``(n, d)`` and ``(m, d)``. A single draw makes no pairs, so the term of its distribution is left out.
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
    between = _kernel(a, b, kernel, bandwidth).mean()
    return _mean_over_pairs(a, kernel, bandwidth) + _mean_over_pairs(b, kernel, bandwidth) - 2.0 * between


def _squared_mmd_to_mixture(a: Tensor, p: MixtureSameFamily, *, kernel: Kernel, bandwidth: float) -> Tensor:
    r"""Estimate it for a mixture, :math:`\mathbb E_p k = \sum_j \pi_j \mathbb E_{p_j} k`, with its weights' gradient.

    There are two independent sets of draws from every component, so that pairs within a component are unbiased.
    """
    weight = p.mixture_distribution.probs.flatten()  # (components), or (batch * components)
    weight = weight / weight.sum()
    repeats = max(1, len(a) // len(weight))
    event_dims = len(p.event_shape)
    draws = p.component_distribution.rsample(torch.Size((2, repeats)))
    first, second = draws.flatten(draws.dim() - event_dims).flatten(1, -2)  # (repeats * components, d) each
    weight = weight.repeat(repeats) / repeats
    within = weight @ _kernel(first, second, kernel, bandwidth) @ weight
    between = _kernel(a, torch.cat([first, second]), kernel, bandwidth).mean(0) @ weight.repeat(2) / 2.0
    return _mean_over_pairs(a, kernel, bandwidth) + within - 2.0 * between


def _kernel(a: Tensor, b: Tensor, kernel: Kernel, bandwidth: float) -> Tensor:
    """Return the kernel of all pairs, ``(n, m)``."""
    distance = (a[:, None] - b).square().sum(2) / (2.0 * a.shape[1] * bandwidth**2)
    return (-distance).exp() if kernel == "rbf" else 1.0 / (1.0 + distance)


def _mean_over_pairs(a: Tensor, kernel: Kernel, bandwidth: float) -> Tensor:
    n = len(a)
    # The diagonal is k(z, z) = 1.
    return (_kernel(a, a, kernel, bandwidth).sum() - n) / max(1, n * (n - 1))


def _check_draws(p: Distribution, *, trained: bool) -> None:
    """Refuse a prior with parameters whose draws pass no gradient to them: it would silently stay untrained."""
    sampled = p.component_distribution if isinstance(p, MixtureSameFamily) else p
    if trained and not sampled.has_rsample:
        raise UsageError(
            f"mmd: draws from the prior, a {type(sampled).__name__}, carry no gradient to its parameters, so it would "
            "not be trained; use a prior that is reparameterised (gaussian, mixture, vamp) or has nothing to learn"
        )


def _smallest(value: float | Schedule | None) -> float:
    if value is None:
        return 0.0
    return min(value.start, value.end) if isinstance(value, Schedule) else value
