r"""The numbers that prove a model: ELBO, :math:`\log p(x)`, bits per dimension, and the baselines beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, nan, prod
from typing import Any

from torch import Tensor

from vaekit.contracts import traits_of
from vaekit.evaluation.baselines import Baseline, fit_baselines
from vaekit.evaluation.bound import Estimate, evaluate_bound
from vaekit.evaluation.codes import CodeUsage, code_usage, warn_of_collapse
from vaekit.evaluation.evidence import Annealing, EvidenceMethod, SampleCount, measure_evidence
from vaekit.evaluation.importance_sampling import require_log_likelihood
from vaekit.evaluation.judged_weights import LogLikelihood
from vaekit.evaluation.pareto import tail_size
from vaekit.likelihoods.histogram_cells import ColumnFacts
from vaekit.objectives import Elbo
from vaekit.runtime.randomness import seeded
from vaekit.runtime.rows import chunks
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.vae import VAE

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Held-out results, in nats per example and the units of the data.

    Parameters
    ----------
    elbo, log_likelihood
        Means with standard errors over the examples. Where the posterior has no density, the ELBO is that of the
        Gaussians the importance samples are drawn from.
    reconstruction, kl
        The two terms of the ELBO.
    kl_per_dimension
        Means, or None where the KL is not a sum over dimensions.
    samples
        Importance samples behind each example's log-likelihood; where each has as many as it needs, the largest number.
    effective_sample_size, smallest_effective_sample_size
        Mean and minimum over the examples.
    fitted_proposal
        Whether the importance samples are drawn from Gaussians fitted at evaluation
        (:mod:`vaekit.evaluation.log_weights`), because the posterior has no density.
    point_posterior
        Whether the posterior puts all its mass on one latent, so that more importance samples change nothing.
    prior_samples
        The number of samples behind the prior's log-density where that is itself a lower bound, or None where it is
        exact. With such a prior the log-likelihood and the ELBO are still lower bounds in expectation.
    conditional
        Whether the examples were evaluated given their conditions, which the baselines do not use.
    mended
        How many examples were estimated with proposals of their own, because the posterior is none.
    raised
        How many examples need such a proposal as well, but were not drawn for one: their log-likelihoods are raised by
        what those that were drawn gained on average.
    mean_gain
        That mean with its standard error, in nats, which the standard error of ``log_likelihood`` counts; None where no
        example is raised.
    unreliable
        How many examples could not be estimated well, so that their log-likelihoods are lower bounds; None where there
        are too few importance samples to tell.
    gain_of_doubling
        By how many nats the mean log-likelihood is above that of half as many importance samples. It is hardly more
        than 0 where there are enough of them; None for a single one.
    code_usage
        The use of the codes, or None where latents are not codes.
    bits_per_dimension
        The negative log-likelihood, in bits, over the number of dimensions the model describes: of missing cells none.
    baselines
        The baselines, fitted on the training rows; empty where those are not given.
    examples
        The number of examples that were evaluated.
    split
        The name of the part of the data that they are.
    method
        The method by which the log-likelihood was found; see :mod:`vaekit.evaluation.evidence`.
    importance
        The log-likelihood by importance sampling, where it was found by another method.
    annealing
        The quality of annealed importance sampling, where that is the method.
    draws
        All importance samples together, where each example has as many as it needs.
    """

    elbo: Estimate
    log_likelihood: Estimate
    reconstruction: float
    kl: float
    kl_per_dimension: list[float] | None
    samples: int
    effective_sample_size: float
    smallest_effective_sample_size: float
    fitted_proposal: bool = False
    point_posterior: bool = False
    prior_samples: int | None = None
    conditional: bool = False
    mended: int = 0
    raised: int = 0
    mean_gain: Estimate | None = None
    unreliable: int | None = None
    gain_of_doubling: float | None = None
    code_usage: CodeUsage | None = None
    bits_per_dimension: float
    baselines: list[Baseline]
    examples: int
    split: str
    method: EvidenceMethod = "importance"
    importance: Estimate | None = None
    annealing: Annealing | None = None
    draws: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, estimates as ``{"mean": ..., "standard_error": ...}``."""
        return {
            **vars(self),
            "elbo": self.elbo._asdict(),
            "code_usage": None if self.code_usage is None else self.code_usage._asdict(),
            "log_likelihood": self.log_likelihood._asdict(),
            "mean_gain": None if self.mean_gain is None else self.mean_gain._asdict(),
            "importance": None if self.importance is None else self.importance._asdict(),
            "annealing": None if self.annealing is None else self.annealing.to_json(),
            "baselines": [
                {
                    "name": b.name,
                    "log_likelihood": b.log_likelihood._asdict(),
                    "advantage": None if b.advantage is None else b.advantage._asdict(),
                }
                for b in self.baselines
            ],
        }


@plain_arithmetic()
def evaluate(
    model: VAE,
    x: Tensor,
    *,
    samples: SampleCount,
    seed: int,
    split: str,
    method: EvidenceMethod = "importance",
    train: Tensor | None = None,
    log_jacobian: float | Sequence[float] = 0.0,
    c: Tensor | None = None,
    facts: Sequence[ColumnFacts] | None = None,
    most_mended: int | None = None,
) -> Evaluation:
    """Evaluate a model on held-out data, beside baselines fitted on the training data.

    Parameters
    ----------
    model
        A model on the device of ``x``.
    x
        ``(n, *event)`` held-out data, in the coordinates of the model; missing cells are NaN.
    samples
        Importance samples an example; ``auto``: as many as each needs
        (:mod:`vaekit.evaluation.allocated_samples`).
    seed
        The seed of all noise: the same seed gives the same numbers.
    split
        The name of this part of the data.
    method
        How the log-likelihood is found: ``importance``, ``annealed`` or ``exact``; see
        :mod:`vaekit.evaluation.evidence`.
    train
        The training data; None: there are no baselines.
    log_jacobian
        The log-Jacobian of the data's scaling, for the baselines (the model knows its own); of a table one number for
        each column, where cells may be missing.
    c
        Conditions of ``x``, ``(n, d)``; the baselines do not use them.
    facts
        The facts about the columns of a table, for its baselines; None for images.
    most_mended
        How many examples are given a proposal of their own at most, see :func:`vaekit.evaluation.log_likelihood`; None:
        as many as take twice as long as all other draws.

    Returns
    -------
    Evaluation

    Raises
    ------
    UsageError
        If the model's likelihood is a pseudo-likelihood, or the method is not for this model.

    Warns
    -----
    CodeCollapseWarning
        If the latents are codes, and hardly any are used.
    """
    require_log_likelihood(model)
    with seeded(seed):
        bound = evaluate_bound(model, Elbo(), x, c=c) if model.has_density else None
        evidence = measure_evidence(model, x, c=c, samples=samples, method=method, most_mended=most_mended)
    likelihood, found = evidence.importance, Estimate.of(evidence.values.numpy())
    if method == "importance":
        found = likelihood.with_error_of_gain(found)
    # The ELBO of all the importance samples, rather than of the single draw behind `bound`.
    elbo = Estimate.of(likelihood.elbo.numpy())
    baselines: list[Baseline] = []
    if train is not None:
        part = model.likelihood_part
        baselines = fit_baselines(
            train.cpu().numpy(),
            x.cpu().numpy(),
            latent=prod(model.latent_shape),
            measure=part.traits.measure,
            levels=part.levels,
            columns=part.columns,
            facts=facts,
            further=part.baseline,
            log_jacobian=log_jacobian,
            model_values=evidence.values.numpy(),
            seed=seed,
        )
    if method == "importance":
        baselines = [_with_error_of_gain(baseline, likelihood) for baseline in baselines]
    usage = code_usage(model, x, c=c)
    warn_of_collapse(usage)
    kl = float(likelihood.kl.mean()) if bound is None else bound.kl
    dimensions = None if bound is None else bound.kl_per_dimension
    return Evaluation(
        elbo=elbo,
        log_likelihood=found,
        reconstruction=elbo.mean + kl,
        kl=kl,
        kl_per_dimension=None if dimensions is None else dimensions.tolist(),
        samples=likelihood.samples,
        effective_sample_size=float(likelihood.effective_sample_size.mean()),
        smallest_effective_sample_size=float(likelihood.effective_sample_size.min()),
        fitted_proposal=not model.has_density,
        point_posterior=usage is not None and model.posterior_part.traits.is_deterministic,
        prior_samples=traits_of(model.prior(None if c is None else c[:1])).bound_samples,
        conditional=c is not None,
        mended=int(likelihood.mended.sum()),
        raised=int(likelihood.raised.sum()),
        mean_gain=likelihood.gain,
        unreliable=int((~likelihood.reliable).sum()) if tail_size(likelihood.samples) else None,
        gain_of_doubling=_gain_of_doubling(likelihood) if likelihood.samples > 1 else None,
        code_usage=usage,
        bits_per_dimension=-found.mean / (_observed_cells(x) * log(2)),
        baselines=baselines,
        examples=len(x),
        split=split,
        method=method,
        importance=None if method == "importance" else likelihood.estimate,
        annealing=evidence.annealing,
        draws=evidence.draws,
    )


def _with_error_of_gain(baseline: Baseline, likelihood: LogLikelihood) -> Baseline:
    advantage = baseline.advantage
    return baseline._replace(
        advantage=None if advantage is None else likelihood.with_error_of_gain(advantage)
    )


def _gain_of_doubling(likelihood: LogLikelihood) -> float:
    """Return how much lower half of the samples are, over the examples of which both are numbers."""
    gain = likelihood.values - likelihood.halved
    return float(gain[gain.isfinite()].mean()) if gain.isfinite().any() else 0.0


def _observed_cells(x: Tensor) -> float:
    """Return the mean number of cells of a row that are not missing."""
    cells = prod(x.shape[1:])
    missing = sum(int(part.isnan().sum()) for part in (x[rows] for rows in chunks(len(x))))
    return (cells - missing / len(x)) or nan
