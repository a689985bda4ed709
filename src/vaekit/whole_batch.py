"""The rows of a whole batch, for a part that learns from them by itself where several processes share a batch.

A codebook that moves by running means looks at every row of a batch. Where each of several processes holds a slice, the
training loop says how slices are put together; otherwise the rows at hand are all there are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

__all__ = ["gathering", "whole_batch"]

_gather: Callable[[Tensor], Tensor] | None = None


def whole_batch(rows: Tensor) -> Tensor:
    """Give the whole batch's rows, ``(n, ...)``, of a slice's: without gradient, the same in every process.

    Examples
    --------
    >>> import torch
    >>> whole_batch(torch.ones(1)), len(whole_batch(torch.ones(2)))
    (tensor([1.]), 2)
    >>> with gathering(lambda rows: torch.cat([rows, rows + 1])):
    ...     whole_batch(torch.ones(1))
    tensor([1., 2.])
    """
    return rows if _gather is None else _gather(rows)


@contextmanager
def gathering(gather: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Put slices together by a function, inside a block."""
    global _gather
    before, _gather = _gather, gather
    try:
        yield
    finally:
        _gather = before
