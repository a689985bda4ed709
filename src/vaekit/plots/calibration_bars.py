r"""The picture of a column's calibration: where its values lie in the model's own distribution of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaekit.plots.canvas import MODEL, MUTED, OTHER, new_axes, plain, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["calibration_histogram"]


def calibration_histogram(
    shares: Sequence[float], rows: int, *, name: str = "value", ax: "Axes | None" = None
) -> "Axes":
    r"""Draw the histogram of :math:`u = F(x)`, the probability integral transform of a column under a model.

    It is even where the model is right. The band holds 95 % of the bars of an even one. Bars that are high at both ends
    say that the model's distribution is too narrow, a hill in the middle that it is too wide, and a slope that it lies
    to one side (Gneiting, Balabdaoui and Raftery, 2007, "Probabilistic Forecasts, Calibration and Sharpness").

    Parameters
    ----------
    shares
        ``(bins,)``: the share of values in each of equal bins of [0, 1].
    rows
        The number of values.
    name
        The name of the column.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = calibration_histogram([0.25, 0.25, 0.25, 0.25], 100, name="height (cm)")
    >>> ax.get_xlabel(), [float(bar.get_height()) for bar in ax.patches[:4]]
    ('height (cm): F(x)', [1.0, 1.0, 1.0, 1.0])
    """
    bins = len(shares)
    density = bins * np.asarray(shares, float)
    band = 1.96 * bins * np.sqrt((1 / bins) * (1 - 1 / bins) / max(rows, 1))
    ax = tidy(new_axes(ax, 2.6, 1.9))
    outside = np.abs(density - 1) > band
    places = (np.arange(bins) + 0.5) / bins
    ax.bar(places, density, 0.92 / bins, color=np.where(outside, OTHER, MODEL).tolist())
    ax.axhspan(1 - band, 1 + band, facecolor=MUTED, alpha=0.28, zorder=2, linewidth=0)
    ax.axhline(1.0, color=MUTED, linewidth=0.9, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, max(2.0, 1.08 * float(density.max()))), xticks=[0, 0.5, 1])
    ax.set_xlabel(f"{plain(name)}: F(x)")
    ax.set_ylabel("density")
    return ax
