"""Rows in pieces: a function applied to some thousands at a time, and a batch put together from slices.

A codebook that moves by running means looks at every row of a batch. Where several processes each hold a
slice, the training loop says how the slices are put together; otherwise the rows at hand are all there are.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

__all__ = ["ROWS_AT_ONCE", "chunks", "gathering", "map_chunks", "whole_batch"]

ROWS_AT_ONCE = 4096


def chunks(n: int) -> Iterator[slice]:
    """Cut ``n`` rows into slices of at most :data:`ROWS_AT_ONCE`; one, empty, for no rows.

    >>> list(chunks(5000))
    [slice(0, 4096, None), slice(4096, 5000, None)]
    """
    for start in range(0, max(n, 1), ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, n))


@torch.no_grad()
def map_chunks(n: int, function: Callable[[slice], Tensor]) -> np.ndarray:
    """Return the joined results of a function of each slice of ``n`` rows, without gradients.

    >>> map_chunks(3, lambda rows: torch.arange(10)[rows] * 2)
    array([0, 2, 4])
    """
    return np.concatenate([function(rows).cpu().numpy() for rows in chunks(n)])


_gather: Callable[[Tensor], Tensor] | None = None


def whole_batch(rows: Tensor) -> Tensor:
    """Return the rows ``(n, ...)`` of the whole batch, from those of a slice: the same in every process, no gradient.

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
def gathering(gather: Callable[[Tensor], Tensor]) -> Generator[None]:
    """Put slices together by a function, inside a block."""
    global _gather
    before, _gather = _gather, gather
    try:
        yield
    finally:
        _gather = before
