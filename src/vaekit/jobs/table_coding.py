r"""Columns of a table in coordinates in which they compare: bent numbers, positions of categories, and holes.

A number is divided by a robust spread, and far values are drawn in like logarithms:

.. math:: y = \frac{\operatorname{asinh}\bigl((x - \text{median}) / s\bigr) - m}{t},
          \qquad s = \frac{\text{interquartile range}}{1.349},

with the mean m and the standard deviation t of what asinh makes of the column. A few gross values move neither the
median nor s, and are still far away, though not so far that they rule the fit. A hole is 0 there, and is marked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.data import Dataset
from vaekit.data.messages import few, plural
from vaekit.errors import DataError
from vaekit.language.grammar import did_you_mean

__all__ = ["CodedColumn", "CodedRows", "TableCoding"]

_NORMAL_QUARTILES = 1.349  # the interquartile range of a normal distribution of variance 1


@dataclass(frozen=True)
class CodedColumn:
    """One column: its name, and either its place and spread, or its categories.

    Parameters
    ----------
    name
        Its name in the table.
    median, spread, mean, deviation
        Of a column of numbers, the four constants of the formula above.
    categories
        Of a column of categories, their names; one more position is kept for a category that is yet unseen.
    whole
        Whether all values are whole numbers, so that an expected value is rounded.
    straight
        Whether a number is standardised instead: less the mean, over the standard deviation.
    """

    name: str
    median: float = 0.0
    spread: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0
    categories: tuple[str, ...] | None = None
    whole: bool = False
    straight: bool = False

    def bend(self, values: np.ndarray) -> np.ndarray:
        """Map numbers to the coordinate y."""
        if self.straight:
            return (values - self.mean) / self.deviation
        with np.errstate(over="ignore"):
            return (np.arcsinh((values - self.median) / self.spread) - self.mean) / self.deviation

    def unbend(self, coordinates: np.ndarray) -> np.ndarray:
        """Map coordinates back to numbers.

        >>> column = CodedColumn("a", median=5.0, spread=2.0, mean=0.1, deviation=3.0)
        >>> column.unbend(column.bend(np.array([-7.0, 5.0, 1e6]))).round(6).tolist()
        [-7.0, 5.0, 1000000.0]
        """
        numbers = self.mean + self.deviation * coordinates
        if not self.straight:
            numbers = self.median + self.spread * np.sinh(numbers)
        return np.rint(numbers) if self.whole else numbers


@dataclass(frozen=True)
class CodedRows:
    """Rows in the coordinates of a coding.

    Parameters
    ----------
    numbers
        ``(n, numeric columns)``, 0 where there is a hole.
    codes
        ``(n, categorical columns)``, the position of the category; 0 where there is a hole.
    observed
        ``(n, columns)``, numeric columns first: 1 where there is a value, 0 where there is a hole.
    """

    numbers: Tensor
    codes: Tensor
    observed: Tensor

    def __len__(self) -> int:
        return len(self.observed)

    def take(self, rows: "Tensor | slice") -> "CodedRows":
        """Return some of the rows."""
        return CodedRows(self.numbers[rows], self.codes[rows], self.observed[rows])

    def row_bytes(self) -> list[bytes]:
        """Return for each row bytes that only equal rows share."""
        parts = [self.numbers.numpy(), self.codes.to(torch.float32).numpy(), self.observed.numpy()]
        return [row.tobytes() for row in np.ascontiguousarray(np.concatenate(parts, axis=1))]


@dataclass(frozen=True)
class TableCoding:
    """The columns that vary, numeric ones first, and how each is coded.

    Parameters
    ----------
    numeric, categorical
        The coded columns.
    columns
        The names of all columns that the table must have, in its order.
    left_out
        Columns that play no part, each with the reason.
    constants
        The value of each column that has only one.

    Examples
    --------
    >>> table = Dataset(np.array([[1.0, 7.0], [np.nan, 7.0], [3.0, 7.0]]), "table", ("a", "b"))
    >>> coding = TableCoding.fit(table)
    >>> [column.name for column in coding.numeric], coding.left_out
    (['a'], {'b': 'it has only one value'})
    >>> coding.code(table, what="the table").observed.tolist()
    [[1.0], [0.0], [1.0]]
    """

    numeric: tuple[CodedColumn, ...]
    categorical: tuple[CodedColumn, ...]
    columns: tuple[str, ...]
    left_out: Mapping[str, str]
    constants: Mapping[str, float | str] = field(default_factory=dict)

    @classmethod
    def fit(cls, table: Dataset, *, straight: bool = False) -> "TableCoding":
        """Look at the columns of a table.

        Parameters
        ----------
        table
            The table.
        straight
            Whether numbers are only standardised, so that means are those of the numbers themselves.

        Raises
        ------
        DataError
            Where no column varies, a value is infinite, or the data are no table.
        """
        names = _names(table)
        numeric: list[CodedColumn] = []
        categorical: list[CodedColumn] = []
        left_out: dict[str, str] = {}
        constants: dict[str, float | str] = {}
        for j, name in enumerate(names):
            values, categories = _column(table, j)
            known = values[~np.isnan(values)]
            if len(known) == 0:
                left_out[name] = "all its values are missing"
            elif (known == known[0]).all():
                left_out[name] = "it has only one value"
                constants[name] = _value(float(known[0]), categories)
            elif categories is not None:
                categorical.append(CodedColumn(name, categories=categories))
            else:
                numeric.append(_numeric_column(name, known, table.source, straight=straight))
        if not numeric and not categorical:
            told = "; ".join(f"column {name!r}: {why}" for name, why in left_out.items())
            raise DataError(f"{table.source}: no column that varies ({told[:300]}); expected at least one")
        return cls(tuple(numeric), tuple(categorical), names, left_out, constants)

    @property
    def coded(self) -> tuple[CodedColumn, ...]:
        """All coded columns, in the order of :attr:`CodedRows.observed`."""
        return (*self.numeric, *self.categorical)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of positions of each categorical column, that of an unseen category included."""
        return tuple(len(column.categories or ()) + 1 for column in self.categorical)

    def code(self, table: Dataset, *, what: str) -> CodedRows:
        """Return the rows of a table in the coordinates of the coding; columns are matched by name.

        Raises
        ------
        DataError
            For other columns, text among numbers, or a value that is infinite.
        """
        place = self._places(table, what)
        n = len(table)
        numbers, codes = (
            np.zeros((n, len(self.numeric))),
            np.zeros((n, len(self.categorical)), dtype=np.int64),
        )
        observed = np.zeros((n, len(self.coded)))
        for j, column in enumerate(self.coded):
            values, categories = _column(table, place[column.name])
            known = ~np.isnan(values)
            observed[:, j] = known
            if column.categories is None:
                if categories is not None:
                    raise DataError(
                        f"{what}: column {column.name!r} holds text, for instance {categories[-1]!r:.60}; it held "
                        "numbers in the data of the fit"
                    )
                _refuse_infinite(values, column.name, what)
                numbers[known, j] = column.bend(values[known])
            else:
                codes[known, j - len(self.numeric)] = _positions(column, values[known], categories, what)
        as_floats = torch.from_numpy(numbers).float(), torch.from_numpy(observed).float()
        return CodedRows(as_floats[0], torch.from_numpy(codes), as_floats[1])

    def changes_left_out(self, table: Dataset) -> list[str]:
        """Return the names of the columns that had one value at the fit, and have others in this table."""
        place, found = self._places(table, table.source), list[str]()
        for name, constant in self.constants.items():
            values, categories = _column(table, place[name])
            if any(
                _value(value, categories) != constant
                for value in np.unique(values[~np.isnan(values)]).tolist()
            ):
                found.append(name)
        return found

    def _places(self, table: Dataset, what: str) -> dict[str, int]:
        """Return the position in the table of each column of the fit."""
        names = _names(table)
        made_up = all(name == f"x{j}" for j, name in enumerate(names))
        if len(names) == len(self.columns) and (made_up or set(names) == set(self.columns)):
            return {name: j for j, name in enumerate(self.columns if made_up else names)}
        absent = [name for name in self.columns if name not in names]
        more = [name for name in names if name not in self.columns]
        if not absent:
            raise DataError(
                f"{what}: {plural(len(more), 'column')} that the data of the fit did not have ({few(more)}); expected "
                f"{plural(len(self.columns), 'column')} ({few(self.columns, 9)})"
            )
        hint = did_you_mean(absent[0], more) or ";"
        raise DataError(
            f"{what}: no column {few(absent)}, which the data of the fit have{hint} expected "
            f"{plural(len(self.columns), 'column')} ({few(self.columns, 9)}), found {len(names)} ({few(names, 9)})"
        )


def _names(table: Dataset) -> tuple[str, ...]:
    if table.kind != "table" or table.columns is None:
        raise DataError(f"{table.source}: images; expected a table: rows of numbers or categories")
    return table.columns


def _column(table: Dataset, j: int) -> "tuple[np.ndarray, tuple[str, ...] | None]":
    """Return a column with NaN in its holes, and the names of its categories."""
    values = np.asarray(table.values[:, j], dtype=np.float64)
    categories = table.categories[j] if table.categories is not None else None
    return values, categories


def _value(value: float, categories: "Sequence[str] | None") -> float | str:
    return value if categories is None else categories[int(value)]


def _numeric_column(name: str, known: np.ndarray, source: str, *, straight: bool) -> CodedColumn:
    _refuse_infinite(known, name, source)
    lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
    spread = (upper - lower) / _NORMAL_QUARTILES
    # More than half of the values are one value: the others say how far they are from it.
    spread = spread if spread > 0 else float(np.sqrt(np.mean(np.square(known - median))))
    bent = known if straight else np.arcsinh((known - median) / spread)
    mean, deviation = float(bent.mean()), float(bent.std())
    whole = bool((known == np.floor(known)).all())
    return CodedColumn(name, float(median), float(spread), mean, deviation, whole=whole, straight=straight)


def _positions(
    column: CodedColumn, values: np.ndarray, categories: Sequence[str] | None, what: str
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return the positions of categories among those of the fit; the last one for a category that is unseen."""
    known = column.categories or ()
    if categories is None:
        if not np.isin(values, np.arange(len(known))).all():
            raise DataError(
                f"{what}: column {column.name!r} holds numbers; the data of the fit have the categories "
                f"{few(known, 9)}"
            )
        return values.astype(np.int64)
    position = {text: k for k, text in enumerate(known)}
    table = np.array([position.get(text, len(known)) for text in categories], dtype=np.int64)
    return table[values.astype(np.int64)]


def _refuse_infinite(values: np.ndarray, name: str, source: str) -> None:
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise DataError(
            f"{source}: column {name!r} holds an infinite value (row {row}, counted from 0, holes aside); expected "
            "finite numbers: correct it, or leave it empty"
        )
