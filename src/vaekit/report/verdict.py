"""The verdict on a model in plain words, and the warnings about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vaekit.plots import ACTIVE_KL
from vaekit.report.numbers import advantage, count, estimate, main_result, number, times

if TYPE_CHECKING:
    from vaekit.artifact import Artifact
    from vaekit.evaluation import Evaluation
    from vaekit.sentence import Spec

__all__ = ["Notice", "collapse", "judge"]

_FEWEST_SAMPLES, _LEAST_SHARE = 10, 0.05


@dataclass(frozen=True)
class Notice:
    """One statement about the model, good or bad.

    Parameters
    ----------
    level
        How good or bad it is; this sets its colour, and the page also says it in words.
    title, text
        The statement, and its meaning.
    advice
        Things to try; code stands between back quotes.
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
) -> list[Notice]:
    """Return the verdict on the model, and then the warnings about it.

    Parameters
    ----------
    artifact
        The model's settings and training run.
    results
        Evaluations by the name of the split; empty if there were none.
    kl_per_dimension
        ``(latent,)`` in nats, or None if the KL is not a sum over dimensions.
    noun
        The word for one example.

    Returns
    -------
    list of Notice
    """
    result = main_result(results)
    if result is None:
        notices = [_not_evaluated(artifact)]
    else:
        notices = [_comparison(result, artifact, noun), *_estimate_quality(result, noun)]
        if result.split == "train":
            notices.append(_trained_on(noun))
        notices += [*_inexact_prior(result, artifact.sentence.prior), *_codes(result)]
    if kl_per_dimension is not None and (result is None or result.code_usage is None):
        notices += collapse(kl_per_dimension)
    return notices + _training(artifact, evaluated=result is not None)


def _not_evaluated(artifact: "Artifact") -> Notice:
    history = artifact.history
    if history.stopped != "interrupted" and not artifact.model.has_log_likelihood:
        text = (
            "Its likelihood scores images by how similar they are to their reconstructions. This score is "
            "useful for training but is not a probability, so there is no log p(x), and no comparison with "
            "simple methods. The objective that training maximised is this score minus the KL."
        )
        advice = (
            "Judge by the pictures below. For log-likelihoods, fit with `--likelihood continuous-bernoulli`."
        )
        return Notice("note", "This model has no log-likelihood", text, [advice])
    title = "The model has not been evaluated"
    text = "There are no held-out numbers, so it is unknown how good the model is."
    if history.stopped == "interrupted":
        title = "The run was interrupted: the model has not been evaluated"
        epochs = count(len(history.epochs), "finished epoch")
        text = f"It holds the weights of epoch {history.best_epoch}, the best of {epochs}. {text}"
    advice = "Run `vaekit evaluate` on rows that were not used in training, or fit again to the end."
    return Notice("caution", title, text, [advice])


def _comparison(result: "Evaluation", artifact: "Artifact", noun: str) -> Notice:
    part = {"test": "Held-out", "validation": "Validation", "train": "Training"}.get(result.split, "Average")
    numbers = f"{part} log-likelihood {estimate(result.log_likelihood)} nats per example"
    examples, versus = count(result.examples, noun), advantage(result)
    if versus is None:
        text = (
            f"Measured on {examples}. There is no baseline to compare with, because the training {noun}s were "
            "not available."
        )
        return Notice("note", numbers, text)
    difference = estimate((abs(versus.mean), versus.standard_error))
    best = f"the best of these baselines: {versus.baseline}"
    if versus.outcome == "above":
        text = (
            f"The model has learned structure that simple methods miss: on average, it gives {_AN[noun]} "
            f"{times(versus.mean)} the probability under {best}. Measured on {examples}."
        )
        return Notice("good", f"{numbers}, above the best baseline by {difference}", text)
    if versus.outcome == "below":
        text = (
            f"A simple method describes these {examples} better. On average, {_AN[noun]} has {times(-versus.mean)} the "
            f"probability that this model gives it under {best}. To score {noun}s or to make new ones, use that "
            "method, or improve this model first."
        )
        title = f"{numbers}, below the best baseline by {difference}"
        return Notice("bad", title, text, _ways_to_improve(artifact))
    difference = estimate((versus.mean, versus.standard_error))
    text = (
        f"On {examples}, there is no clear difference between the model and {best}. The difference is within two "
        "standard errors."
    )
    title = f"{numbers}, level with the best baseline (difference {difference})"
    return Notice("caution", title, text, _ways_to_improve(artifact))


_AN = {"row": "a row", "image": "an image"}


def _ways_to_improve(artifact: "Artifact") -> list[str]:
    settings = artifact.settings
    images = artifact.schema.kind == "images"
    patience = f" --patience {2 * settings.patience}" if settings.patience is not None else ""
    slower = f"--epochs {3 * settings.epochs}{patience} --learning-rate {settings.learning_rate / 3:.1g}"
    return [
        f"Train longer and more slowly: `{slower}`.",
        f"Try half and twice as many latent dimensions: `--latent {max(1, artifact.latent // 2)}`, `--latent "
        f"{2 * artifact.latent}`.",
        "Try `--network convolutional`, which is made for images."
        if images
        else "With few rows, try a smaller network, or a linear one: `--network mlp:hidden=32`, "
        "`--network mlp:hidden=none`.",
    ]


def _inexact_prior(result: "Evaluation", prior: "Spec") -> list[Notice]:
    samples = result.prior_samples
    if samples is None:
        return []
    text = (
        f"The density of the prior, {prior.kind}, is an integral, and its log p(z) is estimated from "
        f"{count(samples, 'importance sample')}, which on average gives too low a value. So the "
        "log-likelihood and the ELBO shown are below the true ones, and the comparison with the baselines errs "
        "against the model."
    )
    advice = [f"Use more samples: `--prior {prior.kind}:samples={8 * samples}`."]
    return [
        Notice(
            "note",
            "The prior's density is a lower bound",
            text,
            advice if "samples" in prior.options else [],
        )
    ]


def _estimate_quality(result: "Evaluation", noun: str) -> list[Notice]:
    if result.point_posterior:
        text = (
            f"The posterior gives each {noun} a single tuple of codes, so all importance samples are the same. "
            "The number shown is log p(x|z) + log p(z) of that tuple alone. Other tuples add to the true "
            "log-likelihood, so the comparison with the baselines errs against the model."
        )
        advice = (
            "A prior that learns the codes raises the bound: `--prior autoregressive` or "
            "`--prior categorical:masses=learned`."
        )
        return [Notice("note", "The log-likelihood shown is a lower bound, the ELBO", text, [advice])]
    size, samples = result.effective_sample_size, result.samples
    if size >= _FEWEST_SAMPLES and size >= _LEAST_SHARE * samples:
        return []
    text = (
        f"Of the {count(samples, 'importance sample')} for each {noun}, only {number(size, 1)} contribute on "
        "average (the effective sample size). The true log-likelihood is probably higher than the number "
        "shown, and the comparison with the baselines errs against the model."
    )
    more = f"vaekit evaluate --samples {25 * samples}"
    advice = f"Evaluate with more samples to see whether the number still rises: `{more}`."
    return [Notice("caution", "The log-likelihood is a loose lower bound", text, [advice])]


def _trained_on(noun: str) -> Notice:
    return Notice(
        "caution",
        f"These numbers are from {noun}s the model was trained on",
        "The model looks better on them than it is.",
        ["Evaluate on data that it has not seen: `vaekit evaluate`."],
    )


def _codes(result: "Evaluation") -> list[Notice]:
    """Return how many codes are in use, if latents are codes."""
    usage = result.code_usage
    if usage is None:
        return []
    least, most = min(usage.perplexity), max(usage.perplexity)
    one = len(usage.perplexity) == 1
    found = f"{number(least, 1)}" if one else f"{number(least, 1)} to {number(most, 1)}"
    many = "" if one else f" in each of {len(usage.perplexity)} codebooks"
    text = (
        "Perplexity is the effective number of codes in use: 1 if all examples have the same code, "
        f"{usage.codes:,} if all codes are used equally often."
    )
    title = f"Codes in use: perplexity {found} of {usage.codes:,}{many}"
    if not usage.collapsed:
        return [Notice("note", title, text)]
    advice = [
        "Use fewer codes (`codes=`, `categories=`), or lower the learning rate.",
        "With a quantised posterior, revive unused codes sooner: `revive=20`.",
        "With a categorical posterior, try `temperature=1`.",
    ]
    return [
        Notice("caution", f"Codes have collapsed: perplexity {found} of {usage.codes:,}{many}", text, advice)
    ]


def collapse(kl: Sequence[float]) -> list[Notice]:
    """Return a warning where hardly any latent dimension carries information, given the mean KL of each in nats.

    >>> [notice.title for notice in collapse([0.0, 0.0, 2.0])], collapse([1.0, 2.0])
    (['Nearly collapsed: only 1 of 3 latent dimensions is active'], [])
    """
    active, latent = sum(value > ACTIVE_KL for value in kl), len(kl)
    if active == 0:
        text = (
            "The latent code carries no information about the data, and the decoder ignores it. Latents, "
            "traversals and reconstructions of this model are meaningless."
        )
        advice = [
            "Give the KL less weight (`--objective elbo:beta=0.5`), or lower the learning rate.",
            "Check whether the columns depend on each other: if they are independent, there is nothing to find.",
        ]
        return [Notice("bad", "Posterior collapse: no latent dimension is active", text, advice)]
    if active == 1 < latent or active < 0.1 * latent:
        title = f"Nearly collapsed: only {active} of {latent} latent dimensions {'is' if active == 1 else 'are'} active"
        text = f"The others carry less than {ACTIVE_KL:g} nat each and have no effect."
        advice = (
            f"If this is unexpected, train longer or more slowly; if not, `--latent {active}` is as good."
        )
        return [Notice("caution", title, text, [advice])]
    return []


def _training(artifact: "Artifact", *, evaluated: bool) -> list[Notice]:
    history = artifact.history
    epochs = history.epochs
    if history.stopped == "interrupted" and evaluated:
        text = (
            f"It holds the best weights of {count(len(epochs), 'finished epoch')}; a full run may be better."
        )
        return [Notice("caution", "The training run was interrupted", text)]
    # Under a schedule that ends at zero, the last epoch is meant to be the best.
    constant = artifact.settings.schedule == "constant"
    validated = constant and len(epochs) > 1 and epochs[-1].validation_bound is not None
    if history.stopped == "epochs" and validated and history.best_epoch == epochs[-1].epoch:
        text = "The last epoch was the best: training ended only because all epochs were done."
        advice = f"Train longer: `--epochs {3 * artifact.settings.epochs}`."
        return [Notice("note", "It was still getting better", text, [advice])]
    return []
