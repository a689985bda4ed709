"""Rows that stay in a user's data set: items by number, or a sequence that is read from its beginning.

Items by number are read one by one, or by the workers of a ``DataLoader``. A sequence can only be read from
its beginning to its end, anew in every pass.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vaekit.data.item_reading import ItemReader
from vaekit.data.messages import in_a_line, plural
from vaekit.data.stored import StoredRows
from vaekit.errors import DataError

__all__ = ["END", "Cursor", "ItemRows", "SequenceRows"]

_COMPARED = 16  # the first items, which must be the same in every pass

END: Any = object()
"""Marks the end of a sequence."""


_WORTH_WORKERS = 64  # items; fewer are read before workers have started
_ITEMS_AT_ONCE = 16


class ItemRows(StoredRows):
    """Rows of a data set with ``__len__`` and ``__getitem__``.

    The data set's code runs in the process that trains, or in the workers of a ``DataLoader``; never in
    another thread.

    Parameters
    ----------
    items
        The data set.
    reader : ItemReader
        Converts items to rows.
    limit : int
        The memory limit that the data exceeded, in bytes.
    loader : torch.utils.data.DataLoader, optional
        Its number of workers, its way to start them and its time limit are used.
    """

    in_thread = False

    def __init__(self, items: Any, reader: ItemReader, limit: int, loader: Any = None) -> None:
        super().__init__(reader.dtype, (len(items), *reader.event_shape), limit)
        self._items, self._reader, self._loader = items, reader, loader
        self._length = len(items)

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Return the rows of items, by slice or numbers."""
        rows = np.arange(*where.indices(self._length)) if isinstance(where, slice) else where
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        rows = np.where(rows < 0, rows + self._length, rows)
        out = np.empty((len(rows), *self._reader.event_shape), dtype=self.dtype)
        done = 0
        for block, _ in self._blocks(rows):
            out[done : done + len(block)] = block
            done += len(block)
        return out

    def read_all(self) -> "tuple[np.ndarray, np.ndarray | None]":
        """Return all rows, and all labels where there are any."""
        values, labels = zip(*self._blocks(np.arange(self._length), labels=True), strict=True)
        return np.concatenate(values), None if self._reader.label is None else np.concatenate(labels)

    def read_labels(self) -> np.ndarray:
        """Return the labels of all items."""
        return np.concatenate([labels for _, labels in self._blocks(np.arange(self._length), labels=True)])

    def _blocks(self, rows: np.ndarray, *, labels: bool = False) -> "Iterator[tuple[np.ndarray, Any]]":
        """Yield blocks of rows, and their labels where these are asked for and there are any."""
        numbers = rows.tolist()
        if self._loader is None or self._loader.num_workers == 0 or len(numbers) < _WORTH_WORKERS:
            read = _Reading(self._items, self._reader, self._length, labels)
            yield from (read(numbers[i : i + _ITEMS_AT_ONCE]) for i in range(0, len(numbers), _ITEMS_AT_ONCE))
            return
        parts = [numbers[i : i + _ITEMS_AT_ONCE] for i in range(0, len(numbers), _ITEMS_AT_ONCE)]
        read = _Reading(self._items, self._reader, self._length, labels)
        loader = sys.modules["torch"].utils.data.DataLoader(
            _Parts(parts, read),
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self._loader.num_workers,
            multiprocessing_context=self._loader.multiprocessing_context,
            worker_init_fn=self._loader.worker_init_fn,
            timeout=self._loader.timeout,
            prefetch_factor=self._loader.prefetch_factor,
        )
        yield from guarded(iter(loader), self._reader.source, lambda: f"among {plural(len(numbers), 'item')}")


class _Reading:
    """Reads items by number, in this process or in a worker."""

    def __init__(self, items: Any, reader: ItemReader, length: int, labels: bool) -> None:
        self._items, self._reader, self._length = items, reader, length
        self._labels = labels and reader.label is not None

    def __call__(self, numbers: list[int]) -> "tuple[np.ndarray, np.ndarray | None]":
        found = self._found(numbers)
        rows = [self._reader.rows(item, number) for number, item in zip(numbers, found, strict=True)]
        labels = np.concatenate([self._reader.labels(item) for item in found]) if self._labels else None
        return np.concatenate(rows), labels

    def _found(self, numbers: list[int]) -> Sequence[Any]:
        if hasattr(self._items, "__getitems__"):
            try:
                found = self._items.__getitems__(numbers)
            except Exception:  # read one by one below, so that the message names the item
                found = []
            if len(found) == len(numbers):
                return found
        return [self._item(number) for number in numbers]

    def _item(self, number: int) -> Any:
        try:
            return self._items[number]
        except IndexError as error:
            raise DataError(
                f"{self._reader.source}: its length says {self._length:,}, and there is no item {number} "
                f"({in_a_line(error)}); mend __len__, or give torch.utils.data.Subset(data, range(n))"
            ) from error
        except DataError:
            raise
        except Exception as error:
            raise DataError(
                f"{self._reader.source}: item {number} cannot be read ({in_a_line(error)})"
            ) from error


class _Parts:
    """A data set for PyTorch's workers whose items are blocks of rows."""

    def __init__(self, parts: list[list[int]], read: _Reading) -> None:
        self._parts, self._read = parts, read

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> Any:
        try:
            return self._read(self._parts[number])
        except DataError as error:  # PyTorch would pass a raised one on as text with a traceback
            return DataError(str(error))


def _as_it_is(item: Any) -> Any:
    return item


def guarded(iterator: Iterator[Any], source: str, where: Callable[[], str]) -> Iterator[Any]:
    """Yield the items of a user's iterator; its errors become errors of the data.

    Raises
    ------
    DataError
        For an exception of the iterator, the death of a worker among them.
    """
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except DataError:
            raise
        except Exception as error:
            # PyTorch reports a dead worker, or a broken pipe to the worker does so sooner
            died = "DataLoader worker" in str(error) and "exited unexpectedly" in str(error)
            broken = isinstance(error, (ConnectionError, EOFError)) and not str(error).startswith("Caught ")
            died = died or (broken and hasattr(iterator, "_workers"))
            advice = (
                "; a worker process died: was it out of memory? Try fewer, or num_workers=0, which shows its own error"
                if died or "killed by signal" in str(error)
                else ""
            )
            raise DataError(f"{source}: cannot be read {where()} ({in_a_line(error)}){advice}") from error
        if isinstance(item, DataError):
            raise item
        yield item


class Cursor:
    """The position in a sequence, shared by all parts of a data set: there is one iterator at a time.

    Parameters
    ----------
    begin : callable
        Returns an iterable of the items, from the first on.
    reader : ItemReader
        Converts items to rows.
    varying : bool
        Whether passes may differ.
    """

    def __init__(self, begin: Callable[[], Iterable[Any]], reader: ItemReader, *, varying: bool) -> None:
        self._begin, self._reader, self._varying = begin, reader, varying
        self._items: Iterator[Any] | None = None
        self._number, self.start, self.block = 0, 0, np.empty(0)
        self._first: list[bytes] = []

    @property
    def end(self) -> int:
        """The number of the row after the present block."""
        return self.start + len(self.block)

    def restart(self) -> None:
        """Go back to before the first item."""
        self._items = None  # ends the workers of the previous pass
        self._items = guarded(
            iter(self._begin()), self._reader.source, lambda: f"after {plural(self.end, 'row')}"
        )
        self._number, self.start, self.block = 0, 0, self.block[:0]

    def advance(self) -> Any:
        """Go to the next item, and return it; :data:`END` at the end."""
        if self._items is None:
            self.restart()
        item = next(self._items, END)  # type: ignore[arg-type]
        if item is END:
            return item
        self.start, self.block = self.end, self._reader.rows(item, self._number)
        if self._number < _COMPARED and not self._varying:
            self._compare()
        self._number += 1
        return item

    def _compare(self) -> None:
        found = hashlib.sha256(np.ascontiguousarray(self.block).data).digest()
        if self._number == len(self._first):
            self._first.append(found)
        elif self._first[self._number] != found:
            raise DataError(
                f"{self._reader.source}: item {self._number} is another than in the pass before; every pass "
                "must give the same rows in the same order, or held-out rows would be trained on: leave "
                "shuffling to vaekit, or, where rows vary by design and not in order, say "
                "vaekit.data.stream(..., varying=True)"
            )


class SequenceRows(StoredRows):
    """Rows of a sequence.

    Parameters
    ----------
    cursor : Cursor
    reader : ItemReader
    count : int
        Number of rows.
    limit : int
        The memory limit that the data exceeded, in bytes.
    """

    in_order = True
    in_thread = False

    def __init__(self, cursor: Cursor, reader: ItemReader, count: int, limit: int) -> None:
        super().__init__(reader.dtype, (count, *reader.event_shape), limit)
        self._cursor, self._count, self._source = cursor, count, reader.source
        self._event_shape = reader.event_shape

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Return rows: read on to them, or restart where they are before the position."""
        rows = np.arange(*where.indices(self._count)) if isinstance(where, slice) else where
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        wanted, places = np.unique(np.where(rows < 0, rows + self._count, rows), return_inverse=True)
        out = np.empty((len(wanted), *self._event_shape), dtype=self.dtype)
        cursor, done = self._cursor, 0
        if len(wanted) and wanted[0] < cursor.start:
            cursor.restart()
        while done < len(wanted):
            if wanted[done] >= cursor.end:
                if cursor.advance() is END:
                    raise DataError(
                        f"{self._source}: {self._count:,} rows when they were counted, and only "
                        f"{cursor.end:,} in this pass; every pass must give the same rows"
                    )
                continue
            until = int(np.searchsorted(wanted, cursor.end))
            out[done:until] = cursor.block[wanted[done:until] - cursor.start]
            done = until
        return out[places]
