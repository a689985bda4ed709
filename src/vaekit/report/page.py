"""The page: gathers what is to be said and drawn, and fills the template."""

import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from vaekit.report.numbers import main_result, number_rows
from vaekit.report.provenance import command, data_name, facts, parts
from vaekit.report.scene import Scene
from vaekit.report.sections import comparison_figure, picture_sections
from vaekit.report.verdict import judge

if TYPE_CHECKING:
    from vaekit.artifact import Artifact
    from vaekit.data import Dataset
    from vaekit.estimator import VariationalAutoencoder
    from vaekit.evaluation import Evaluation

__all__ = ["render_report"]


def render_report(
    estimator: "VariationalAutoencoder",
    artifact: "Artifact",
    shown: "Dataset | None",
    results: "dict[str, Evaluation]",
) -> str:
    """Render one self-contained HTML page: no script, and nothing loaded from anywhere.

    The same arguments give the same page.

    Parameters
    ----------
    estimator
        Fitted.
    artifact
        What is saved of it: settings, history, where the data came from.
    shown
        Held-out rows to draw, in the units of the data, with labels where there are any. None: what needs rows is
        left out, and the page says so.
    results
        Evaluations by the name of the split; may be empty, and the page says so.

    Returns
    -------
    str
        HTML.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    result = main_result(results)
    kl = _kl_per_dimension(estimator, result)
    scene = Scene.of(estimator, shown, kl)
    environment = Environment(
        loader=PackageLoader("vaekit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    return environment.get_template("report.html.jinja").render(
        name=data_name(artifact, shown),
        latent=artifact.latent,
        noun=scene.noun,
        parts=parts(artifact),
        findings=judge(artifact, results, kl, noun=scene.noun),
        has_log_likelihood=artifact.model.has_log_likelihood,
        splits=list(results.values()),
        rows=number_rows(results, noun=scene.noun) if results else [],
        comparison=comparison_figure(result) if result is not None and result.baselines else None,
        sections=picture_sections(scene),
        rows_shown=scene.shown is not None,
        facts=facts(estimator, artifact, shown),
        command=command(artifact),
    )


def _code(text: str) -> Markup:
    """Set what stands between back quotes as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _kl_per_dimension(estimator: "VariationalAutoencoder", result: "Evaluation | None") -> list[float] | None:
    """The evaluation's, or else the best epoch's."""
    if result is not None:
        return result.kl_per_dimension
    best = [
        metrics for metrics in estimator.history_.epochs if metrics.epoch == estimator.history_.best_epoch
    ]
    return best[0].kl_per_dimension if best else None
