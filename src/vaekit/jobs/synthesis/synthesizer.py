"""Synthesizer: a table like the one that was given, with none of its rows, as a scikit-learn estimator."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from vaekit.data import Dataset, Schema, restore_array, restore_table
from vaekit.data.column_selection import read_column_names, take_columns, telling_rows_apart
from vaekit.data.frame_types import is_frame
from vaekit.data.frames import keep_columns
from vaekit.data.messages import few, plural
from vaekit.data.missing_values import read_codes
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.estimator.fitting import draw_seed
from vaekit.estimator.given_rows import as_dataset
from vaekit.jobs.constraints.accepted_rows import draw_accepted
from vaekit.jobs.constraints.constraints import Constraint
from vaekit.jobs.saved_job import SavedJob
from vaekit.jobs.synthesis.discrete_table import DiscreteTable
from vaekit.jobs.synthesis.fixed_combinations import FixedCombinations, find_fixed
from vaekit.jobs.synthesis.fresh_ids import FreshIds, with_new_ids
from vaekit.jobs.synthesis.given_values import GivenValue, read_given
from vaekit.jobs.synthesis.ordered_columns import (
    OrderedColumns,
    as_distances,
    find_ordered,
    from_distances,
    refuse_distances,
)
from vaekit.jobs.synthesis.row_networks import RowNetworks
from vaekit.jobs.synthesis.row_sampling import draw_rows
from vaekit.jobs.synthesis.row_training import RowSettings, train_rows
from vaekit.language.grammar import did_you_mean
from vaekit.runtime.randomness import seeded
from vaekit.runtime.rows import chunks
from vaekit.runtime.surroundings import in_usual_surroundings

__all__ = ["Synthesized", "Synthesizer"]

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

_FEWEST_ROWS = 10


@dataclass(frozen=True)
class Synthesized:
    """Rows that were made up, and how they came about.

    Parameters
    ----------
    frame
        The rows, in the types and the order of the columns of the source.
    acceptance
        The share of the rows drawn that meet all constraints.
    effective
        Where columns are given, the number of different latents that stand behind the rows, divided by their number.
    """

    frame: "pd.DataFrame"
    acceptance: float
    effective: float


@in_usual_surroundings
class Synthesizer(SavedJob):
    r"""A table like the one that was given: its types, its shares, and what depends on what, but none of its rows.

    Every column is made discrete (categories as they are, numbers as values that come often and bins of the others),
    and a variational autoencoder with a decoder that goes from column to column is fitted to the codes: see
    :mod:`vaekit.jobs.synthesis.discrete_columns` and :mod:`vaekit.jobs.synthesis.row_networks`. Columns that determine
    each other, such as a town and its country, are made up in combinations that the source has:
    :mod:`vaekit.jobs.synthesis.fixed_combinations`.

    Parameters
    ----------
    unique
        Names of columns that tell rows apart, such as ids: they are not modelled, and get new values of the same kind.
    constraints
        Conditions that every made-up row meets, beside those that :meth:`sample` is given. Where one says that a column
        is at most another, as in ``start <= end``, the second is modelled as what it is above the first:
        :mod:`vaekit.jobs.synthesis.ordered_columns`. Rows that break another are drawn again.
    keep_missing
        Whether holes are made up as often, and where, as in the source; otherwise no cell is empty.
    missing_values
        The value that stands for a hole beside NaN, None, empty text and ``?``.
    passes
        Of training over the rows; None for a number that follows from the number of rows.
    random_state
        The seed of weights, rows and noise: the same seed gives the same bytes.

    Notes
    -----
    There is no formal guarantee of privacy: no row is copied, but a rare combination of values may come again. Columns
    of ids, and text of nearly as many values as rows, are left out unless they are ``unique``.

    Raises
    ------
    UsageError
        For parameters that cannot be.
    DataError
        For data that are no table, fewer than ten rows, and data in which no column varies.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> flowers = load_iris(as_frame=True).frame
    >>> synthesizer = Synthesizer(passes=20, random_state=0).fit(flowers)
    >>> made_up = synthesizer.sample(50, given={"target": 2}, random_state=0)
    >>> made_up.shape, made_up.dtypes.equals(flowers.dtypes), set(made_up["target"])
    ((50, 5), True, {2})
    """

    job: ClassVar[str] = "synthesizer"

    n_features_in_: int
    schema_: Schema  #: The columns that are modelled, with their types.
    table_: DiscreteTable  #: Their codes.
    ordered_: tuple[OrderedColumns, ...]  #: Columns that are modelled as their distance from another.
    fixed_: tuple[
        FixedCombinations, ...
    ]  #: Columns that determine each other, and the combinations they take.
    networks_: RowNetworks  #: The model of the codes.
    left_out_: dict[str, str]  #: The columns that are not modelled, and why.
    _ids: list[FreshIds]
    _order: tuple[str, ...]
    _gives_frames: bool

    def __init__(
        self,
        *,
        unique: str | Sequence[str] = (),
        constraints: Sequence[str] = (),
        keep_missing: bool = False,
        missing_values: Any = np.nan,
        passes: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.unique = unique
        self.constraints = constraints
        self.keep_missing = keep_missing
        self.missing_values = missing_values
        self.passes = passes
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to a table.

        Parameters
        ----------
        X
            Array, data frame or :class:`vaekit.data.Dataset` of ``(n, columns)``.
        y
            Ignored.

        Warns
        -----
        DataWarning
            For columns that are left out.
        """
        return self.train(self.look(X))

    def look(self, X: Any) -> Dataset:
        """Learn the columns of a table, and return the rows to train on: the first half of :meth:`fit`.

        What is given and constraints can be checked before the second half, which takes the time.

        Parameters
        ----------
        X
            As for :meth:`fit`.
        """
        if self.passes is not None and self.passes < 1:
            raise UsageError(f"passes={self.passes}: give a whole number of at least 1, or None")
        rows, ids = self._without_ids(X)
        table = self._read(rows, reset=True)
        if len(table) < _FEWEST_ROWS:
            raise DataError(
                f"{table.source}: {plural(len(table), 'row')} (n_samples = {len(table)}); expected at least "
                f"{_FEWEST_ROWS}: a table that is made up from so few could only repeat them"
            )
        self.source_ = {"source": table.source, "rows": len(table), "columns": len(table.columns or ())}
        self._ids = [FreshIds.of(values) for values in ids.values()]
        self.left_out_ = {}
        for name, reason in telling_rows_apart(table).items():
            self.left_out_[name] = f"{reason}; unique='{name}' makes up new values"
            warnings.warn(
                f"{table.source}: column {name!r} is left out: {self.left_out_[name]}",
                DataWarning,
                stacklevel=3,
            )
        self.left_out_ |= dict.fromkeys(table.left_out, "it cannot be read as numbers, dates or categories")
        table = take_columns(table, self.left_out_)
        self._order = (
            tuple(map(str, X.columns)) if is_frame(X) else table.order or (*ids, *(table.columns or ()))
        )
        self._gives_frames = is_frame(X) or isinstance(X, Dataset)
        self.schema_ = Schema.fit(table, scaling="none", categorical=table.columns or ())
        rules = self._rules(self.constraints)
        self.ordered_ = find_ordered(rules, self.schema_.columns, np.asarray(table.values, dtype=np.float64))
        modelled = as_distances(self.ordered_, table)
        schema = Schema.fit(modelled, scaling="none", categorical=table.columns or ())
        self.table_ = DiscreteTable.fit(schema, modelled, keep_missing=self.keep_missing)
        self.fixed_ = find_fixed(self.table_.columns, modelled.values[:, list(self.table_.places)])
        return table

    def check(
        self, given: Mapping[str, Any] | None, constraints: Sequence[str]
    ) -> tuple[list[GivenValue], list[Constraint]]:
        """Read what is given, and constraints, once the columns are known.

        Raises
        ------
        UsageError
            For what cannot be.
        """
        refuse_distances(self.ordered_, self.schema_.columns, given or {})
        told = read_given(given or {}, self.table_, self.left_out_)
        for each in self.fixed_:
            each.between({one.column: (one.low, one.high) for one in told})
        return told, self._rules((*self.constraints, *constraints))

    def train(self, rows: Dataset) -> Self:
        """Train the model on the rows that :meth:`look` has returned: the second half of :meth:`fit`.

        Parameters
        ----------
        rows
            Those.
        """
        codes, _ = self.table_.encode(as_distances(self.ordered_, rows))
        seed = draw_seed(self.random_state) % 2**63
        settings = RowSettings.for_rows(len(codes), self.passes)
        ranks = [column.ranks() for column in self.table_.columns]
        with seeded(seed):
            self.networks_ = RowNetworks(
                self.table_.shares(codes),
                [None if found is None else torch.from_numpy(found).float() for found in ranks],
                hidden=settings.hidden,
                latent=settings.latent,
                layers=settings.layers,
                dropout=settings.dropout,
            )
            train_rows(self.networks_, torch.from_numpy(codes), settings)
        return self

    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Mapping[str, Any] | None = None,
        constraints: Sequence[str] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Make up rows, all of which meet the conditions.

        Parameters
        ----------
        n_samples
            How many: that many are returned, or an error is raised.
        given
            By name of column its value, or the two ends of a range: ``{"sex": "Female", "age": (30, 40)}``.
        constraints
            Conditions on rows, such as ``"low <= high"``: see :mod:`vaekit.jobs.constraints.constraint_grammar`.
        random_state
            The seed; None: that of the fit.

        Returns
        -------
        DataFrame or ndarray
            A data frame of the types of the source, or an array where the fit was to one.

        Raises
        ------
        UsageError
            For a column or value that is not there.
        DataError
            Where fewer than one row in a hundred meets the constraints.
        """
        made = self.draw(n_samples, given=given, constraints=constraints, random_state=random_state)
        return (
            made.frame
            if self._gives_frames
            else restore_array(self.schema_, made.frame.to_numpy(dtype=np.float64))
        )

    def draw(
        self,
        n_samples: int,
        *,
        given: Mapping[str, Any] | None = None,
        constraints: Sequence[str] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> Synthesized:
        """Make up rows as :meth:`sample` does, and tell how they came about."""
        check_is_fitted(self)
        if n_samples < 1:
            raise UsageError(f"n_samples={n_samples}: give a whole number of at least 1")
        told, rules = self.check(given, constraints)
        seed = draw_seed(self.random_state if random_state is None else random_state) % 2**63
        random = np.random.default_rng(seed)
        noise = torch.Generator().manual_seed(seed)
        effective = np.inf

        def frames(n: int) -> "pd.DataFrame":
            nonlocal effective
            frame, share = self._rows(n, told, noise, random)
            effective = min(effective, share)
            return frame

        accepted = draw_accepted(frames, rules, n_samples)
        frame = with_new_ids(accepted.frame, self._ids, self._order, random)
        return Synthesized(frame, accepted.share, effective)

    def log_density(self, X: Any, *, samples: int = 20) -> Floats:
        r"""Estimate the log-density of rows by importance sampling, ``(n,)`` in nats.

        .. math:: \log p(x) \approx \log \frac 1 K \sum_{k=1}^K \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)},
                  \qquad z_k \sim q(z \mid x)

        with the decoder in the columns' own order; a bound from below in expectation. Of a row with holes it is that of
        the other cells, unless holes are modelled.

        Parameters
        ----------
        X
            Rows with the columns of the fit.
        samples
            K; one makes it an estimate of the evidence lower bound.
        """
        check_is_fitted(self)
        if samples < 1:
            raise UsageError(f"samples={samples}: give a whole number of at least 1")
        rows = X
        if is_frame(X):
            out = {*read_column_names(self.unique), *self.left_out_}
            rows = X.drop(columns=[name for name in X.columns if str(name) in out])
        table = self.schema_.align(self._read(rows, reset=False), what="the data", outside="keep")
        codes, within = self.table_.encode(as_distances(self.ordered_, table))
        found, noise = np.empty(len(codes)), torch.Generator().manual_seed(0)
        with torch.no_grad():
            for part in chunks(len(codes)):
                found[part] = (
                    self.networks_.log_density(torch.from_numpy(codes[part]), samples, noise).double().numpy()
                )
        return found + within.sum(1)

    def _rows(
        self, n: int, told: Sequence[GivenValue], noise: torch.Generator, random: np.random.Generator
    ) -> "tuple[pd.DataFrame, float]":
        """Return rows with what is given, and the effective share of their latents."""
        allowed = {each.column: torch.from_numpy(each.allowed(self.table_)).float() for each in told}
        between = {each.column: (each.low, each.high) for each in told}
        fixed = [each.between(between) for each in self.fixed_]
        drawn = draw_rows(self.networks_, n, noise, allowed=allowed, fixed=fixed)
        values = self.table_.decode(drawn.codes.numpy(), random, between)
        for each, chosen in zip(fixed, drawn.combinations, strict=True):
            for k, column in enumerate(each.columns):
                place = self.table_.places[column]
                values[:, place] = np.where(np.isnan(values[:, place]), np.nan, each.values[chosen, k])
        from_distances(self.ordered_, values)
        return restore_table(self.schema_, values), drawn.effective

    def _rules(self, texts: Sequence[str]) -> list[Constraint]:
        """Read constraints, each once."""
        names = [column.name for column in self.schema_.columns]
        return [Constraint.parse(text, names) for text in dict.fromkeys(texts)]

    def _without_ids(self, X: Any) -> tuple[Any, dict[str, Any]]:
        """Return data without the columns that tell rows apart, and those columns by name."""
        names = read_column_names(self.unique)
        if not names:
            return X, {}
        if isinstance(X, Dataset):
            kept = X.kept if X.kept is not None else keep_columns(X, names)
            return take_columns(X, names), {name: kept[name] for name in names if name in kept.columns}
        if not is_frame(X):
            raise UsageError(f"unique={names[0]!r}: the data have no names of columns; give a data frame")
        there = {str(name): name for name in X.columns}
        for name in names:
            if name not in there:
                raise UsageError(
                    f"unique={name!r}: there is no such column{did_you_mean(name, there) or ';'} there are "
                    f"{few(list(there), 20)}"
                )
        return X.drop(columns=[there[name] for name in names]), {name: X[there[name]] for name in names}

    def _read(self, X: Any, *, reset: bool) -> Dataset:
        names = [str(name) for name in X.columns] if is_frame(X) else ()
        return as_dataset(self, X, read_codes(self.missing_values), names, reset=reset)
