"""Data in memory to data sets: arrays, tensors, DataFrames, lists, and PyTorch's map-style data sets.

torch and pandas are not imported here: an object of theirs exists only where they were imported.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaekit.data.arrays import as_labels, dataset_from_array
from vaekit.data.dataset import Dataset
from vaekit.data.frame_types import frame_columns
from vaekit.data.frames import dataset_from_frame, keep_columns
from vaekit.data.missing_values import read_codes, without_codes
from vaekit.data.pictures import picture_to_array
from vaekit.errors import DataError

__all__ = ["as_array", "from_object"]


def from_object(
    data: Any,
    labels: Any = None,
    *,
    categorical: Collection[str] = (),
    missing_values: "str | float | Iterable[object] | None" = None,
    label: str | None = None,
    conditions: Sequence[str] = (),
    keep: Sequence[str] = (),
    only: Mapping[str, bool] | None = None,
) -> Dataset:
    """Return an object in memory as a data set.

    Parameters
    ----------
    data : ndarray, torch.Tensor, pandas.DataFrame, torch.utils.data.Dataset, list, or Dataset
        Items of a PyTorch data set, or of a list, may be tensors, arrays, PIL images, or tuples (x, y, ...)
        of which the second becomes the label. Memory is shared where nothing needs converting.
    labels : array_like of shape (n,), optional
        Instead of those that come with the data.
    label, conditions, keep, only
        Columns of a data frame, as for :func:`vaekit.data.read`.
    categorical : collection of str
        Columns of text of a DataFrame that are categories, however many there are.
    missing_values : str or iterable, optional
        Values that stand for missing ones, such as ``"-999"``, beside NaN, None, empty text and ``?``.

    Raises
    ------
    DataError
        For data that are neither a table (n, columns) nor images (n, channels, height, width).

    Examples
    --------
    >>> from_object([[1, 2], [3, 4]]).columns
    ('x0', 'x1')
    >>> import torch
    >>> pairs = torch.utils.data.TensorDataset(torch.zeros(5, 1, 8, 8), torch.arange(5))
    >>> data = from_object(pairs)
    >>> data.kind, data.event_shape, data.labels.tolist()
    ('images', (1, 8, 8), [0, 1, 2, 3, 4])
    """
    codes = read_codes(missing_values)
    if isinstance(data, Dataset):
        dataset = data if labels is None else replace(data, labels=as_labels(labels, len(data), data.source))
        dataset = without_codes(dataset, codes)
        return replace(dataset, kept=keep_columns(dataset, keep)) if keep and data.kept is None else dataset
    if isinstance(data, str):
        raise DataError(f"the text {data!r:.60}; expected data: vaekit.data.read(...) reads a file or a name")
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.Series):
        data = data.to_frame()
    if pandas is not None and isinstance(data, pandas.DataFrame):
        dataset = dataset_from_frame(
            data.reset_index(drop=True),
            source="the DataFrame",
            label=label,
            labels=labels,
            conditions=conditions,
            keep=keep,
            only=only,
            missing_values=codes,
            categorical=categorical,
        )
        return replace(without_codes(dataset, codes), frame=frame_columns(data))
    dataset = without_codes(_from_anything(data, labels), codes)
    return replace(dataset, kept=keep_columns(dataset, keep)) if keep else dataset


def _from_anything(data: Any, labels: Any) -> Dataset:
    """Return what is neither a data set nor a data frame as a data set."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(data, torch.Tensor):
        return dataset_from_array(as_array(data), source="the tensor", labels=labels)
    if torch is not None and isinstance(data, torch.utils.data.Dataset):
        return _from_torch_dataset(data, labels, torch)
    if isinstance(data, list | tuple):
        return _from_list(data, labels)
    if not hasattr(data, "__array__") and not hasattr(data, "toarray"):
        raise DataError(
            f"an object of type {type(data).__name__}; expected an array, a tensor, a DataFrame, a list of "
            "rows, or a map-style torch.utils.data.Dataset"
        )
    return dataset_from_array(data, source="the array", labels=labels)


def _from_torch_dataset(data: Any, labels: Any, torch: Any) -> Dataset:
    source = f"the {type(data).__name__}"
    if isinstance(data, torch.utils.data.TensorDataset):
        if labels is None and len(data.tensors) > 1 and data.tensors[1].ndim == 1:
            labels = data.tensors[1]
        return dataset_from_array(as_array(data.tensors[0]), source=source, labels=labels)
    if isinstance(data, torch.utils.data.IterableDataset) or not hasattr(data, "__len__"):
        raise DataError(
            f"{source}: a data set without a length; expected a map-style one, with __len__ and __getitem__; "
            "vaekit.data.stream reads what can be iterated over"
        )
    return _stack((data[i] for i in range(len(data))), len(data), source, labels, tuples_are_pairs=True)


def _from_list(data: Sequence[Any], labels: Any) -> Dataset:
    source = "the list"
    if len(data) == 0:
        raise DataError(f"{source}: no rows (0 samples); at least one is needed")
    first = data[0]
    pairs = isinstance(first, tuple) and len(first) >= 2 and _is_array_like(first[0])
    if pairs or _is_array_like(first):
        return _stack(iter(data), len(data), source, labels, tuples_are_pairs=pairs)
    lengths = [len(row) if isinstance(row, list | tuple) else None for row in data]
    if len(set(lengths)) > 1:
        other = next(i for i, length in enumerate(lengths) if length != lengths[0])
        raise DataError(
            f"{source}: row 0 has {lengths[0]} values and row {other} has {lengths[other]}; every row needs "
            "the same number"
        )
    return dataset_from_array(data, source=source, labels=labels)


def _stack(items: Any, count: int, source: str, labels: Any, *, tuples_are_pairs: bool) -> Dataset:
    """Return items stacked in one data set; the second elements of tuples are the labels."""
    if count == 0:
        raise DataError(f"{source}: no rows (0 samples); at least one is needed")
    values = np.empty(0)
    found: list[Any] = []
    for i, item in enumerate(items):
        if tuples_are_pairs and isinstance(item, tuple | list) and len(item) >= 1 and _is_array_like(item[0]):
            if len(item) > 1:
                found.append(_scalar(item[1]))
            item = item[0]
        if isinstance(item, dict):
            raise DataError(
                f"{source}: item {i} is a dictionary; expected a tensor, an array, an image, or a tuple (x, "
                "y)"
            )
        row = as_array(item)
        if i == 0:
            if row.dtype.kind not in "buif":
                raise DataError(
                    f"{source}: item 0 is {type(item).__name__} of type {row.dtype}; expected numbers"
                )
            values = np.empty((count, *row.shape), dtype=row.dtype)
        elif row.shape != values.shape[1:] or row.dtype != values.dtype:
            raise DataError(
                f"{source}: item 0 has shape {values.shape[1:]} and type {values.dtype}, item {i} "
                f"{row.shape} and {row.dtype}; all items need the same"
            )
        values[i] = row
    usable = labels is None and len(found) == count and all(label is not None for label in found)
    return dataset_from_array(values, source=source, labels=found if usable else labels)


def _is_array_like(item: Any) -> bool:
    return (hasattr(item, "__array__") and getattr(item, "ndim", 1) > 0) or hasattr(item, "getbands")


def as_array(item: Any) -> np.ndarray:
    """Return a tensor, a PIL image or anything array-like as an array."""
    if hasattr(item, "getbands"):
        return picture_to_array(item)
    if hasattr(item, "detach"):
        item = item.detach().cpu()
        if str(item.dtype) == "torch.bfloat16":
            item = item.float()
        if item.layout is not sys.modules["torch"].strided:
            raise DataError("a sparse tensor; expected a dense one: pass tensor.to_dense()")
        return item.resolve_conj().resolve_neg().numpy()
    try:
        return np.asarray(item)
    except ValueError as error:
        raise DataError(f"an item of type {type(item).__name__} that is no array ({error})") from error


def _scalar(label: Any) -> "int | float | str | None":
    """Return a label as a plain number or text; None where it is neither (such a label is not kept)."""
    if isinstance(label, str | int | float):
        return label
    if hasattr(label, "item") and getattr(label, "ndim", 1) == 0:
        return label.item()
    return None
