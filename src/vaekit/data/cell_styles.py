"""Values written as the other cells of their column are: decimals, thousands, categories as spelt, dates in their form.

The style of a column is found by trying: the form of dates is the one that gives the cells that are there letter by
letter, and the separators of numbers are those with which the cells are read as what they were read as.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from vaekit.data.column_summary import Column
from vaekit.data.written_values import CONVENTIONS, DAYS, numbers_from_text

__all__ = ["CellStyle", "content_of", "spelt", "writer_of"]

_MOST_DECIMALS = 12  # of numbers that were rounded; others are written with all their digits
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_LOOKED_AT = 2_000  # dates, to find their form
_DATES = ("%Y-%m-%d", *DAYS)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%3f", "%H:%M:%S.%f")
_TIMES = ("", *(gap + clock + zone for gap in " T" for clock in _CLOCKS for zone in ("", "Z", "+00:00")))
_PLAIN = ("", ".")


@dataclass(frozen=True)
class CellStyle:
    """The way the cells of a column are written.

    Parameters
    ----------
    holes
        ``(n,)``: where there are holes.
    quoted
        Whether all cells that are there stand between quotation marks.
    write
        From a value in the units of the data to its text, without quotation marks.
    fields
        Of categories, and of True and False, the field of the first cell with each value, as it stands there.

    Examples
    --------
    >>> price = Column("price", 1234.5, 2000.0, 1617.25, 382.75, False, False, 0.3, decimals=1)
    >>> style = CellStyle.of(price, ['"1,234.50"', '"2,000.00"', ""], np.array([1234.5, 2000.0, np.nan]))
    >>> style.write(1617.256), style.quoted
    ('1,617.26', True)
    """

    holes: "np.ndarray"
    quoted: bool
    write: Callable[[float], str]
    fields: dict[float, str] = field(default_factory=dict)

    @classmethod
    def of(cls, column: Column, raw: Sequence[str], values: np.ndarray) -> "CellStyle":
        """Look at the cells of a column.

        Parameters
        ----------
        column
            Its summary.
        raw
            Its fields as they stand in the file.
        values
            What was read, ``(n,)``: NaN in a hole.
        """
        holes = np.isnan(values)
        there = [raw[i] for i in np.flatnonzero(~holes).tolist()]
        quoted = bool(there) and all(cell.strip().startswith('"') for cell in there)
        known = values[~holes]
        if column.categories is not None or column.stored_as == "boolean":
            fields: dict[float, str] = {}
            for cell, value in zip(there, known.tolist(), strict=True):
                fields.setdefault(value, cell.lstrip(" "))
            return cls(holes, quoted, _names_of(column), fields)
        return cls(holes, quoted, writer_of(column, [content_of(cell) for cell in there], known))

    def field_of(self, value: float) -> str | None:
        """Return the field of a cell that has this value, where the column repeats its values; else None."""
        return self.fields.get(round(value)) if self.fields else None


def content_of(cell: str) -> str:
    """Return the text of a field without the spaces and quotation marks around it.

    >>> content_of(' "a ""b"" c" '), content_of(" ? ")
    ('a "b" c', '?')
    """
    found = cell.strip()
    if len(found) > 1 and found[0] == found[-1] == '"':
        return found[1:-1].replace('""', '"').strip()
    return found


def spelt(text: str) -> str:
    """Return a text between quotation marks.

    >>> spelt('5" disk')
    '"5"" disk"'
    """
    return '"' + text.replace('"', '""') + '"'


def writer_of(column: Column, texts: Sequence[str], values: np.ndarray) -> Callable[[float], str]:
    """Return the function that writes a number or a date as texts do, which were read as these values.

    Examples
    --------
    >>> day = Column("day", 0.0, 40.0, 20.0, 10.0, False, False, 0.1, stored_as="date")
    >>> writer_of(day, ["5.1.1970", "22.1.1970"], np.array([4.0, 21.0]))(30.6)
    '1.2.1970'
    """
    if column.stored_as in ("date", "time"):
        return _date_writer(column, texts, values)
    grouping, point = _convention(texts, values)
    return _number_writer(column, texts, grouping, point)


def _names_of(column: Column) -> Callable[[float], str]:
    names = column.categories or ("False", "True")
    return lambda value: names[round(value)]


def _convention(texts: Sequence[str], values: np.ndarray) -> tuple[str, str]:
    """Return the signs that separate thousands and decimals: those by which the texts are read as their values."""
    try:
        if np.array_equal([float(text) for text in texts], values):
            return _PLAIN
    except ValueError:
        pass
    for grouping, point in CONVENTIONS:
        read = numbers_from_text(texts, thousands=grouping, decimal=point)
        if read is not None and np.array_equal(read.values, values):
            return grouping if any(grouping in text for text in texts) else "", point
    return _PLAIN


def _number_writer(column: Column, texts: Sequence[str], grouping: str, point: str) -> Callable[[float], str]:
    mantissas = [re.split("[eE]", text)[0].lstrip("+-") for text in texts]
    decimals = [len(text.partition(point)[2]) for text in mantissas]
    least, most = min(decimals, default=0), max(decimals, default=0)
    with_exponent = [text for text in texts if re.search("[eE]", text)]
    letter = "E" if any("E" in text for text in with_exponent) else "e"
    always = bool(texts) and len(with_exponent) == len(texts)
    dot_at_end = most == 0 and bool(texts) and all(text.endswith(point) for text in texts)
    widths = {len(text) for text in texts}
    padded = len(widths) == 1 and most == 0 and any(len(text) > 1 and text[0] == "0" for text in texts)

    def write(value: float) -> str:
        if column.integer:
            value = float(np.rint(value))
        tiny = bool(with_exponent) and value != 0 and not 1e-4 <= abs(value) < 1e16
        if always or tiny:
            return f"{value:.{most}e}".replace("e", letter).replace(".", point)
        text = f"{value:.{most}f}" if most <= _MOST_DECIMALS else repr(value)
        if least < most <= _MOST_DECIMALS:
            whole, _, fraction = text.partition(".")
            fraction = fraction[:least] + fraction[least:].rstrip("0")
            text = f"{whole}.{fraction}" if fraction else whole
        if text.startswith("-") and not text.strip("-0."):
            text = text[1:]
        if grouping:
            sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
            whole, dot, fraction = digits.partition(".")
            return f"{sign}{int(whole):,}".replace(",", grouping) + dot.replace(".", point) + fraction
        text = text.zfill(min(widths)) if padded else text
        return text.replace(".", point) + point * dot_at_end

    return write


def _date_writer(column: Column, texts: Sequence[str], values: np.ndarray) -> Callable[[float], str]:
    some = list(zip(texts, values.tolist(), strict=True))[:_MOST_LOOKED_AT]
    usual = "%Y-%m-%d" if column.stored_as == "date" else "%Y-%m-%d %H:%M:%S"
    chosen, padded = usual, True
    for form, with_zeros in (
        (date + time, zeros) for date in _DATES for time in _TIMES for zeros in (True, False)
    ):
        if some and all(_written_date(value, form, with_zeros) == text for text, value in some):
            chosen, padded = form, with_zeros
            break
    whole_days = column.stored_as == "date"
    return lambda value: _written_date(float(np.rint(value)) if whole_days else value, chosen, padded)


def _written_date(days: float, form: str, with_zeros: bool) -> str:
    """Return a date as a form writes it, rounded to the smallest unit of that; without zeros, 1/2/1970."""
    unit = 86_400.0
    for mark, seconds in (("%H:%M", 60.0), ("%S", 1.0), ("%3f", 1e-3), ("%f", 1e-6)):
        unit = seconds if mark in form else unit
    when = _EPOCH + timedelta(microseconds=round(days * 86_400 / unit) * round(unit * 1e6))
    text = when.strftime(form.replace("%3f", f"{when.microsecond // 1000:03d}"))
    return text if with_zeros else re.sub(r"(?<!\d)0(?=\d)", "", text[:10]) + text[10:]
