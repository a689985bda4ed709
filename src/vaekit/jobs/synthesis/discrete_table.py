"""A table as codes, one whole number for every cell, and codes back to a table."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.data import Dataset, Schema
from vaekit.jobs.synthesis.discrete_columns import CategoryColumn, Codes, DiscreteColumn, Floats, NumberColumn
from vaekit.likelihoods.histogram_cells import facts_of

__all__ = ["DiscreteTable"]


@dataclass(frozen=True)
class DiscreteTable:
    """The columns of a table that vary, as codes; the others have one value, or none.

    Parameters
    ----------
    schema
        The columns with their types.
    columns
        Those that vary.
    places
        Their positions in the table.
    constants
        ``(all columns,)``: the value of every other column, NaN where it has none.

    Examples
    --------
    >>> data = Dataset(np.array([[20.0, 7.0], [30.0, 7.0], [np.nan, 7.0]]), "table", ("age", "one"))
    >>> table = DiscreteTable.fit(Schema.fit(data, scaling="none"), data, keep_missing=True)
    >>> table.sizes, table.encode(data)[0].tolist()
    ((3,), [[0], [1], [2]])
    """

    schema: Schema
    columns: tuple[DiscreteColumn, ...]
    places: tuple[int, ...]
    constants: Floats

    @classmethod
    def fit(cls, schema: Schema, table: Dataset, *, keep_missing: bool) -> "DiscreteTable":
        """Learn the codes of every column from the rows of a table.

        Parameters
        ----------
        schema
            Its columns.
        table
            The rows.
        keep_missing
            Whether a hole is a value like others; otherwise holes are left out.
        """
        values = np.asarray(table.values, dtype=np.float64)
        columns: list[DiscreteColumn] = []
        places: list[int] = []
        constants = np.full(values.shape[1], np.nan)
        for j, column in enumerate(schema.columns):
            known = int((~np.isnan(values[:, j])).sum())
            keeps = keep_missing and known < len(values)
            if known == 0:
                continue
            if column.constant and not keeps:
                constants[j] = column.minimum
                continue
            places.append(j)
            if column.categories is not None:
                columns.append(CategoryColumn(column.name, known, keeps, column.categories))
                continue
            whole = column.integer or column.stored_as == "date"
            facts = facts_of(values[:, j], whole=whole, decimals=column.decimals, name=column.name)
            decimals = 0 if whole else column.decimals
            columns.append(
                NumberColumn.fit(column.name, values[:, j], facts, decimals=decimals, keeps_missing=keeps)
            )
        return cls(schema, tuple(columns), tuple(places), constants)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of codes of each column."""
        return tuple(column.size for column in self.columns)

    def encode(self, table: Dataset) -> tuple[Codes, Floats]:
        """Return codes ``(n, columns)`` and the log-densities that they leave, ``(n, columns)`` in nats.

        See :meth:`DiscreteColumn.encode`.
        """
        values = np.asarray(table.values, dtype=np.float64)[:, list(self.places)]
        codes, within = np.empty(values.shape, dtype=np.int64), np.empty(values.shape)
        for j, column in enumerate(self.columns):
            codes[:, j], within[:, j] = column.encode(values[:, j])
        return codes, within

    def shares(self, codes: Codes) -> list[Tensor]:
        """Return the shares of the codes of each column among rows ``(n, columns)``, with one row spread over all."""
        found = []
        for column, size in zip(codes.T, self.sizes, strict=True):
            counts = np.bincount(column[column >= 0], minlength=size) + 1 / size
            found.append(torch.from_numpy(counts / counts.sum()).float())
        return found

    def decode(
        self,
        codes: Codes,
        generator: np.random.Generator,
        between: "dict[int, tuple[float, float]] | None" = None,
    ) -> npt.NDArray[np.float64]:
        """Return a table's values, ``(n, all columns)``.

        Parameters
        ----------
        codes
            ``(n, columns)``.
        generator
            Of the values within cells.
        between
            For some columns, the least and the largest value to return.
        """
        found = np.empty((len(codes), len(self.constants)))
        found[:] = self.constants
        for j, (column, place) in enumerate(zip(self.columns, self.places, strict=True)):
            low, high = (between or {}).get(j, (-np.inf, np.inf))
            found[:, place] = column.decode_between(codes[:, j], low, high, generator)
        return found
