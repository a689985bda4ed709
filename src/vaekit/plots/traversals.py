r"""Pictures of decoded latent space: walks along its dimensions, and a map of a plane.

Points are placed by the inverse distribution function :math:`\Phi^{-1}` of the standard normal, so that each step
covers the same probability under the prior; Kingma and Welling (2013), figure 4.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import norm  # SciPy comes with scikit-learn

from vaekit.plots.canvas import latent_name, new_axes, plain
from vaekit.plots.image_grids import montage, show, size_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["latent_manifold", "latent_traversals", "traversal_effects"]

Decode = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.generic]]
_FROM, _TO = 0.05, 0.95


def latent_manifold(
    decode: Decode, *, side: int = 15, limits: tuple[float, float] | None = None, ax: "Axes | None" = None
) -> "Axes":
    r"""Draw the decoded images of a two-dimensional latent space, on a grid of equal probability under the prior.

    .. math:: z = \left( \Phi^{-1}(u_1), \Phi^{-1}(u_2) \right), \qquad u_j = \tfrac{i_j + 1/2}{\text{side}}

    Parameters
    ----------
    decode
        Function from ``(n, 2)`` to ``(n, channels, height, width)``.
    side
        Number of rows, and of images in each row.
    limits
        As for :func:`vaekit.plots.image_grid`.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = latent_manifold(lambda z: norm.cdf(z[:, :1, None, None]) * np.ones((1, 1, 4, 4)), side=5)
    >>> ax.get_xlabel(), [tick.get_text() for tick in ax.get_xticklabels()]
    ('z₀', ['−1.28', '0.00', '1.28'])
    """
    place = norm.ppf((np.arange(side) + 0.5) / side)
    across, up = np.meshgrid(place, place[::-1])
    images = decode(np.stack([across.ravel(), up.ravel()], axis=1))
    picture = montage(images, columns=side, limits=limits)
    ax = show(picture, new_axes(ax, *size_of(picture)))
    height, width = images.shape[2:]
    named = [0, side // 2, side - 1]
    ax.set_xticks(
        [1 + i * (width + 1) + width / 2 for i in named], [_number(place[i]) for i in named], fontsize="small"
    )
    ax.set_yticks(
        [1 + i * (height + 1) + height / 2 for i in named],
        [_number(place[::-1][i]) for i in named],
        fontsize="small",
    )
    ax.set_xlabel(latent_name(0))
    ax.set_ylabel(latent_name(1))
    return ax


def latent_traversals(
    decode: Decode,
    latent: int,
    *,
    kl: Sequence[float] | None = None,
    rows: int = 10,
    steps: int = 11,
    limits: tuple[float, float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw decoded images as one latent dimension goes from its 5 % to its 95 % quantile and the others stay at 0.

    Parameters
    ----------
    decode
        Function from ``(n, latent)`` to ``(n, channels, height, width)``.
    latent
        Number of latent dimensions.
    kl
        ``(latent,)`` mean KL of each dimension, in nats: the most active come first. None keeps their order.
    rows, steps
        The largest number of dimensions, and the number of images for each.
    limits
        As for :func:`vaekit.plots.image_grid`.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = latent_traversals(lambda z: np.zeros((len(z), 1, 4, 4)), 3, kl=[0.5, 0.1, 2.0], rows=2)
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['z₂', 'z₀']
    """
    dimensions = _most_active(latent, kl)[:rows]
    place = norm.ppf(np.linspace(_FROM, _TO, steps))
    z = np.zeros((len(dimensions), steps, latent))
    for row, dimension in enumerate(dimensions):
        z[row, :, dimension] = place
    images = decode(z.reshape(-1, latent))
    picture = montage(images, columns=steps, limits=limits)
    ax = show(picture, new_axes(ax, *size_of(picture)))
    height, width = images.shape[2:]
    centres = 1 + np.arange(max(steps, len(dimensions)))[:, None] * (np.array([height, width]) + 1)
    centres = centres + np.array([height, width]) / 2
    ax.set_yticks(centres[: len(dimensions), 0], [latent_name(d) for d in dimensions])
    named = [0, steps // 2, steps - 1]
    ax.set_xticks(centres[named, 1], [_number(place[i]) for i in named], fontsize="small")
    ax.set_xlabel("value of the latent dimension (from its 5 % to its 95 % quantile)")
    return ax


def traversal_effects(
    decode: Decode,
    latent: int,
    *,
    names: Sequence[str],
    scale: npt.ArrayLike,
    kl: Sequence[float] | None = None,
    columns: int = 12,
    dimensions: int = 10,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""Draw how far each column of a table moves as one latent dimension goes from its 5 % to its 95 % quantile.

    .. math:: \Delta_{cj} = \frac{\hat x_c(z_j = \Phi^{-1}(0.95)) - \hat x_c(z_j = \Phi^{-1}(0.05))}{s_c}

    Parameters
    ----------
    decode
        Function from ``(n, latent)`` to ``(n, columns)``, in the units of the data.
    latent
        Number of latent dimensions.
    names
        The names of the columns.
    scale
        ``(columns,)``: :math:`s_c`, the columns' standard deviations.
    kl
        ``(latent,)`` mean KL of each dimension, in nats: the most active come first.
    columns, dimensions
        The largest number of each to show; the columns that move most come first.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = traversal_effects(lambda z: z @ np.array([[0.0, 1.0]]), 1, names=["still", "moving"], scale=[1.0, 1.0])
    >>> [tick.get_text() for tick in ax.get_yticklabels()], ax.images[0].get_array().round(2).tolist()
    (['moving', 'still'], [[3.29], [0.0]])
    """
    chosen = _most_active(latent, kl)[:dimensions]
    z = np.zeros((2, len(chosen), latent))
    z[:, np.arange(len(chosen)), chosen] = norm.ppf([[_FROM], [_TO]])
    decoded = np.asarray(decode(z.reshape(-1, latent)), dtype=float).reshape(2, len(chosen), -1)
    scale = np.asarray(scale, dtype=float)
    effect = (decoded[1] - decoded[0]).T / np.where(scale > 0, scale, 1)[:, None]  # (columns, dimensions)
    order = np.argsort(-np.abs(effect).max(axis=1), kind="stable")[:columns]
    effect = effect[order]
    ax = new_axes(ax, min(6.0, 3.2 + 0.4 * len(chosen)), 1.0 + 0.25 * len(order))
    most = max(float(np.abs(effect).max()), 1.0)  # a column that hardly moves stays pale
    image = ax.imshow(effect, cmap="PuOr", vmin=-most, vmax=most, aspect="auto", interpolation="none")
    ax.figure.colorbar(image, ax=ax, label="change (standard deviations)")
    ax.set_xticks(range(len(chosen)), [latent_name(d) for d in chosen])
    ax.set_yticks(range(len(order)), [plain(names[c]) for c in order], parse_math=False, fontsize="small")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("latent dimension")
    return ax


def _most_active(latent: int, kl: Sequence[float] | None) -> list[int]:
    if kl is None:
        return list(range(latent))
    if len(kl) != latent:
        raise ValueError(f"{latent} latent dimensions, but the KL of {len(kl)}; give one number for each")
    return np.argsort(-np.asarray(kl, dtype=float), kind="stable").tolist()


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
