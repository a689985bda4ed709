"""The columns of a table as they were read, and the values of their holes in the types of the source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaekit.data.cell_styles import writer_of
from vaekit.data.column_summary import Column, summarise
from vaekit.data.dataset import Dataset
from vaekit.data.restoring import restore_column

__all__ = ["CellsToFill", "Values"]

Values = Mapping[str, np.ndarray]
"""For each column to fill all its values, ``(n,)``, in the units of the data; a hole stays where they are NaN."""


@dataclass(frozen=True)
class CellsToFill:
    """The columns of a table that are to be filled.

    Parameters
    ----------
    columns
        A summary of each by name.
    read
        The values of each as they were read, NaN in a hole.
    """

    columns: Mapping[str, Column]
    read: Values

    @classmethod
    def of(cls, dataset: Dataset, names: Sequence[str]) -> "CellsToFill":
        """Return the named columns of a table.

        >>> cells = CellsToFill.of(Dataset(np.array([[1.0], [np.nan]]), "table", ("a",)), ["a"])
        >>> cells.holes("a", np.array([7.0, 8.0])).tolist()
        [1]
        """
        there = dataset.columns or ()
        columns = {column.name: column for column in summarise(dataset) if column.name in names}
        return cls(columns, {name: dataset.values[:, there.index(name)] for name in columns})

    def holes(self, name: str, values: np.ndarray) -> "np.ndarray[Any, np.dtype[np.intp]]":
        """Return the positions of the holes of a column that these values fill."""
        return np.flatnonzero(np.isnan(self.read[name]) & ~np.isnan(values))

    def observed(self, name: str) -> "np.ndarray[Any, np.dtype[np.intp]]":
        """Return the positions of the cells of a column that are there."""
        return np.flatnonzero(~np.isnan(self.read[name]))

    def cells(self, name: str, values: np.ndarray, there: Sequence[Any]) -> list[Any]:
        """Return values as Python has them in the column's type; numbers and dates that were text are written as text.

        Parameters
        ----------
        name, values
            The column, and the values of some of its holes.
        there
            The observed cells, in their order, as the source has them.

        Examples
        --------
        >>> cells = CellsToFill.of(Dataset(np.array([[1.5], [np.nan]]), "table", ("a",)), ["a"])
        >>> cells.cells("a", np.array([2.26]), [1.5]), cells.cells("a", np.array([2.26]), ["1,5"])
        ([2.3], ['2,3'])
        """
        column = self.columns[name]
        is_number = column.categories is None and column.stored_as != "boolean"
        if is_number and any(isinstance(cell, str) for cell in there):
            texts = [str(cell).strip() for cell in there]
            write = writer_of(column, texts, self.read[name][self.observed(name)])
            return [write(float(value)) for value in values]
        values = np.rint(values) if column.integer else values
        return restore_column(column, values).tolist()
