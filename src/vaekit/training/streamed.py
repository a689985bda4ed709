"""Training rows that stay in their file, behind the small part of a tensor's interface that training uses.

An epoch's order is a *windowed shuffle*: the rows are cut into chunks of neighbours, 64 a window; the chunks are
permuted; and of the sequence of rows that results, every window is permuted again. Each row comes once an epoch, and
its companions in a batch come from 64 places all over the data. A window is read in the order of the file, brought to
the model's units, and kept until the next is asked for. The order is drawn from the run's generator like that of data
in memory, so that a run that is resumed goes on in it. Where one window holds all rows, it is a full shuffle.
"""

import hashlib
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["StreamedRows", "windowed_shuffle"]

_CHUNKS = 64  # a window
_LARGEST_WINDOW = 128 * 2**20  # bytes in float32: the same on all machines with enough memory
_SHARE_OF_LIMIT = 8
_AT_ONCE = 1 << 20  # values


def windowed_shuffle(n: int, window: int, generator: torch.Generator) -> Tensor:
    """Permute ``n`` rows so that every window of them comes from few places.

    Parameters
    ----------
    n
        Number of rows.
    window
        Rows that are together in memory.
    generator
        What the order is a function of.

    Returns
    -------
    Tensor
        ``(n,)`` int64.

    Examples
    --------
    >>> order = windowed_shuffle(1000, 128, torch.Generator().manual_seed(0))
    >>> sorted(order.tolist()) == list(range(1000)), len(set((order[:128] // 2).tolist())) < 70
    (True, True)
    """
    if window >= n:
        return torch.randperm(n, generator=generator)
    chunk = max(1, window // _CHUNKS)
    chunks = torch.randperm(-(-n // chunk), generator=generator)
    order = (chunks[:, None] * chunk + torch.arange(chunk)).flatten()
    order = order[order < n]
    for start in range(0, n, window):
        part = order[start : start + window]
        order[start : start + window] = part[torch.randperm(len(part), generator=generator)]
    return order


class StreamedRows:
    """Rows in the coordinates of the model, read where they are asked for.

    Parameters
    ----------
    values
        ``(n, ...)``: gives rows by slice and by array of indices, in the units of the data.
    transform
        Of an array of rows, to float32 in the coordinates of the model, on the CPU.
    limit
        Memory in bytes that the data may take; an eighth of it, and at most 128 MiB, goes to the window.
    window
        Rows of the window instead.
    device
        Of the tensors that are given.
    """

    def __init__(
        self,
        values: Any,
        transform: Callable[[np.ndarray], Tensor],
        *,
        limit: int = _SHARE_OF_LIMIT * _LARGEST_WINDOW,
        window: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._values, self._transform, self._limit = values, transform, limit
        self.device = torch.device("cpu") if device is None else device
        self.shape = torch.Size([len(values), *transform(values[:1]).shape[1:]])
        if window is None:
            window = min(_LARGEST_WINDOW, limit // _SHARE_OF_LIMIT) // (4 * prod(self.shape[1:]))
        self.window = max(1, min(window, len(values)))
        self._order = np.empty(0, dtype=np.int64)
        self._step = self.window
        self._held, self._buffer = self._order, torch.empty(0)

    def __len__(self) -> int:
        return self.shape[0]

    def element_size(self) -> int:
        """Bytes of a number."""
        return 4

    def to(self, device: torch.device) -> "StreamedRows":
        """The same rows for another device."""
        return StreamedRows(
            self._values, self._transform, limit=self._limit, window=self.window, device=device
        )

    def __getitem__(self, key: slice | int | np.ndarray) -> Tensor:
        """Read some rows, or one."""
        if isinstance(key, int):
            return self[np.array([key])][0]
        return self._transform(self._values[key]).to(self.device)

    def window_for(self, batch_size: int) -> int:
        """Rows of a window that holds whole batches."""
        if self.window == len(self):
            return -(-self.window // batch_size) * batch_size
        return max(1, self.window // batch_size) * batch_size

    def shuffle(self, generator: torch.Generator, batch_size: int) -> tuple[Tensor, ...]:
        """Draw the order of an epoch: the rows of each step, no step over two windows."""
        self._step = self.window_for(batch_size)
        order = windowed_shuffle(len(self), self._step, generator)
        self._order, self._held = order.numpy(), np.empty(0, dtype=np.int64)
        return order.split(batch_size)

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Gather the rows of a step; ``dim`` is 0, as for a tensor."""
        wanted = rows.numpy()
        places = self._places(wanted)
        if places is None:
            self._fill(wanted[0])
            places = self._places(wanted)
        if places is None:  # not one of the epoch's steps
            return self[wanted]
        return self._buffer.index_select(dim, torch.from_numpy(places).to(self.device))

    def _places(self, wanted: np.ndarray) -> np.ndarray | None:
        """Where rows stand in the window, if all do."""
        places = np.searchsorted(self._held, wanted)
        if not len(self._held) or places.max() >= len(self._held):
            return None
        return places if np.array_equal(self._held[places], wanted) else None

    def _fill(self, row: int) -> None:
        """Read the window that a row stands in, in the order of the file."""
        found = np.flatnonzero(self._order == row)
        if not len(found):
            return
        start = int(found[0]) // self._step * self._step
        self._held = np.sort(self._order[start : start + self._step])
        most = min(self._step, len(self))
        if len(self._buffer) != most:
            self._buffer = torch.empty(most, *self.shape[1:], device=self.device)
        at_once = max(1, _AT_ONCE // prod(self.shape[1:]))
        for first in range(0, len(self._held), at_once):
            block = self[self._held[first : first + at_once]]
            self._buffer[first : first + len(block)] = block

    def evenly_spread(self) -> Tensor:
        """One window of rows at even distances, for what needs many rows at once."""
        return self[np.linspace(0, len(self) - 1, self.window).round().astype(np.int64)]

    def digest(self) -> str:
        """SHA-256, hexadecimal, of the bytes of all rows: that of the tensor they would make."""
        digest = hashlib.sha256()
        at_once = max(1, _AT_ONCE // prod(self.shape[1:]))
        for first in range(0, len(self), at_once):
            block = self._transform(self._values[first : first + at_once])
            digest.update(block.contiguous().numpy().reshape(-1).view(np.uint8).data)
        return digest.hexdigest()
