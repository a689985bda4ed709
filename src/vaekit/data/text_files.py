"""Read tables of text: ``.csv``, ``.tsv`` and the like, with a header or without, gzipped or not."""

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaekit.data.dataset import Dataset, made_up_names
from vaekit.data.frames import dataset_from_frame
from vaekit.data.text_dialect import MISSING, check_rectangular, decode, find_dialect
from vaekit.errors import DataError

__all__ = ["read_text"]


def read_text(
    path: Path,
    *,
    label: str | None = None,
    conditions: Sequence[str] = (),
    memory_limit: int | None = None,
) -> Dataset:
    """Read a table of text.

    The separator is a tab for ``.tsv``, and otherwise found: comma, semicolon, tab, bar or white space. The
    first
    line is a header where names stand in it; columns without names are called ``x0``, ``x1``... An empty
    field,
    ``?``, ``NA`` and the like are missing values.

    Parameters
    ----------
    path : Path
    label : str, optional
        The column to take out as the label.
    conditions : sequence of str
        The columns to take out as conditions.
    memory_limit : int, optional
        Bytes of memory that the data may take: text is always read as a whole, and a larger file refused.

    Raises
    ------
    DataError
        For a file larger than the limit, an empty file, lines of different lengths (naming the first), text in a
        column, repeated names.
    """
    import pandas as pd

    size = path.stat().st_size
    if memory_limit is not None and size > memory_limit:
        raise DataError(
            f"{path}: {size:,} bytes of text, with a memory limit of {memory_limit:,}: text is read as a whole, and "
            "needs more than its size; convert it to .parquet or .npy, which are read block by block, or raise the "
            "memory limit"
        )
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: truncated or corrupt gzip file ({error})") from error
    text = decode(path, content)
    is_tsv = path.name.lower().removesuffix(".gz").endswith(".tsv")
    dialect = find_dialect(path, text, separator="\t" if is_tsv else None)
    lines = check_rectangular(path, text, dialect)
    names = dialect.header if dialect.header is not None else made_up_names(dialect.width)
    if len(lines) == 0:
        raise DataError(f"{path}: no rows (0 samples) below the header {', '.join(names)[:80]}")
    # newer versions read floats exactly without being asked, and warn when asked
    version = tuple(int(number) for number in pd.__version__.split(".")[:2])
    exact: dict[str, Any] = {"float_precision": "round_trip"} if version < (3, 1) else {}
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=dialect.separator,
            header=0 if dialect.header is not None else None,
            names=list(names),
            index_col=False,
            na_values=sorted(MISSING),
            keep_default_na=False,
            skipinitialspace=True,
            low_memory=False,
            **exact,
        )
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(
            f"{path}: no table of text that can be read ({' '.join(str(error).split())[:120]})"
        ) from error
    if len(frame) != len(lines):
        raise DataError(
            f"{path}: {len(lines):,} lines make {len(frame):,} rows; is a quotation mark left open?"
        )
    return dataset_from_frame(frame, source=str(path), label=label, conditions=conditions, lines=lines)
