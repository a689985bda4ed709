r"""The evidence :math:`\log p(x)` of rows by one of three methods, beside its estimate by importance sampling.

============== ===========================================================================================
method         value of a row
============== ===========================================================================================
``importance`` importance sampling from the posterior, :mod:`vaekit.evaluation.importance_sampling`
``annealed``   annealed importance sampling, :mod:`vaekit.evaluation.annealed_importance`: a lower bound too, and
               tight where posteriors are not; an upper bound of simulated rows says how tight
``exact``      the closed form of linear-Gaussian models, :mod:`vaekit.evaluation.exact_evidence`
============== ===========================================================================================
"""

from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

from vaekit.contracts import traits_of
from vaekit.errors import UsageError
from vaekit.evaluation.allocated_samples import allocated_log_likelihood
from vaekit.evaluation.annealed_importance import AnnealingStart, annealed_log_likelihood, sandwich
from vaekit.evaluation.bound import Estimate
from vaekit.evaluation.exact_evidence import exact_log_likelihood
from vaekit.evaluation.importance_sampling import log_likelihood
from vaekit.evaluation.judged_weights import LogLikelihood
from vaekit.language.grammar import there_are
from vaekit.vae import VAE

__all__ = ["Annealing", "Evidence", "EvidenceMethod", "SampleCount", "measure_evidence"]

EvidenceMethod = Literal["importance", "annealed", "exact"]
SampleCount = int | Literal["auto"]

_DRAWS_OF_MENDED = 2500  # importance samples that take as long as a row's own proposal
_FEWEST_MENDED = 32
_SIMULATED = 50  # rows, between whose bounds the gap is measured


class Annealing(NamedTuple):
    """The quality of annealed importance sampling.

    Parameters
    ----------
    start
        The distribution that chains started from.
    chains, distributions
        The number of chains a row, and of distributions on their way.
    acceptance
        The mean probability with which a transition was accepted; 0.65 is aimed at.
    standard_error
        The mean over the rows of the standard error of each, in nats.
    gap
        Upper less lower bound of rows that the model itself made, in nats.
    simulated
        How many of those there were.
    """

    start: AnnealingStart
    chains: int
    distributions: int
    acceptance: float
    standard_error: float
    gap: Estimate
    simulated: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {**self._asdict(), "gap": self.gap._asdict()}


class Evidence(NamedTuple):
    r"""The evidence of rows.

    Parameters
    ----------
    values
        ``(n,)`` float64 in nats, by the method that was asked for.
    importance
        Importance sampling of the same rows.
    annealing
        The quality of annealed importance sampling, where that is the method.
    draws
        All importance samples together, where each row was given as many as it needs.
    """

    values: Tensor
    importance: LogLikelihood
    annealing: Annealing | None = None
    draws: int | None = None


def measure_evidence(
    model: VAE,
    x: Tensor,
    *,
    c: Tensor | None,
    samples: SampleCount,
    method: EvidenceMethod,
    most_mended: int | None = None,
) -> Evidence:
    """Measure log p(x) of rows ``(n, *event)`` by a method, with torch's global generator.

    Parameters
    ----------
    model, x, c
        As for :func:`vaekit.evaluation.log_likelihood`.
    samples
        Importance samples a row, whatever the method; ``auto``: as many as each row needs.
    method
        One of the three.
    most_mended
        How many rows are given a proposal of their own, where all have the same number of samples; None: as many as
        take twice as long as all other draws.

    Raises
    ------
    UsageError
        For an unknown method, or one that the model does not allow.
    """
    if method not in get_args(EvidenceMethod):
        raise UsageError(f"method={method!r}{there_are(str(method), get_args(EvidenceMethod))}")
    exact = (
        exact_log_likelihood(model, x, c=c) if method == "exact" else None
    )  # what it refuses, it refuses at once
    annealed, annealing = _annealed(model, x, c) if method == "annealed" else (None, None)
    draws = None
    if isinstance(samples, int):
        most = _rows_to_mend(len(x), samples) if most_mended is None else most_mended
        importance = log_likelihood(model, x, c=c, samples=samples, most_mended=most)
    else:
        allocated = allocated_log_likelihood(model, x, c=c)
        importance, draws = allocated.likelihood, allocated.draws
    values = exact if exact is not None else annealed if annealed is not None else importance.values
    return Evidence(values, importance, annealing, draws)


def _rows_to_mend(rows: int, samples: int) -> int:
    """Return how many rows are worth a proposal of their own: they take twice as long as all other draws.

    >>> _rows_to_mend(1000, 200), _rows_to_mend(1000, 5000)
    (160, 4000)
    """
    return max(_FEWEST_MENDED, 2 * rows * samples // _DRAWS_OF_MENDED)


def _annealed(model: VAE, x: Tensor, c: Tensor | None) -> tuple[Tensor, Annealing]:
    q = model.encode(x[:1], None if c is None else c[:1])
    known = traits_of(q).has_density and not traits_of(q).scores_own_draws_only
    start: AnnealingStart = "posterior" if known else "prior"
    found = annealed_log_likelihood(model, x, c=c, start=start)
    simulated = min(_SIMULATED, len(x))
    between = sandwich(model, examples=simulated, c=None if c is None else c[:simulated], start=start)
    return found.values, Annealing(
        start,
        found.chains,
        found.distributions,
        float(found.acceptance.mean()),
        float(found.standard_error.mean()),
        between.gap,
        simulated,
    )
