"""Figures as inline SVG that follows the page: its font, its light or dark colours."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from markupsafe import Markup

from vaekit.plots.canvas import MODEL, MUTED, OTHER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["drawn", "panel", "theme"]

# Colours that stand for the page's own: each becomes a CSS variable, which differs between light and dark.
_INK, _PAPER, _LINE = "#1c2127", "#fefefd", "#d5dadf"
_VARIABLES = {
    _INK: "var(--ink)",
    _PAPER: "var(--card)",
    _LINE: "var(--line)",
    MODEL: "var(--model)",
    OTHER: "var(--other)",
    MUTED: "var(--muted)",
}
_STYLE = {
    "axes.edgecolor": _INK,
    "axes.facecolor": _PAPER,
    "axes.labelcolor": _INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.7,
    "axes.titlesize": 10,
    "figure.dpi": 72,
    "font.size": 9.5,
    "grid.color": _LINE,
    "grid.alpha": 1.0,
    "legend.labelcolor": _INK,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "xtick.labelsize": 9,
    "ytick.color": _INK,
    "ytick.labelsize": 9,
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw in the report's style, whatever the user's, and put matplotlib's settings back afterwards."""
    import matplotlib.style

    with warnings.catch_warnings():
        # Names in scripts that the measuring font lacks: the reader's browser has a font that draws them.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        warnings.filterwarnings(
            "ignore", message="Matplotlib currently does not support", category=UserWarning
        )
        with matplotlib.style.context(["default", _STYLE]):
            yield


def panel() -> "Axes":
    """Return the Axes of a little figure with fixed margins: many of them must not take long."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6, 1.9))
    figure.subplots_adjust(left=0.22, right=0.97, bottom=0.25, top=0.96)
    return figure.add_subplot()


def drawn(ax: "Axes", key: str, alt: str) -> Markup:
    """Turn a figure into inline SVG.

    Parameters
    ----------
    ax
        Any Axes of the figure, drawn under :func:`theme`.
    key
        Unique on the page: it keeps the identifiers of one figure apart from another's.
    alt
        What the figure shows, for those who cannot see it.
    """
    from matplotlib import rc_context

    figure = ax.get_figure(root=True)
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", facecolor="none", dpi=200)  # type: ignore[union-attr]
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Only inside tags: a column may well be called "#0072b2".
    text = re.sub(r"<[^>]*>", lambda tag: _restyle(tag[0], key), text)
    width = 1.65 * 72 * figure.get_figwidth()  # type: ignore[union-attr]
    opening = Markup('<svg role="img" aria-label="{}" style="max-width:{}px"').format(alt, round(width))
    return opening + Markup(text.removeprefix("<svg"))  # matplotlib has escaped the text in it


def _restyle(tag: str, key: str) -> str:
    tag = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", tag)
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", tag)
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, variable)
    if tag.startswith("<svg"):
        tag = re.sub(r'\s(?:width|height)="[^"]*"', "", tag)
    return tag
