"""The pictures of the page, in the order a reader needs them; each is there only if what it needs is."""

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Literal

from vaekit.plots import kl_per_dimension, latent_scatter, learning_curve, log_likelihood_comparison
from vaekit.report import image_sections, table_sections
from vaekit.report.drawing import drawn, theme
from vaekit.report.numbers import count, estimate
from vaekit.report.scene import Figure, Scene, Section

if TYPE_CHECKING:
    from vaekit.evaluation import Evaluation

__all__ = ["comparison_figure", "picture_sections"]


def comparison_figure(result: "Evaluation") -> Figure:
    """Draw the model's log-likelihood beside its baselines'."""
    rows = [(b.name, b.log_likelihood) for b in result.baselines if isfinite(b.log_likelihood.mean)]
    values = "; ".join(f"{name} {estimate(value)}" for name, value in rows)
    alt = f"Log-likelihood in nats per example: this model {estimate(result.log_likelihood)}; {values}."
    with theme():
        svg = drawn(log_likelihood_comparison(result.log_likelihood, rows), "comparison", alt)
    caption = (
        "The model (blue dot) and textbook methods fitted to the same training data (diamonds): further right is "
        "better; the bars reach two standard errors to each side."
    )
    if any(b.advantage is not None for b in result.baselines):
        caption += " The verdict is surer than the bars look: it compares example by example."
    return Figure(svg, caption)


def picture_sections(scene: Scene) -> list[Section]:
    """Draw everything that can be drawn."""
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
    "bound": "The bound that training raises. If the validation curve falls while the training curve still rises, "
    "the model has begun to learn by heart; the weights kept are those of the best epoch.",
    "reconstruction": "How probable examples are given their own latent code: higher is better.",
    "kl": "What that code costs: how far codes are from the prior. At 0 they would carry nothing.",
}

_CURVES_OF_LIKENESS: dict[Literal["bound", "reconstruction", "kl"], str] = {
    "bound": "What training raises: the likeness of reconstructions less the KL. It bounds no log-likelihood.",
    "reconstruction": "How alike examples are to what their own latent code decodes to: 0 is the same.",
}

_CURVES_WITHOUT_DENSITY: dict[Literal["bound", "reconstruction", "kl"], str] = {
    "bound": "What training raises: reconstruction less what the objective takes for irregular codes. A code without a "
    "density has no KL and no bound. The weights kept are those of the best epoch.",
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
        figures.append(Figure(drawn(ax, f"curve-{quantity}", alt), caption))
    return Section("training", "Training", figures)


def _latents(scene: Scene) -> Section | None:
    figures = []
    if scene.shown is not None and scene.has_places:
        z, labels = scene.estimator.transform(scene.shown), scene.shown.labels
        ax = latent_scatter(z, labels)
        rows = count(len(z), scene.noun)
        caption = (
            f"Where {rows} lie in latent space. Clusters are structure that the model has found."
            if labels is None
            else f"Where {rows} lie in latent space, coloured by a label. The model is told its condition, so "
            "what that explains need not show here."
            if scene.given is not None
            else f"Where {rows} lie in latent space, coloured by a label that was never trained on. Groups that "
            "come apart are structure that the model has found by itself."
        )
        alt = f"Latent means of {rows}: {ax.get_xlabel()} against {ax.get_ylabel()}."
        figures.append(Figure(drawn(ax, "latents", alt), caption))
    if scene.kl is not None and scene.has_shares:
        ax = kl_per_dimension(scene.kl)
        caption = (
            "How much each latent dimension tells about an example. Grey ones tell nothing: the model would be as good "
            "without them."
        )
        figures.append(Figure(drawn(ax, "kl", ax.get_title(loc="left") + "."), caption))
    return Section("latent", "Latent space", figures) if figures else None
