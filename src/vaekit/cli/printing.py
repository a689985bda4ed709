"""Results on stdout, as text or as one JSON document; messages on stderr."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vaekit.application import WrittenRows
    from vaekit.data import Schema
    from vaekit.evaluation import CodeUsage, Estimate, Evaluation
    from vaekit.sentence import Spec

__all__ = [
    "NO_LOG_LIKELIHOOD",
    "collapse_lines",
    "column_lines",
    "evaluation_lines",
    "print_json",
    "print_written",
    "say",
]

NO_LOG_LIKELIHOOD = (
    "evaluation   none: this likelihood scores images by their likeness, for training alone, and has no\n"
    "             log-likelihood"
)


def say(message: str) -> None:
    """Print a message for a person at a terminal: on stderr, and only where that is one."""
    if sys.stderr.isatty():
        print(message, file=sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document: floats in full, ``null`` for NaN and infinity."""
    print(json.dumps(_strict(document), indent=2, allow_nan=False))


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def print_written(written: "WrittenRows", *, as_json: bool) -> int:
    """Print what was written where, and return the exit status; nothing where the rows are on the standard output."""
    if str(written.path).startswith("-"):
        say(f"{' x '.join(map(str, written.shape))} written")
    elif as_json:
        print_json(written.to_json())
    else:
        print(f"{written.path}: {' x '.join(map(str, written.shape))}")
    return 0


def evaluation_lines(evaluation: "Evaluation") -> list[str]:
    """Return an evaluation as lines of text: the numbers of the model, then those of the baselines."""
    lines = [
        f"{evaluation.split:<12} {evaluation.examples} examples, in nats per example",
        f"  {'log-likelihood':<40} {_number(evaluation.log_likelihood)}"
        f"   {evaluation.bits_per_dimension:.4f} bits per dimension",
        f"  {'ELBO':<40} {_number(evaluation.elbo)}"
        f"   reconstruction {evaluation.reconstruction:.3f}, KL {evaluation.kl:.3f}",
    ]
    for baseline in evaluation.baselines:
        ahead = baseline.advantage
        compared = "" if ahead is None else f"   the model is {ahead.mean:+.3f} ± {ahead.standard_error:.3f}"
        lines.append(f"  {baseline.name:<40} {_number(baseline.log_likelihood)}{compared}")
    lines += _other_method(evaluation)
    what = "log-likelihood" if evaluation.importance is None else "ELBO and KL"
    lines.append(
        f"  {what} by importance sampling, {_samples(evaluation)}; effective sample "
        f"size {evaluation.effective_sample_size:.1f} on average, {evaluation.smallest_effective_sample_size:.1f} "
        "at the least"
    )
    if evaluation.importance is None:
        lines += _trust(evaluation)
    if evaluation.conditional:
        told = ", of which the baselines know nothing" if evaluation.baselines else ""
        lines.append(f"  all of the model's numbers are given the conditions of the examples{told}")
    if evaluation.point_posterior:
        lines.append(
            "  the posterior is a single point: all importance samples are the same, and the log-likelihood shown is "
            "the ELBO, a lower bound"
        )
    if evaluation.prior_samples is not None:
        lines.append(
            f"  the prior's log p(z) is itself a lower bound, by {evaluation.prior_samples} importance samples: "
            "log-likelihood and ELBO are at least what is shown, in expectation"
        )
    if evaluation.code_usage is not None:
        lines.append("  " + _codes_in_use(evaluation.code_usage))
    if evaluation.fitted_proposal:
        lines.append(
            "  the posterior has no density: samples, ELBO and KL are of Gaussians fitted around the codes here; "
            "training had no bound"
        )
    return lines


def _trust(evaluation: "Evaluation") -> list[str]:
    """Say how far the importance samples are enough."""
    lines: list[str] = []
    if evaluation.mended:
        lines.append(
            f"  {evaluation.mended} of {evaluation.examples} examples estimated with proposals of their own"
        )
    if evaluation.mean_gain is not None:
        gain = evaluation.mean_gain
        lines.append(
            f"  {evaluation.raised} more need one, and were raised by what examples drawn from among them gained: "
            f"{gain.mean:.3f} ± {gain.standard_error:.3f} nats, as the errors shown count"
        )
    if evaluation.unreliable:
        rise = evaluation.gain_of_doubling
        told = (
            ""
            if rise is None
            else f": with half of the samples the mean is {rise:.2f} nats lower, with more higher"
        )
        lines.append(
            f"  {evaluation.unreliable} of {evaluation.examples} examples have most of the weight on few samples, and "
            f"are lower bounds{told}"
        )
    return lines


def _samples(evaluation: "Evaluation") -> str:
    """Say how many importance samples there were."""
    if evaluation.draws is None:
        return f"{evaluation.samples} samples an example"
    same, mean = evaluation.samples * evaluation.examples, evaluation.draws / evaluation.examples
    saved = 1 - evaluation.draws / same
    compared = f"{saved:.0%} fewer than" if saved > 0 else f"{-saved:.0%} more, with those that told, than"
    return f"as many as each example needs, {mean:.0f} on average ({compared} {evaluation.samples} for all)"


def _other_method(evaluation: "Evaluation") -> list[str]:
    """Return what is to be said of a log-likelihood that is not found by importance sampling."""
    if evaluation.importance is None:
        return []
    beside = f"  {'log-likelihood by importance sampling':<40} {_number(evaluation.importance)}"
    annealing = evaluation.annealing
    if annealing is None:
        return [beside, "  log-likelihood exact: the model is linear-Gaussian"]
    return [
        beside,
        f"  log-likelihood by annealed importance sampling from the {annealing.start}, a lower bound: "
        f"{annealing.chains} chains an example through {annealing.distributions} distributions, acceptance "
        f"{annealing.acceptance:.2f}",
        f"  gap of upper and lower bound in {annealing.simulated} rows that the model made: "
        f"{annealing.gap.mean:.3f} ± {annealing.gap.standard_error:.3f}",
    ]


def column_lines(spec: "Spec", schema: "Schema", *, most: int | None = None) -> list[str]:
    """Return a table of the columns and their kinds, of a likelihood with a part for each of many; else nothing.

    Of more than ``most`` columns it has the first.
    """
    kinds = spec.many_columns
    if not kinds:
        return []
    names = [schema.columns[j].name for j in schema.kept.nonzero()[0]]
    width = max(map(len, names[:most]))
    lines = [f"  {name:<{width}}  {kind}" for name, kind in zip(names, kinds, strict=True)][:most]
    return lines if len(lines) == len(kinds) else [*lines, f"  and {len(kinds) - len(lines)} more"]


def collapse_lines(kl_per_dimension: "Sequence[float] | None") -> list[str]:
    """Return what is to be said of a model whose latents are hardly used, and what to try; else nothing.

    >>> print("\\n".join(collapse_lines([0.0, 0.0])))  # doctest: +ELLIPSIS
    collapse     Posterior collapse: no latent dimension is active. The latent code carries no information ...
      try        Give the KL less weight (--objective elbo:beta=0.5), or lower the learning rate.
      try        ...
    >>> collapse_lines([1.0, 2.0])
    []
    """
    from vaekit.report.verdict import collapse

    lines: list[str] = []
    for notice in () if kl_per_dimension is None else collapse(kl_per_dimension):
        lines.append(f"collapse     {notice.title}. {notice.text}")
        lines += [f"  try        {advice.replace('`', '')}" for advice in notice.advice]
    return lines


def _codes_in_use(usage: "CodeUsage") -> str:
    perplexity = _range([f"{value:.1f}" for value in sorted(usage.perplexity)])
    each = "" if len(usage.used) == 1 else f" in each of {len(usage.used)} codebooks"
    return f"{_range(sorted(usage.used))} of {usage.codes} codes in use{each}, perplexity {perplexity}"


def _range(ascending: "Sequence[object]") -> str:
    first, last = ascending[0], ascending[-1]
    return str(first) if first == last else f"{first} to {last}"


def _number(estimate: "Estimate") -> str:
    return f"{estimate.mean:12.3f} ± {estimate.standard_error:.3f}"
