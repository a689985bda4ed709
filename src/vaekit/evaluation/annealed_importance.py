r"""The evidence by annealed importance sampling, and between a lower and an upper bound.

Chains start from the prior or the posterior, and move through :math:`f_0, f_1, \dots, f_T` on the geometric path to
:math:`p(x, z)` (:mod:`vaekit.evaluation.hamiltonian_transitions`). The weight of a chain is

.. math:: \log w = \sum_{t=1}^T \log f_t(z_{t-1}) - \log f_{t-1}(z_{t-1}), \qquad \mathbb E\, w = p(x)

so that :math:`\log \frac 1 K \sum_k w_k` is a lower bound in expectation: Neal (2001), "Annealed importance sampling",
equation 8; Wu, Burda, Salakhutdinov and Grosse (2017), "On the Quantitative Analysis of Decoder-Based Generative
Models", section 3, whose sigmoid schedule of :math:`\beta` this is.

Of *simulated* data, :math:`z^* \sim p(z)`, :math:`x \sim p(x \mid z^*)`, one exact draw of the posterior is known,
:math:`z^*` itself. A chain that starts there and moves the other way has a weight :math:`w^*` whose inverse has the
mean :math:`1 / p(x)`, and beside :math:`K` chains of the usual direction

.. math:: \mathbb E \log \frac 1 {K + 1} \Bigl(w^* + \sum_{k=1}^K w_k\Bigr) \ge \log p(x)

is an upper bound: bidirectional Monte Carlo (Grosse, Ghahramani and Adams, 2015, "Sandwiching the marginal likelihood
using bidirectional Monte Carlo"), in the tighter form of Brekelmans et al. (2022), "Improving Mutual Information
Estimation with Annealed and Energy-Based Bounds", section 3.1. The gap between both says how far the lower bound of
real data, whose posterior nobody can draw from, is off.

The sizes of the steps are adapted towards an acceptance of 0.65, example by example, by chains of their own, and are
fixed before the chains that are weighed: so both bounds hold.
"""

from collections.abc import Sequence
from math import exp, log, prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.contracts import Model, traits_of
from vaekit.errors import UsageError
from vaekit.evaluation.bound import Estimate
from vaekit.evaluation.hamiltonian_transitions import AnnealingPath, hamiltonian_transition
from vaekit.evaluation.importance_sampling import require_log_likelihood
from vaekit.evaluation.probe import is_euclidean
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.vae import VAE

__all__ = ["AnnealedLogLikelihood", "AnnealingStart", "Sandwich", "annealed_log_likelihood", "sandwich"]

AnnealingStart = Literal["prior", "posterior"]

_ACCEPTANCE = 0.65
_STEEPNESS = 4.0  # of the sigmoid schedule
_PILOT_CHAINS, _PILOT_SHARE, _PILOT_AT_LEAST = 4, 0.25, 40
_RATE, _SMOOTHED = 1.0, 5  # of the adaptation, and over how many neighbours it is averaged
_MEMORY = 64 * 2**20  # bytes that an intermediate result may take


class AnnealedLogLikelihood(NamedTuple):
    r"""Lower bounds of :math:`\log p(x)` by annealed importance sampling, on the CPU.

    Parameters
    ----------
    values
        ``(n,)`` float64, in nats.
    standard_error
        ``(n,)`` float64, in nats, by the spread of the chains' weights.
    effective_sample_size
        ``(n,)`` float64, between 1 and ``chains``.
    acceptance
        ``(n,)`` float64: the mean probability with which a transition was accepted.
    chains, distributions
        The number of chains an example, and of distributions from start to end.
    """

    values: Tensor
    standard_error: Tensor
    effective_sample_size: Tensor
    acceptance: Tensor
    chains: int
    distributions: int

    @property
    def estimate(self) -> Estimate:
        """Mean over the examples with its standard error, in nats."""
        return Estimate.of(self.values.numpy())


class Sandwich(NamedTuple):
    r"""Lower and upper bounds of :math:`\log p(x)` of simulated data, on the CPU.

    Parameters
    ----------
    lower, upper
        ``(n,)`` float64, in nats: bounds in expectation.
    lower_error, upper_error
        ``(n,)`` float64, in nats: the standard errors of each, by the spread of the chains' weights.
    x
        ``(n, *event)``, the simulated data.
    """

    lower: Tensor
    upper: Tensor
    lower_error: Tensor
    upper_error: Tensor
    x: Tensor

    @property
    def gap(self) -> Estimate:
        """Mean of upper less lower over the examples with its standard error, in nats."""
        return Estimate.of((self.upper - self.lower).numpy())


@plain_arithmetic()
@torch.no_grad()
def annealed_log_likelihood(
    model: Model,
    x: Tensor,
    *,
    c: Tensor | None = None,
    chains: int = 8,
    distributions: int = 200,
    steps: int = 3,
    start: AnnealingStart = "posterior",
) -> AnnealedLogLikelihood:
    r"""Estimate :math:`\log p(x)` by annealed importance sampling, with torch's global generator.

    The cost is that of ``chains * distributions * steps`` gradients of the decoder for each example.

    Parameters
    ----------
    model
        Anything with ``encode``, ``prior`` and ``decode``, whose latents are vectors of real numbers.
    x
        ``(n, *event)``.
    c
        Condition, ``(n, ...)``.
    chains
        :math:`K`, chains for each example.
    distributions
        :math:`T`, steps of the path from start to end: the more, the tighter.
    steps
        Leapfrog steps between two distributions.
    start
        The distribution that chains start from: the ``posterior`` :math:`q(z \mid x)`, which is nearer where it is
        good, or the ``prior``.

    Returns
    -------
    AnnealedLogLikelihood

    Raises
    ------
    UsageError
        If latents are not vectors of real numbers with a density, or a number is below 1.

    Examples
    --------
    A model whose evidence is known exactly:

    >>> from vaekit.conformance import LinearGaussian
    >>> from vaekit.runtime.randomness import seeded
    >>> truth = LinearGaussian.random(columns=3, latent=2)
    >>> x = truth.draw(20)
    >>> with seeded(0):
    ...     found = annealed_log_likelihood(truth.vae(exact=False), x)
    >>> bool((found.values - truth.log_evidence(x)).abs().mean() < 0.1)
    True
    """
    _check(chains, distributions, steps)
    found = [
        _Chains(model, part, part_c, start, distributions, steps).forward(chains)
        for part, part_c in _pieces(model, x, c, chains)
    ]
    values, sizes, accepted = (torch.cat(terms) for terms in zip(*found, strict=True))
    error = (1 / sizes - 1 / chains).clamp_min(0).sqrt()
    empty = x.flatten(1).isnan().all(1).cpu()
    values[empty], error[empty] = 0.0, 0.0  # of nothing the probability is 1
    return AnnealedLogLikelihood(values, error, sizes, accepted, chains, distributions)


@plain_arithmetic()
@torch.no_grad()
def sandwich(
    model: Model,
    *,
    examples: int = 100,
    c: Tensor | None = None,
    chains: int = 8,
    reverse_chains: int = 2,
    distributions: int = 200,
    steps: int = 3,
    start: AnnealingStart = "posterior",
) -> Sandwich:
    r"""Bound :math:`\log p(x)` of simulated data from both sides, with torch's global generator.

    Parameters
    ----------
    model, chains, distributions, steps, start
        As for :func:`annealed_log_likelihood`.
    examples
        The number of examples to simulate; with conditions there is one for each of those.
    c
        Conditions to simulate under, ``(n, ...)``.
    reverse_chains
        Chains from each exact draw of the posterior: the upper bound is the mean over them.

    Returns
    -------
    Sandwich

    Raises
    ------
    UsageError
        As :func:`annealed_log_likelihood` does.

    Examples
    --------
    >>> from vaekit.conformance import LinearGaussian
    >>> from vaekit.runtime.randomness import seeded
    >>> truth = LinearGaussian.random(columns=3, latent=2)
    >>> with seeded(0):
    ...     found = sandwich(truth.vae(exact=False), examples=50)
    >>> exact = truth.log_evidence(found.x)
    >>> bool((found.lower - exact).mean().abs() < 0.05), bool((found.upper - exact).mean().abs() < 0.05)
    (True, True)
    """
    _check(chains, distributions, steps)
    prior = model.prior(c)
    _refuse_other_latents(model, prior, None)
    shape = torch.Size(() if prior.batch_shape else (examples if c is None else len(c),))
    z = prior.sample(shape)
    x = model.decode(z, c).sample()
    parts, place = [], 0
    for part, part_c in _pieces(model, x, c, chains):
        end = place + len(part)
        chain = _Chains(model, part, part_c, start, distributions, steps)
        parts.append(chain.both(z[place:end].flatten(1), chains, max(1, reverse_chains)))
        place = end
    lower, upper, lower_error, upper_error = (torch.cat(terms) for terms in zip(*parts, strict=True))
    return Sandwich(lower, upper, lower_error, upper_error, x.cpu())


def _check(chains: int, distributions: int, steps: int) -> None:
    for name, value in (("chains", chains), ("distributions", distributions), ("steps", steps)):
        if value < 1:
            raise UsageError(f"{name}={value}: annealing needs a whole number of at least 1")


def _refuse_other_latents(model: Model, p: Distribution, q: Distribution | None) -> None:
    """Refuse a model whose latents cannot be moved along a gradient, or whose prior has no exact density."""
    require_log_likelihood(model)
    space = model.posterior_part.traits.space if isinstance(model, VAE) else "unknown"
    if not is_euclidean(model, p if q is None else q, p):
        raise UsageError(
            f"annealed importance sampling moves latents along a gradient, through vectors of real numbers, and this "
            f"model's are of another kind ({space}); use method='importance'"
        )
    if traits_of(p).bound_samples is not None:
        raise UsageError(
            "annealed importance sampling needs log p(z) itself, and this prior gives a lower bound of it with noise; "
            "use method='importance', or fit another prior, such as gmm"
        )


def _pieces(model: Model, x: Tensor, c: Tensor | None, chains: int) -> Sequence[tuple[Tensor, Tensor | None]]:
    """Cut the examples so that no intermediate result takes much memory."""
    features = prod(model.likelihood_part.feature_shape) if isinstance(model, VAE) else 0
    row = x.element_size() * chains * max(prod(x.shape[1:]), features, 256)
    size = max(1, _MEMORY // row)
    cut = range(0, len(x), size)
    return [(x[i : i + size], None if c is None else c[i : i + size]) for i in cut]


def _schedule(distributions: int) -> list[float]:
    r"""Return :math:`\beta_0 = 0, \dots, \beta_T = 1`, dense at both ends.

    >>> [round(beta, 3) for beta in _schedule(4)]
    [0.0, 0.105, 0.5, 0.895, 1.0]
    """

    def sigmoid(t: float) -> float:
        return 1 / (1 + exp(-_STEEPNESS * (2 * t / distributions - 1)))

    low, high = sigmoid(0), sigmoid(distributions)
    return [(sigmoid(t) - low) / (high - low) for t in range(distributions + 1)]


class _Chains:
    """The chains of some examples, with steps whose sizes are settled once."""

    def __init__(
        self,
        model: Model,
        x: Tensor,
        c: Tensor | None,
        start: AnnealingStart,
        distributions: int,
        steps: int,
    ) -> None:
        p = model.prior(c)
        q = model.encode(x, c) if start == "posterior" else None
        _refuse_other_latents(model, p, q)
        if q is not None and (not traits_of(q).has_density or traits_of(q).scores_own_draws_only):
            raise UsageError(
                "start='posterior': chains cannot start from this posterior, whose density is not known at every "
                "point; use start='prior'"
            )
        self.model, self.path, self.steps = model, AnnealingPath(model, x, c, p, q), steps
        self.betas = _schedule(distributions)
        draws = self.path.draw(16)
        if not draws.is_floating_point():
            raise UsageError("annealed importance sampling needs latents that are real numbers")
        # Of all examples together: a posterior's own deviations may be wrong, the prior's never are.
        prior = AnnealingPath(model, x, c, p, None).draw(16)
        self.scale = prior.flatten(0, 1).std(0, correction=0).clamp_min(1e-6)
        with shared_threads(work_of(model, _PILOT_CHAINS * len(x))):
            self.log_steps = self._settle_steps(distributions)

    def forward(self, chains: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the lower bounds, the effective sizes and the acceptance, ``(n,)`` each."""
        log_weight, accepted = self._weigh(self.path.draw(chains), reverse=False)
        return *_mean_weight(log_weight), accepted.cpu()

    def both(self, exact: Tensor, chains: int, reverse_chains: int) -> tuple[Tensor, ...]:
        """Return lower and upper bounds, ``(n,)``, and their standard errors, from exact draws ``(n, d)``."""
        log_weight, _ = self._weigh(self.path.draw(chains), reverse=False)
        lower, size = _mean_weight(log_weight)
        starts = exact.expand(reverse_chains, *exact.shape)
        reverse, _ = self._weigh(starts, reverse=True)
        reverse, forward = reverse.cpu(), lower + log(chains)
        each = torch.logaddexp(reverse, forward) - log(chains + 1)
        upper = each.mean(0)
        lower_error = (1 / size - 1 / chains).clamp_min(0).sqrt()
        share = (forward - torch.logaddexp(reverse, forward)).exp().mean(0)
        of_reverse = each.var(0, correction=1) / reverse_chains if reverse_chains > 1 else torch.nan
        return lower, upper, lower_error, (of_reverse + (share * lower_error).square()).sqrt()

    def _weigh(self, z: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
        """Move chains from one end of the path to the other: log-weights ``(chains, n)`` and acceptance ``(n,)``."""
        chains, n = z.shape[:2]
        log_weight = torch.zeros(chains, n, dtype=torch.float64, device=z.device)
        accepted = torch.zeros(n, dtype=torch.float64, device=z.device)
        last = len(self.betas) - 1
        with shared_threads(work_of(self.model, chains * n)):
            place = self.path.at(z)
            rungs = range(last, 0, -1) if reverse else range(1, last + 1)
            for t in rungs:
                width = self.betas[t] - self.betas[t - 1]
                log_weight += width * (place.target.double() - place.start.double())
                now = t - 1 if reverse else t
                if now in (0, last):
                    continue
                step = self.log_steps[now].exp().unsqueeze(-1) * self.scale
                place, probability = hamiltonian_transition(
                    self.path, place, self.betas[now], step, self.steps
                )
                accepted += probability.double().mean(0)
        log_weight = torch.where(log_weight.isnan(), -torch.inf, log_weight)
        return log_weight, accepted / max(1, last - 1)

    def _settle_steps(self, distributions: int) -> Tensor:
        """Return the logarithms of the sizes of the steps, ``(distributions + 1, n)``, by a shorter run."""
        rungs = min(distributions, max(_PILOT_AT_LEAST, int(_PILOT_SHARE * distributions)))
        place = self.path.at(self.path.draw(_PILOT_CHAINS))
        n, d = place.z.shape[1:]
        log_step = torch.full((n,), log(0.5) - 0.25 * log(d), dtype=place.z.dtype, device=place.z.device)
        found = []
        for beta in _schedule(rungs):
            step = log_step.exp().unsqueeze(-1) * self.scale
            place, probability = hamiltonian_transition(self.path, place, beta, step, self.steps)
            log_step = log_step + _RATE * (probability.mean(0) - _ACCEPTANCE)
            found.append(log_step)
        settled = torch.stack(found).T  # (n, rungs + 1)
        kernel = torch.ones(1, 1, _SMOOTHED, dtype=settled.dtype, device=settled.device) / _SMOOTHED
        padded = torch.nn.functional.pad(settled.unsqueeze(1), (_SMOOTHED // 2,) * 2, mode="replicate")
        smooth = torch.nn.functional.conv1d(padded, kernel)
        whole = torch.nn.functional.interpolate(
            smooth, size=distributions + 1, mode="linear", align_corners=True
        )
        return whole[:, 0].T


def _mean_weight(log_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithm of the mean weight, and the effective size, of log-weights ``(chains, n)``."""
    total = log_weight.logsumexp(0)
    size = (2 * total - (2 * log_weight).logsumexp(0)).exp()
    size = torch.where(total.isfinite(), size, 1.0)
    return (total - log(len(log_weight))).cpu(), size.cpu()
