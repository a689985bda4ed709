"""Seeded randomness: torch's global generators are seeded for a block, and put back after it."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Run a block with torch's generators seeded, and restore their state after it.

    Parameters
    ----------
    seed
        Any whole number of at most 64 bits.

    Examples
    --------
    >>> with seeded(0):
    ...     first = torch.rand(2)
    >>> with seeded(0):
    ...     again = torch.rand(2)
    >>> torch.equal(first, again)
    True
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
