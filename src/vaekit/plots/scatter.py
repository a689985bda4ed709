"""Scatter plots of the rows of a data set in latent space."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from vaekit.plots.canvas import CLASSES, MODEL, MUTED, latent_name, new_axes, plain, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PrincipalComponents", "latent_scatter", "principal_components"]

_Floats = npt.NDArray[np.float64]
_MOST_CLASSES = 20


class PrincipalComponents(NamedTuple):
    """Points along the directions in which they vary most.

    Parameters
    ----------
    scores
        ``(n, components)``: the coordinates of the points along these directions.
    share
        ``(components,)``: the share of the variance along each, between 0 and 1.
    """

    scores: _Floats
    share: _Floats


def principal_components(z: npt.ArrayLike, *, components: int = 2) -> PrincipalComponents:
    """Return the first principal components of points ``(n, latent)``.

    The sign of each is chosen so that its largest loading is positive: the same points give the same picture.

    >>> z = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [3.0, 1.0, 0.0]])
    >>> principal_components(z).share
    array([0.9, 0.1])
    """
    points = np.asarray(z, dtype=float)
    centred = points - points.mean(axis=0)
    covariance = centred.T @ centred
    values, vectors = np.linalg.eigh(covariance)
    vectors = vectors[:, ::-1][:, :components]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    total = max(float(values.sum()), np.finfo(float).tiny)
    return PrincipalComponents(centred @ vectors, np.maximum(values[::-1][:components], 0) / total)


def latent_scatter(
    z: npt.ArrayLike, labels: npt.ArrayLike | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Draw latent means as points, coloured by label where there are labels.

    One dimension is drawn as a histogram, two as they are, and more by their first two principal components, with
    the share of the variance on the axes. Up to 20 classes have a legend, and the name of each stands at its median.
    With more classes, numbers have a colour scale; of words, the 9 most frequent have colours, and all others are grey.

    Parameters
    ----------
    z
        ``(n, latent)``.
    labels
        ``(n,)`` numbers or words.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(50, 2))
    >>> ax = latent_scatter(z, np.repeat(["cat", "dog"], 25))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['cat', 'dog']
    >>> latent_scatter(z @ np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).get_xlabel()
    'first principal component (100 % of variance)'
    """
    points = np.asarray(z, dtype=float)
    if points.ndim != 2 or not points.size:
        raise ValueError(f"latents of shape {points.shape}; expected (n, latent) with at least one row")
    groups, shades = _groups(labels, len(points))
    ax = tidy(new_axes(ax, 4.6, 4.2), grid="" if points.shape[1] > 1 else "y")
    if points.shape[1] == 1:
        return _histogram(ax, points[:, 0], groups)
    if points.shape[1] == 2:
        xy, names = points, [latent_name(0), latent_name(1)]
    else:
        xy, share = principal_components(points)
        words = ("first", "second")
        names = [f"{words[i]} principal component ({100 * share[i]:.0f} % of variance)" for i in range(2)]
    size = float(np.clip(5000 / len(points), 5, 26))
    style = {"s": size, "linewidths": 0, "alpha": 0.8, "rasterized": True}
    if shades is not None:
        drawn = ax.scatter(*xy.T, c=shades, cmap="viridis", **style)
        ax.figure.colorbar(drawn, ax=ax, label="label")
    for i, (name, rows) in enumerate(groups):
        ax.scatter(*xy[rows].T, color=_colour(i, name), marker="o" if i < len(CLASSES) else "^", **style)
    _name_groups(ax, xy, groups)
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    return ax


_REST = "all others"
_Groups = list[tuple[str | None, npt.NDArray[np.bool_]]]


def _groups(labels: npt.ArrayLike | None, n: int) -> tuple[_Groups, npt.NDArray[np.float64] | None]:
    """Return the rows of each class, or the numbers themselves if there are too many different ones."""
    if labels is None:
        return [(None, np.ones(n, dtype=bool))], None
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{n} latents, but labels of shape {labels.shape}; give one label per row")
    numeric = labels.dtype.kind in "iufb"
    classes, index, counts = np.unique(
        labels if numeric else labels.astype(str), return_inverse=True, return_counts=True
    )
    if len(classes) <= _MOST_CLASSES:
        return [(_class_name(c), index == i) for i, c in enumerate(classes)], None
    if numeric:
        return [], labels.astype(float)
    most = np.sort(np.argsort(-counts, kind="stable")[: len(CLASSES) - 1])
    named: _Groups = [(_class_name(classes[i]), index == i) for i in most]
    return [(_REST, ~np.isin(index, most)), *named], None


def _class_name(label: object) -> str:
    return f"{label:g}" if isinstance(label, (float, np.floating)) else plain(label, 18)


def _colour(place: int, name: str | None) -> str:
    return MODEL if name is None else MUTED if name == _REST else CLASSES[place % len(CLASSES)]


def _name_groups(ax: "Axes", xy: _Floats, groups: _Groups) -> None:
    named = [(i, name, rows) for i, (name, rows) in enumerate(groups) if name is not None]
    if not named:
        return
    for _, name, rows in named:
        if name == _REST or len(name) > 12:
            continue
        x, y = np.median(xy[rows], axis=0)
        background = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.8, "pad": 1.2}
        text = ax.text(
            x, y, name, ha="center", va="center", fontsize="small", fontweight="bold", bbox=background
        )
        text.set_parse_math(False)
    _legend(ax, [(i, name) for i, name, _ in named])


def _legend(ax: "Axes", named: list[tuple[int, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for i, name in named:
        marker = "o" if i < len(CLASSES) else "^"
        handles.append(Line2D([], [], linestyle="", marker=marker, color=_colour(i, name), markersize=5))
    # Matplotlib leaves out a label that begins with an underscore, so a space of no width is put before it.
    texts = [("\u200b" if name.startswith("_") else "") + name for _, name in named]
    legend = ax.legend(
        handles,
        texts,
        frameon=False,
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=max(1, min(len(texts), 48 // (3 + max(map(len, texts))))),
        handletextpad=0.1,
        columnspacing=0.9,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _histogram(ax: "Axes", values: _Floats, groups: _Groups) -> "Axes":
    bins = np.histogram_bin_edges(values, bins=min(40, max(5, int(2 * len(values) ** (1 / 3)))))
    if not groups:
        groups = [(None, np.ones(len(values), dtype=bool))]
    colours = [_colour(i, name) for i, (name, _) in enumerate(groups)]
    ax.hist([values[rows] for _, rows in groups], bins=bins, stacked=True, color=colours)  # type: ignore[arg-type]
    named = [(i, name) for i, (name, _) in enumerate(groups) if name is not None]
    if named:
        _legend(ax, named)
    ax.set_xlabel(latent_name(0))
    ax.set_ylabel("rows")
    return ax
