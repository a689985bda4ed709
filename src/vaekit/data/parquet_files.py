"""Read ``.parquet`` (the extra ``parquet``)."""

from collections.abc import Sequence
from pathlib import Path

from vaekit.data.dataset import Dataset
from vaekit.data.frames import dataset_from_frame
from vaekit.data.parquet_rows import parquet_dataset
from vaekit.errors import DataError, MissingExtraError

__all__ = ["read_parquet"]


def read_parquet(
    path: Path,
    *,
    label: str | None = None,
    conditions: Sequence[str] = (),
    memory_limit: int | None = None,
) -> Dataset:
    """Read a table of columns, or leave it in its file where it needs more than ``memory_limit`` bytes.

    Raises
    ------
    DataError
        For a file that is no Parquet or is damaged, and as `dataset_from_frame`.
    MissingExtraError
        Without pyarrow.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError.for_extra("reading parquet", "parquet") from error
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; expected Parquet")
    if memory_limit is not None:
        dataset = parquet_dataset(path, limit=memory_limit, label=label, conditions=conditions)
        if dataset is not None:
            return dataset
    try:
        frame = pyarrow.parquet.read_table(path).to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: truncated, corrupt or no Parquet ({' '.join(str(error).split())[:120]}); save it again"
        ) from error
    return dataset_from_frame(
        frame.reset_index(drop=True), source=str(path), label=label, conditions=conditions
    )
