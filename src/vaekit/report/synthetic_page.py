"""The page about a synthetic table: verdict, figures beside those of real rows, and the columns that betray it."""

from typing import TYPE_CHECKING

import numpy as np

from vaekit.jobs.comparison.compared_tables import ComparedColumn, compare_tables
from vaekit.jobs.comparison.synthetic_figures import NO_GUARANTEE
from vaekit.plots import category_shares, marginal_histogram
from vaekit.report.drawing import drawn_panel, panel, theme
from vaekit.report.numbers import count, number
from vaekit.report.page_templates import page_templates
from vaekit.report.scene import Picture
from vaekit.report.verdict import Notice
from vaekit.runtime.surroundings import usual_surroundings

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from vaekit.jobs import Figure, SyntheticReport

__all__ = ["render_synthetic_report"]

_PANELS = 12
_LISTED = 20  # columns in the table
_CLOSE, _FAR = 0.55, 0.7  # AUROC of telling apart, at most, for rows that are good and fair
_ERRORS = 3  # standard errors above real rows that are no chance


@usual_surroundings()
def render_synthetic_report(
    report: "SyntheticReport", train: "pandas.DataFrame", synthetic: "pandas.DataFrame", *, name: str
) -> str:
    """Return one self-contained HTML page about a synthetic table, without scripts and without files to load.

    Parameters
    ----------
    report
        What :func:`vaekit.jobs.report_synthetic` has found.
    train, synthetic
        The rows to draw: of the training table and of the synthetic one.
    name
        The name of the data.

    Returns
    -------
    str
        The page, as HTML. The same arguments give the same page.
    """
    with theme():
        pictures = _pictures(report, train, synthetic)
    return (
        page_templates()
        .get_template("synthetic.html.jinja")
        .render(
            name=name,
            rows=dict(zip(("training", "held_out", "synthetic"), report.rows, strict=True)),
            notices=_notices(report),
            figures=report.figures,
            columns=report.columns[:_LISTED],
            left=max(len(report.columns) - _LISTED, 0),
            holes=any(column.missing or column.real_missing for column in report.columns),
            pairs=report.pairs,
            pictures=pictures,
            number=number,
            guarantee=NO_GUARANTEE,
        )
    )


def _notices(report: "SyntheticReport") -> list[Notice]:
    """Return the verdict: on likeness, on usefulness, on traces of the training rows, and what else is to be said."""
    found = {figure.key: figure for figure in report.figures}
    notices = [_likeness(found["c2st"], report), *_usefulness(found), _traces(found)]
    notices += [Notice("note", "Note", f"{note[:1].upper()}{note[1:]}.") for note in report.notes]
    return [*notices, Notice("note", "No formal privacy guarantee", NO_GUARANTEE)]


def _likeness(figure: "Figure", report: "SyntheticReport") -> Notice:
    if figure.synthetic is None:
        return Notice(
            "note",
            "Too few rows to tell how good the table is",
            "Make more rows, or hold out more real ones.",
        )
    told = figure.written(figure.synthetic, figure.synthetic_error)
    beside = (
        "" if figure.real is None else f", and real rows at {figure.written(figure.real, figure.real_error)}"
    )
    text = (
        f"Boosted trees that see {figure.rows:,} rows of each kind rank a synthetic row above a real one in {told} of "
        f"cases (an AUROC; 0.5 is chance){beside}."
    )
    advice = [
        f"`{column.name}` betrays the rows: "
        + " and ".join(
            [f"without it the AUROC is {number(max(column.drop or 0.0, 0.0), 3)} less"]
            * (column.drop is not None)
            + [f"by itself it has {number(column.alone, 3)}"] * (column.alone is not None)
        )
        for column in report.betrayers()[:3]
    ]
    if figure.synthetic <= max(_CLOSE, 0.5 + 2 * (figure.synthetic_error or 0.0)):
        return Notice("good", "Trees can hardly tell the rows from real ones", text, advice)
    if figure.synthetic <= _FAR:
        return Notice("caution", "Trees can tell many rows from real ones", text, advice)
    return Notice("bad", "Trees tell the rows from real ones", text, advice)


def _usefulness(found: "dict[str, Figure]") -> list[Notice]:
    figure = found.get("auroc") or found.get("r_squared")
    if figure is None or figure.synthetic is None or figure.real is None:
        return []
    lost = figure.real - figure.synthetic
    level, title = (
        ("good", "As useful for prediction as real rows, or nearly")
        if lost <= 0.02
        else ("caution", "Less useful for prediction than real rows")
        if lost <= 0.1
        else ("bad", "Of little use for prediction")
    )
    text = (
        f"{figure.name[:1].upper()}{figure.name[1:]}, tested on real rows: {figure.written(figure.synthetic, None)}; "
        f"trained on as many real rows: {figure.written(figure.real, None)}."
    )
    return [Notice(level, title, text)]


def _traces(found: "dict[str, Figure]") -> Notice:
    """Say whether the rows keep closer to the training rows than real ones do."""
    asked = [found[key] for key in ("nearest_record_share", "copies", "membership") if key in found]
    asked = [figure for figure in asked if figure.synthetic is not None and figure.real is not None]
    if not asked:
        return Notice(
            "note",
            "Traces of the training rows were not looked for",
            "There are no held-out rows to compare with.",
        )
    over = [
        figure
        for figure in asked
        if (figure.synthetic or 0.0) - (figure.real or 0.0)
        > _ERRORS * float(np.hypot(figure.synthetic_error or 0.0, figure.real_error or 0.0)) + 1e-9
    ]
    told = "; ".join(
        f"{figure.name}: {figure.written(figure.synthetic, figure.synthetic_error)}, "
        f"real rows {figure.written(figure.real, figure.real_error)}"
        for figure in over or asked
    )
    if over:
        return Notice(
            "caution",
            "The table keeps closer to the training rows than real rows do",
            f"{told[:1].upper()}{told[1:]}.",
        )
    return Notice(
        "good", "No more traces of the training rows than real rows show", f"{told[:1].upper()}{told[1:]}."
    )


def _pictures(
    report: "SyntheticReport", train: "pandas.DataFrame", synthetic: "pandas.DataFrame"
) -> list[Picture]:
    """Draw the columns, those first that betray the rows."""
    tables = compare_tables(train, train.iloc[:0], synthetic)
    places = {column.name: j for j, column in enumerate(tables.columns)}
    pictures = list[Picture]()
    for column in report.columns[:_PANELS]:
        j = places[column.name]
        real, made = (x[~np.isnan(x[:, j]), j] for x in (tables.train, tables.synthetic))
        if len(real) == 0 or len(made) == 0:
            continue
        ax = _panel(tables.columns[j], real, made)
        alt = (
            f"{column.name} in {count(len(real), 'training row')} and in {count(len(made), 'synthetic row')}."
        )
        pictures.append(Picture(drawn_panel(ax, f"column-{j}", alt), f"alike {number(column.similarity, 3)}"))
    return pictures


def _panel(column: ComparedColumn, real: np.ndarray, made: np.ndarray) -> "Axes":
    if column.categories is None:
        name = f"{column.name} (year)" if column.date else column.name
        return marginal_histogram(real, made, name=name, ax=panel())
    return category_shares(real, made, column.categories, name=column.name, ax=panel())
