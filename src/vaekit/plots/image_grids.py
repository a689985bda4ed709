"""Grids of images, and originals above their reconstructions."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vaekit.plots.canvas import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["image_grid", "montage", "reconstruction_pairs", "show", "shrink", "size_of"]


def image_grid(
    images: npt.ArrayLike,
    *,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw images in a grid, row by row.

    Parameters
    ----------
    images
        ``(n, channels, height, width)``.
    columns
        Images in each row; by default about as many as there are rows.
    limits
        The values drawn as black and as full brightness. The default is 0 to 255 for 8-bit images, 0 to 1 for other
        images in that range, and the range of the values for the rest.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> image_grid(np.zeros((6, 1, 4, 4)), columns=3).images[0].get_array().shape
    (11, 16, 4)
    """
    images = _checked(images)
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    picture = montage(images, columns=columns, limits=limits)
    return show(picture, new_axes(ax, *size_of(picture)))


def reconstruction_pairs(
    originals: npt.ArrayLike,
    reconstructions: npt.ArrayLike,
    *,
    columns: int = 10,
    limits: tuple[float, float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw originals above their reconstructions, pair by pair.

    Parameters
    ----------
    originals, reconstructions
        ``(n, channels, height, width)``, in the same units.
    columns
        Pairs in each row.
    limits
        As for :func:`image_grid`; by default those of the originals, for both.
    ax
        The Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> x = np.random.default_rng(0).random((4, 3, 8, 8))
    >>> ax = reconstruction_pairs(x, x, columns=4)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['original', 'model']
    """
    originals, reconstructions = _checked(originals), _checked(reconstructions)
    if originals.shape != reconstructions.shape:
        raise ValueError(
            f"originals of shape {originals.shape} and reconstructions of shape {reconstructions.shape}; "
            "give one reconstruction of the same shape for each original"
        )
    limits = limits or _limits(originals)
    columns = min(columns, len(originals))
    bands, ticks = [], []
    height, top = originals.shape[2], 0
    gap = max(1, height // 6)
    for start in range(0, len(originals), columns):
        part = slice(start, start + columns)
        pair = np.concatenate([_padded(originals[part], columns), _padded(reconstructions[part], columns)])
        band = montage(pair.astype(float), columns=columns, limits=limits)
        band[:, (len(originals[part])) * (originals.shape[3] + 1) + 1 :] = 0
        ticks += [top + 1 + height / 2, top + 2 + 1.5 * height]
        top += len(band) + gap
        bands += [band, np.zeros((gap, band.shape[1], 4), dtype=np.uint8)]
    picture = np.concatenate(bands[:-1])
    ax = show(picture, new_axes(ax, *size_of(picture)))
    ax.set_yticks(ticks, ["original", "model"] * (len(ticks) // 2))
    return ax


def montage(
    images: npt.NDArray[np.generic], *, columns: int, limits: tuple[float, float] | None = None
) -> npt.NDArray[np.uint8]:
    """Return images as one RGBA picture, with one transparent pixel between them.

    Parameters
    ----------
    images
        ``(n, channels, height, width)``: 1 channel is grey, 3 are colours, 4 are colours and opacity; any other
        number of channels is averaged.
    columns
        Images in each row.
    limits
        As for :func:`image_grid`.

    Returns
    -------
    ndarray
        ``(height, width, 4)``, 8 bit.
    """
    images = _checked(images)
    low, high = limits or _limits(images)
    n, channels, height, width = images.shape
    if channels not in (1, 3, 4):
        images, channels = images.astype(float).mean(axis=1, keepdims=True), 1
    bright = np.clip((images.astype(float) - low) / (high - low), 0, 1)
    rows = -(-n // columns)
    picture = np.zeros((rows * (height + 1) + 1, columns * (width + 1) + 1, 4), dtype=np.uint8)
    for i, image in enumerate((bright * 255).round().astype(np.uint8)):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        tile = picture[top : top + height, left : left + width]
        tile[..., 3] = 255
        tile[..., : max(3, channels)] = image.transpose(1, 2, 0)
    return picture


def shrink(images: npt.NDArray[np.generic], largest: int) -> npt.NDArray[np.generic]:
    """Average blocks of pixels until no side is longer than ``largest``; smaller images stay as they are.

    >>> shrink(np.ones((1, 1, 130, 64)), 64).shape
    (1, 1, 43, 21)
    """
    height, width = images.shape[2:]
    factor = -(-max(height, width) // largest)
    factor = min(factor, height, width)
    if factor <= 1:
        return images
    height, width = height // factor, width // factor
    cut = images[:, :, : height * factor, : width * factor]
    blocks = cut.reshape(*images.shape[:2], height, factor, width, factor)
    return blocks.mean(axis=(3, 5), dtype=float).astype(images.dtype)


def show(picture: npt.NDArray[np.uint8], ax: "Axes") -> "Axes":
    """Draw a picture pixel for pixel, without frame or ticks."""
    ax.imshow(picture, interpolation="none", aspect="equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def size_of(picture: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return the width and height in inches of a figure for a picture."""
    width = 7.0 if picture.shape[1] > 1.3 * picture.shape[0] else 4.6
    return width, float(np.clip(width * picture.shape[0] / picture.shape[1], 0.5, 3 * width))


def _checked(images: npt.ArrayLike) -> npt.NDArray[np.generic]:
    images = np.asarray(images)
    if images.ndim != 4 or not images.size:
        raise ValueError(
            f"images of shape {images.shape}; expected (n, channels, height, width) with at least one image: "
            "for grey images without a channel axis, give images[:, None]"
        )
    return images


def _limits(images: npt.NDArray[np.generic]) -> tuple[float, float]:
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = np.float64(images.min()).item(), np.float64(images.max()).item()
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1


def _padded(images: npt.NDArray[np.generic], count: int) -> npt.NDArray[np.generic]:
    missing = np.zeros((count - len(images), *images.shape[1:]), dtype=images.dtype)
    return np.concatenate([images, missing])
