"""The ways to make rows up: a synthesizer that is fitted to a table, or a model that was fitted before."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from vaekit.application.sources import Source, open_artifact
from vaekit.data import Dataset, Schema, partition, restore_table, split_indices
from vaekit.data.column_selection import read_column_names, take_columns
from vaekit.data.missing_values import read_codes
from vaekit.errors import DataError, UsageError
from vaekit.jobs import Constraint, Synthesized, Synthesizer
from vaekit.jobs.constraints.accepted_rows import draw_accepted
from vaekit.jobs.synthesis.fresh_ids import FreshIds, with_new_ids

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ArtifactRows", "RowMaker", "SavedRows", "SynthesizerRows"]

_HELD_OUT = 0.2
_DENSITY_SAMPLES = 5
_ARTIFACT_SAMPLES = 50


class RowMaker(Protocol):
    """A way to make up rows like those of one table."""

    rows: int
    """The number of rows that the model is fitted to."""
    columns: int
    """The number of columns that are modelled."""
    known: "pd.DataFrame"
    """The rows that the model is fitted to, in the types of the source; of a saved synthesizer others like them."""
    held_out: "pd.DataFrame | None"
    """Rows that are kept from the model for a report; None where none is asked for."""
    filled: tuple[str, ...]
    """Columns that have holes in the source, and none in made-up rows."""
    left_out: Mapping[str, str]
    """Columns that are not modelled, and why."""
    fixed: tuple[tuple[str, ...], ...]
    """Columns that determine each other, and take only combinations of values that the source has."""

    def check(self, given: Mapping[str, Any], constraints: Sequence[str]) -> list[Constraint]:
        """Return the constraints, and refuse what cannot be given."""
        ...

    def train(self) -> None:
        """Train the model, where that is to be done."""
        ...

    def draw(self, n: int, given: Mapping[str, Any], constraints: Sequence[str]) -> Synthesized:
        """Make up rows."""
        ...

    def log_density(self, rows: "pd.DataFrame") -> np.ndarray:
        """Return the model's log-density of rows, ``(n,)`` in nats."""
        ...


class SynthesizerRows(RowMaker):
    """Rows by a synthesizer that is fitted to the table.

    Parameters
    ----------
    table
        The table, with its ids in ``kept``.
    unique
        Columns of ids.
    given, constraints
        What will be asked of the rows.
    keep_missing
        Whether holes are made up too.
    hold_out
        Whether a fifth of the rows is kept from the fit.
    seed
        Of the fit and the rows.
    """

    def __init__(
        self,
        table: Dataset,
        *,
        unique: Sequence[str],
        given: Collection[str],
        constraints: Sequence[str],
        keep_missing: bool,
        hold_out: bool,
        seed: int,
    ) -> None:
        rules = [Constraint.parse(text, table.columns or ()) for text in constraints]
        self._synthesizer = Synthesizer(
            unique=unique,
            # a column that is modelled as its distance from another cannot be given
            constraints=[rule.text for rule in rules if not {*given} & {*rule.columns}],
            keep_missing=keep_missing,
            random_state=seed,
        )
        split = split_indices(len(table), seed, validation=0.0, test=_HELD_OUT) if hold_out else None
        learned = table if split is None else replace(table.take(split.train), kept=table.kept)
        self._rows = self._synthesizer.look(learned)
        schema = self._synthesizer.schema_
        self.known, self.held_out = restore_table(schema, self._rows.values), None
        self.left_out = self._synthesizer.left_out_
        if split is not None:
            others = take_columns(table.take(split.test), (*self.left_out, *unique))
            others = schema.align(others, what=table.source, outside="keep")
            self.held_out = restore_table(schema, _known_values(others, schema))
        self.rows, self.columns = len(self.known), len(self._synthesizer.table_.columns)
        self.fixed = tuple(each.names for each in self._synthesizer.fixed_)
        self.filled = () if keep_missing else tuple(schema.missing_rates)

    def check(self, given: Mapping[str, Any], constraints: Sequence[str]) -> list[Constraint]:
        """Return the constraints, and refuse what cannot be given."""
        return self._synthesizer.check(given, constraints)[1]

    def train(self) -> None:
        """Train the synthesizer."""
        self._synthesizer.train(self._rows)

    def draw(self, n: int, given: Mapping[str, Any], constraints: Sequence[str]) -> Synthesized:
        """Make up rows."""
        return self._synthesizer.draw(n, given=given, constraints=constraints)

    def log_density(self, rows: "pd.DataFrame") -> np.ndarray:
        """Return an importance estimate with five samples."""
        return self._synthesizer.log_density(rows, samples=_DENSITY_SAMPLES)

    def save(self, folder: Path, *, force: bool, missing_values: Any) -> None:
        """Save the synthesizer, with the values that stand for missing ones in its table."""
        self._synthesizer.source_ |= {"missing_values": list(read_codes(missing_values))}
        self._synthesizer.save(folder, force=force)


class SavedRows(RowMaker):
    """Rows by a synthesizer that was fitted and saved before.

    Parameters
    ----------
    synthesizer
        The synthesizer.
    table
        A table like the one that it was fitted to; None where there is none.
    seed
        Of the rows.
    """

    def __init__(self, synthesizer: Synthesizer, table: Dataset | None, *, seed: int) -> None:
        self._synthesizer, self._seed = synthesizer, seed
        schema = synthesizer.schema_
        if table is not None:
            table = take_columns(table, (*synthesizer.left_out_, *read_column_names(synthesizer.unique)))
            table = schema.align(table, what=table.source, outside="keep")
        values = np.empty((0, len(schema.columns))) if table is None else _known_values(table, schema)
        self.known, self.held_out = restore_table(schema, values), None
        self.rows, self.columns = synthesizer.source_["rows"], len(synthesizer.table_.columns)
        self.left_out = synthesizer.left_out_
        self.fixed = tuple(each.names for each in synthesizer.fixed_)
        self.filled = () if synthesizer.keep_missing else tuple(schema.missing_rates)

    def check(self, given: Mapping[str, Any], constraints: Sequence[str]) -> list[Constraint]:
        """Return the constraints, and refuse what cannot be given."""
        return self._synthesizer.check(given, constraints)[1]

    def train(self) -> None:
        """Leave the synthesizer as it is."""

    def draw(self, n: int, given: Mapping[str, Any], constraints: Sequence[str]) -> Synthesized:
        """Make up rows."""
        return self._synthesizer.draw(n, given=given, constraints=constraints, random_state=self._seed)

    def log_density(self, rows: "pd.DataFrame") -> np.ndarray:
        """Return an importance estimate with five samples."""
        return self._synthesizer.log_density(rows, samples=_DENSITY_SAMPLES)


class ArtifactRows(RowMaker):
    """Rows by a model that was fitted before; what is given are its conditions.

    Parameters
    ----------
    artifact
        The model.
    data
        The table that it was fitted to, or one like it.
    unique
        Columns of ids.
    hold_out
        Whether rows that the model was not fitted to are needed: the data must then be those of its fit.
    seed
        Of the rows.
    data_dir
        Where named data sets lie.
    """

    def __init__(
        self,
        artifact: Path,
        data: Source,
        *,
        unique: Sequence[str],
        hold_out: bool,
        seed: int,
        data_dir: Path | None,
    ) -> None:
        opened = open_artifact(artifact, data, data_dir=data_dir, keep=unique)
        self._estimator, self._artifact = opened.estimator, artifact
        table, schema = opened.dataset, opened.estimator.schema_
        if schema.kind != "table":
            raise DataError(
                f"{artifact}: fitted to images; expected a table: `vaekit sample` makes up images"
            )
        self._ids = (
            []
            if table.kept is None
            else [FreshIds.of(cast("pd.Series", table.kept[name])) for name in unique]
        )
        self._order = table.order or (*unique, *(table.columns or ()))
        self._random = np.random.default_rng(seed)
        self.known, self.held_out = restore_table(schema, table.values, table.conditions), None
        if hold_out:
            if not opened.is_data_of_the_fit:
                raise DataError(
                    f"{opened.source}: not the data that {artifact} was fitted to, so that it is unknown which rows "
                    "the model has not seen; leave the report out"
                )
            parts = partition(table, self._estimator.seed_, validation=self._estimator.origin_["validation"])
            if parts.test is None:
                raise DataError(f"{artifact}: fitted without a test part; leave the report out")
            self.known, self.held_out = (
                restore_table(schema, part.values, part.conditions) for part in (parts.train, parts.test)
            )
        self.rows, self.columns = len(self.known), int(schema.kept.sum())
        self.left_out = dict.fromkeys(self._estimator.left_out_, "by the fit")
        self.filled, self.fixed = tuple(schema.missing_rates), ()

    def check(self, given: Mapping[str, Any], constraints: Sequence[str]) -> list[Constraint]:
        """Return the constraints, and refuse what is no condition of the model."""
        if given and self._estimator.schema_.conditions is None:
            name, value = next(iter(given.items()))
            raise UsageError(
                f"given='{name}={value}': {self._artifact} was fitted without conditions; leave the model out, and any "
                "column can be given"
            )
        if given:
            self._estimator.sample_conditions(1, given=dict(given), random_state=0)
        return [Constraint.parse(text, list(self.known.columns)) for text in constraints]

    def train(self) -> None:
        """Leave the model as it is."""

    def draw(self, n: int, given: Mapping[str, Any], constraints: Sequence[str]) -> Synthesized:
        """Make up rows by draws of the model's likelihood."""
        rules = self.check(given, constraints)

        def drawn(m: int) -> "pd.DataFrame":
            seed = int(self._random.integers(2**31))
            return self._estimator.sample(
                m, given=dict(given) or None, random_state=seed, noise=True, as_frame=True
            )

        accepted = draw_accepted(drawn, rules, n)
        frame = with_new_ids(accepted.frame, self._ids, self._order, self._random)
        return Synthesized(frame, accepted.share, np.inf)

    def log_density(self, rows: "pd.DataFrame") -> np.ndarray:
        """Return an importance estimate with fifty samples."""
        return self._estimator.score_samples(rows, samples=_ARTIFACT_SAMPLES)


def _known_values(rows: Dataset, schema: Schema) -> np.ndarray:
    """Return the values of rows, with holes in the place of categories that the rows of the fit do not have."""
    values = np.array(rows.values, dtype=np.float64)
    for j, column in enumerate(schema.columns):
        if column.categories is not None:
            values[values[:, j] >= len(column.categories), j] = np.nan
    return values
