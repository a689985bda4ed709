"""The ways to fill the holes of a table: an imputer that is fitted to it, or a model that was fitted before."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from vaekit.data import Dataset
from vaekit.jobs import ColumnCheck, Imputer

__all__ = ["FilledColumns", "Filler", "ImputerFiller"]

FilledColumns = Mapping[str, np.ndarray]
"""By name of a column its values ``(n,)``, holes filled; text and dates as numbers, as a data set has them."""


class Filler(Protocol):
    """A way to fill the holes of one table."""

    @property
    def checks(self) -> list[ColumnCheck]:
        """The error of each column, measured on cells hidden again."""
        ...

    def expected(self) -> FilledColumns:
        """Return the columns with what is expected in their holes."""
        ...

    def drawn(self, draws: int) -> Iterator[FilledColumns]:
        """Yield the columns with draws in their holes."""
        ...

    def interval(self, level: float) -> tuple[FilledColumns, FilledColumns]:
        """Return the lower and upper ends of intervals; NaN for categories."""
        ...


class ImputerFiller(Filler):
    """The holes of a table filled by an imputer that is fitted to it, or to one like it.

    Parameters
    ----------
    imputer
        The fitted imputer.
    table
        The table.
    """

    def __init__(self, imputer: Imputer, table: Dataset) -> None:
        self._imputer, self._table = imputer, table

    @property
    def checks(self) -> list[ColumnCheck]:
        """The error of each column, measured on cells hidden again."""
        return self._imputer.checks_

    def expected(self) -> FilledColumns:
        """Return conditional means, and most probable categories."""
        return self._by_name(self._imputer.transform(self._table))

    def drawn(self, draws: int) -> Iterator[FilledColumns]:
        """Yield draws given the observed cells of each row."""
        return map(self._by_name, self._imputer.sample(self._table, draws=draws))

    def interval(self, level: float) -> tuple[FilledColumns, FilledColumns]:
        """Return calibrated intervals."""
        low, high = self._imputer.interval(self._table, level)
        return self._by_name(low), self._by_name(high)

    def _by_name(self, values: np.ndarray) -> FilledColumns:
        names = self._imputer.get_feature_names_out()
        return {str(name): values[:, j] for j, name in enumerate(names)}
