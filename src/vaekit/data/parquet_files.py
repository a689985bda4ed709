"""Read ``.parquet`` (the extra ``parquet``)."""

from collections.abc import Sequence
from pathlib import Path

from vaekit.data.dataset import Dataset
from vaekit.data.frames import dataset_from_frame
from vaekit.errors import DataError, MissingExtraError

__all__ = ["read_parquet"]


def read_parquet(path: Path, *, label: str | None = None, conditions: Sequence[str] = ()) -> Dataset:
    """Read a table of columns.

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
    try:
        frame = pyarrow.parquet.read_table(path).to_pandas()
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: truncated, corrupt or no Parquet ({' '.join(str(error).split())[:120]}); save it again"
        ) from error
    return dataset_from_frame(
        frame.reset_index(drop=True), source=str(path), label=label, conditions=conditions
    )
