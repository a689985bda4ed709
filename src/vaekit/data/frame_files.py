"""Reader of the formats that pandas reads as a whole: spreadsheets, Feather and JSON."""

import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaekit.data.dataset import Dataset
from vaekit.data.frames import dataset_from_frame
from vaekit.data.messages import one_line
from vaekit.errors import DataError, MissingExtraError

__all__ = ["FRAME_ENDINGS", "read_frame_file"]

_SHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
FRAME_ENDINGS = (*_SHEETS, ".feather", ".json", ".jsonl")


def read_frame_file(
    path: Path,
    *,
    label: str | None = None,
    conditions: Sequence[str] = (),
    memory_limit: int | None = None,
    keep: Sequence[str] = (),
    only: Mapping[str, bool] | None = None,
    categorical: Collection[str] = (),
    missing_values: Sequence[str] = (),
) -> Dataset:
    """Return the table of a file: the first sheet of a spreadsheet, a Feather file, or JSON.

    JSON is what ``DataFrame.to_json`` writes: a list of objects, or an object of columns; in a ``.jsonl`` an
    object a line.

    Parameters
    ----------
    path : Path
    label, conditions, keep, only, categorical, missing_values
        As for :func:`vaekit.data.read`.
    memory_limit : int, optional
        Bytes of memory that the data may take: these files are always read as a whole, and a larger one is
        refused.

    Raises
    ------
    DataError
        For a file that is larger than the limit, empty, damaged or no table, and as `dataset_from_frame`
        does.
    MissingExtraError
        Where the package that pandas reads the format with is not installed.
    """
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"{path}: the file is empty; expected a table")
    if memory_limit is not None and size > memory_limit:
        raise DataError(
            f"{path}: {size:,} bytes, with a memory limit of {memory_limit:,}: a {path.suffix} is read as a whole; "
            "convert it to .parquet or .npy, which are read block by block, or raise the memory limit"
        )
    try:
        frame = _frame(path)
    except ImportError as error:
        raise MissingExtraError(
            f"reading {path.suffix} needs an optional dependency of pandas: {one_line(error)}"
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: truncated, corrupt or no table ({one_line(error)}); save it again, or as .csv"
        ) from error
    return dataset_from_frame(
        frame.reset_index(drop=True),
        source=str(path),
        label=label,
        conditions=conditions,
        keep=keep,
        only=only,
        categorical=categorical,
        missing_values=missing_values,
    )


def _frame(path: Path) -> Any:
    """Return the data frame of a file."""
    import pandas as pd

    ending = path.suffix.lower()
    if ending in _SHEETS:
        return pd.read_excel(path)
    if ending == ".feather":
        return pd.read_feather(path)
    text = path.read_text(encoding="utf-8-sig")
    found = (
        [json.loads(line) for line in text.splitlines() if line.strip()]
        if ending == ".jsonl"
        else json.loads(text)
    )
    rows = isinstance(found, list) and found and all(isinstance(row, dict) for row in found)
    columns = isinstance(found, dict) and found and all(isinstance(c, dict | list) for c in found.values())
    if not (rows or columns):
        raise ValueError("it is neither a list of objects nor an object of columns")
    return pd.DataFrame(found)  # pandas' own reader of JSON turns text that looks like a date into one
