"""Readers of ``.npy`` and ``.npz``. Arrays of objects are always refused: unpickling one can run any code."""

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.lib.npyio import NpzFile

from vaekit.data.arrays import dataset_from_array
from vaekit.data.dataset import Dataset
from vaekit.data.mapped import mapped_dataset
from vaekit.data.messages import few, one_line
from vaekit.errors import DataError, MissingLabelError
from vaekit.language.grammar import did_you_mean

__all__ = ["COLUMN_KEYS", "data_key_of", "read_npy", "read_npz"]

DATA_KEYS = ("X", "x", "data", "images", "x_train", "X_train", "train_images", "train_data", "values")
LABEL_KEYS = ("y", "Y", "labels", "label", "target", "targets", "y_train", "Y_train", "train_labels")
TEST_KEYS = ("x_test", "X_test", "test_images", "test_data")
TEST_LABEL_KEYS = ("y_test", "Y_test", "test_labels")
COLUMN_KEYS = ("columns", "feature_names")
NO_OBJECTS = (
    "holds Python objects, which only unpickling could read, and unpickling a file can run any code it "
    "contains; expected numbers: save array.astype(float) instead"
)


def read_npy(path: Path, *, memory_limit: int | None = None) -> Dataset:
    """Return the array of a file; where it needs more than ``memory_limit`` bytes, its rows stay in the file.

    Raises
    ------
    DataError
        For a file that is not .npy, is truncated, has trailing bytes, or holds objects.
    """
    with path.open("rb") as file:
        shape, dtype = _header(file, path)
        expected, found = (
            file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize,
            path.stat().st_size,
        )
        if found != expected:
            state = "truncated" if found < expected else "followed by bytes that do not belong to it"
            raise DataError(
                f"{path}: {found:,} bytes, and its header announces {expected:,} (shape {shape}, {dtype}): "
                f"the array is {state}; save it again"
            )
        file.seek(0)
        if memory_limit is not None and expected * 20 > memory_limit:  # at most so much
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            dataset = mapped_dataset(mapped, source=str(path), limit=memory_limit)
            if dataset is not None:
                return dataset
        array = np.load(file, allow_pickle=False)
    return dataset_from_array(array, source=str(path))


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], np.dtype]:
    start = file.read(6)
    file.seek(0)
    if not start:
        raise DataError(f"{path}: the file is empty; expected a NumPy array")
    if start != npy_format.MAGIC_PREFIX:
        raise DataError(f"{path}: begins with {start!r}; a .npy file begins with {npy_format.MAGIC_PREFIX!r}")
    try:
        version = npy_format.read_magic(file)
        read_header = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise DataError(
                f"{path}: .npy format {version} (structured arrays); expected a plain array of numbers"
            )
        shape, _, dtype = read_header(file)
    except (ValueError, OSError, SyntaxError, TypeError, tokenize.TokenError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: truncated or corrupt .npy header ({one_line(error)}); save it again"
        ) from error
    if dtype.hasobject:
        raise DataError(f"{path}: the array {NO_OBJECTS}")
    return shape, dtype


def read_npz(path: Path, *, label: str | None = None) -> Dataset:
    """Return the data of an archive of arrays, with its labels, column names and test split, if it has any.

    Parameters
    ----------
    path : Path
    label : str, optional
        The key of the labels, where it is not a usual one such as ``y``.

    Raises
    ------
    DataError
        For an archive that is corrupt, whose arrays cannot be told apart, or whose data are objects.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; expected a NumPy archive")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(6)
        raise DataError(
            f"{path}: truncated, or no .npz archive: it begins with {start!r} and has no table of contents"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return _from_archive(archive, path, label)
    except DataError:
        raise
    except (
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise DataError(f"{path}: corrupt archive ({one_line(error)}); save it again") from error


def _from_archive(archive: NpzFile, path: Path, label: str | None) -> Dataset:
    keys = [key for key in archive.files if key != label]
    if label is not None and label not in archive.files:
        raise MissingLabelError(
            f"{path}: no array {label!r} for the labels{did_you_mean(label, archive.files) or ';'} it has "
            f"{few(archive.files)}"
        )
    if "indptr" in keys:
        raise DataError(f"{path}: a sparse matrix of SciPy; expected a dense array: save matrix.toarray()")
    data_key = data_key_of(keys, path)
    label_key = label if label is not None else _find(keys, LABEL_KEYS, path, "labels")
    test_key = _find(keys, TEST_KEYS, path, "test data")
    test_label_key = _find(keys, TEST_LABEL_KEYS, path, "test labels")
    column_key = _find(keys, COLUMN_KEYS, path, "column names")

    def get(key: str | None) -> np.ndarray | None:
        if key is None:
            return None
        try:
            return archive[key]
        except (ValueError, SyntaxError, tokenize.TokenError) as error:
            why = NO_OBJECTS if "pickle" in str(error) else f"is truncated or corrupt ({one_line(error)})"
            raise DataError(f"{path}: the array {key!r} {why}") from error

    names = get(column_key)
    columns = None if names is None else [str(name) for name in names.ravel()]
    test = None
    if test_key is not None:
        source = f"{path} ({test_key})"
        test = dataset_from_array(get(test_key), source=source, columns=columns, labels=get(test_label_key))
    data = dataset_from_array(
        get(data_key), source=str(path), columns=columns, labels=get(label_key), test=test
    )
    if test is not None and test.event_shape != data.event_shape:
        raise DataError(
            f"{path}: {test_key!r} has examples of shape {test.event_shape}, {data_key!r} {data.event_shape}"
        )
    return data


def data_key_of(keys: list[str], path: Path) -> str:
    """Return the name of the array of an archive that is the data, not its labels, names or test split.

    >>> data_key_of(["y", "points"], Path("a.npz"))
    'points'
    """
    data_key = _find(keys, DATA_KEYS, path, "data")
    if data_key is not None:
        return data_key
    others = [key for key in keys if key not in LABEL_KEYS + TEST_KEYS + TEST_LABEL_KEYS + COLUMN_KEYS]
    if len(others) != 1:
        found = f"{len(others)} arrays, {few(others)}, none of them" if others else "no array"
        raise DataError(
            f"{path}: {found} under a name that says it is the data; expected one named 'X' or 'data'"
        )
    return others[0]


def _find(keys: list[str], candidates: tuple[str, ...], path: Path, what: str) -> str | None:
    found = [key for key in candidates if key in keys]
    if len(found) > 1:
        raise DataError(f"{path}: {few(found)} could each be the {what}; keep one of them")
    return found[0] if found else None
