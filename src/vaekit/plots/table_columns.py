"""Pictures of columns of numbers: data and samples, originals and reconstructions."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vaekit.plots.canvas import MODEL, MUTED, OTHER, new_axes, plain, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["distance", "marginal_histogram", "r_squared", "reconstruction_scatter"]

_Floats = npt.NDArray[np.float64]


def distance(data: npt.ArrayLike, samples: npt.ArrayLike) -> _Floats:
    r"""Return the distance of each column of samples from the data, by Kolmogorov and Smirnov.

    .. math:: D_j = \sup_t \left| F_j(t) - G_j(t) \right|,

    the largest difference between the two columns' empirical distribution functions, from 0 (the same) to 1.

    Parameters
    ----------
    data, samples
        ``(n, columns)`` and ``(m, columns)``.

    Returns
    -------
    ndarray
        ``(columns,)``. Missing values (NaN) do not count; NaN for a column without any value.

    Examples
    --------
    >>> distance([[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 2.0]])
    array([0., 1.])
    """
    a, b = np.sort(np.asarray(data, dtype=float), axis=0), np.sort(np.asarray(samples, dtype=float), axis=0)
    result = np.full(a.shape[1], np.nan)
    for j in range(a.shape[1]):
        x, y = a[~np.isnan(a[:, j]), j], b[~np.isnan(b[:, j]), j]
        if len(x) and len(y):
            at = np.concatenate([x, y])
            f = np.searchsorted(x, at, side="right") / len(x)
            g = np.searchsorted(y, at, side="right") / len(y)
            result[j] = np.abs(f - g).max()
    return result


def marginal_histogram(
    data: npt.ArrayLike, samples: npt.ArrayLike, *, name: str = "value", ax: "Axes | None" = None
) -> "Axes":
    """Draw one column of the data as a filled histogram, and the same column of samples as an outline over it.

    Parameters
    ----------
    data, samples
        ``(n,)`` and ``(m,)``, in the units of the data. Samples outside the frame are counted in the outermost bins.
    name
        The name of the column.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ax = marginal_histogram(rng.normal(size=100), rng.normal(size=100), name="height (cm)")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('height (cm)', 'share of rows')
    """
    data, samples = np.asarray(data, dtype=float), np.asarray(samples, dtype=float)
    ax = tidy(new_axes(ax, 2.6, 1.9))
    edges = _edges(data, samples)
    styles: tuple[dict[str, Any], dict[str, Any]] = (
        {"fill": True, "color": MUTED, "alpha": 0.45, "linewidth": 0, "label": "data"},
        {"color": MODEL, "linewidth": 1.5, "label": "samples"},
    )
    for values, style in zip((data, samples), styles, strict=True):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
        ax.stairs(counts / max(len(values), 1), edges, **style)
    ax.set_ylim(bottom=0)
    _few_ticks(ax, data)
    ax.set_xlabel(plain(name, 24), parse_math=False)
    ax.set_ylabel("share of rows")
    return ax


def r_squared(originals: npt.ArrayLike, reconstructions: npt.ArrayLike) -> _Floats:
    r"""Return the share of each column's variance that the reconstruction explains.

    .. math:: R^2_j = 1 - \frac{\sum_i (x_{ij} - \hat x_{ij})^2}{\sum_i (x_{ij} - \bar x_j)^2}

    1 is perfect, 0 is no better than the column's mean, and a negative value is worse than the mean.

    Parameters
    ----------
    originals, reconstructions
        ``(n, columns)``.

    Returns
    -------
    ndarray
        ``(columns,)``; NaN for a column that is constant on these rows. Missing originals (NaN) do not count.

    Examples
    --------
    >>> r_squared([[0.0, 1.0], [2.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]])
    array([0.5, nan])
    """
    x, fitted = np.asarray(originals, dtype=float), np.asarray(reconstructions, dtype=float)
    known = ~np.isnan(x)
    mean = np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    total = np.where(known, (x - mean) ** 2, 0.0).sum(axis=0)
    varies = np.fmax.reduce(x, axis=0) > np.fmin.reduce(x, axis=0)
    result = np.full(x.shape[1], np.nan)
    result[varies] = 1 - np.where(known, (x - fitted) ** 2, 0.0).sum(axis=0)[varies] / total[varies]
    return result


def reconstruction_scatter(
    original: npt.ArrayLike, reconstruction: npt.ArrayLike, *, name: str = "value", ax: "Axes | None" = None
) -> "Axes":
    r"""Draw one column's reconstructions against its originals, with :math:`R^2` and the line of equality.

    Parameters
    ----------
    original, reconstruction
        ``(n,)``, in the units of the data.
    name
        The name of the column.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = reconstruction_scatter([0.0, 1.0, 2.0], [0.0, 1.0, 1.0], name="weight")
    >>> ax.get_xlabel(), ax.texts[0].get_text()
    ('weight', 'R² = 0.50')
    """
    x, fitted = np.asarray(original, dtype=float), np.asarray(reconstruction, dtype=float)
    ax = tidy(new_axes(ax, 2.6, 1.9))
    ax.axline((float(x.mean()), float(x.mean())), slope=1, color=MUTED, linewidth=0.9, linestyle="--")
    _few_ticks(ax, x)
    size = float(np.clip(600 / max(len(x), 1), 3, 14))
    ax.scatter(x, fitted, s=size, color=OTHER, alpha=0.6, linewidths=0, rasterized=True)
    score = float(r_squared(x[:, None], fitted[:, None])[0])
    text = "constant here" if np.isnan(score) else f"R² = {score:.2f}".replace("-", "\N{MINUS SIGN}")
    ax.text(0.0, 1.02, text, transform=ax.transAxes, va="bottom", fontsize="small")
    ax.set_xlabel(plain(name, 24), parse_math=False)
    ax.set_ylabel("reconstructed")
    return ax


def _few_ticks(ax: "Axes", values: _Floats) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    whole = bool((values == np.round(values)).all())
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=whole))
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, place: int | None) -> str:
    """Return the label of a tick, whole, since a common factor at the end of the axis is easily cut off.

    >>> _tick(-20000.0, 0), _tick(0.1 + 0.2, 0), _tick(2e-5, 0)
    ('−20000', '0.3', '2e−5')
    """
    text = f"{value:.7g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return text.replace("-", "\N{MINUS SIGN}")


def _edges(data: _Floats, samples: _Floats) -> _Floats:
    """Return bin edges for both: one bin for each whole number where there are few, else by the range of the data."""
    values = np.unique(data)
    if len(values) <= 20 and (values == np.round(values)).all() and np.ptp(values) <= 40:
        return np.arange(values[0], values[-1] + 2) - 0.5
    low, high = np.quantile(np.concatenate([data, samples]), [0.005, 0.995])
    low, high = max(low, data.min() - np.ptp(data)), min(high, data.max() + np.ptp(data))
    if not high > low:
        low, high = low - 0.5, low + 0.5
    return np.linspace(low, high, int(np.clip(2 * len(data) ** (1 / 3), 8, 30)) + 1)
