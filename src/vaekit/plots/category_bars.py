"""Pictures of columns of categories: how often each is reconstructed, and its share in data and samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from vaekit.plots.canvas import MODEL, MUTED, OTHER, new_axes, plain, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CategoryScores", "category_accuracy", "category_scores", "category_shares"]

_MOST_CATEGORIES = 8  # more names than these would overlap


class CategoryScores(NamedTuple):
    """The accuracy of a column's reconstructed categories, beside that of a constant guess.

    Parameters
    ----------
    accuracy
        The share of rows whose most probable category is the right one.
    cross_entropy
        The mean of minus the log-probability of the right category, in nats.
    most_frequent
        The accuracy of always guessing the most frequent category.
    entropy
        The cross-entropy of always guessing the frequencies of the categories, in nats.
    """

    accuracy: float
    cross_entropy: float
    most_frequent: float
    entropy: float


def category_scores(originals: npt.ArrayLike, log_probabilities: npt.ArrayLike) -> CategoryScores:
    """Return the accuracy and the cross-entropy of the probabilities of categories.

    Parameters
    ----------
    originals
        ``(n,)`` numbers of categories, from 0.
    log_probabilities
        ``(n, categories)``, in nats.

    Examples
    --------
    >>> scores = category_scores([0, 1, 1, 1], np.log([[0.5, 0.5], [0.2, 0.8], [0.2, 0.8], [0.6, 0.4]]))
    >>> scores.accuracy, round(scores.cross_entropy, 3), scores.most_frequent, round(scores.entropy, 3)
    (0.75, 0.514, 0.75, 0.562)
    """
    codes, log_p = np.asarray(originals, dtype=int), np.asarray(log_probabilities, dtype=float)
    shares = np.bincount(codes, minlength=log_p.shape[1]) / len(codes)
    there = shares[shares > 0]
    accuracy = float((log_p.argmax(axis=1) == codes).mean())
    cross_entropy = -float(log_p[np.arange(len(codes)), codes].mean())
    return CategoryScores(accuracy, cross_entropy, float(shares.max()), -float((there * np.log(there)).sum()))


def category_accuracy(
    originals: npt.ArrayLike,
    log_probabilities: npt.ArrayLike,
    categories: Sequence[str],
    *,
    name: str = "value",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the share of rows of each category whose most probable reconstruction is that category.

    Above stand accuracy and cross-entropy, with those of a constant guess; the most frequent categories are drawn.

    Parameters
    ----------
    originals, log_probabilities
        As for :func:`category_scores`.
    categories
        The names of the categories.
    name
        The name of the column.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = category_accuracy([0, 1, 1], np.log([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), ["cat", "dog"])
    >>> [label.get_text() for label in ax.get_yticklabels()], [float(bar.get_width()) for bar in ax.patches]
    (['dog', 'cat'], [0.5, 1.0])
    """
    codes, log_p = np.asarray(originals, dtype=int), np.asarray(log_probabilities, dtype=float)
    counts = np.bincount(codes, minlength=len(categories))
    right = np.bincount(codes[log_p.argmax(axis=1) == codes], minlength=len(categories))
    shown = [k for k in _most_frequent(counts) if counts[k]]
    ax = _category_axes(ax, [categories[k] for k in shown])
    ax.barh(range(len(shown)), right[shown] / counts[shown], color=OTHER, alpha=0.75, height=0.62)
    scores = category_scores(codes, log_p)
    text = (
        f"accuracy {scores.accuracy:.2f} (guess {scores.most_frequent:.2f})\n"
        f"cross-entropy {scores.cross_entropy:.2f} (guess {scores.entropy:.2f})"
    )
    ax.text(0.0, 1.02, text, transform=ax.transAxes, va="bottom", fontsize="small")
    ax.set_xlim(0, 1)
    ax.set_xlabel(f"{plain(name, 18)}: share right", parse_math=False)
    return ax


def category_shares(
    data: npt.ArrayLike,
    samples: npt.ArrayLike,
    categories: Sequence[str],
    *,
    name: str = "value",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the shares of the most frequent categories, in the data as filled bars and in samples as outlines.

    Parameters
    ----------
    data, samples
        ``(n,)`` and ``(m,)`` numbers of categories, from 0.
    categories
        The names of the categories.
    name
        The name of the column.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = category_shares([0, 1, 1, 1], [1, 1], ["cat", "dog"])
    >>> [label.get_text() for label in ax.get_yticklabels()], [float(bar.get_width()) for bar in ax.patches]
    (['dog', 'cat'], [0.75, 0.25, 1.0, 0.0])
    """
    counts = [np.bincount(np.asarray(v, dtype=int), minlength=len(categories)) for v in (data, samples)]
    in_data, in_samples = (count / max(count.sum(), 1) for count in counts)
    shown = _most_frequent(in_data + in_samples)
    ax = _category_axes(ax, [categories[k] for k in shown])
    ax.barh(range(len(shown)), in_data[shown], color=MUTED, alpha=0.45, height=0.7)
    ax.barh(range(len(shown)), in_samples[shown], fill=False, edgecolor=MODEL, linewidth=1.5, height=0.7)
    ax.set_xlim(left=0)
    ax.set_xlabel(f"{plain(name, 16)}: share of rows", parse_math=False)
    return ax


def _most_frequent(counts: npt.NDArray[np.generic]) -> list[int]:
    return np.argsort(-counts.astype(float), kind="stable")[:_MOST_CATEGORIES].tolist()


def _category_axes(ax: "Axes | None", names: list[str]) -> "Axes":
    from matplotlib.ticker import MaxNLocator

    ax = tidy(new_axes(ax, 2.6, 1.9), grid="x")
    ax.set_yticks(range(len(names)), [plain(name, 12) for name in names], parse_math=False, fontsize="small")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    return ax
