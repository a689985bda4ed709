"""Rows that stay in a data set of PyTorch's kind: items by number, read one by one or by its workers."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vaekit.data.hints import plural
from vaekit.data.item_reading import ItemReader, in_a_line
from vaekit.data.stored import StoredRows
from vaekit.errors import DataError

__all__ = ["ItemRows"]

_WORTH_WORKERS = 64  # items; fewer are read before workers have started
_ITEMS_AT_ONCE = 16


class ItemRows(StoredRows):
    """Rows of a data set with ``__len__`` and ``__getitem__``.

    Its code is run in the process that trains, or in the workers of a ``DataLoader``; never in another thread.

    Parameters
    ----------
    items
        The data set.
    reader : ItemReader
        Makes rows of items.
    limit : int
        The memory that the data were too large for, in bytes.
    loader : torch.utils.data.DataLoader, optional
        Whose number of workers, way to start them and time limit are used.
    """

    in_thread = False

    def __init__(self, items: Any, reader: ItemReader, limit: int, loader: Any = None) -> None:
        super().__init__(reader.dtype, (len(items), *reader.event_shape), limit)
        self._items, self._reader, self._loader = items, reader, loader
        self._length = len(items)

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Read items."""
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
        """Read everything at once, labels where there are any."""
        values, labels = zip(*self._blocks(np.arange(self._length), labels=True), strict=True)
        return np.concatenate(values), None if self._reader.label is None else np.concatenate(labels)

    def read_labels(self) -> np.ndarray:
        """Read the labels of all items."""
        return np.concatenate([labels for _, labels in self._blocks(np.arange(self._length), labels=True)])

    def _blocks(self, rows: np.ndarray, *, labels: bool = False) -> "Iterator[tuple[np.ndarray, Any]]":
        """Give blocks of rows, and their labels where these are asked for and there are any."""
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
    """Reads some items, here or in a worker."""

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
            except Exception:  # to be said of the item that it comes from
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
    """A data set whose items are blocks of rows, for PyTorch's workers."""

    def __init__(self, parts: list[list[int]], read: _Reading) -> None:
        self._parts, self._read = parts, read

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> Any:
        try:
            return self._read(self._parts[number])
        except DataError as error:  # as it is, rather than as text with a traceback
            return DataError(str(error))


def _as_it_is(item: Any) -> Any:
    return item


def guarded(iterator: Iterator[Any], source: str, where: Callable[[], str]) -> Iterator[Any]:
    """Pass on what an iterator of somebody gives, and its errors as errors of the data.

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
            # PyTorch says so; or its pipe to the worker does, where that is sooner
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
