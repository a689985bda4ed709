r"""The importance-weighted bound, and its relatives.

.. math:: \mathcal L_K(x) = \mathbb E \log \frac 1 K \sum_{k=1}^K w_k \le \log p(x),

non-decreasing in :math:`K` (Burda, Grosse and Salakhutdinov, 2015, "Importance Weighted Autoencoders",
equation 8 and theorem 1). With normalised weights :math:`\tilde w_k`, ``iwae`` has three gradients for the
encoder; the gradient for the decoder and the prior is always the first:

.. math::

    \text{standard} &: \textstyle\sum_k \tilde w_k \, \nabla_\phi \log w_k \\
    \text{stl}      &: \textstyle\sum_k \tilde w_k \, \partial_z \log w_k \, \nabla_\phi z_k \\
    \text{dreg}     &: \textstyle\sum_k \tilde w_k^2 \, \partial_z \log w_k \, \nabla_\phi z_k

``stl`` leaves out the score function, whose expectation is zero for :math:`K = 1` (Roeder, Wu and Duvenaud,
2017, "Sticking the Landing", equation 7); for more samples it is biased. ``dreg`` is unbiased for every
:math:`K`, and its signal-to-noise ratio grows with it (Tucker et al., 2018, "Doubly Reparameterized Gradient
Estimators for Monte Carlo Objectives", equation 7).

Rainforth et al. (2018), "Tighter Variational Bounds are Not Necessarily Better", keep the signal in the
encoder's gradient with :math:`M` groups of :math:`K` samples (equation 15, section 5.1 and equation 17):

.. math::

    \text{miwae} &: \frac 1 M \sum_{m=1}^M \log \frac 1 K \sum_{k=1}^K w_{m,k} \\
    \text{piwae} &: \text{IWAE of } M K \text{ samples for decoder and prior, MIWAE for the encoder} \\
    \text{ciwae} &: \beta \, \frac 1 K \sum_k \log w_k + (1 - \beta) \log \frac 1 K \sum_k w_k

(``miwae`` is not the objective for missing data of Mattei and Frellsen, 2019, which has the same
abbreviation). Both gradients of ``piwae`` come from one pass: sample :math:`(m, k)` counts
:math:`v = w / \sum w` for the decoder and :math:`u = w / (M \sum_k w)` for the encoder, and :math:`u / v` is
one factor per group, which a gate puts on the path through :math:`z`.

The variational Rényi bound is the ELBO for :math:`\alpha \to 1` and IWAE for :math:`\alpha = 0`; for
:math:`\alpha < 0` and enough samples it is above :math:`\log p(x)` (Li and Turner, 2016, "Rényi Divergence
Variational Inference", equations 4 and 9):

.. math:: \text{renyi}: \frac 1 {1 - \alpha} \log \mathbb E_q w^{1 - \alpha}
          \approx \frac 1 {1 - \alpha} \log \frac 1 K \sum_{k=1}^K w_k^{1 - \alpha}
"""

from math import log
from typing import Literal

import torch
from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_count, check_scalar
from vaekit.objectives.building_blocks import probe_posterior, refuse_discrete
from vaekit.objectives.gradient_paths import stop_gradient
from vaekit.objectives.importance_draws import draw, log_mean_exp, with_gradient_of
from vaekit.vae import VAE

__all__ = [
    "CombinationImportanceWeighted",
    "ImportanceWeighted",
    "MultiplyImportanceWeighted",
    "PartiallyImportanceWeighted",
    "Renyi",
]


class ImportanceWeighted(Objective):
    r"""``iwae``: the logarithm of a mean of importance weights.

    Parameters
    ----------
    samples
        :math:`K`, the number of importance samples per example.
    gradient
        ``standard``, ``dreg`` or ``stl``. The bound is the same for all.

    Raises
    ------
    UsageError
        If ``samples`` is below 1, or the gradient is not known.

    Examples
    --------
    >>> import torch
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    >>> ImportanceWeighted(samples=50)(model, torch.ones(4, 3)).bound.shape
    torch.Size([4])
    """

    def __init__(
        self, *, samples: int = 50, gradient: Literal["standard", "dreg", "stl"] = "standard"
    ) -> None:
        check_count("iwae", "samples", samples)
        if gradient not in ("standard", "dreg", "stl"):
            raise UsageError(f"iwae: gradient={gradient!r}; there are standard, dreg and stl")
        self.samples = self.draws = samples
        self.gradient = gradient

    def check(self, model: VAE) -> None:
        """Refuse a posterior without a derivative along its draws, or whose parameters cannot be held fixed."""
        q = probe_posterior(model)
        if self.gradient != "standard":
            reason = f"gradient={self.gradient} differentiates the density along the draws alone"
            refuse_discrete("iwae", q, reason=reason, instead="gradient=standard")
        if q is not None and self.gradient != "standard":
            stop_gradient(q)

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        doubly = self.gradient == "dreg"
        draws = draw(model, x, c, self.samples, stop_posterior=self.gradient != "standard", gated=doubly)
        log_weight = draws.log_weight
        bound = log_mean_exp(log_weight)
        if draws.gate is None:
            return draws.result(bound, bound)
        weight = log_weight.detach().softmax(0)
        # The gate multiplies the gradient through z by the weight once more.
        source = (weight * log_weight + draws.gate.close(weight)).sum(0)
        return draws.result(bound, with_gradient_of(bound, source))


class MultiplyImportanceWeighted(Objective):
    r"""``miwae``: a mean of ``groups`` IWAE bounds of ``samples`` samples each.

    Parameters
    ----------
    samples
        :math:`K`, the number of importance samples in a logarithm. The reported bound is that of :math:`K`
        samples.
    groups
        :math:`M`, the number of logarithms in the mean. With 1 group this is IWAE; with 1 sample it is an
        ELBO of :math:`M` draws.

    Raises
    ------
    UsageError
        If either is below 1.

    Examples
    --------
    >>> MultiplyImportanceWeighted(samples=0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: miwae: samples=0; give a whole number of at least 1
    """

    def __init__(self, *, samples: int = 8, groups: int = 8) -> None:
        check_count("miwae", "samples", samples)
        check_count("miwae", "groups", groups)
        self.samples = samples
        self.groups = groups
        self.draws = samples * groups

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.groups * self.samples)
        grouped = draws.log_weight.unflatten(0, (self.groups, self.samples))  # (groups, samples, batch)
        bound = log_mean_exp(grouped, 1).mean(0)
        return draws.result(bound, bound)


# In nats. A group further below the others counts exp(-36) = 2e-16 of them for the decoder instead of even less,
# so that its factor, exp(36), is finite and the encoder's gradient is complete.
_LARGEST_LOG_FACTOR = 36.0


class PartiallyImportanceWeighted(Objective):
    r"""``piwae``: the decoder learns from IWAE, the encoder from MIWAE.

    Parameters
    ----------
    samples
        :math:`K`, the number of importance samples in a logarithm of the encoder's objective.
    groups
        :math:`M`, the number of logarithms in the encoder's mean. The reported bound is that of :math:`M K`
        samples.

    Raises
    ------
    UsageError
        If either is below 1.

    Examples
    --------
    >>> PartiallyImportanceWeighted(groups=-1)
    Traceback (most recent call last):
    vaekit.errors.UsageError: piwae: groups=-1; give a whole number of at least 1
    """

    def __init__(self, *, samples: int = 8, groups: int = 8) -> None:
        check_count("piwae", "samples", samples)
        check_count("piwae", "groups", groups)
        self.samples = samples
        self.groups = groups
        self.draws = samples * groups

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.groups * self.samples, gated=True)
        log_weight = draws.log_weight.detach()
        grouped = log_weight.unflatten(0, (self.groups, self.samples))  # (groups, samples, batch)
        of_group = grouped.logsumexp(1, keepdim=True)
        log_factor = (log_weight.logsumexp(0) - of_group - log(self.groups)).clamp(max=_LARGEST_LOG_FACTOR)
        encoder = ((grouped - of_group).exp() / self.groups).flatten(0, 1)  # u, (groups * samples, batch)
        log_factor = log_factor.expand_as(grouped).flatten(0, 1)
        decoder = encoder * (-log_factor).exp()  # v
        source = decoder * draws.log_joint - encoder * draws.log_posterior
        if draws.gate is not None:
            source = source + draws.gate.close(log_factor.exp())
        bound = log_mean_exp(draws.log_weight)
        return draws.result(bound, with_gradient_of(bound, source.sum(0)))


class CombinationImportanceWeighted(Annealed, Objective):
    r"""``ciwae``: a convex combination of the ELBO and IWAE, from the same samples.

    Parameters
    ----------
    samples
        :math:`K`, the number of importance samples per example. The reported bound is IWAE's of :math:`K`
        samples for every ``beta``.
    beta
        The share of the ELBO in the surrogate: 1 is the ELBO (of :math:`K` draws), 0 is IWAE.

    Raises
    ------
    UsageError
        If ``samples`` is below 1 or ``beta`` is not in [0, 1].

    Examples
    --------
    >>> CombinationImportanceWeighted(beta=1.5)
    Traceback (most recent call last):
    vaekit.errors.UsageError: ciwae: beta=1.5; give a number from 0 to 1 (1 is the ELBO, 0 is IWAE)
    """

    beta: float

    def __init__(self, *, samples: int = 64, beta: float | Schedule = 0.05) -> None:
        check_count("ciwae", "samples", samples)
        check_scalar("ciwae", "beta", beta, at_most=1.0, meaning="1 is the ELBO, 0 is IWAE")
        super().__init__(beta=beta)
        self.samples = self.draws = samples

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.samples)
        log_weight = draws.log_weight
        bound = log_mean_exp(log_weight)
        return draws.result(bound, self.beta * log_weight.mean(0) + (1.0 - self.beta) * bound)


class Renyi(Annealed, Objective):
    r"""``renyi``: a power mean of importance weights, in logarithms.

    Parameters
    ----------
    alpha
        The order of the divergence. Above 1 it is more cautious than the ELBO; below 0 it tends to the
        largest weight.
    samples
        :math:`K`, the number of importance samples per example. The reported bound is IWAE's of :math:`K`
        samples for every ``alpha``: a lower bound, and comparable.

    Raises
    ------
    UsageError
        If ``samples`` is below 1 or ``alpha`` is not finite.

    Examples
    --------
    >>> Renyi(samples=0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: renyi: samples=0; give a whole number of at least 1
    """

    alpha: float

    def __init__(self, *, alpha: float | Schedule = 0.5, samples: int = 50) -> None:
        check_scalar("renyi", "alpha", alpha, at_least=-float("inf"), meaning="1 is the ELBO, 0 is IWAE")
        check_count("renyi", "samples", samples)
        super().__init__(alpha=alpha)
        self.samples = self.draws = samples

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        draws = draw(model, x, c, self.samples)
        log_weight = draws.log_weight
        return draws.result(log_mean_exp(log_weight), _log_power_mean(log_weight, 1.0 - self.alpha))


def _log_power_mean(log_weight: Tensor, power: float) -> Tensor:
    """Return the logarithm of the power mean of weights over the samples; with power 0, of their geometric mean.

    Near power 0 the usual form divides a rounding error by ``power``. There, relative to the geometric mean,
    ``log1p(mean(expm1(power d))) / power`` keeps all digits.
    """
    centre = log_weight.mean(0)
    if power == 0:
        return centre
    scaled = power * (log_weight - centre)
    small = scaled.detach().abs().amax(0) < 1
    # Each form is given zeros where the other is used, so that no overflow reaches a gradient.
    near = torch.where(small, scaled, 0.0).expm1().mean(0).log1p()
    far = log_mean_exp(torch.where(small, 0.0, scaled))
    return centre + torch.where(small, near, far) / power
