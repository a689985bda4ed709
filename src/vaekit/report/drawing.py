"""Pictures as inline SVG, in the font and the light or dark colours of the page."""

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
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["drawn", "drawn_panel", "panel", "theme"]

# Each of these colours becomes a CSS variable, which differs between light and dark pages.
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
    """Draw in the style of the report, and restore matplotlib's settings afterwards."""
    import matplotlib.style

    with warnings.catch_warnings():
        # Matplotlib measures names in a font that lacks some scripts; the reader's browser has fonts for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        warnings.filterwarnings(
            "ignore", message="Matplotlib currently does not support", category=UserWarning
        )
        with matplotlib.style.context(["default", _STYLE]):
            yield


def panel() -> "Axes":
    """Return the Axes of a small figure with fixed margins, which are fast to draw in large numbers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6, 1.9))
    figure.subplots_adjust(left=0.22, right=0.97, bottom=0.25, top=0.96)
    return figure.add_subplot()


def drawn_panel(ax: "Axes", key: str, alt: str) -> Markup:
    """Return a small figure of :func:`panel` as inline SVG, with margins that leave room for its labels."""
    figure = _figure_of(ax)
    width, height = 72 * figure.get_figwidth(), 72 * figure.get_figheight()  # in points
    digit = 5.7  # of 9 points, the size of tick labels
    longest = max(map(len, _tick_labels(ax.yaxis)), default=0)
    last = max(map(len, _tick_labels(ax.xaxis)[-1:]), default=0)
    lines = max((text.get_text().count("\n") + 1 for text in ax.texts), default=0)
    left = (8 + digit * longest + (14 if ax.get_ylabel() else 0)) / width
    right, top = 1 - max(4, digit * last / 2) / width, 1 - (5 + 11 * lines) / height
    figure.subplots_adjust(left=left, right=right, top=top, bottom=0.25)
    for text in ax.texts:
        text.set_x((4 / width - left) / (right - left))
    return drawn(ax, key, alt)


def _tick_labels(axis: "Axis") -> list[str]:
    low, high = sorted(axis.get_view_interval())
    return axis.get_major_formatter().format_ticks([t for t in axis.get_majorticklocs() if low <= t <= high])


def drawn(ax: "Axes", key: str, alt: str) -> Markup:
    """Return a figure as inline SVG.

    Parameters
    ----------
    ax
        Any Axes of the figure, drawn inside :func:`theme`.
    key
        A name that is unique on the page, which keeps the identifiers of different figures apart.
    alt
        A description of the figure for readers who cannot see it.
    """
    from matplotlib import rc_context

    figure = _figure_of(ax)
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", facecolor="none", dpi=200)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Only inside tags, because a column may be called "#0072b2".
    text = re.sub(r"<[^>]*>", lambda tag: _restyle(tag[0], key), text)
    width = 1.65 * 72 * figure.get_figwidth()
    opening = Markup('<svg role="img" aria-label="{}" style="max-width:{}px"').format(alt, round(width))
    return opening + Markup(text.removeprefix("<svg"))  # matplotlib has escaped the text in it


def _figure_of(ax: "Axes") -> "Figure":
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("these Axes were removed from their figure; draw them on a new one")
    return figure


def _restyle(tag: str, key: str) -> str:
    tag = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", tag)
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", tag)
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, variable)
    if tag.startswith("<svg"):
        tag = re.sub(r'\s(?:width|height)="[^"]*"', "", tag)
    return tag
