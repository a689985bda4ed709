"""Read a folder of pictures; where they lie in subfolders, the subfolder's name is the label."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.data.dataset import Dataset
from vaekit.data.hints import plural
from vaekit.errors import DataError, MissingExtraError

__all__ = ["picture_to_array", "read_image_folder"]

LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini", "__macosx"}
MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with alpha",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "P": "palette",
}


def read_image_folder(folder: Path) -> Dataset:
    """Read every picture of a folder, in the order of label and path.

    Returns
    -------
    Dataset
        Images of shape (n, channels, height, width), 8-bit where the pictures are. Palettes are resolved to
        RGB.

    Raises
    ------
    DataError
        Naming a file that is no image or is damaged, two files that differ in size or mode, or pictures both
        in
        the folder and in subfolders.
    MissingExtraError
        Without Pillow.
    """
    files = _files(folder)
    labelled = [path for path in files if path.parent != folder]
    if labelled and len(labelled) < len(files):
        loose = next(path for path in files if path.parent == folder)
        raise DataError(
            f"{folder}: {loose.name!r} lies beside subfolders with files such as "
            f"{str(labelled[0].relative_to(folder))!r}; "
            "expected either files only, or one subfolder per label"
        )
    first_file, first, first_mode, values = files[0], np.empty(0), "", np.empty(0)
    for i, path in enumerate(files):
        picture, mode = _load(path)
        if i == 0:
            first, first_mode = picture, mode
            values = np.empty((len(files), *picture.shape), dtype=picture.dtype)
        elif picture.shape != first.shape or mode != first_mode:
            a, b = first_file.relative_to(folder), path.relative_to(folder)
            raise DataError(
                f"{folder}: {str(a)!r} is {_describe(first, first_mode)} and {str(b)!r} is "
                f"{_describe(picture, mode)}; "
                "all images need one size and mode: resize or convert them first"
            )
        values[i] = picture
    labels = np.array([path.relative_to(folder).parts[0] for path in labelled]) if labelled else None
    return Dataset(values, "images", None, labels, None, str(folder))


def picture_to_array(picture: Any) -> np.ndarray:
    """Turn a PIL image into an array (channels, height, width); black and white becomes 0 and 1."""
    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    pixels = np.asarray(picture)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _files(folder: Path) -> list[Path]:
    files = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part.lower() in LEFT_BY_SYSTEMS for part in parts)
        if not hidden and path.is_file():
            files.append(path)
    if not files:
        raise DataError(f"{folder}: the folder holds no files; expected images, or MNIST's four IDX files")
    return sorted(files, key=lambda path: path.relative_to(folder).parts)


def _load(path: Path) -> tuple[np.ndarray, str]:
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
                if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
                    raise DataError(
                        f"{path}: colours in {picture.mode}; expected grey or RGB: convert it first"
                    )
                pixels = picture_to_array(picture)
                return pixels, {"P": f"RGB{'A' * (len(pixels) == 4)}"}.get(picture.mode, picture.mode)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path}: no image that can be read; expected only images in the folder: move it out"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: too large an image ({error}); resize it first") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: a damaged image ({str(error)[:120]}); replace or remove it") from error


def _describe(pixels: np.ndarray, mode: str) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[2]} (height x width) {MODES.get(mode, mode)}"
