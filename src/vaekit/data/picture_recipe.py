"""The treatment of every picture of a folder on its way in: its colours, its size, and files that cannot be read."""

from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np

from vaekit.errors import UsageError

__all__ = ["Convert", "PictureRecipe", "read_size"]

Convert = Literal["rgb", "grey"]
_MODES = {"rgb": "RGB", "grey": "L"}
_SIXTEEN_TO_EIGHT_BITS = 257


class PictureRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The colours and the size that pictures are brought to, and whether files that are no pictures are passed over.

    A schema keeps it, so that pictures that come later go the same way.

    Parameters
    ----------
    convert : {"rgb", "grey"} or None
        The 8-bit colours that every picture is converted to; what is transparent shows white. Grey is the luma
        of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B. None: pictures stay as they are, and must all be alike.
    resize : (int, int) or None
        Height and width that every picture is brought to, whatever its shape, by averaging (triangle filter).
    skip_unreadable : bool
        Whether files that cannot be read as one picture are left out, with a note, rather than refused.

    Raises
    ------
    UsageError
        For other colours, or a size below 1 pixel.

    Examples
    --------
    >>> PictureRecipe(convert="gray")
    Traceback (most recent call last):
    vaekit.errors.UsageError: convert='gray'; there are rgb, grey
    """

    convert: Convert | None = None
    resize: tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=1)]] | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        if self.convert is not None and self.convert not in get_args(Convert):
            raise UsageError(f"convert={self.convert!r}; there are {', '.join(get_args(Convert))}")
        if self.resize is not None and not (len(self.resize) == 2 and min(self.resize) >= 1):
            raise UsageError(f"resize={self.resize!r}; give height and width in pixels, such as (32, 32)")

    def apply(self, picture: Any) -> Any:
        """Return a PIL image in the colours and the size that are asked for.

        Examples
        --------
        >>> from PIL import Image
        >>> red = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
        >>> small = PictureRecipe(convert="grey", resize=(1, 2)).apply(red)
        >>> small.mode, small.size, small.getpixel((0, 0))
        ('L', (2, 1), 76)
        """
        if self.convert is not None:
            picture = _converted(picture, _MODES[self.convert])
        if self.resize is not None:
            picture = _resized(picture, *self.resize)
        return picture


def read_size(text: str | None) -> tuple[int, int] | None:
    """Return the height and the width that are written ``32x48``; None for None.

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> read_size("32x48")
    (32, 48)
    """
    if text is None:
        return None
    height, x, width = text.partition("x")
    if not (x and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise UsageError(f"resize={text!r}; write HEIGHTxWIDTH in pixels, such as 32x32")
    return int(height), int(width)


def _converted(picture: Any, mode: str) -> Any:
    """Return a picture in 8-bit grey or RGB, what is transparent on white."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits of grey; PIL itself would clip them at 255
        levels = np.asarray(picture).clip(0, 65535) / _SIXTEEN_TO_EIGHT_BITS
        picture = Image.fromarray(np.rint(levels).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError("32-bit floating-point pixels have no fixed white: write them as 8-bit grey first")
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture if picture.mode == mode else picture.convert(mode)


def _resized(picture: Any, height: int, width: int) -> Any:
    """Return a picture of another size, in the mode that it has; black and white become grey levels."""
    from PIL import Image

    if picture.mode == "P":
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    if picture.mode == "1":
        picture = picture.convert("L")
    size = (width, height)
    if picture.size == size:
        return picture
    if not picture.mode.startswith("I"):
        return picture.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(picture)  # PIL averages 16 bits only as floating-point numbers
    real = Image.fromarray(pixels.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return Image.fromarray(np.rint(np.asarray(real)).astype(pixels.dtype))
