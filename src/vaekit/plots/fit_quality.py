"""Pictures of how a fit went and how good it is: learning curves, KL of each dimension, and baselines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from vaekit.plots.canvas import MODEL, MUTED, OTHER, latent_name, new_axes, plain, tidy
from vaekit.training import history as training_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vaekit.evaluation import Estimate
    from vaekit.training import History

__all__ = ["ACTIVE_KL", "kl_per_dimension", "learning_curve", "log_likelihood_comparison"]

ACTIVE_KL: float = training_history.ACTIVE_KL
"""A latent dimension whose mean KL exceeds this many nats counts as active."""

_NAMED = 24  # more names than these would overlap
_NAMES = {"bound": "bound", "reconstruction": "reconstruction", "kl": "KL"}
_SPLITS = {"train": "training rows", "validation": "validation rows"}


def learning_curve(
    history: "History",
    *,
    quantity: Literal["bound", "reconstruction", "kl"] = "bound",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the bound, or one of its two terms, on training and validation rows after every epoch.

    The best epoch is marked. If the first epochs lie so far below the rest that the curve would look flat, they are
    left out of the frame, and a note says so.

    Parameters
    ----------
    history
        The training run.
    quantity
        The bound, its reconstruction term, or its KL term, in nats per example.
    ax
        The Axes to draw on; by default those of a new figure.

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


def _leave_out_first_epochs(ax: "Axes", epochs: list[int], curves: np.ndarray) -> None:
    """Start the frame after a tenth of the run, if what comes before would fill most of it."""
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


def kl_per_dimension(kl: npt.ArrayLike, *, ax: "Axes | None" = None) -> "Axes":
    r"""Draw the mean :math:`\mathrm{KL}(q(z_j \mid x) \,\|\, p(z_j))` of each latent dimension, largest first.

    The title counts the active dimensions, those above :data:`ACTIVE_KL`.

    Parameters
    ----------
    kl
        ``(latent,)``, in nats.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = kl_per_dimension([0.001, 2.0, 1.5])
    >>> ax.get_title(loc="left")
    '2 of 3 dimensions active (KL > 0.01 nat)'
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['z₁', 'z₂', 'z₀']
    """
    values = np.asarray(kl, dtype=float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"KL of shape {values.shape}; expected (latent,), one number per latent dimension")
    order = np.argsort(-values, kind="stable")
    active = values[order] > ACTIVE_KL
    ax = tidy(new_axes(ax, 4.6, 3.2))
    places = np.arange(len(values))
    if len(values) <= 4 * _NAMED:
        ax.bar(places, values[order], color=np.where(active, MODEL, MUTED).tolist(), width=0.72)
    else:
        ax.fill_between(places, values[order], step="mid", color=MODEL, linewidth=0)
    if len(values) <= _NAMED:
        ax.set_xticks(places, [latent_name(int(j)) for j in order])
    ax.axhline(ACTIVE_KL, color=MUTED, linewidth=0.8, linestyle=":")
    ax.set_xlim(-0.7, max(len(values), 4) - 0.3)
    ax.set_xlabel("latent dimension, by KL")
    ax.set_ylabel("KL (nats)")
    dimensions = "dimension" if len(values) == 1 else "dimensions"
    ax.set_title(
        f"{int(active.sum())} of {len(values)} {dimensions} active (KL > {ACTIVE_KL:g} nat)", loc="left"
    )
    return ax


def log_likelihood_comparison(
    model: "Estimate | tuple[float, float]",
    baselines: "Sequence[tuple[str, Estimate] | tuple[str, tuple[float, float]]]",
    *,
    name: str = "this model",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw held-out log-likelihoods as dots, the best on top, with bars of two standard errors on each side.

    Parameters
    ----------
    model
        Mean and standard error, in nats per example.
    baselines
        The name of each baseline, with its mean and standard error.
    name
        The name of the model.
    ax
        The Axes to draw on; by default those of a new figure.

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
    rows = [(name, model[0], model[1], True)]
    rows += [(label, mean, error, False) for label, (mean, error) in baselines]
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
