"""The page of the report: the template filled with verdict, numbers and pictures."""

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Literal

import numpy as np

import vaekit.report.image_sections as image_sections
import vaekit.report.table_sections as table_sections
from vaekit.plots import kl_per_dimension, latent_scatter, learning_curve, log_likelihood_comparison
from vaekit.report.doctor_page import quick_checks
from vaekit.report.drawing import drawn, theme
from vaekit.report.numbers import count, estimate, main_result, number_rows
from vaekit.report.page_templates import page_templates
from vaekit.report.provenance import command, data_name, facts, parts
from vaekit.report.scene import Picture, Scene, Section
from vaekit.report.verdict import judge
from vaekit.runtime.surroundings import usual_surroundings

if TYPE_CHECKING:
    from vaekit.artifact import Artifact
    from vaekit.data import Dataset
    from vaekit.estimator import VariationalAutoencoder
    from vaekit.evaluation import Evaluation

__all__ = ["render_report"]


@usual_surroundings()
def render_report(
    estimator: "VariationalAutoencoder",
    artifact: "Artifact",
    shown: "Dataset | None",
    results: "dict[str, Evaluation]",
) -> str:
    """Return one self-contained HTML page, without scripts and without files to load.

    The same arguments give the same page.

    Parameters
    ----------
    estimator
        The fitted model.
    artifact
        The artifact of the model: settings, history, and the source of the data.
    shown
        Held-out rows to draw, in the units of the data, with labels where there are any. With None, pictures that
        need rows are left out, and the page says so.
    results
        Evaluations by the name of the split. If there are none, the page says so.

    Returns
    -------
    str
        The page, as HTML.
    """
    result = main_result(results)
    kl = _kl_per_dimension(estimator, result)
    scene = Scene.of(estimator, shown, kl)
    return (
        page_templates()
        .get_template("report.html.jinja")
        .render(
            name=data_name(artifact, shown),
            latent=artifact.latent,
            noun=scene.noun,
            parts=parts(artifact),
            notices=judge(artifact, results, kl, noun=scene.noun),
            has_log_likelihood=artifact.model.has_log_likelihood,
            splits=list(results.values()),
            rows=number_rows(results, noun=scene.noun) if results else [],
            comparison=_comparison(result) if result is not None and result.baselines else None,
            sections=_sections(scene),
            checks=quick_checks(estimator, shown),
            rows_shown=scene.shown is not None,
            facts=facts(estimator, artifact, shown),
            command=command(artifact),
        )
    )


def _kl_per_dimension(estimator: "VariationalAutoencoder", result: "Evaluation | None") -> list[float] | None:
    """Return the KL of each latent dimension, from the evaluation or else from the best epoch."""
    if result is not None:
        return result.kl_per_dimension
    best = [
        metrics for metrics in estimator.history_.epochs if metrics.epoch == estimator.history_.best_epoch
    ]
    return best[0].kl_per_dimension if best else None


def _comparison(result: "Evaluation") -> Picture:
    """Draw the log-likelihoods of the model and its baselines."""
    rows = [(b.name, b.log_likelihood) for b in result.baselines if isfinite(b.log_likelihood.mean)]
    values = "; ".join(f"{name} {estimate(value)}" for name, value in rows)
    alt = f"Log-likelihood in nats per example: this model {estimate(result.log_likelihood)}; {values}."
    with theme():
        svg = drawn(log_likelihood_comparison(result.log_likelihood, rows), "comparison", alt)
    caption = (
        "The model (blue dot) and simple methods fitted to the same training data (diamonds). Further "
        "right is better. The bars extend two standard errors to each side."
    )
    if any(b.advantage is not None for b in result.baselines):
        caption += (
            " The verdict is more certain than the bars suggest, because it compares example by example."
        )
    return Picture(svg, caption)


def _sections(scene: Scene) -> list[Section]:
    """Draw the pictures of the page, in order; a section without the data it needs is left out."""
    of_images = [
        image_sections.reconstructions,
        image_sections.samples,
        image_sections.samples_by_category,
        image_sections.walks,
    ]
    of_tables = [table_sections.reconstructions, table_sections.marginals, table_sections.effects]
    makers: list[Callable[[Scene], Section | None]] = [
        _curves,
        *(of_images if scene.images else of_tables),
        _latents,
    ]
    with theme():
        sections = [make(scene) for make in makers]
    return [section for section in sections if section is not None]


_CURVES: dict[Literal["bound", "reconstruction", "kl"], str] = {
    "bound": "The bound that training maximises. If the validation curve falls while the training curve still rises, "
    "the model has begun to memorise the training data. The weights of the best epoch are kept.",
    "reconstruction": "How probable examples are given their own latent code: higher is better.",
    "kl": "The cost of the code: its distance from the prior. At 0 the code carries no information.",
}

_CURVES_OF_LIKENESS: dict[Literal["bound", "reconstruction", "kl"], str] = {
    "bound": "The objective that training maximises: the similarity of reconstructions minus the KL. It is not a "
    "bound on a log-likelihood.",
    "reconstruction": "How similar examples are to their reconstructions: 0 means identical.",
}

_CURVES_WITHOUT_DENSITY: dict[Literal["bound", "reconstruction", "kl"], str] = {
    "bound": "The objective that training maximises: the reconstruction term minus a penalty on the codes. A code "
    "without a density has no KL and no bound. The weights of the best epoch are kept.",
    "reconstruction": _CURVES["reconstruction"],
}


def _curves(scene: Scene) -> Section | None:
    history = scene.estimator.history_
    if not history.epochs:
        return None
    figures = []
    model = scene.estimator.model_
    captions = _CURVES if model.has_density else _CURVES_WITHOUT_DENSITY
    if not model.has_log_likelihood:
        captions = captions | _CURVES_OF_LIKENESS
    for quantity, caption in captions.items():
        ax = learning_curve(history, quantity=quantity)
        if quantity == "bound" and not (model.has_density and model.has_log_likelihood):
            ax.set_ylabel("objective (nats per example)")
        alt = f"{ax.get_ylabel()} by epoch; the best epoch is {history.best_epoch} of {len(history.epochs)}."
        figures.append(Picture(drawn(ax, f"curve-{quantity}", alt), caption))
    return Section("training", "Training", figures)


def _latents(scene: Scene) -> Section | None:
    figures = []
    if scene.shown is not None and scene.has_places:
        z, labels = np.asarray(scene.estimator.transform(scene.shown)), scene.shown.labels
        ax = latent_scatter(z, labels)
        rows = count(len(z), scene.noun)
        caption = (
            f"{rows} in latent space. Clusters are structure that the model has found."
            if labels is None
            else f"{rows} in latent space, coloured by a label. The model is given a condition, so differences that "
            "the condition explains may not show here."
            if scene.given is not None
            else f"{rows} in latent space, coloured by a label that was not used in training. Separate groups are "
            "structure that the model has found by itself."
        )
        alt = f"Latent means of {rows}: {ax.get_xlabel()} against {ax.get_ylabel()}."
        figures.append(Picture(drawn(ax, "latents", alt), caption))
    if scene.kl is not None and scene.has_shares:
        ax = kl_per_dimension(scene.kl)
        caption = (
            "The information that each latent dimension carries about an example. Grey dimensions carry none: "
            "the model would be as good without them."
        )
        figures.append(Picture(drawn(ax, "kl", ax.get_title(loc="left") + "."), caption))
    return Section("latent", "Latent space", figures) if figures else None
