"""Numbers too small to matter, and slow to compute with."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["flushed_denormals"]


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take denormal floats as zero inside a block, where the processor can, and as before after it.

    Adam's averages of a gradient that has become zero (a pixel that is black in every image of the last
    thousand steps) fade into the denormal range, below 1e-38, where processors are many times slower: on MNIST
    every epoch takes longer than the one before.

    Examples
    --------
    >>> tiny = torch.tensor(1e-40)
    >>> with flushed_denormals():
    ...     inside = tiny * 1
    >>> bool(tiny * 1 > 0)
    True
    """
    before = bool(torch.tensor(1e-40) * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
