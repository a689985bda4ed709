"""Pictures as inline SVG, in the font and the light or dark colours of the page."""

import io
import re
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from markupsafe import Markup

from vaekit.plots.canvas import MODEL, MUTED, OTHER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

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


_DRAWING = threading.RLock()


@contextmanager
def theme() -> Generator[None]:
    """Draw in the style of the report, and restore matplotlib's settings afterwards.

    The settings are the process's, so that threads draw one after another.
    """
    import matplotlib.style

    with _DRAWING, warnings.catch_warnings():
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
    longest = max((len(label) for _, label in _ticks(ax.yaxis)), default=0)
    lines = max((text.get_text().count("\n") + 1 for text in ax.texts), default=0)
    left = (8 + _DIGIT * longest + (14 if ax.get_ylabel() else 0)) / width
    right, top = 0.98, 1 - (5 + 11 * lines) / height
    ticks = _ticks(ax.xaxis)
    while len(ticks) > 1 and _overlap(ticks, (right - left) * width):
        ticks = ticks[::2]
    if len(ticks) < len(_ticks(ax.xaxis)):
        low, high = ax.get_xlim()
        ax.set_xticks([low + place * (high - low) for place, _ in ticks])
    if ticks:
        place, label = ticks[-1]
        beyond = _DIGIT * len(label) / 2 - (1 - place) * (right - left) * width
        right = min(right, 1 - (beyond + 4) / width)
    figure.subplots_adjust(left=left, right=right, top=top, bottom=0.25)
    for text in ax.texts:
        text.set_x((4 / width - left) / (right - left))
    room = min(left + right, 2 - left - right) * width  # twice the distance to the nearer edge
    _shorten(ax.xaxis.label, room - 4)
    return drawn(ax, key, alt)


_DIGIT = 5.7  # width in points of a digit of 9 points, the size of tick labels


def _ticks(axis: "Axis") -> list[tuple[float, str]]:
    """Return the place of each tick in the frame, from 0 to 1, and its label."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
    labels = axis.get_major_formatter().format_ticks(ticks)
    return [((tick - low) / (high - low), label) for tick, label in zip(ticks, labels, strict=True)]


def _shorten(label: "Text", most: float) -> None:
    """Cut a label to at most that many points, what follows the name of a column first."""
    from matplotlib.textpath import TextToPath

    measure, words = TextToPath().get_text_width_height_descent, label.get_text()
    name, colon, rest = words.rpartition(": ")
    for text in (words, f"{name}{colon}{rest.partition(' of ')[0]}", name) if colon else ():
        if measure(text, label.get_fontproperties(), False)[0] <= most:
            label.set_text(text)
            return
    text = words = name or words
    while len(text) > 2 and measure(text, label.get_fontproperties(), False)[0] > most:
        words = words[:-1]
        text = words.rstrip() + "…"
    label.set_text(text)


def _overlap(ticks: list[tuple[float, str]], width: float) -> bool:
    """Return whether the labels of an axis of that many points run into each other."""
    pairs = zip(ticks, ticks[1:], strict=False)
    return any((b - a) * width < _DIGIT * (len(x) + len(y)) / 2 + 5 for (a, x), (b, y) in pairs)


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
