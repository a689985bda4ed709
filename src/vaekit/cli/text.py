"""Results as lines of text."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vaekit.evaluation import CodeUsage, Estimate, Evaluation

__all__ = ["NO_LOG_LIKELIHOOD", "evaluation_lines"]

NO_LOG_LIKELIHOOD = (
    "evaluation   none: this likelihood scores images by their likeness, for training alone, and has no\n"
    "             log-likelihood"
)


def evaluation_lines(evaluation: "Evaluation") -> list[str]:
    """Say an evaluation in lines: the model's numbers, then the baselines'."""
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
    lines.append(
        f"  log-likelihood by importance sampling, {evaluation.samples} samples an example; effective sample "
        f"size {evaluation.effective_sample_size:.1f} on average, {evaluation.smallest_effective_sample_size:.1f} "
        "at the least"
    )
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


def _codes_in_use(usage: "CodeUsage") -> str:
    perplexity = _range([f"{value:.1f}" for value in sorted(usage.perplexity)])
    each = "" if len(usage.used) == 1 else f" in each of {len(usage.used)} codebooks"
    return f"{_range(sorted(usage.used))} of {usage.codes} codes in use{each}, perplexity {perplexity}"


def _range(ascending: "Sequence[object]") -> str:
    first, last = ascending[0], ascending[-1]
    return str(first) if first == last else f"{first} to {last}"


def _number(estimate: "Estimate") -> str:
    return f"{estimate.mean:12.3f} ± {estimate.standard_error:.3f}"
