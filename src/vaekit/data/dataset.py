"""The data set: rows of numbers, or images, exactly as they were found; every reader returns one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vaekit.data.frame_types import FrameColumn
from vaekit.data.messages import few, plural
from vaekit.data.picture_recipe import PictureRecipe
from vaekit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "Kind", "Layout", "StoredAs", "in_memory", "made_up_names", "row_blocks"]

Kind = Literal["table", "images"]
Layout = Literal["channels-first", "channels-last", "no-channels"]
"""The order of the axes of images in their source."""

StoredAs = Literal["real", "integer", "boolean", "date", "time"]
"""The type of a column in its source; dates and times are read as days since 1970-01-01."""

BLOCK_VALUES = 1 << 20  # numbers handled at once: 8 MiB in float64


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples as found in their source: no scaling, no shuffling, missing values kept as NaN.

    Parameters
    ----------
    values : ndarray of shape (n, \\*event_shape)
        A table is float64 of shape (n, columns). Images are channels-first, (n, channels, height, width), in
        the type they were found in (8-bit images stay ``uint8``).
    kind : {"table", "images"}
    columns : tuple of str or None
        The names of a table's columns; ``x0``, ``x1``... where the source has none. None for images.
    labels : ndarray of shape (n,) or None
        Integers, strings, or (measured targets) floats. For colouring only, never trained on.
    test : Dataset or None
        The source's own test split, where it has one.
    source : str
        Name to show in messages: ``"digits"``, or the path.
    categories : tuple of (tuple of str, or None), or None
        For each column of a table that holds text, the names of its categories: its values are then positions
        among them, from 0, and NaN where the text is missing. None where no column holds text.
    conditions : mapping of str to ndarray of shape (n,), or None
        The conditions that a conditional model is given with each example, as found; see
        :mod:`vaekit.data.conditions`.
    layout : {"channels-first", "channels-last", "no-channels"}
        The axes of images in their source.
    stored_as : mapping of str to str, or None
        By name of column, the type in the source where it is not a real number: ``integer``, ``boolean``,
        ``date`` or ``time``.
    notes : tuple of str
        What a person should know of the reading: columns left out, and text that was read as numbers.
    pictures : PictureRecipe or None
        The colours and the size that the pictures of a folder were brought to, where these were asked for.
    frame : tuple of FrameColumn, or None
        The columns of the data frame that these data were given as; None for other data.
    kept : DataFrame or None
        Columns of the source as they stand there, to be written beside results: ids, for instance.
    first_row : int
        The number of the first row in the source, for messages.
    left_out : tuple of str
        Names of columns that were taken out afterwards, see :mod:`vaekit.data.column_selection`.
    order : tuple of str
        Names of all columns of a table's source as they stand there, also of those that are no part of ``values``.

    Examples
    --------
    >>> data = Dataset(np.eye(3), "table", ("a", "b", "c"), source="a matrix")
    >>> len(data), data.event_shape, data.take([2]).values.tolist()
    (3, (3,), [[0.0, 0.0, 1.0]])
    """

    values: np.ndarray = field(repr=False)
    kind: Kind
    columns: tuple[str, ...] | None
    labels: np.ndarray | None = field(default=None, repr=False)
    test: "Dataset | None" = None
    source: str = "data"
    categories: "tuple[tuple[str, ...] | None, ...] | None" = None
    conditions: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    layout: Layout = "channels-first"
    stored_as: Mapping[str, StoredAs] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    pictures: PictureRecipe | None = None
    frame: tuple[FrameColumn, ...] | None = field(default=None, repr=False)
    kept: "pd.DataFrame | None" = field(default=None, repr=False)
    first_row: int = 0
    left_out: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.values.shape[0]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.values.shape[1:]

    def take(self, indices: "np.ndarray | list[int]") -> "Dataset":
        """Return the examples at ``indices`` with their labels, without the test split."""
        labels = None if self.labels is None else self.labels[indices]
        conditions = self.conditions
        if conditions is not None:
            conditions = {name: values[indices] for name, values in conditions.items()}
        rows = self.values[indices] if in_memory(self.values) else self.values.take(indices)
        kept = None if self.kept is None else self.kept.iloc[indices]
        return replace(self, values=rows, labels=labels, test=None, conditions=conditions, kept=kept)

    def hash(self) -> str:
        """Return the SHA-256 (hexadecimal) of type, shape and bytes of the values, and of the test split's.

        >>> Dataset(np.zeros((1, 1)), "table", ("x0",)).hash()[:16]
        '6633ca76b99175ef'
        """
        digest = hashlib.sha256()
        if self.categories is not None:
            digest.update(repr(self.categories).encode())
        for part in (self, self.test):
            if part is None:
                continue
            values = part.values
            digest.update(f"{values.dtype.newbyteorder('<').str} {values.shape}\n".encode())
            for rows in row_blocks(values):
                block = np.ascontiguousarray(values[rows])
                digest.update(block.astype(block.dtype.newbyteorder("<"), copy=False).data)
        return digest.hexdigest()

    @property
    def has_missing(self) -> bool:
        """Whether a value of a table is missing (NaN)."""
        if self.kind != "table" or self.values.dtype.kind != "f":
            return False
        if in_memory(self.values):
            return any(bool(np.isnan(self.values[rows]).any()) for rows in row_blocks(self.values))
        self.require_finite()
        left_in_file: Any = self.values
        return left_in_file.known_missing

    def require_finite(self, *, infinite: bool = False) -> None:
        """Refuse infinite values, and in images missing ones (NaN): of a table, cells may be missing.

        With ``infinite``, infinite values are accepted.

        Raises
        ------
        DataError
            With the number of such values, their columns, and the place of the first one.
        """
        left_in_file: Any = None if in_memory(self.values) else self.values
        if self.values.dtype.kind != "f" or (left_in_file is not None and left_in_file.known_finite):
            return
        count, first, missing = 0, None, False
        may_miss = self.kind == "table"
        if may_miss and infinite:
            return
        in_column = np.zeros(self.event_shape, dtype=bool)
        for rows in row_blocks(self.values):
            block = self.values[rows]
            bad = np.isinf(block) if may_miss else np.isnan(block) if infinite else ~np.isfinite(block)
            missing = missing or (may_miss and bool(np.isnan(block).any()))
            if bad.any():
                count += int(bad.sum())
                in_column |= bad.any(axis=0)
                if first is None:
                    place = np.argwhere(bad)[0]
                    first = (rows.start + int(place[0]), *(int(i) for i in place[1:]))
        if first is not None:
            raise DataError(self._describe_not_finite(count, first, in_column))
        if left_in_file is not None and not infinite:  # too large to look through often
            left_in_file.known_finite, left_in_file.known_missing = True, missing

    def _describe_not_finite(self, count: int, first: tuple[int, ...], in_column: np.ndarray) -> str:
        value = self.values[first]
        name = "NaN (missing)" if np.isnan(value) else "infinite" if value > 0 else "minus infinity"
        if self.columns is not None:
            columns = [self.columns[i] for i in np.flatnonzero(in_column)]
            where = f"row {self.first_row + first[0]} (counted from 0), column {self.columns[first[1]]!r}"
            spread = f" in {plural(len(columns), 'column')} ({few(columns)})"
            advice = "Values must be finite numbers, or missing (NaN, empty): correct or remove those rows or columns"
        else:
            where = f"image {self.first_row + first[0]} (counted from 0), channel, row and column {first[1:]}"
            spread = ""
            advice = "Every value must be a finite number: fill in or remove those images"
        return (
            f"{self.source}: {plural(count, 'value')} of {self.values.size:,} "
            f"{'infinite' if self.kind == 'table' else 'missing or infinite'}{spread}; "
            f"the first, at {where}, is {name}. {advice}"
        )


def made_up_names(count: int) -> tuple[str, ...]:
    """Return names for the columns of a source that has none.

    >>> made_up_names(3)
    ('x0', 'x1', 'x2')
    """
    return tuple(f"x{i}" for i in range(count))


def in_memory(values: object) -> bool:
    """Return whether values are an array, not rows left in their file (see vaekit.data.stored)."""
    return isinstance(values, np.ndarray)


def row_blocks(values: np.ndarray) -> list[slice]:
    """Return slices of rows of about a million numbers each, so that no pass over the data copies all of it.

    >>> row_blocks(np.zeros((3, 1 << 19)))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    n = values.shape[0]
    width = max(1, values.size // max(n, 1))
    step = max(1, BLOCK_VALUES // width)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
