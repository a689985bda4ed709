"""A function of many rows, some thousands at a time: bounded memory, the same rows in the same order."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

__all__ = ["ROWS_AT_ONCE", "chunks", "map_chunks"]

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
    """Join what a function makes of each slice of ``n`` rows, without gradients.

    >>> map_chunks(3, lambda rows: torch.arange(10)[rows] * 2)
    array([0, 2, 4])
    """
    return np.concatenate([function(rows).cpu().numpy() for rows in chunks(n)])
