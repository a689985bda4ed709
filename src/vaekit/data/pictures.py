"""Pictures to arrays, and arrays of small images to one picture (the extra ``images``)."""

import math
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np

from vaekit.data.messages import plural
from vaekit.data.picture_recipe import PictureRecipe
from vaekit.errors import DataError, MissingExtraError

__all__ = ["load_picture", "picture_to_array", "tile", "write_grid"]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MOST_PIXELS = 1 << 27
_OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV")


AS_FOUND = PictureRecipe()


def load_picture(path: Path, recipe: PictureRecipe = AS_FOUND) -> tuple[np.ndarray, str]:
    """Return the pixels of a file, (channels, height, width), and its mode, in the colours and size asked for.

    Raises
    ------
    DataError
        For a file that is not a picture of one frame in grey or RGB, or is damaged.
    MissingExtraError
        Without Pillow.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError.for_extra("reading images", "images") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                frames = getattr(picture, "n_frames", 1)
                if frames > 1:
                    raise DataError(
                        f"{path}: {plural(frames, 'frame')} in one file; expected one image per file"
                    )
                if picture.mode in _OTHER_COLOURS and (recipe.convert is None or picture.mode == "LAB"):
                    raise DataError(
                        f"{path}: colours in {picture.mode}; expected grey or RGB: convert it first"
                        f"{'' if picture.mode == 'LAB' else ', or ask for it (--convert rgb, convert=rgb)'}"
                    )
                changed = recipe.apply(picture)
                pixels = picture_to_array(changed)
                mode: str = changed.mode
                return pixels, f"RGB{'A' * (len(pixels) == 4)}" if mode == "P" else mode
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path}: no image that can be read; expected only images in the folder: move it out, or pass over such "
            "files (--skip-unreadable, skip_unreadable=True)"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: too large an image ({error}); resize it first") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: a damaged image ({str(error)[:120]}); replace or remove it, or pass over such files "
            "(--skip-unreadable, skip_unreadable=True)"
        ) from error


def picture_to_array(picture: Any) -> np.ndarray:
    """Return a PIL image as an array (channels, height, width); black and white become 0 and 1."""
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    pixels = np.asarray(picture)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def write_grid(file: IO[bytes], images: np.ndarray, *, name: str, white: float | None = None) -> None:
    """Write images of shape (n, channels, height, width), or (n, height, width), as one PNG: a nearly square grid.

    Values from 0 to ``white`` become 0 to 255 (clipped); ``white`` is by default 1 where no value is larger,
    and 255 otherwise.

    Raises
    ------
    DataError
        For another shape, other than 1, 3 or 4 channels, values that are not finite, or too large a picture.
    MissingExtraError
        Without Pillow.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError.for_extra("writing pictures", "images") from error
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.size == 0 or images.shape[1] not in MODES:
        raise DataError(
            f"{name}: an array of shape {images.shape}; a picture needs (n, channels, height, width) with 1, "
            "3 or 4 channels: choose .npy for other arrays"
        )
    if images.size > MOST_PIXELS:
        raise DataError(
            f"{name}: {plural(len(images), 'image')} with {images.size:,} values are too many for one "
            f"picture (at most {MOST_PIXELS:,}); choose .npy, or write fewer"
        )
    if not np.isfinite(images).all():
        raise DataError(f"{name}: pixels that are NaN or infinite cannot be shown; choose .npy")
    if white is None:
        white = 1.0 if images.max() <= 1 else 255.0
    levels = np.rint(np.clip(images.astype(np.float64) / white, 0.0, 1.0) * 255.0).astype(np.uint8)
    picture = np.moveaxis(tile(levels), 0, -1)
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, format="PNG")


def tile(levels: np.ndarray) -> np.ndarray:
    """Return (n, channels, height, width) as (channels, rows * (height + 1) - 1, columns * (width + 1) - 1).

    Lines between the images, and empty places, are mid-grey.

    >>> tile(np.zeros((3, 1, 2, 2), np.uint8))[0].tolist()
    [[0, 0, 128, 0, 0], [0, 0, 128, 0, 0], [128, 128, 128, 128, 128], [0, 0, 128, 128, 128], [0, 0, 128, 128,
    128]]
    """
    n, channels, height, width = levels.shape
    columns = math.ceil(math.sqrt(n * height / width)) if n > 1 else 1
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    grid = np.full((rows * columns, channels, height + 1, width + 1), 128, dtype=np.uint8)
    grid[:n, :, :height, :width] = levels
    grid = grid.reshape(rows, columns, channels, height + 1, width + 1).transpose(2, 0, 3, 1, 4)
    return grid.reshape(channels, rows * (height + 1), columns * (width + 1))[:, :-1, :-1]
