"""The holes of a table filled by a fitted model, and how well: on cells that are hidden again."""

from collections.abc import Iterator
from dataclasses import replace
from math import nan

import numpy as np

from vaekit.application.fillers import FilledColumns, Filler
from vaekit.data import Dataset
from vaekit.estimator import VariationalAutoencoder
from vaekit.jobs import ColumnCheck
from vaekit.jobs.imputation.simpler_ways import errors_beside_simpler_ways
from vaekit.jobs.table_coding import TableCoding

__all__ = ["ModelFiller"]

_DRAWS = 100  # that quantiles are taken of
_MOST_ROWS = 1_000  # of which cells are hidden again
_WANTED_CELLS = 50  # of a column, where its holes are fewer
_LARGEST_SHARE = 0.5


class ModelFiller(Filler):
    """The holes of a table filled by a model that was fitted before.

    Parameters
    ----------
    estimator
        The model.
    rows
        Rows in the columns of its schema.
    seed
        Of the draws, and of the cells that are hidden again.
    """

    def __init__(self, estimator: VariationalAutoencoder, rows: Dataset, *, seed: int) -> None:
        self._estimator, self._rows, self._seed = estimator, rows, seed
        self._names = rows.columns or ()  # those of the file, in the order of the schema

    @property
    def checks(self) -> list[ColumnCheck]:
        """The error of each column, measured on cells hidden again at the rate of its holes."""
        values = np.asarray(self._rows.values, dtype=np.float64)
        holes, generator = np.isnan(values), np.random.default_rng(self._seed)
        some = np.sort(generator.permutation(len(values))[:_MOST_ROWS])
        there = ~holes[some]
        rates = np.maximum(holes.mean(0), _WANTED_CELLS / np.maximum(there.sum(0), 1)).clip(0, _LARGEST_SHARE)
        varying = np.fmin.reduce(values, axis=0) < np.fmax.reduce(values, axis=0)
        checked = holes.any(0) & varying & self._estimator.schema_.kept
        hidden = there & (generator.random(there.shape) < rates) & checked
        if not hidden.any():
            return []
        rows = self._rows.take(some)
        told = replace(rows, values=np.where(hidden, np.nan, values[some]))
        expected = self._estimator.impute(told, random_state=self._seed)
        drawn = np.stack(self._estimator.impute(told, draws=_DRAWS, random_state=self._seed))
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        coding = TableCoding.fit(self._rows, straight=True)
        whole, seen, guess = (
            coding.code(each, what="the data") for each in (rows, told, replace(rows, values=expected))
        )
        errors = errors_beside_simpler_ways(whole, seen, guess, coding.sizes, seed=self._seed)
        place = {column.name: k for k, column in enumerate(coding.coded)}
        checks = []
        for j in np.flatnonzero(hidden.any(0)).tolist():
            at, column = hidden[:, j], self._estimator.schema_.columns[j]
            truth, coverage = values[some][at, j], nan
            if column.categories is None:
                coverage = float(((low[at, j] <= truth) & (truth <= high[at, j])).mean())
            checks.append(
                ColumnCheck(
                    name=column.name,
                    missing=float(holes[:, j].mean()),
                    cells=int(at.sum()),
                    coverage=coverage,
                    share_of_trees=0.0,
                    **errors[place[self._names[j]]],
                )
            )
        return checks

    def expected(self) -> FilledColumns:
        """Return conditional means, and most probable categories."""
        return self._by_name(self._estimator.impute(self._rows, random_state=self._seed))

    def drawn(self, draws: int) -> Iterator[FilledColumns]:
        """Yield draws given the observed cells of each row."""
        return map(self._by_name, self._estimator.impute(self._rows, draws=draws, random_state=self._seed))

    def interval(self, level: float) -> tuple[FilledColumns, FilledColumns]:
        """Return quantiles of draws, as wide as the model says, not calibrated."""
        drawn = np.stack(self._estimator.impute(self._rows, draws=_DRAWS, random_state=self._seed))
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        for j, column in enumerate(self._estimator.schema_.columns):
            if column.categories is not None:
                low[:, j] = high[:, j] = nan
        return self._by_name(low), self._by_name(high)

    def _by_name(self, values: np.ndarray) -> FilledColumns:
        return {name: values[:, j] for j, name in enumerate(self._names)}
