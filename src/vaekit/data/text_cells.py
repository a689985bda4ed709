"""A table of text as slices of its fields: some are replaced, and everything else stays byte for byte.

Fields are cut where :mod:`vaekit.data.text_files` cuts them; a slice holds a field with its quotation marks and the
spaces around it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vaekit.data.cell_styles import CellStyle, content_of, spelt
from vaekit.data.column_summary import Column
from vaekit.data.dataset import made_up_names
from vaekit.data.text_files import SPACES, WORD, decode, find_dialect, unzipped
from vaekit.errors import DataError

__all__ = ["TextCells", "field_spans"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE = re.compile(r"[^\r\n]+")

Span = tuple[int, int]


class TextCells:
    """The cells of some columns of a table of text, of which those with holes can be filled.

    Parameters
    ----------
    path
        The file, for messages; ``.tsv`` fixes the separator.
    content
        Its bytes, which may be gzipped.
    columns
        The columns to fill.
    values
        The values of each as they were read, ``(n,)``, NaN in a hole.

    Raises
    ------
    DataError
        Where the rows that were read are not those of the text.

    Examples
    --------
    >>> content = b"name; size\\r\\n'a'; 1,50\\r\\n'b'; ?\\r\\n"
    >>> size = Column("size", 1.5, 1.5, 1.5, 0.0, True, False, 0.5, decimals=1)
    >>> cells = TextCells(Path("a.csv"), content, [size], {"size": np.array([1.5, np.nan])})
    >>> cells.filled({"size": np.array([1.5, 2.0])})
    b"name; size\\r\\n'a'; 1,50\\r\\n'b'; 2,00\\r\\n"
    """

    def __init__(
        self, path: Path, content: bytes, columns: Sequence[Column], values: Mapping[str, np.ndarray]
    ) -> None:
        content = unzipped(path, content)
        self._mark = _BYTE_ORDER_MARK if content.startswith(_BYTE_ORDER_MARK) else b""
        self._text = decode(path, content)
        is_tsv = path.name.lower().removesuffix(".gz").endswith(".tsv")
        dialect = find_dialect(path, self._text, separator="\t" if is_tsv else None)
        self._separator = dialect.separator
        names = dialect.header if dialect.header is not None else made_up_names(dialect.width)
        wanted = [names.index(column.name) for column in columns]
        spans: list[list[Span]] = [[] for _ in columns]
        rows = field_spans(self._text, dialect.separator)
        if dialect.header is not None:
            next(rows)
        for row in rows:
            if len(row) != dialect.width:
                raise DataError(
                    f"{path}: line {self._line(row[0][0])} has {len(row)} fields; expected {dialect.width}"
                )
            for found, j in zip(spans, wanted, strict=True):
                found.append(row[j])
        self._spans: dict[str, list[Span]] = {}
        self._styles: dict[str, CellStyle] = {}
        for column, found in zip(columns, spans, strict=True):
            seen = values[column.name]
            if len(found) != len(seen):
                raise DataError(
                    f"{path}: {len(found):,} lines of text for {len(seen):,} rows; is a quotation mark left open?"
                )
            raw = [self._text[start:end] for start, end in found]
            self._styles[column.name] = CellStyle.of(column, raw, seen)
            self._spans[column.name] = found

    def filled(self, values: Mapping[str, np.ndarray]) -> bytes:
        """Return the bytes of the file with other values in its holes, not zipped.

        Parameters
        ----------
        values
            For each column to fill ``(n,)`` values in the units of the data; NaN, and what was read, stay as they are.
        """
        edits: list[tuple[int, int, str]] = []
        for name, column in values.items():
            style, spans = self._styles[name], self._spans[name]
            for i in np.flatnonzero(style.holes & ~np.isnan(column)):
                start, end = spans[i]
                edits.append((start, end, self._field(style, self._text[start:end], float(column[i]))))
        return self._mark + "".join(_replaced(self._text, sorted(edits))).encode()

    def _field(self, style: CellStyle, hole: str, value: float) -> str:
        """Return a field for a hole: spaces before it stay, and it is quoted as the column's other cells are."""
        before = hole[: len(hole) - len(hole.lstrip(" "))]
        known = style.field_of(value)
        if known is not None:
            return before + known
        text = style.write(value)
        special = " " if self._separator == SPACES else self._separator
        quoted = style.quoted or hole.strip().startswith('"')
        return before + (spelt(text) if quoted or special in text or text[:1] in ('"', "") else text)

    def _line(self, position: int) -> int:
        return self._text.count("\n", 0, position) + 1


def field_spans(text: str, separator: str) -> Iterator[list[Span]]:
    """Yield for every line that is not blank where its fields begin and end, quotation marks and spaces included.

    Examples
    --------
    >>> list(field_spans('a, "b, c"\\n\\n1,', ","))
    [[(0, 1), (2, 9)], [(11, 12), (13, 13)]]
    """
    if separator == SPACES:
        for line in _LINE.finditer(text):
            found = [word.span() for word in WORD.finditer(text, line.start(), line.end())]
            if found:
                yield found
        return
    end = re.escape(separator)
    plain = rf"[^{end}\r\n]*"
    field = re.compile(rf' *(?:"[^"]*(?:""[^"]*)*"{plain}|{plain})({end}|\r\n|\n|\r|\Z)')
    row: list[Span] = []
    for match in field.finditer(text):
        row.append((match.start(), match.start(1)))
        if match[1] == separator:
            continue
        if len(row) > 1 or content_of(text[slice(*row[0])]):
            yield row
        row = []


def _replaced(text: str, edits: Iterable[tuple[int, int, str]]) -> Iterator[str]:
    done = 0
    for start, end, new in edits:
        yield text[done:start]
        yield new
        done = end
    yield text[done:]
