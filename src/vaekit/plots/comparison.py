"""A model beside its baselines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaekit.plots.canvas import MODEL, OTHER, new_axes, plain, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vaekit.evaluation import Estimate

__all__ = ["log_likelihood_comparison"]


def log_likelihood_comparison(
    model: "Estimate | tuple[float, float]",
    baselines: "Sequence[tuple[str, Estimate] | tuple[str, tuple[float, float]]]",
    *,
    name: str = "this model",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw held-out log-likelihoods as dots, best on top, with bars of two standard errors to each side.

    Parameters
    ----------
    model
        Mean and standard error, in nats per example.
    baselines
        Name, and mean with standard error, of each.
    name
        What to call the model.
    ax
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = log_likelihood_comparison((-17.0, 0.2), [("full Gaussian", (-20.0, 0.3))])
    >>> ax.get_xlabel()
    'log-likelihood (nats per example)'
    >>> [text.get_text() for text in ax.texts]
    ['full Gaussian', 'this model']
    """
    rows = [(name, model[0], model[1], True), *((label, *pair, False) for label, pair in baselines)]
    rows.sort(key=lambda row: (np.isnan(row[1]), -row[1]), reverse=True)
    ax = tidy(new_axes(ax, 4.6, 0.9 + 0.52 * len(rows)), grid="x")
    for height, (label, mean, error, is_model) in enumerate(rows):
        spread = 2 * error if np.isfinite(error) else 0.0
        colour, marker = (MODEL, "o") if is_model else (OTHER, "D")
        ax.errorbar(
            mean,
            height,
            xerr=spread,
            fmt=marker,
            color=colour,
            markersize=6.5 if is_model else 5,
            capsize=2.5,
        )
        ax.text(
            0.0,
            height + 0.2,
            plain(label, 48),
            transform=ax.get_yaxis_transform(),
            fontsize="small",
            fontweight="bold" if is_model else "normal",
            va="bottom",
            parse_math=False,
        )
    ax.set_ylim(-0.45, len(rows) - 0.25)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.margins(x=0.12)
    ax.set_xlabel("log-likelihood (nats per example)")
    return ax
