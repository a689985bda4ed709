"""Imputer: the holes of a table filled in, with draws and intervals that hold, as a scikit-learn transformer."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from vaekit.data import Column, Dataset, Schema
from vaekit.data.frame_types import is_frame
from vaekit.data.messages import few, plural
from vaekit.data.missing_values import read_codes, without_codes
from vaekit.data.restoring import fill_frame
from vaekit.errors import DataWarning, UsageError
from vaekit.estimator.fitting import draw_seed
from vaekit.estimator.given_rows import as_dataset
from vaekit.jobs.imputation.imputation import DRAWS_OF_INTERVALS, Completed, Imputation
from vaekit.jobs.imputation.rehidden_cells import ColumnCheck
from vaekit.jobs.imputation.self_masking import SelfMaskedImputation, self_masked_columns
from vaekit.jobs.saved_job import SavedJob
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["Imputer"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_FEW_WHOLE_NUMBERS = 20
_BEYOND = 0.5  # of the range of a column without bounds, that draws may lie beyond it


class Imputer(TransformerMixin, SavedJob):
    r"""The holes of a table filled in, by small variational autoencoders that give any columns given any others.

    Every hole gets the mean of :math:`p(x_j \mid \text{the observed cells of the row})`, or the most probable category.
    The mean stays between the smallest and the largest value of the fit where nature bounds a column: it has one sign,
    or is of few whole numbers.
    :meth:`sample` draws whole rows from it, and :meth:`interval` gives intervals that are calibrated on cells hidden
    again. The nearest rows and trees take part as far as they help with such cells: see
    :mod:`vaekit.jobs.imputation.imputation`.

    Parameters
    ----------
    missing_values
        The value that stands for a hole beside NaN, None, empty text and ``?``.
    anchor
        What the networks are put together with: ``auto``, a Gaussian, the nearest rows, and trees; ``gaussian``,
        without trees.
    mnar
        None; or ``self``: a value's own size may decide whether it is missing. A Gaussian with a logistic curve for
        each column then takes the networks' place (:mod:`vaekit.jobs.imputation.self_masking`), for tables of numbers.
    steps
        Steps of training; None: 1,500, or 2,000 from 1,000 rows on.
    add_indicator
        Whether columns of zeros and ones follow that say where there were holes.
    keep_empty_features
        Whether a column without any value is kept, as zeros; otherwise it is left out.
    random_state
        The seed of weights, hidden cells and noise: the same seed gives the same bytes.

    Notes
    -----
    It is meant for holes whose chance depends on what is observed (missing at random). Where a value's own size decides
    whether it is missing, no interval holds, and a :class:`vaekit.errors.DataWarning` names columns that look so;
    ``mnar="self"`` then has smaller errors, but its intervals rest on the shape of the curves, which no data confirm.

    Raises
    ------
    UsageError
        For parameters that cannot be.
    DataError
        For data that are no table, or in which no column varies, and for an infinite value.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x = load_iris().data.copy()
    >>> truth, x[::7, 2] = x[::7, 2].copy(), np.nan
    >>> imputer = Imputer(steps=100, random_state=0).fit(x)
    >>> bool(np.abs(imputer.transform(x)[::7, 2] - truth).mean() < 0.5)
    True
    >>> low, high = imputer.interval(x, level=0.9)
    >>> bool(np.mean((low[::7, 2] <= truth) & (truth <= high[::7, 2])) > 0.6)
    True
    """

    job: ClassVar[str] = "imputer"

    n_features_in_: int
    imputation_: Imputation | SelfMaskedImputation  #: Networks, and the ways of each column.
    coding_: TableCoding  #: How columns are seen.
    schema_: Schema  #: The columns with their types.
    checks_: list[ColumnCheck]  #: How well each column with holes is filled in.
    _empty: Flags
    _with_holes: Flags
    _constant: Floats
    _range: Floats

    def __init__(
        self,
        *,
        missing_values: Any = np.nan,
        anchor: Literal["auto", "gaussian"] = "auto",
        mnar: Literal["self"] | None = None,
        steps: int | None = None,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.missing_values = missing_values
        self.anchor: Literal["auto", "gaussian"] = anchor
        self.mnar: Literal["self"] | None = mnar
        self.steps = steps
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to a table with holes.

        Parameters
        ----------
        X
            Array or data frame of ``(n, columns)``.
        y
            Ignored.
        """
        if self.anchor not in ("auto", "gaussian"):
            raise UsageError(f"anchor={self.anchor!r}: give 'auto' or 'gaussian'")
        if self.mnar not in (None, "self"):
            raise UsageError(f"mnar={self.mnar!r}: give 'self' or None")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps={self.steps}: give a whole number of at least 1, or None")
        table = self._read(X, reset=True)
        values = np.asarray(table.values, dtype=np.float64)
        known = ~np.isnan(values)
        self.source_ = {"source": table.source, "rows": len(table), "columns": len(table.columns or ())}
        self.schema_ = Schema.fit(table, scaling="none")
        self._empty = np.logical_not(known.any(axis=0))
        self._with_holes = np.logical_not(known.all(axis=0))
        self._constant = np.array([column.minimum for column in self.schema_.columns])
        self._range = np.array([[column.minimum, column.maximum] for column in self.schema_.columns]).T
        self.coding_ = TableCoding.fit(table, straight=True)
        rows = self.coding_.code(table, what=table.source)
        seed = draw_seed(self.random_state) % 2**63
        if self.mnar == "self":
            self.imputation_ = SelfMaskedImputation.fit(self.coding_, rows, seed=seed)
        else:
            self._warn_of_self_masking(rows, seed)
            self.imputation_ = Imputation.fit(
                self.coding_, rows, with_trees=self.anchor == "auto", steps=self.steps, seed=seed
            )
        self.checks_ = self.imputation_.checks
        return self

    def transform(self, X: Any) -> Any:
        """Return the table with its holes filled in, a data frame of the same types where a data frame was given."""
        table = self._table(X)
        found = self._complete(table, draws=0)
        return self._give_back(X, table, self._expected(table, found))

    def sample(self, X: Any, draws: int = 1) -> list[Any]:
        """Return the table several times, with holes filled by draws given the observed cells of each row.

        Fit a model to each, and put the results together by :func:`vaekit.pool`. Each draw is by a fit of its own to a
        bootstrap sample of the rows, so that draws differ by what the fit does not know as well, and the holes of a row
        depend on each other as its cells do: see :mod:`vaekit.jobs.imputation.bootstrap_fits`. The first call makes ten
        such fits, which takes about a third of the time in which the networks were fitted; more draws than ten share
        them. Under ``mnar="self"`` all draws are of one fit.

        Drawn numbers stay between the smallest and the largest value of the fit where nature bounds a column: it has
        one sign, or is of few whole numbers; in other columns at most half of that range beyond.

        Parameters
        ----------
        X
            Rows with holes.
        draws
            How many tables.

        Raises
        ------
        UsageError
            For fewer than one.
        """
        if draws < 1:
            raise UsageError(f"draws={draws}: give a whole number of at least 1")
        table = self._table(X)
        found = self.imputation_.sample(self.coding_.code(table, what="the data"), draws=draws)
        beyond = np.where(self._bounded(), 0.0, _BEYOND * (self._range[1] - self._range[0]))
        return [self._give_back(X, table, drawn) for drawn in self._drawn(table, found, beyond)]

    def interval(self, X: Any, level: float = 0.9) -> tuple[Floats, Floats]:
        """Return both ends of intervals that hold a share ``level`` of what was in the holes, each ``(n, columns)``.

        An observed cell is both ends of its own; there is no interval of categories, and both are NaN.

        Raises
        ------
        UsageError
            For a level that is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise UsageError(f"level={level!r}: give a number between 0 and 1, such as 0.9")
        table = self._table(X)
        found = self._complete(table, draws=DRAWS_OF_INTERVALS)
        drawn = np.stack(list(self._drawn(table, found)))
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        for j, column in enumerate(self.schema_.columns):
            if column.categories is not None:
                low[:, j] = high[:, j] = np.nan
        keep = self._kept()
        return low[:, keep], high[:, keep]

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> "npt.NDArray[np.object_]":
        """Return the names of the columns of :meth:`transform`.

        Parameters
        ----------
        input_features
            Names of the columns of the fit, where that had none.
        """
        check_is_fitted(self)
        names = [column.name for column in self.schema_.columns]
        if input_features is not None:
            if len(input_features) != len(names):
                raise ValueError("input_features should have length equal to number of features")
            names = [str(name) for name in input_features]
        kept = [name for name, keep in zip(names, self._kept(), strict=True) if keep]
        if self.add_indicator:
            kept += [
                f"missingindicator_{name}" for name, some in zip(names, self._with_holes, strict=True) if some
            ]
        return np.array(kept, dtype=object)

    def _warn_of_self_masking(self, rows: CodedRows, seed: int) -> None:
        names = self_masked_columns(self.coding_, rows, seed)
        if names:
            warnings.warn(
                f"{plural(len(names), 'column')} ({few(names)}) whose values look as if their own size decided whether "
                "they are missing: no interval of theirs holds then, and errors on cells hidden again are too small; "
                "try mnar='self'",
                DataWarning,
                stacklevel=3,
            )

    def _kept(self) -> Flags:
        return np.logical_or(~self._empty, self.keep_empty_features)

    def _read(self, X: Any, *, reset: bool) -> Dataset:
        codes = read_codes(self.missing_values)
        table = without_codes(as_dataset(self, X, codes, (), reset=reset), codes)
        table.require_finite()
        return table

    def _table(self, X: Any) -> Dataset:
        check_is_fitted(self)
        return self.schema_.align(self._read(X, reset=False), what="the data")

    def _complete(self, table: Dataset, *, draws: int) -> Completed:
        return self.imputation_.complete(self.coding_.code(table, what="the data"), draws=draws)

    def _expected(self, table: Dataset, found: Completed) -> Floats:
        filled = self._filled(table, found.numbers, [each.argmax(1) for each in found.probabilities])
        if self.mnar == "self":  # holes lie beyond what is seen
            return filled
        holes = np.isnan(np.asarray(table.values, dtype=np.float64))
        return np.where(holes & self._bounded(), np.clip(filled, *self._range), filled)

    def _bounded(self) -> Flags:
        return np.array([_is_bounded(column) for column in self.schema_.columns])

    def _drawn(self, table: Dataset, found: Completed, beyond: Floats | float = 0.0) -> Iterator[Floats]:
        """Yield the table as often as it was drawn, at most so far beyond the range of the fit; observed cells stay."""
        values = np.asarray(table.values, dtype=np.float64)
        low, high = np.fmin(self._range[0] - beyond, values), np.fmax(self._range[1] + beyond, values)
        for numbers, codes in zip(found.drawn_numbers, found.drawn_codes, strict=True):
            filled = self._filled(table, numbers, list(codes.T))
            yield filled if self.mnar == "self" else np.clip(filled, low, high)

    def _filled(self, table: Dataset, numbers: Floats, codes: list[Any]) -> Floats:
        """Return the values of a table, ``(n, columns)``, with these in its holes, in the coordinates of the coding."""
        values = np.array(table.values, dtype=np.float64)
        filled = np.where(np.isnan(values), self._constant, values)
        place = {column.name: j for j, column in enumerate(self.schema_.columns)}
        for k, column in enumerate(self.coding_.coded):
            j = place[column.name]
            hole = np.isnan(values[:, j])
            if column.categories is None:
                found = column.mean + column.deviation * numbers[:, k]
            else:
                found = np.minimum(codes[k - numbers.shape[1]], len(column.categories) - 1)
            filled[hole, j] = found[hole]
        return filled

    def _give_back(self, X: Any, table: Dataset, filled: Floats) -> Any:
        """Return filled values as what was given: a data frame with its types, or an array."""
        keep, holes = self._kept(), np.isnan(np.asarray(table.values, dtype=np.float64))
        indicator = holes[:, self._with_holes]
        if not is_frame(X):
            parts = [filled[:, keep]]
            return np.concatenate([*parts, indicator.astype(np.float64)] if self.add_indicator else parts, 1)
        frame = fill_frame(X, self.schema_, filled, holes & ~self._empty)
        for j, column in enumerate(self.schema_.columns):
            if not keep[j]:
                frame = frame.drop(columns=[column.name])
            elif self._empty[j]:
                frame[column.name] = 0
        if self.add_indicator:
            names = [column.name for column in self.schema_.columns]
            for k, j in enumerate(np.flatnonzero(self._with_holes)):
                frame[f"missingindicator_{names[j]}"] = indicator[:, k].astype(np.float64)
        return frame


def _is_bounded(column: Column) -> bool:
    """Return whether a column looks as if nature bounded it: all its values have one sign, or are few whole numbers.

    >>> counts = Column("children", 0, 7, mean=1.2, standard_deviation=1, constant=False, integer=True, missing_rate=0)
    >>> _is_bounded(counts)
    True
    """
    span = column.maximum - column.minimum
    return column.minimum >= 0 or column.maximum <= 0 or (column.integer and span < _FEW_WHOLE_NUMBERS)
