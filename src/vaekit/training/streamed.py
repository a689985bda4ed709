"""Training rows that stay where they are, behind the small part of a tensor's interface that training uses.

An epoch's order is a *windowed shuffle*: the rows are cut into chunks of neighbours, 64 a window; the chunks
are permuted; and of the sequence of rows that results, every window is permuted again. Each row comes once an
epoch, and its companions in a batch come from 64 places all over the data. What can only be read in larger
pieces, as row groups of a table, has its pieces for chunks; what can only be read from its beginning to its
end has windows of neighbours, which begin elsewhere every epoch.

A window is read in the order of the source, brought to the model's units, and kept until the next is asked
for. While it is trained on another thread reads the next, where that runs no code of a user. The order is
drawn from the run's generator like that of data in memory, so that a run that is resumed goes on in it. Where
one window holds all rows, it is a full shuffle.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["RowSource", "StreamedRows", "sequential_shuffle", "windowed_shuffle"]

_CHUNKS = 64  # a window
_LARGEST_WINDOW = 128 * 2**20  # bytes in float32: the same on all machines with enough memory
_SHARE_OF_LIMIT = 8
_PIECES = 8  # a window, where rows are read in pieces
_AT_ONCE = 1 << 20  # values


def windowed_shuffle(
    n: int, window: int, generator: torch.Generator, *, pieces: "np.ndarray | None" = None
) -> Tensor:
    """Permute ``n`` rows so that every window of them comes from few places.

    Parameters
    ----------
    n
        Number of rows.
    window
        Rows that are together in memory.
    generator
        The order is a function of its state.
    pieces
        The rows at which chunks begin, in order; by default 64 chunks of one size make a window.

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
    if pieces is None:
        chunk = max(1, window // _CHUNKS)
        chunks = torch.randperm(-(-n // chunk), generator=generator)
        order = (chunks[:, None] * chunk + torch.arange(chunk)).flatten()
        order = order[order < n]
    else:
        parts = torch.arange(n).tensor_split(torch.from_numpy(pieces[1:]))
        order = torch.cat([parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()])
    for start in range(0, n, window):
        part = order[start : start + window]
        order[start : start + window] = part[torch.randperm(len(part), generator=generator)]
    return order


def sequential_shuffle(
    n: int, window: int, batch_size: int, generator: torch.Generator
) -> tuple[Tensor, list[int]]:
    """Permute ``n`` rows within windows of neighbours; the first window ends anywhere, after whole batches.

    Returns
    -------
    Tensor, list of int
        ``(n,)`` int64, and the places where windows begin.

    Examples
    --------
    >>> order, starts = sequential_shuffle(10, 4, 2, torch.Generator().manual_seed(0))
    >>> order.tolist(), starts
    ([1, 0, 3, 2, 5, 4, 9, 8, 6, 7], [0, 2, 6])
    """
    if window >= n:
        return torch.randperm(n, generator=generator), [0]
    first = batch_size * int(torch.randint(1, window // batch_size + 1, (1,), generator=generator))
    starts = [0, *range(first, n, window)]
    ends = [*starts[1:], n]
    parts = [
        start + torch.randperm(end - start, generator=generator)
        for start, end in zip(starts, ends, strict=True)
    ]
    return torch.cat(parts), starts


class RowSource(Protocol):
    """Rows that are read where they are asked for. Inherit from this to leave out what has a default.

    Attributes
    ----------
    in_order : bool
        Whether reading is quick only in the order of the rows.
    in_thread : bool
        Whether another thread may read, since reading runs no code of a user.
    """

    in_order: bool = False
    in_thread: bool = True

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __getitem__(self, key: slice | np.ndarray, /) -> Any:
        """Return rows by slice or by array of indices."""
        ...

    def pieces(self) -> np.ndarray | None:
        """Return the rows at which pieces begin that are read as a whole; None where any row is read alone."""
        return None

    def fingerprint(self) -> str | None:
        """Return a text that identifies the rows without reading them; None where only their values do."""
        return None


class StreamedRows:
    """Rows in the coordinates of the model, read where they are asked for.

    Parameters
    ----------
    values
        ``(n, ...)`` in the units of the data; as a rule :class:`vaekit.data.stored.StoredRows`.
    transform
        A function from an array of rows to float32 in the coordinates of the model, on the CPU.
    limit
        Memory in bytes that the data may take; an eighth of it, and at most 128 MiB, goes to the window, and
        as much to the next. Where rows are read in pieces, a window is to hold eight, if they are not more
        than that eighth.
    window
        The number of rows of a window, instead.
    device
        The device of the tensors that are returned.
    """

    def __init__(
        self,
        values: RowSource,
        transform: Callable[[np.ndarray], Tensor],
        *,
        limit: int = _SHARE_OF_LIMIT * _LARGEST_WINDOW,
        window: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._values, self._transform, self._limit = values, transform, limit
        self.device = torch.device("cpu") if device is None else device
        self.in_order, self.in_thread = values.in_order, values.in_thread
        self._pieces = values.pieces()
        self.shape = torch.Size([len(values), *transform(values[:1]).shape[1:]])
        if window is None:
            window = self._default_window()
        self.window = max(1, min(window, len(values)))
        self._order, self._starts = np.empty(0, dtype=np.int64), [0]
        self._held, self._buffer = self._order, torch.empty(0)
        self._spare = self._buffer
        self._reader: ThreadPoolExecutor | None = None
        self._ahead: tuple[int, Future[tuple[np.ndarray, Tensor]]] | None = None

    def _default_window(self) -> int:
        each = 4 * prod(self.shape[1:])
        most = self._limit // _SHARE_OF_LIMIT // each
        rows = min(_LARGEST_WINDOW // each, most)
        if self._pieces is None:
            return rows
        largest = int(np.diff([*self._pieces, len(self._values)]).max())
        return max(rows, min(most, _PIECES * largest))

    def __len__(self) -> int:
        return self.shape[0]

    def element_size(self) -> int:
        """Return the bytes of a number."""
        return 4

    def to(self, device: torch.device) -> "StreamedRows":
        """Return the same rows for another device."""
        return StreamedRows(
            self._values, self._transform, limit=self._limit, window=self.window, device=device
        )

    def __getitem__(self, key: slice | int | np.ndarray) -> Tensor:
        """Read some rows, or one."""
        if isinstance(key, int):
            return self[np.array([key])][0]
        return self._read(key).to(self.device)

    def _read(self, key: slice | np.ndarray) -> Tensor:
        """Read rows, on the CPU; random numbers that a user's data set draws leave the run's noise as it is."""
        if self.in_thread:
            return self._transform(self._values[key])
        state = torch.get_rng_state()
        try:
            return self._transform(self._values[key])
        finally:
            torch.set_rng_state(state)

    def window_for(self, batch_size: int) -> int:
        """Return the number of rows of a window that holds whole batches."""
        if self.window == len(self):
            return -(-self.window // batch_size) * batch_size
        return max(1, self.window // batch_size) * batch_size

    @property
    def places(self) -> int | None:
        """The number of pieces that a window holds, about; None where rows are not read in pieces."""
        if self._pieces is None:
            return None
        return max(1, round(self.window * len(self._pieces) / len(self)))

    @property
    def piece_bytes(self) -> int:
        """The bytes of the largest piece while it is decoded; 0 where rows are not read in pieces."""
        if self._pieces is None:
            return 0
        return 20 * prod(self.shape[1:]) * int(np.diff([*self._pieces, len(self)]).max())

    def shuffle(self, generator: torch.Generator, batch_size: int) -> tuple[Tensor, ...]:
        """Draw the order of an epoch: the rows of each step, no step over two windows."""
        step = self.window_for(batch_size)
        if self.in_order:
            order, self._starts = sequential_shuffle(len(self), step, batch_size, generator)
        else:
            order = windowed_shuffle(len(self), step, generator, pieces=self._pieces)
            self._starts = list(range(0, len(self), step))
        self._order, self._held = order.numpy(), np.empty(0, dtype=np.int64)
        self._forget_next()
        return order.split(batch_size)

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Gather the rows of a step; ``dim`` is 0, as for a tensor."""
        wanted = rows.numpy()
        places = self._places(wanted)
        if places is None:
            self._turn_to(wanted[0])
            places = self._places(wanted)
        if places is None:  # not one of the epoch's steps
            return self[wanted]
        return self._buffer.index_select(dim, torch.from_numpy(places).to(self.device))

    def _places(self, wanted: np.ndarray) -> np.ndarray | None:
        """Return where rows stand in the window, if all do."""
        places = np.searchsorted(self._held, wanted)
        if not len(self._held) or places.max() >= len(self._held):
            return None
        return places if np.array_equal(self._held[places], wanted) else None

    def _turn_to(self, row: int) -> None:
        """Turn to the window that a row stands in, and begin to read the one after it."""
        found = np.flatnonzero(self._order == row)
        if not len(found):
            return
        number = bisect_right(self._starts, int(found[0])) - 1
        if self._ahead is not None and self._ahead[0] == number:
            self._held, fresh = self._ahead[1].result()
            self._ahead = None
        else:
            self._forget_next()
            self._held, fresh = self._window(number)
        if fresh.device != self.device:
            self._buffer = fresh.to(self.device)
            self._spare = fresh
        else:
            self._buffer, self._spare = fresh, self._buffer
        if self.in_thread and number + 1 < len(self._starts):
            if self._reader is None:
                self._reader = ThreadPoolExecutor(1, "vaekit reads the next window")
            self._ahead = (number + 1, self._reader.submit(self._window, number + 1))

    def _window(self, number: int) -> tuple[np.ndarray, Tensor]:
        """Read a window, in the order of the source, to the buffer that is not in use."""
        ends = [*self._starts[1:], len(self)]
        held = np.sort(self._order[self._starts[number] : ends[number]])
        most = max(end - start for start, end in zip(self._starts, ends, strict=True))
        if len(self._spare) != most or self._spare.device.type != "cpu":
            self._spare = torch.empty(most, *self.shape[1:])
        buffer = self._spare
        at_once = max(1, _AT_ONCE // prod(self.shape[1:]))
        for first in range(0, len(held), at_once):
            block = self._read(held[first : first + at_once])
            buffer[first : first + len(block)] = block
        return held, buffer

    def _forget_next(self) -> None:
        """Wait for a reading that is no longer wanted, for the buffer is its own until then."""
        if self._ahead is not None:
            self._ahead[1].exception()
            self._ahead = None

    def evenly_spread(self) -> Tensor:
        """Return one window of rows at even distances, for what needs many rows at once."""
        return self[np.linspace(0, len(self) - 1, self.window).round().astype(np.int64)]

    def digest(self) -> str:
        """Return a text that identifies the rows: the source's own, or the SHA-256 of the bytes of all of them."""
        known = self._values.fingerprint()
        if known is not None:
            return known
        digest = hashlib.sha256()
        at_once = max(1, _AT_ONCE // prod(self.shape[1:]))
        for first in range(0, len(self), at_once):
            block = self._read(slice(first, first + at_once))
            digest.update(block.contiguous().numpy().reshape(-1).view(np.uint8).data)
        return digest.hexdigest()
