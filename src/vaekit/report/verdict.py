"""What the numbers mean, in plain words, the worst news included."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vaekit.plots import ACTIVE_KL
from vaekit.report.numbers import advantage, count, estimate, main_result, number, times

if TYPE_CHECKING:
    from vaekit.artifact import Artifact
    from vaekit.evaluation import Evaluation

__all__ = ["Finding", "judge"]

_FEWEST_SAMPLES, _LEAST_SHARE = 10, 0.05


@dataclass(frozen=True)
class Finding:
    """One thing to know, good or bad.

    Parameters
    ----------
    level
        How it is coloured; the page also says it in words.
    title, text
        The point, and what it means.
    advice
        What to try; code stands between back quotes.
    """

    level: Literal["good", "caution", "bad", "note"]
    title: str
    text: str
    advice: list[str] = field(default_factory=list)


def judge(
    artifact: "Artifact",
    results: "dict[str, Evaluation]",
    kl_per_dimension: Sequence[float] | None,
    *,
    noun: str = "row",
) -> list[Finding]:
    """Say first of all how good the model is, and then what to be wary of.

    Parameters
    ----------
    artifact
        Its settings and its training run.
    results
        Evaluations by split; empty where there was none.
    kl_per_dimension
        ``(latent,)`` in nats, or None where the KL does not fall apart.
    noun
        What one example is called.

    Returns
    -------
    list of Finding
    """
    result = main_result(results)
    if result is None:
        findings = [_not_evaluated(artifact)]
    else:
        findings = [_comparison(result, artifact, noun), *_estimate_quality(result, noun)]
        if result.split == "train":
            findings.append(_trained_on(noun))
        findings += [*_inexact_prior(result), *_codes(result)]
    if kl_per_dimension is not None and (result is None or result.code_usage is None):
        findings += _collapse(kl_per_dimension)
    return findings + _training(artifact, evaluated=result is not None)


def _not_evaluated(artifact: "Artifact") -> Finding:
    history = artifact.history
    if history.stopped != "interrupted" and not artifact.model.has_log_likelihood:
        text = (
            "Its likelihood scores images by how alike they are to their reconstructions. That is for training: it "
            "is no probability, so there is no log p(x), and nothing to compare with textbook methods. The bound that "
            "training raised is in units of that score, less the KL."
        )
        advice = (
            "Judge by the pictures below; for log-likelihoods fit with `--likelihood continuous-bernoulli`."
        )
        return Finding("note", "This model has no log-likelihood", text, [advice])
    title = "The model has not been evaluated"
    text = "There are no held-out numbers here, so how good it is cannot be said."
    if history.stopped == "interrupted":
        title = "The run was interrupted: the model has not been evaluated"
        epochs = count(len(history.epochs), "finished epoch")
        text = f"It holds the weights of epoch {history.best_epoch}, the best of {epochs}. {text}"
    advice = "Run `vaekit evaluate` on rows it was not trained on, or fit again to the end."
    return Finding("caution", title, text, [advice])


def _comparison(result: "Evaluation", artifact: "Artifact", noun: str) -> Finding:
    part = {"test": "Held-out", "validation": "Validation", "train": "Training"}.get(result.split, "Average")
    numbers = f"{part} log-likelihood {estimate(result.log_likelihood)} nats per example"
    examples, versus = count(result.examples, noun), advantage(result)
    if versus is None:
        text = (
            f"Measured on {examples}. There is no baseline to compare with, because the training {noun}s were not "
            "at hand."
        )
        return Finding("note", numbers, text)
    difference = estimate((abs(versus.mean), versus.standard_error))
    if versus.outcome == "above":
        text = (
            f"The model has learned something real: on average it gives {_AN[noun]} {times(versus.mean)} the "
            f"probability that the best textbook method, {versus.baseline}, does. Measured on {examples}."
        )
        return Finding("good", f"{numbers}, above the best baseline by {difference}", text)
    if versus.outcome == "below":
        text = (
            f"A textbook method, {versus.baseline}, describes these {examples} better: on average it gives {_AN[noun]} "
            f"{times(-versus.mean)} the probability that this model does. To score {noun}s or make new ones, use that "
            "method, or improve this model first."
        )
        title = f"{numbers}, below the best baseline by {difference}"
        return Finding("bad", title, text, _ways_to_improve(artifact))
    difference = estimate((versus.mean, versus.standard_error))
    text = (
        f"On {examples} the model cannot be told apart from a textbook method, {versus.baseline}: the difference is "
        "within two standard errors."
    )
    title = f"{numbers}, level with the best baseline (difference {difference})"
    return Finding("caution", title, text, _ways_to_improve(artifact))


_AN = {"row": "a row", "image": "an image"}


def _ways_to_improve(artifact: "Artifact") -> list[str]:
    settings = artifact.settings
    images = artifact.schema.kind == "images"
    patience = f" --patience {2 * settings.patience}" if settings.patience is not None else ""
    slower = f"--epochs {3 * settings.epochs}{patience} --learning-rate {settings.learning_rate / 3:.1g}"
    return [
        f"Train longer and more slowly: `{slower}`.",
        f"Try half and twice as many latent dimensions: `--latent {max(1, artifact.latent // 2)}`, "
        f"`--latent {2 * artifact.latent}`.",
        "Try `--network convolutional`, made for images."
        if images
        else "With few rows, try a smaller network, or a linear one: `--network mlp:hidden=32`, "
        "`--network mlp:hidden=none`.",
    ]


def _inexact_prior(result: "Evaluation") -> list[Finding]:
    if result.prior_samples is None:
        return []
    text = (
        "The prior is the marginal of a second autoencoder, and its log p(z) is known as an estimate from "
        f"{count(result.prior_samples, 'importance sample')}, whose mean lies below the truth. The log-likelihood and "
        "the ELBO shown lie below the model's own, and the comparison with the baselines errs against it."
    )
    return [
        Finding(
            "note", "The prior's density is a lower bound", text, ["More: `--prior two-stage:samples=256`."]
        )
    ]


def _estimate_quality(result: "Evaluation", noun: str) -> list[Finding]:
    if result.point_posterior:
        text = (
            f"The posterior is a single tuple of codes for each {noun}, so all importance samples are the same. The "
            "number shown is log p(x|z) + log p(z) of that tuple alone; others add to the true log-likelihood, and the "
            "comparison with the baselines errs against the model."
        )
        advice = "A prior that learns the codes costs less: `--prior autoregressive`, `categorical:masses=learned`."
        return [Finding("note", "The log-likelihood shown is a lower bound, the ELBO", text, [advice])]
    size, samples = result.effective_sample_size, result.samples
    if size >= _FEWEST_SAMPLES and size >= _LEAST_SHARE * samples:
        return []
    text = (
        f"Of {count(samples, 'importance sample')} for each {noun}, only {number(size, 1)} count on average (the "
        "effective sample size). The true log-likelihood is probably higher than the number shown, and the "
        "comparison with the baselines errs against the model."
    )
    more = f"vaekit evaluate --samples {25 * samples}"
    advice = f"Evaluate with more samples and see whether the number still rises: `{more}`."
    return [Finding("caution", "The log-likelihood is a loose lower bound", text, [advice])]


def _trained_on(noun: str) -> Finding:
    return Finding(
        "caution",
        f"These numbers are from {noun}s the model was trained on",
        "They flatter it.",
        ["Evaluate on data that it has not seen: `vaekit evaluate`."],
    )


def _codes(result: "Evaluation") -> list[Finding]:
    """Say how many codes are in use, where latents are codes."""
    usage = result.code_usage
    if usage is None:
        return []
    least, most = min(usage.perplexity), max(usage.perplexity)
    one = len(usage.perplexity) == 1
    found = f"{number(least, 1)}" if one else f"{number(least, 1)} to {number(most, 1)}"
    many = "" if one else f" in each of {len(usage.perplexity)} codebooks"
    text = (
        f"Perplexity is the number of codes that are in use in effect: 1 where all examples have the same, "
        f"{usage.codes:,} where all codes are used alike."
    )
    title = f"Codes in use: perplexity {found} of {usage.codes:,}{many}"
    if not usage.collapsed:
        return [Finding("note", title, text)]
    advice = [
        "Give fewer codes (`codes=`, `categories=`), or lower the learning rate.",
        "A quantised posterior: revive dead codes sooner (`revive=20`). A categorical one: `temperature=1`.",
    ]
    return [
        Finding("caution", f"Codes have collapsed: perplexity {found} of {usage.codes:,}{many}", text, advice)
    ]


def _collapse(kl: Sequence[float]) -> list[Finding]:
    active, latent = sum(value > ACTIVE_KL for value in kl), len(kl)
    if active == 0:
        text = (
            "The latent code tells nothing about the data; the decoder does without it. Latents, traversals and "
            "reconstructions of this model mean nothing."
        )
        advice = [
            "Give the KL less weight (`--objective elbo:beta=0.5`), or lower the learning rate.",
            "Look whether the columns have anything in common: where they are independent there is nothing to find.",
        ]
        return [Finding("bad", "Posterior collapse: no latent dimension is active", text, advice)]
    if active == 1 < latent or active < 0.1 * latent:
        title = f"Nearly collapsed: only {active} of {latent} latent dimensions are active"
        text = f"The others carry less than {ACTIVE_KL:g} nat each and do nothing."
        advice = (
            f"If that surprises you, train longer or more slowly; if not, `--latent {active}` does as well."
        )
        return [Finding("caution", title, text, [advice])]
    return []


def _training(artifact: "Artifact", *, evaluated: bool) -> list[Finding]:
    history = artifact.history
    epochs = history.epochs
    if history.stopped == "interrupted" and evaluated:
        text = (
            f"It holds the best weights of {count(len(epochs), 'finished epoch')}; a full run may do better."
        )
        return [Finding("caution", "The training run was interrupted", text)]
    # Under a schedule that ends at zero, the last epoch is meant to be the best.
    constant = artifact.settings.schedule == "constant"
    validated = constant and len(epochs) > 1 and epochs[-1].validation_bound is not None
    if history.stopped == "epochs" and validated and history.best_epoch == epochs[-1].epoch:
        text = "The last epoch was the best: training ended because the epochs were used up."
        advice = f"Train longer: `--epochs {3 * artifact.settings.epochs}`."
        return [Finding("note", "It was still getting better", text, [advice])]
    return []
