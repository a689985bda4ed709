"""What the numbers mean, in plain words, the worst news included."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vaekit.plots import ACTIVE_KL
from vaekit.report.numbers import advantage, count, estimate, main_result, number, times

if TYPE_CHECKING:
    from vaekit.evaluation import Evaluation
    from vaekit.training import History

__all__ = ["Finding", "judge"]

_FEWEST_SAMPLES, _LEAST_SHARE = 10, 0.05


@dataclass(frozen=True)
class Finding:
    """One thing to know, good or bad.

    Parameters
    ----------
    level
        How it is coloured; also said in words.
    title, text
        The point, and what it means.
    advice
        What to try.
    """

    level: Literal["good", "caution", "bad", "note"]
    title: str
    text: str
    advice: list[str] = field(default_factory=list)


def judge(
    history: "History", results: "dict[str, Evaluation]", kl_per_dimension: Sequence[float] | None
) -> list[Finding]:
    """Say how good the model is, first of all, and then what to be wary of.

    Parameters
    ----------
    history
        The training run.
    results
        Evaluations by split; empty where there was none.
    kl_per_dimension
        ``(latent,)`` in nats, or None where the KL does not fall apart.

    Returns
    -------
    list of Finding
    """
    result = main_result(results)
    findings = [_not_evaluated(history)] if result is None else [_comparison(result)]
    if result is not None and result.split == "train":
        findings.append(
            Finding(
                "caution",
                "These are training rows",
                "The numbers are from rows the model was trained on, so they flatter it.",
                ["Hold some rows out, or evaluate on a file the model has not seen."],
            )
        )
    if result is not None:
        findings += _estimate_quality(result)
    if kl_per_dimension is not None:
        findings += _collapse(kl_per_dimension)
    return findings + _training(history, evaluated=result is not None)


def _not_evaluated(history: "History") -> Finding:
    if history.stopped == "interrupted":
        title = "The run was interrupted: the model has not been evaluated"
        text = (
            f"It holds the weights of epoch {history.best_epoch}, the best of {len(history.epochs)} that were finished. "
            "There are no held-out numbers, so how good it is cannot be said."
        )
    else:
        title = "The model has not been evaluated"
        text = "There are no held-out numbers here, so how good it is cannot be said."
    return Finding("caution", title, text, ["Run vaekit evaluate on held-out rows, or fit again to the end."])


def _comparison(result: "Evaluation") -> Finding:
    numbers = f"{_PART.get(result.split, 'Average')} log-likelihood {estimate(result.log_likelihood)} nats per example"
    versus = advantage(result)
    if versus is None:
        return Finding(
            "note",
            numbers,
            f"Measured on {count(result.examples, 'row')}. There is no baseline to compare with, "
            "because the training rows were not at hand.",
        )
    difference = estimate((abs(versus.mean), versus.standard_error))
    if versus.outcome == "above":
        return Finding(
            "good",
            f"{numbers}, above the best baseline by {difference}",
            f"The model has learned something real. On average it gives a row it has never seen {times(versus.mean)} the "
            f"probability that the best textbook method does ({versus.baseline}), measured on "
            f"{count(result.examples, 'row')}.",
        )
    if versus.outcome == "below":
        return Finding(
            "bad",
            f"{numbers}, below the best baseline by {difference}",
            f"A textbook method ({versus.baseline}) describes these {count(result.examples, 'row')} better: on average it "
            f"gives a row {times(-versus.mean)} the probability that this model does. For scoring rows or "
            "generating new ones, use that method, or improve this model first.",
            _IMPROVE,
        )
    return Finding(
        "caution",
        f"{numbers}, level with the best baseline (difference {estimate((versus.mean, versus.standard_error))})",
        f"On {count(result.examples, 'row')} the model cannot be told apart from a textbook method "
        f"({versus.baseline}): the difference is within two standard errors.",
        _IMPROVE,
    )


_PART = {
    "test": "Held-out",
    "validation": "Validation",
    "train": "Training",
}

_IMPROVE = [
    "Train longer, or with a lower learning rate (--epochs 300, --learning-rate 3e-4).",
    "Give it more or fewer latent dimensions (--latent).",
    "With few rows, a smaller network (--network mlp:hidden=64); for images, --network convolutional.",
    "Look at the data for outliers and for columns that are not plain numbers.",
]


def _estimate_quality(result: "Evaluation") -> list[Finding]:
    size, samples = result.effective_sample_size, result.samples
    if size >= _FEWEST_SAMPLES and size >= _LEAST_SHARE * samples:
        return []
    return [
        Finding(
            "caution",
            "The log-likelihood is a loose lower bound",
            f"Of {count(samples, 'importance sample')} for each row, only {number(size, 1)} count on average (the effective sample "
            "size): the encoder does not point where the decoder's probability lies. The true log-likelihood is "
            "probably higher than the number shown; the comparison with the baselines errs against the model.",
            ["Evaluate with more samples (vaekit evaluate --samples 5000) and see whether the number still rises."],
        )
    ]


def _collapse(kl: Sequence[float]) -> list[Finding]:
    active, latent = sum(value > ACTIVE_KL for value in kl), len(kl)
    if active == 0:
        return [
            Finding(
                "bad",
                "Posterior collapse: no latent dimension is active",
                "The latent code carries no information about the data; the decoder ignores it. Latents, traversals and "
                "reconstructions of this model mean nothing.",
                [
                    "Fit with a smaller weight on the KL (--objective elbo:beta=0.5), or a lower learning rate.",
                    "Check that the columns have something in common: independent columns have no latent structure.",
                ],
            )
        ]
    if active == 1 < latent or active < 0.1 * latent:
        return [
            Finding(
                "caution",
                f"Nearly collapsed: only {active} of {count(latent, 'latent dimension')} active",
                f"The others carry less than {ACTIVE_KL:g} nat each and do nothing.",
                [
                    f"If that surprises you, train longer or more slowly; otherwise --latent {max(active, 1)} "
                    "describes the data as well."
                ],
            )
        ]
    return []


def _training(history: "History", *, evaluated: bool) -> list[Finding]:
    epochs = history.epochs
    if history.stopped == "interrupted" and evaluated:
        return [
            Finding(
                "caution",
                "The training run was interrupted",
                f"The model holds the best weights of {count(len(epochs), 'finished epoch')}; a full run may do better.",
            )
        ]
    validated = bool(epochs) and epochs[-1].validation_bound is not None
    if history.stopped == "epochs" and validated and history.best_epoch == epochs[-1].epoch and len(epochs) > 1:
        return [
            Finding(
                "note",
                "It was still getting better",
                "The last epoch was the best one: training ended because the epochs were used up.",
                [f"Train longer (--epochs {3 * len(epochs)})."],
            )
        ]
    return []
