"""Settings of the processor for a block: one thread, and no numbers too small to matter."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

__all__ = ["flushed_denormals", "single_thread"]


@contextmanager
def single_thread(*, where: bool = True) -> Generator[None]:
    """Run a block on one thread where ``where`` is true, and restore the number of threads after it.

    Threads that wait for each other at the end of every small product cost more than they bring. On a busy
    machine they cost twenty times as much: one thread that has to wait for a processor holds up the rest.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with single_thread():
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    if where:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def flushed_denormals() -> Generator[None]:
    """Take denormal floats as zero inside a block, where the processor can, and as before after it.

    Adam's averages of a gradient that has become zero (a pixel that is black in every image of the last
    thousand steps) fade into the denormal range, below 1e-38, where processors are many times slower: on
    MNIST every epoch would take longer than the one before.

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
