"""How many threads a training step is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["threads_for"]

_WORTH_SHARING = 10_000_000  # multiply-adds of a forward pass


@contextmanager
def threads_for(model: nn.Module, batch_size: int) -> Iterator[None]:
    """Run a block on one thread where a step is too small to share, and restore the number after it.

    Threads that wait for each other at the end of every small product cost more than they bring, and on a
    busy machine twenty times as much: the one that was put aside holds up the rest.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with threads_for(nn.Linear(3, 3), batch_size=16):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    work = batch_size * sum(parameter.numel() for parameter in model.parameters())
    shares = any(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in model.modules())
    if work < _WORTH_SHARING and not shares:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
