"""The function that reads a user's data sets: PyTorch's, Hugging Face's, webdataset's, and any iterable.

Data that fit under a memory limit are read at once. Others stay in their source and are read as they are
needed: items by number where the source has numbers, and otherwise from the beginning to the end in each
pass.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from vaekit.data.arrays import as_labels, dataset_from_array
from vaekit.data.dataset import Dataset
from vaekit.data.item_reading import Column, ItemReader, torch_module
from vaekit.data.mapped import memory_limit as read_limit
from vaekit.data.missing_values import read_codes, without_codes
from vaekit.data.stored import bytes_in_memory
from vaekit.data.stream_rows import END, Cursor, ItemRows, SequenceRows
from vaekit.errors import DataError, StreamWarning

__all__ = ["is_stream", "stream"]

_LABELS_AT_ONCE = 65536
_PATIENCE = 60.0  # seconds of counting, before it is said


def stream(
    source: Any,
    *,
    column: Column | None = None,
    label: str | int | None = None,
    batched: bool | None = None,
    length: int | None = None,
    varying: bool = False,
    memory_limit: "str | int | None" = None,
    missing_values: "str | float | Iterable[object] | None" = None,
) -> Dataset:
    """Return a user's data set, in memory where it fits, and otherwise left in its source.

    Parameters
    ----------
    source
        One of

        - a map-style data set, with ``__len__`` and ``__getitem__``: of ``torch.utils.data``, or of Hugging
          Face's ``datasets``;
        - a ``torch.utils.data.DataLoader``: if it is over a map-style data set, its workers are used, and not
          its order and batches;
        - an iterable that can be iterated over repeatedly, such as an ``IterableDataset`` or a
          ``WebDataset``;
        - a function without arguments that returns a new iterator for every pass.

        Items are tensors, arrays, PIL images, tuples, or dictionaries.
    column : str, int or sequence of str, optional
        For dictionaries the key of the data, or the keys of numbers that make up a row of a table; for tuples
        the position. By default the only key that holds an array or a picture, or all keys where all hold
        numbers; 0.
    label : str or int, optional
        Key or position of the label. By default, where data are read or iterated over, 1 for tuples that have
        a number or a text there.
    batched : bool, optional
        Whether an item is a batch of rows; by default True where a DataLoader makes batches or an item is a
        data frame.
    length : int, optional
        Number of rows in a pass over an iterable that has no end, or should not be read to its end.
    varying : bool
        Whether rows of an iterable may differ from pass to pass, as augmented pictures do; their order may
        not.
    memory_limit : str or int, optional
        Memory for data, such as ``"2GB"``; a quarter of the machine's by default.
    missing_values : str or iterable, optional
        Values that stand for missing ones, such as ``"-999"``, beside NaN and None.

    Raises
    ------
    DataError
        For a generator, which can be read only once; for no rows, items that differ in shape or type, and a
        length that is not the number of items.

    Examples
    --------
    >>> data = stream(lambda: ({"x": [float(i), 1.0], "id": i} for i in range(5)), column="x", label="id")
    >>> data.values.shape, data.labels.tolist()
    ((5, 2), [0, 1, 2, 3, 4])
    >>> type(stream(lambda: iter(np.eye(50)), memory_limit="1kB").values).__name__
    'SequenceRows'
    """
    limit, codes = read_limit(memory_limit), read_codes(missing_values)
    found = _stream(
        source, limit, column=column, label=label, batched=batched, length=length, varying=varying
    )
    return without_codes(found, codes)


def _stream(
    source: Any,
    limit: int,
    *,
    column: Column | None,
    label: str | int | None,
    batched: bool | None,
    length: int | None,
    varying: bool,
) -> Dataset:
    """Return the data set of a source as it is."""
    name = f"the {type(source).__name__}" if not _is_function(source) else "the function's iterator"
    loader, torch = None, torch_module()
    if torch is not None and isinstance(source, torch.utils.data.DataLoader):
        plain = torch.utils.data.default_collate
        if _has_items(source.dataset) and source.collate_fn in (
            plain,
            torch.utils.data._utils.collate.default_convert,
        ):
            loader, source = source, source.dataset
            name = f"the {type(source).__name__}"
        else:
            _refuse_shuffling(source, torch, name)
            batched = (
                source.batch_size is not None or source.batch_sampler is not None
                if batched is None
                else batched
            )
    if _has_items(source) and not batched:
        return _from_items(source, loader, limit, name, column, label)
    begin = _beginning(source, name)
    first = next(iter(begin()), END)
    if first is END:
        raise DataError(f"{name}: no rows: it ended before its first item; expected at least 2")
    batched = hasattr(first, "iloc") if batched is None else batched
    reader = ItemReader(first, name, column=column, label=label, batched=batched)
    return _from_sequence(Cursor(begin, reader, varying=varying), reader, limit, _told_length(source), length)


def is_stream(source: Any) -> bool:
    """Return whether :func:`stream` should read an object: it is not an array, data frame or list.

    >>> is_stream(np.eye(2)), is_stream([[1.0]]), is_stream(lambda: iter([])), is_stream(x for x in [])
    (False, False, True, True)
    """
    torch = torch_module()
    if torch is not None and isinstance(source, torch.utils.data.TensorDataset | torch.Tensor):
        return False
    if isinstance(source, Dataset | str | bytes | list | tuple | Mapping | type):
        return False
    if hasattr(source, "__array__") or hasattr(source, "toarray") or hasattr(source, "iloc"):
        return False
    return _has_items(source) or hasattr(source, "__iter__") or _is_function(source)


def _is_function(source: Any) -> bool:
    return callable(source) and not hasattr(source, "__iter__") and not hasattr(source, "__getitem__")


def _has_items(source: Any) -> bool:
    """Return whether an object has a length and items by number."""
    torch = torch_module()
    if torch is not None and isinstance(source, torch.utils.data.IterableDataset):
        return False
    try:
        return hasattr(source, "__getitem__") and hasattr(source, "__len__") and len(source) >= 0
    except TypeError:  # __len__ is there, and refuses
        return False


def _refuse_shuffling(loader: Any, torch: Any, name: str) -> None:
    if isinstance(loader.sampler, torch.utils.data.RandomSampler):
        raise DataError(
            f"{name}: it shuffles, so that every pass has another order; make it with shuffle=False: vaekit shuffles"
        )


def _told_length(source: Any) -> int | None:
    """Return the length of an iterable, if it has one; None for a DataLoader, which counts batches."""
    torch = torch_module()
    if torch is not None and isinstance(source, torch.utils.data.DataLoader):
        return None
    try:
        return len(source)
    except (TypeError, AttributeError, NotImplementedError):
        return None


def _beginning(source: Any, name: str) -> Callable[[], Iterable[Any]]:
    """Return a function that begins a pass over a source."""

    def called() -> Iterable[Any]:
        given = source()
        if not hasattr(given, "__iter__"):
            raise DataError(
                f"{name}: the function gave a {type(given).__name__}; expected an iterator of rows"
            )
        return given

    if _is_function(source):
        if (given := called()) is called():
            raise DataError(
                f"{name}: the function gave the same {type(given).__name__} twice; expected a new one for every pass"
            )
        return called
    if isinstance(source, Iterator):
        raise DataError(
            f"{name}: it can be read once only, and every epoch reads it anew; give a function that makes "
            "one (lambda: rows()), an object whose __iter__ begins anew, or list(...) of it where it is small"
        )
    return lambda: source


def _from_items(
    items: Any, loader: Any, limit: int, name: str, column: Column | None, label: str | int | None
) -> Dataset:
    if len(items) == 0:
        raise DataError(f"{name}: no rows (0 samples): its length is 0; expected at least 2")
    try:
        first = items[0]
    except (IndexError, KeyError) as error:
        raise DataError(f"{name}: its length says {len(items):,}, and there is no item 0") from error
    reader = ItemReader(first, name, column=column, label=label)
    rows = ItemRows(items, reader, limit, loader)
    fits = bytes_in_memory(len(items), reader.event_shape, reader.dtype) <= limit
    values, labels = cast(np.ndarray, rows), None
    if fits:
        values, labels = rows.read_all()
    elif label is not None:
        labels = rows.read_labels()
    return _dataset(values, reader, as_labels(labels, len(items), name))


def _from_sequence(
    cursor: Cursor, reader: ItemReader, limit: int, told: int | None, length: int | None
) -> Dataset:
    """Return the data set of a sequence, read to its end; in memory if it fits."""
    kept: list[np.ndarray] | None = []
    labels: list[np.ndarray] = []
    count, finite, missing, warn_at = 0, True, False, time.monotonic() + _PATIENCE
    while length is None or count < length:
        item = cursor.advance()
        if item is END:
            break
        block = cursor.block if length is None else cursor.block[: length - count]
        count += len(block)
        if block.dtype.kind == "f":
            missing = missing or bool(np.isnan(block).any())
            finite = finite and not bool(np.isinf(block).any())
        if kept is not None:
            kept.append(block)
            if bytes_in_memory(count, reader.event_shape, reader.dtype) > limit:
                kept = None
        if warn_at is not None and time.monotonic() > warn_at:
            warn_at = None
            warnings.warn(
                f"{reader.source}: still counting its rows, {count:,} so far; one without an end needs "
                "vaekit.data.stream(..., length=...)",
                StreamWarning,
                stacklevel=4,
            )
        if reader.label is not None:
            labels.append(reader.labels(item)[: len(block)])
            if len(labels) >= _LABELS_AT_ONCE:
                labels = [np.concatenate(labels)]
    _refuse_length(reader.source, count, told, length)
    found = as_labels(np.concatenate(labels), count, reader.source) if labels else None
    if kept is not None:
        columns = reader.columns
        data = dataset_from_array(np.concatenate(kept), source=reader.source, columns=columns, labels=found)
        return replace(data, columns=columns, layout=reader.layout, stored_as=reader.stored_as)
    rows = SequenceRows(cursor, reader, count, limit)
    rows.known_finite, rows.known_missing = finite and not (missing and reader.kind == "images"), missing
    return _dataset(cast(np.ndarray, rows), reader, found)


def _dataset(values: np.ndarray, reader: ItemReader, labels: np.ndarray | None) -> Dataset:
    """Return rows that a reader made as a data set."""
    return Dataset(
        values,
        reader.kind,
        reader.columns,
        labels,
        None,
        reader.source,
        layout=reader.layout,
        stored_as=reader.stored_as,
    )


def _refuse_length(name: str, count: int, told: int | None, length: int | None) -> None:
    if length is not None and count < length:
        raise DataError(f"{name}: length={length:,} was asked for, and it ended after {count:,} rows")
    if length is None and told is not None and told != count:
        raise DataError(
            f"{name}: its length says {told:,}, and it gave {count:,} rows; mend __len__, or say length={count}"
        )
