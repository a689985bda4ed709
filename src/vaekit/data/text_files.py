"""Reader of tables of text: ``.csv``, ``.tsv`` and the like, with a header or without, gzipped or not."""

import csv
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.data.dataset import Dataset, made_up_names
from vaekit.data.frames import dataset_from_frame
from vaekit.data.messages import one_line, plural
from vaekit.data.written_values import numbers_from_text
from vaekit.errors import DataError

__all__ = ["SPACES", "WORD", "decode", "find_dialect", "read_text", "unzipped"]

MISSING = frozenset({"", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"})
SPACES = r"\s+"
SAMPLE_ROWS = 200
WORD = re.compile(r'"[^"]*"|\S+')


def read_text(
    path: Path,
    *,
    label: str | None = None,
    conditions: Sequence[str] = (),
    memory_limit: int | None = None,
    thousands: str | None = None,
    decimal: str | None = None,
    keep: Sequence[str] = (),
    only: Mapping[str, bool] | None = None,
    categorical: Collection[str] = (),
    missing_values: Sequence[str] = (),
) -> Dataset:
    """Return the table of a file of text.

    The separator is a tab for ``.tsv``, and otherwise detected: comma, semicolon, tab, bar or white space.
    The first line is a header where it holds names; columns without names are called ``x0``, ``x1``... An
    empty field, ``?``, ``NA`` and the like are missing values.

    Parameters
    ----------
    path : Path
    label : str, optional
        The column to take out as the label.
    conditions : sequence of str
        The columns to take out as conditions.
    memory_limit : int, optional
        Bytes of memory that the data may take: text is always read as a whole, and a larger file is refused.
    thousands, decimal : str, optional
        The separators within numbers. By default they are told from the values of each column: ``1,234``
        alone is 1234, but 1.234 in a file whose fields are separated by semicolons, or beside values such as
        ``0,5``.
    keep, only
        As for :func:`vaekit.data.read`; the columns to keep are text.
    categorical : collection of str
        Columns of text that are categories, however many there are.
    missing_values : sequence of str
        Further values that stand for missing ones.

    Raises
    ------
    DataError
        For a file larger than the limit, an empty file, lines of different lengths (naming the first), text
        in a column, repeated names.
    """
    import pandas as pd

    size = path.stat().st_size
    if memory_limit is not None and size > memory_limit:
        raise DataError(
            f"{path}: {size:,} bytes of text, with a memory limit of {memory_limit:,}: text is read as a "
            "whole, and needs more than its size; convert it to .parquet or .npy, which are read block by "
            "block, or raise the memory limit"
        )
    text = decode(path, unzipped(path, path.read_bytes()))
    is_tsv = path.name.lower().removesuffix(".gz").endswith(".tsv")
    dialect = find_dialect(path, text, separator="\t" if is_tsv else None)
    lines = check_rectangular(path, text, dialect)
    names = dialect.header if dialect.header is not None else made_up_names(dialect.width)
    if len(lines) == 0:
        raise DataError(f"{path}: no rows (0 samples) below the header {', '.join(names)[:80]}")
    # newer versions read floats exactly without being asked, and warn when asked
    version = tuple(int(number) for number in pd.__version__.split(".")[:2])
    exact: dict[str, Any] = {"float_precision": "round_trip"} if version < (3, 1) else {}
    form: dict[str, Any] = {
        "sep": dialect.separator,
        "header": 0 if dialect.header is not None else None,
        "names": list(names),
        "index_col": False,
        "skipinitialspace": True,
        "low_memory": False,
    }
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            na_values=sorted(MISSING.union(missing_values)),
            keep_default_na=False,
            **form,
            **{key: value for key, value in (("thousands", thousands), ("decimal", decimal)) if value},
            **exact,
        )
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(f"{path}: no table of text that can be read ({one_line(error)})") from error
    if len(frame) != len(lines):
        raise DataError(
            f"{path}: {len(lines):,} lines make {len(frame):,} rows; is a quotation mark left open?"
        )
    dataset = dataset_from_frame(
        frame,
        source=str(path),
        label=label,
        conditions=conditions,
        lines=lines,
        prefer_decimal_comma=dialect.separator == ";",
        keep=keep,
        only=only,
        categorical=categorical,
        missing_values=missing_values,
    )
    if not keep:
        return dataset
    # as it stands in the file: 007 is no 7
    kept = pd.read_csv(io.StringIO(text), usecols=list(keep), dtype=str, na_filter=False, **form)
    return replace(dataset, kept=kept[list(keep)])


@dataclass(frozen=True)
class Dialect:
    """Form of a table of text: separator (`SPACES`: runs of white space), names in the header if any, fields a line."""

    separator: str
    header: tuple[str, ...] | None
    width: int


def unzipped(path: Path, content: bytes) -> bytes:
    """Return the content of a file, decompressed where it is gzipped."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: truncated or corrupt gzip file ({error})") from error


def decode(path: Path, content: bytes) -> str:
    """Return the text of a file, which must be UTF-8 (with or without a byte order mark)."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: text in UTF-16; expected UTF-8: save it again with that encoding")
    if b"\0" in content[:65536]:
        raise DataError(f"{path}: a binary file (it holds zero bytes); expected a table of text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: byte {content[error.start]:#04x} in line {line} is not UTF-8; save the file again with "
            "that encoding"
        ) from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty; expected a table")
    return text


def find_dialect(path: Path, text: str, *, separator: str | None = None) -> Dialect:
    """Return the separator that cuts lines into equally many fields, and the header, if the first line is one."""
    candidates = [separator] if separator else [",", ";", "\t", "|", SPACES]
    try:
        samples = {candidate: _sample(text, candidate) for candidate in candidates}
    except csv.Error as error:
        raise DataError(f"{path}: no table of text that can be read ({error})") from error
    chosen = max(candidates, key=lambda candidate: _score(samples[candidate]))
    if chosen == "," and _score(samples.get(";", [[""]]))[0] == 1:
        chosen = ";"  # the commas are decimal ones
    best = samples[chosen]
    header = tuple(best[0]) if _is_header(best) else None
    if header is not None:
        _check_names(path, header)
    return Dialect(chosen, header, len(best[0]))


def rows_of(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number (from 1) and the fields of every line that is not blank."""
    lines = io.StringIO(text, newline="")
    if separator == SPACES:
        for number, line in enumerate(lines, start=1):
            fields = [field.strip('"') for field in WORD.findall(line)]
            if fields:
                yield number, fields
        return
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for fields in reader:
        if len(fields) > 1 or (fields and fields[0].strip()):
            yield reader.line_num, [field.strip() for field in fields]


def _sample(text: str, separator: str) -> list[list[str]]:
    return [fields for _, fields in itertools.islice(rows_of(text, separator), SAMPLE_ROWS)]


def _score(rows: list[list[str]]) -> tuple[float, float]:
    """Return the share of lines with the commonest number of fields (0 where that is one), and that of numbers."""
    widths = [len(row) for row in rows]
    width = max(set(widths), key=widths.count)
    fields = [field for row in rows[1:] for field in row]
    numbers = sum(map(_is_number_or_missing, fields)) / max(1, len(fields))
    return (widths.count(width) / len(widths), numbers) if width > 1 else (0.0, 0.0)


def check_rectangular(path: Path, text: str, dialect: Dialect) -> np.ndarray:
    """Return the line number of every row of data.

    Raises
    ------
    DataError
        Naming the first line with another number of fields than the first one has.
    """
    if dialect.separator == SPACES or '"' in text or "\r" in text.replace("\r\n", "\n"):
        try:
            rows = [(number, len(fields)) for number, fields in rows_of(text, dialect.separator)]
        except csv.Error as error:
            raise DataError(f"{path}: no table of text that can be read ({error})") from error
        lines, widths = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    else:
        lines, widths = _count_fields(text, dialect.separator)
    ragged = np.flatnonzero(widths != dialect.width)
    if len(ragged):
        first = ragged[0]
        more = f" (and {plural(len(ragged) - 1, 'other line')})" if len(ragged) > 1 else ""
        raise DataError(
            f"{path}: line {lines[first]} has {plural(int(widths[first]), 'field')}, line {lines[0]} has "
            f"{dialect.width}{more}; every line needs the same number"
        )
    return lines[1:] if dialect.header is not None else lines


def _count_fields(text: str, separator: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the lines that are not blank, and the number of fields in each."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    if not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    separators = np.flatnonzero(data == ord(separator))
    widths = np.searchsorted(separators, ends) - np.searchsorted(separators, starts) + 1
    visible = np.flatnonzero((data > ord(" ")) | (data == ord(separator)))
    blank = np.searchsorted(visible, starts) == np.searchsorted(visible, ends)
    return np.flatnonzero(~blank) + 1, widths[~blank]


def _is_header(rows: list[list[str]]) -> bool:
    """Return whether the first line holds names: above numbers, or (in a table of text) without a number."""
    first, rest = rows[0], rows[1:]
    is_name = [not _is_number_or_missing(field) for field in first]
    if all(is_name):
        return True
    if not any(is_name):
        # pandas writes row names under an empty field, and its columns may have numbers for names
        return first[0] == "" and len(first) > 1 and [*first[1:]] == [str(i) for i in range(len(first) - 1)]
    columns = [[row[j] for row in rest if j < len(row)] for j in range(len(first))]
    above_numbers = any(
        name
        and column
        and all(map(_is_number_or_missing, column))
        and not all(field in MISSING for field in column)
        for name, column in zip(is_name, columns, strict=True)
    )
    others = [field for field, name in zip(first, is_name, strict=True) if not name]
    return above_numbers and len(set(first)) == len(first) and all(f == "" or f.isdigit() for f in others)


def _is_number_or_missing(field: str) -> bool:
    if field in MISSING or numbers_from_text([field]) is not None:
        return True
    try:
        float(field.replace("_", "x"))
    except ValueError:
        return False
    return True


def _check_names(path: Path, header: tuple[str, ...]) -> None:
    for j, name in enumerate(header):
        if name == "":
            why = "row numbers that pandas writes? save with index=False" if j == 0 else "name it"
            raise DataError(f"{path}: column {j + 1} of {len(header)} has no name in the header; {why}")
        if name in header[:j]:
            raise DataError(
                f"{path}: column name {name!r} stands more than once in the header; names must differ"
            )
