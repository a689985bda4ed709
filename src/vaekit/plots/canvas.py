"""Helpers that all pictures share: new figures, colours, and names that are safe to draw."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CLASSES", "MODEL", "MUTED", "OTHER", "latent_name", "new_axes", "plain", "tidy"]

# Blue and vermilion look different with all common kinds of colour blindness (Okabe and Ito, 2008).
MODEL = "#0072b2"
OTHER = "#d55e00"
MUTED = "#808890"
# Ten colours for classes: Petroff (2021), "Accessible color sequences for data visualization", arXiv:2107.02270.
CLASSES = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def new_axes(ax: "Axes | None", width: float, height: float) -> "Axes":
    """Return ``ax``, or the Axes of a new figure of that many inches.

    >>> new_axes(None, 4.0, 3.0).figure.get_size_inches().tolist()
    [4.0, 3.0]
    """
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").subplots()


def tidy(ax: "Axes", *, grid: Literal["x", "y", ""] = "y") -> "Axes":
    """Remove the upper and right sides of the frame, and draw a light grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(axis=grid, linewidth=0.6, alpha=0.5)
        ax.set_axisbelow(True)
    return ax


def plain(text: object, longest: int = 28) -> str:
    """Return a name that can be drawn: printable, on one line, and not too long.

    >>> plain("a very long name of a column, longer than any axis"), plain("line\\nbreak")
    ('a very long name of a colum…', 'line break')
    """
    line = " ".join(str(text).split())
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def latent_name(dimension: int) -> str:
    """Return the name of a latent dimension, counted from 0 as in the output of ``vaekit encode``.

    >>> latent_name(0), latent_name(11)
    ('z₀', 'z₁₁')
    """
    return "z" + str(dimension).translate(_SUBSCRIPTS)
