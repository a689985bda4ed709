"""Rows of a sequence that can only be read from its beginning to its end, anew for every pass."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from vaekit.data.hints import plural
from vaekit.data.item_reading import ItemReader
from vaekit.data.item_rows import guarded
from vaekit.data.stored import StoredRows
from vaekit.errors import DataError

__all__ = ["END", "Cursor", "SequenceRows"]

END: Any = object()
"""There is no more item."""

_COMPARED = 16  # first items, which every pass is to begin with


class Cursor:
    """Where in the sequence one is, shared by all parts of a data set: there is one iterator at a time.

    Parameters
    ----------
    begin : callable
        Gives an iterable of the items, from the first on.
    reader : ItemReader
        Makes rows of items.
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
        """The row after the present block."""
        return self.start + len(self.block)

    def restart(self) -> None:
        """Stand before the first item."""
        self._items = None  # workers of the pass before end first
        self._items = guarded(
            iter(self._begin()), self._reader.source, lambda: f"after {plural(self.end, 'row')}"
        )
        self._number, self.start, self.block = 0, 0, self.block[:0]

    def advance(self) -> Any:
        """Go to the next item, and give it; :data:`END` at the end."""
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
                f"{self._reader.source}: item {self._number} is another than in the pass before; every pass must give "
                "the same rows in the same order, or held-out rows would be trained on: leave shuffling to vaekit, or, "
                "where rows vary by design and not in order, say vaekit.data.stream(..., varying=True)"
            )


class SequenceRows(StoredRows):
    """Rows of an iterable.

    Parameters
    ----------
    cursor : Cursor
    reader : ItemReader
    count : int
        Of rows.
    limit : int
        The memory that the data were too large for, in bytes.
    """

    in_order = True
    in_thread = False

    def __init__(self, cursor: Cursor, reader: ItemReader, count: int, limit: int) -> None:
        super().__init__(reader.dtype, (count, *reader.event_shape), limit)
        self._cursor, self._count, self._source = cursor, count, reader.source

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Go on to rows, or begin anew for those before."""
        rows = np.arange(*where.indices(self._count)) if isinstance(where, slice) else where
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        wanted, places = np.unique(np.where(rows < 0, rows + self._count, rows), return_inverse=True)
        out = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        cursor, done = self._cursor, 0
        if len(wanted) and wanted[0] < cursor.start:
            cursor.restart()
        while done < len(wanted):
            if wanted[done] >= cursor.end:
                if cursor.advance() is END:
                    raise DataError(
                        f"{self._source}: {self._count:,} rows when they were counted, and only {cursor.end:,} in this "
                        "pass; every pass must give the same rows"
                    )
                continue
            until = int(np.searchsorted(wanted, cursor.end))
            out[done:until] = cursor.block[wanted[done:until] - cursor.start]
            done = until
        return out[places]
