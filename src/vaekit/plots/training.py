"""What a training run was like, epoch by epoch."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from vaekit.plots.canvas import MODEL, MUTED, OTHER, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vaekit.training import History

__all__ = ["learning_curve"]

_NAMES = {"bound": "bound", "reconstruction": "reconstruction", "kl": "KL"}


def learning_curve(
    history: "History",
    *,
    quantity: Literal["bound", "reconstruction", "kl"] = "bound",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the bound, or one of its two terms, on training and validation rows after every epoch.

    The best epoch is marked. Where the first epochs are so far below the rest that nothing else could be seen,
    the frame leaves them out and says so.

    Parameters
    ----------
    history
        The training run.
    quantity
        The bound, its reconstruction term, or its KL term; in nats per example.
    ax
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from vaekit.training import EpochMetrics, History
    >>> epoch = EpochMetrics(epoch=1, epochs=1, train_bound=-3.0, train_reconstruction=-2.0, train_kl=1.0,
    ...     validation_bound=None, validation_reconstruction=None, validation_kl=None,
    ...     kl_per_dimension=None, learning_rate=1e-3, seconds=0.1)
    >>> ax = learning_curve(History([epoch], best_epoch=1))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'bound (nats per example)')
    """
    from matplotlib.ticker import MaxNLocator

    ax = tidy(new_axes(ax, 4.0, 2.9))
    epochs = [metrics.epoch for metrics in history.epochs]
    marker = "o" if len(epochs) == 1 else ""
    curves = []
    for split, colour in (("train", OTHER), ("validation", MODEL)):
        values = [getattr(metrics, f"{split}_{quantity}") for metrics in history.epochs]
        curve = np.array([np.nan if value is None else value for value in values], dtype=float)
        if np.isfinite(curve).any():
            curves.append(curve)
            dashes = "--" if split == "train" else "-"
            ax.plot(epochs, curve, dashes, color=colour, marker=marker, linewidth=1.6, label=_SPLITS[split])
    if history.best_epoch in epochs and curves:
        best = epochs.index(history.best_epoch)
        ax.axvline(history.best_epoch, color=MUTED, linewidth=0.8, linestyle=":")
        ax.plot(history.best_epoch, curves[-1][best], "o", color=MODEL, markersize=5.5, label="best epoch")
    if quantity != "kl" and curves:
        _leave_out_first_epochs(ax, epochs, np.stack(curves))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(x=0.03)
    ax.set_xlabel("epoch")
    ax.set_ylabel(f"{_NAMES[quantity]} (nats per example)")
    if curves:
        ax.legend(frameon=False, fontsize="small")
    return ax


_SPLITS = {"train": "training rows", "validation": "validation rows"}


def _leave_out_first_epochs(ax: "Axes", epochs: list[int], curves: np.ndarray) -> None:
    """Begin the frame where the run is a tenth through, if all before that would take up most of it."""
    start = len(epochs) // 10 + 1
    if len(epochs) < 5 or not np.isfinite(curves).all():
        return
    low, high, lowest = curves[:, start:].min(), curves.max(), curves.min()
    if not high - lowest > 1.6 * (high - low):
        return
    margin = 0.06 * (high - low)
    ax.set_ylim(low - margin, high + margin)
    hidden = int((curves < low - margin).any(axis=0).nonzero()[0].max()) + 1
    which = "first epoch is" if hidden == 1 else f"first {hidden} epochs begin"
    ax.set_title(f"the {which} below the frame", loc="right", fontsize="x-small", color=MUTED)
