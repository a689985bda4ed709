"""The channels or pixels of images that are the same in all training rows, and that a model does not see.

A constant tells nothing, and its density is infinite: an opaque alpha channel would be most of what a model of
real numbers has learned. So a channel that holds one value in all training images is left out, and where the
networks are fully connected and the likelihood is a density also single pixels, like constant columns of
tables. The schema keeps the values, and gives them back in samples and reconstructions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from vaekit.data.dataset import row_blocks
from vaekit.data.messages import plural
from vaekit.data.strict_json import Finite
from vaekit.errors import ArtifactError

__all__ = ["ConstantParts", "find_constant_parts"]


@dataclass(frozen=True)
class ConstantParts:
    """The parts of images that are constant.

    Parameters
    ----------
    unit : {"channels", "pixels"}
        What is left out: whole channels, so that the rest are images still, or single pixels, so that the rest
        are rows of numbers.
    values : tuple of float or None
        The value of each channel, or of each pixel of all channels; None for one that varies.

    Examples
    --------
    >>> parts = ConstantParts("channels", (None, 255.0))
    >>> images = np.array([[[[1.0, 2.0]], [[255.0, 255.0]]]])  # one, of 2 channels and 1 x 2 pixels
    >>> parts.drop(images).tolist(), parts.restore(parts.drop(images), (2, 1, 2)).tolist() == images.tolist()
    ([[[[1.0, 2.0]]]], True)
    """

    unit: Literal["channels", "pixels"]
    values: tuple[Finite | None, ...]

    @property
    def kept(self) -> np.ndarray:
        """A boolean for each channel, or pixel: whether it varies."""
        return np.array([value is None for value in self.values])

    def event_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what varies of an image of a shape."""
        count = int(self.kept.sum())
        return (count, *shape[1:]) if self.unit == "channels" else (count,)

    def drop(self, images: np.ndarray) -> np.ndarray:
        """Return what varies of images ``(m, channels, height, width)``."""
        return (images if self.unit == "channels" else images.reshape(len(images), -1))[:, self.kept]

    def restore(self, seen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return whole images ``(..., *shape)`` of what varies of them."""
        kept, values = self.kept, np.array([0.0 if value is None else value for value in self.values])
        batch = seen.shape[: seen.ndim - len(self.event_shape(shape))]
        if self.unit == "pixels":
            images = np.empty((*batch, prod(shape)))
            images[...] = values
            images[..., kept] = seen
            return images.reshape(*batch, *shape)
        images = np.empty((*batch, *shape))
        images[...] = values[:, None, None]
        images[..., kept, :, :] = seen
        return images

    def count_changes(self, values: np.ndarray) -> dict[str, int]:
        """Count the images that differ from each constant channel, or from constant pixels, by their names."""
        places = np.flatnonzero(~self.kept)
        expected = np.array([self.values[place] for place in places], dtype=float)
        counts = np.zeros(len(places), dtype=np.int64)
        for block in _blocks(values):
            flat = block.reshape(len(block), len(self.values), -1)[:, places]
            differ = (flat != expected[:, None]).any(2)
            if self.unit == "pixels":
                differ = np.repeat(differ.any(1, keepdims=True), len(places), axis=1)
            counts += differ.sum(0)
        if self.unit == "pixels":
            return {self.names[0]: int(counts[0])} if counts.any() else {}
        return {name: int(count) for name, count in zip(self.names, counts, strict=True) if count}

    def require_sound(self, shape: tuple[int, ...]) -> None:
        """Refuse parts, read from a file, that are not those of images of a shape.

        Raises
        ------
        ArtifactError
            For another number of them, or where none varies.
        """
        expected = shape[0] if self.unit == "channels" else prod(shape)
        if len(self.values) != expected:
            raise ArtifactError(
                f"schema.constant.values: a list of {len(self.values)}; expected one value of each of the "
                f"{expected} {self.unit}"
            )
        if not self.kept.any():
            raise ArtifactError("schema.constant.values: nothing varies; expected null where something does")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is left out: one for each channel, or one for all pixels."""
        places = np.flatnonzero(~self.kept).tolist()
        if self.unit == "pixels":
            return (plural(len(places), "pixel"),)
        return tuple(f"channel {place}" for place in places)

    def describe(self) -> str:
        """Return in words what is left out, and the values of whole channels."""
        if self.unit == "pixels":
            return f"{self.names[0]} of {len(self.values):,} that never vary"
        found = [f"{i} ({value:g} everywhere)" for i, value in enumerate(self.values) if value is not None]
        return f"constant channels, counted from 0: {', '.join(found)}"


def find_constant_parts(images: np.ndarray, *, pixels: bool) -> ConstantParts | None:
    """Return what is constant in images; None where nothing is, or everything.

    Parameters
    ----------
    images : ndarray of shape (n, channels, height, width)
    pixels : bool
        Whether single pixels are left out, rather than whole channels alone.

    Examples
    --------
    >>> images = np.zeros((5, 2, 1, 3))
    >>> images[:, 0, 0, 0] = range(5)
    >>> find_constant_parts(images, pixels=False).values, find_constant_parts(images, pixels=True).values
    ((None, 0.0), (None, 0.0, 0.0, 0.0, 0.0, 0.0))
    """
    channels = images.shape[1]
    parts = prod(images.shape[1:]) if pixels else channels
    first = images[:1].reshape(1, parts, -1)[:, :, :1]
    constant = np.ones(parts, dtype=bool)
    for block in _blocks(images):
        constant &= (block.reshape(len(block), parts, -1) == first).all((0, 2))
        if not constant.any():
            return None
    if constant.all():
        return None
    values = [float(value) if same else None for value, same in zip(first.ravel(), constant, strict=True)]
    return ConstantParts("pixels" if pixels else "channels", tuple(values))


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    for rows in row_blocks(values):
        yield values[rows]
