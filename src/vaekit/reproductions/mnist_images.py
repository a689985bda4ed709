"""MNIST, read and binarised in one of four ways."""

import lzma
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaekit.contracts import WrappedObjective
from vaekit.data import read
from vaekit.errors import DataError
from vaekit.objectives import ObjectiveResult
from vaekit.reproductions.protocol import Images
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE

__all__ = ["DynamicBinarisation", "ThreeSets", "read_images"]

_STATIC = {name: f"binarized_mnist_{name}.amat" for name in ("train", "valid", "test")}


class ThreeSets(NamedTuple):
    """Training, held-out (or None) and test images, each ``(n, 1, 28, 28)`` float32 in [0, 1]."""

    train: Tensor
    held_out: Tensor | None
    test: Tensor


def read_images(images: Images, held_out: int, *, data_dir: Path | None, seed: int) -> ThreeSets:
    """Read MNIST, binarise it, and hold out the last ``held_out`` training images.

    Parameters
    ----------
    images
        ``grey``: no binarisation; ``static``: Larochelle's files ``binarized_mnist_{train,valid,test}.amat``, plain or
        ``.xz``, in ``data_dir`` or its folder ``binarized_mnist``; ``dynamic``: the training images stay grey, for
        :class:`DynamicBinarisation`; ``once``: all images are binarised once.
    held_out
        The number of images to hold out; the static files have 10,000 of their own.
    data_dir
        The folder of the files.
    seed
        The seed for images that are binarised once.

    Raises
    ------
    DataError
        If files are missing or hold something else.
    """
    if images == "static":
        train, valid, test = (_read_static(name, data_dir) for name in _STATIC.values())
        return ThreeSets(train, valid, test) if held_out else ThreeSets(torch.cat([train, valid]), None, test)
    mnist = read("mnist", data_dir=data_dir)
    if mnist.test is None:
        raise DataError("MNIST was read without its test images; give the folder of its four files")
    train, test = (torch.from_numpy(np.asarray(part.values)).float() / 255 for part in (mnist, mnist.test))
    first, last = train[: len(train) - held_out], train[len(train) - held_out :]
    if images != "grey":
        with seeded(seed):
            test, last = test.bernoulli(), last.bernoulli()
            if images == "once":
                first = first.bernoulli()
    return ThreeSets(first, last if held_out else None, test)


class DynamicBinarisation(WrappedObjective):
    """An objective whose images are binarised again at every step.

    In evaluation mode the images are binarised already, and it leaves them as they are.
    """

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Return the objective on newly binarised images."""
        return self.inner(model, x.bernoulli() if model.training else x, c)


def _read_static(name: str, data_dir: Path | None) -> Tensor:
    folders = [] if data_dir is None else [data_dir, data_dir / "binarized_mnist"]
    for path in (folder / file for folder in folders for file in (name, name + ".xz")):
        if path.is_file():
            raw = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
            digits = np.frombuffer(raw, dtype=np.uint8)
            values = digits[(digits == ord("0")) | (digits == ord("1"))] - ord("0")
            if values.size == 0 or values.size % 784:
                raise DataError(f"{path} does not hold rows of 784 zeros and ones; download it again")
            return torch.from_numpy(values.reshape(-1, 1, 28, 28).astype(np.float32))
    raise DataError(
        f"{name} (or {name}.xz), Larochelle's binarised MNIST, was not found; give data_dir=FOLDER, which holds it"
    )
