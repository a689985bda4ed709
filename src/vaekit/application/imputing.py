"""From a file with holes to the same file without: filled by what is expected, or several times by draws."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.application.fillers import FilledColumns, Filler, ImputerFiller
from vaekit.application.model_filler import ModelFiller
from vaekit.application.sources import Source, check_save, read_for_model, read_like, read_source, source_name
from vaekit.data import Column, Dataset
from vaekit.data.column_selection import chosen_columns, read_column_names, take_columns
from vaekit.data.files_to_fill import FileToFill
from vaekit.data.mapped import memory_limit
from vaekit.data.messages import few, plural
from vaekit.data.missing_values import read_codes
from vaekit.data.output_files import is_standard_output, write_atomically
from vaekit.data.reading import standard_input_as_file
from vaekit.data.restoring import restore_column
from vaekit.data.writers import write_frame
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.estimator.given_rows import select_columns
from vaekit.jobs import ColumnCheck, Imputer
from vaekit.jobs.any_artifact import load_for

__all__ = ["ImputationResult", "impute_to_file"]

_FEW_VALUES = 20  # known ones of a column, up to which a person is told how few there are
_COPIES = 4  # of a table that a draw of it takes


@dataclass(frozen=True)
class ImputationResult:
    """A file whose holes were filled.

    Parameters
    ----------
    paths
        The files that were written: one, or one for each draw.
    intervals
        The file of intervals; None where none was asked for.
    rows, columns
        The shape of the table, of the columns that take part.
    holes, filled
        The number of its cells that were missing, and of those that were filled in.
    rows_with_holes
        The number of rows with a cell that was missing.
    missing
        The share of missing cells by column, where there are any.
    checks
        How well each column is filled in, measured on cells hidden again.
    saved
        The artifact that the imputer was saved as.
    fitted_before
        Whether an imputer that was saved has filled the holes, whose checks are those of its fit.
    """

    paths: list[Path]
    intervals: Path | None
    rows: int
    columns: int
    holes: int
    filled: int
    rows_with_holes: int
    missing: Mapping[str, float] = field(repr=False)
    checks: list[ColumnCheck] = field(repr=False)
    saved: Path | None = None
    fitted_before: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain dictionaries, lists, strings and numbers."""
        told = {key: value for key, value in vars(self).items() if key != "saved" or value is not None}
        return {**told, "missing": dict(self.missing), "checks": [vars(check) for check in self.checks]}


def impute_to_file(
    data: Source,
    output: str | Path,
    *,
    model: str | Path | None = None,
    save: str | Path | None = None,
    force: bool = False,
    draws: int | None = None,
    interval: float | None = None,
    label: str | None = None,
    columns: str | Sequence[str] | None = None,
    drop: str | Sequence[str] | None = None,
    missing_values: Any = None,
    thousands: str | None = None,
    decimal: str | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> ImputationResult:
    """Write a file again with its holes filled, and everything else as it stands there.

    Text keeps every byte of its other cells: quoting, spaces, ends of lines, header. Parquet, Feather, JSON and NumPy's
    files keep the values and types of theirs. What is filled in is written as the other cells of its column are.

    Parameters
    ----------
    data
        A file with a table, or ``-`` for the standard input.
    output
        Another file of the same format; ``-`` for the standard output.
    model
        A ``NAME.vae`` that was fitted to a table of the same columns, to fill the holes by instead of an imputer that
        is fitted to the file: :meth:`vaekit.VariationalAutoencoder.impute`. Its intervals are as wide as the model
        says, not calibrated. Or an imputer that was saved.
    save
        A folder to save the fitted imputer in: see :meth:`vaekit.Imputer.save`.
    force
        Whether an artifact that is there is replaced.
    draws
        Number of files with draws, ``OUT-1.csv``, ``OUT-2.csv``..., to be analysed one by one, with the results put
        together by :func:`vaekit.pool`. None: one file with what is expected.
    interval
        The share, such as 0.9, of what was in the holes that intervals are to hold: a second file ``OUT-interval.csv``
        has a line for each hole, with ``row`` (counted from 0), ``column``, ``filled`` (what is expected), ``low`` and
        ``high``, the last two empty for categories.
    label
        A column that is a label: it is not looked at, and not filled.
    columns, drop
        Names of the columns to look at and fill alone, and of those to leave out. A model looks at its own columns.
    missing_values, thousands, decimal
        As for :func:`vaekit.data.read`.
    steps
        Of training; None: as many as the rows need.
    seed
        Of the fit and the draws: the same seed gives the same bytes.

    Raises
    ------
    UsageError
        For fewer than one draw, more than memory holds, or an interval that is not between 0 and 1.
    DataError
        For data that are no table, or a format that cannot be written again.

    Warns
    -----
    DataWarning
        For holes that stay, and for those that are filled from next to nothing.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> table, folder = load_iris(as_frame=True).data, Path(tempfile.mkdtemp())
    >>> table.iloc[::7, 2] = np.nan
    >>> table.to_csv(folder / "iris.csv", index=False)
    >>> result = impute_to_file(folder / "iris.csv", folder / "whole.csv", steps=50)
    >>> result.holes, result.filled, [check.name for check in result.checks]
    (22, 22, ['petal length (cm)'])
    """
    output, name = Path(output), source_name(data)
    _check_numbers(draws, interval, output)
    if name is None:
        raise UsageError(
            "impute_to_file fills the holes of a file, and these data are in memory: vaekit.Imputer fills arrays and "
            "data frames"
        )
    with standard_input_as_file() if name == "-" else nullcontext(Path(name).expanduser()) as path:
        place, source = (str(path), "standard input") if name == "-" else (name, name)
        form: dict[str, Any] = {"label": label, "thousands": thousands, "decimal": decimal}
        check_save(save, model=model, force=force, job="an imputer")
        estimator = None if model is None else load_for(Imputer, model)
        if estimator is None:
            whole = read_source(place, source=source, missing_values=missing_values, **form)
            _require_table(whole)
            table = select_columns(whole, only=columns, drop=drop, keep=read_column_names(columns))
            holes = _holes(table)
        else:
            if missing_values is not None or steps is not None:
                raise UsageError(
                    "missing_values and steps are of the fit, and the model is fitted; leave them out"
                )
            table = whole = (
                _read_for_imputer(estimator, place, **form, source=source)
                if isinstance(estimator, Imputer)
                else replace(read_for_model(estimator, place, **form), source=source)
            )
            _require_table(whole)
            holes = _holes(table)
            out = chosen_columns([*holes], only=read_column_names(columns), drop=read_column_names(drop))
            holes = {column: each for column, each in holes.items() if column not in out}
        _warn_of_holes_that_stay(whole, holes)
        file = FileToFill(path, whole, [column for column, each in holes.items() if each.any()])
        output = Path(f"-{path.suffix}") if is_standard_output(output) else output
        _check_output(file, path, output)
        _refuse_more_than_memory(draws, table)
        filler: Filler | None = None
        some = any(each.any() for each in holes.values())
        if some and not isinstance(estimator, Imputer):
            _warn_of_little(table, holes)
        if estimator is None and (some or save is not None):
            estimator = Imputer(steps=steps, random_state=seed).fit(table)
            estimator.source_ |= {
                **form,
                "missing_values": list(read_codes(missing_values)),
                "source": source,
            }
        if some and estimator is not None:
            fitted = isinstance(estimator, Imputer)
            filler = ImputerFiller(estimator, table) if fitted else ModelFiller(estimator, table, seed=seed)
        written = _write(file, output, filler, table, holes, draws, interval)
        if not isinstance(estimator, Imputer):
            return written
        if save is not None:
            estimator.save(save, force=force)
        return replace(written, saved=None if save is None else Path(save), fitted_before=model is not None)


def _read_for_imputer(imputer: Imputer, place: str, **form: Any) -> Dataset:
    """Read the columns of an imputer that was saved, as the table of its fit was read where nothing else is asked."""
    schema = imputer.schema_
    categorical = [column.name for column in schema.columns if column.categories is not None]
    table = read_like(place, imputer.source_, categorical=categorical, **form)
    others = set(table.columns or ()) - {column.name for column in schema.columns}
    return schema.align(take_columns(table, others), what=table.source)


def _require_table(dataset: Dataset) -> None:
    if dataset.kind != "table":
        raise DataError(
            f"{dataset.source}: images; expected a table: rows of numbers or categories. Missing pixels are filled in "
            "by a model in Python: load('NAME.vae').impute(images)"
        )


def _write(
    file: FileToFill,
    output: Path,
    filler: Filler | None,
    table: Dataset,
    holes: Mapping[str, np.ndarray],
    draws: int | None,
    interval: float | None,
) -> ImputationResult:
    """Write all files, and return what was written."""
    expected: FilledColumns = {} if filler is None else filler.expected()
    tables: Iterable[FilledColumns] = [expected] * (draws or 1)
    if filler is not None and draws is not None:
        tables = filler.drawn(draws)
    paths = []
    for i, filled in enumerate(tables, start=1):
        target = output if draws is None or is_standard_output(output) else _numbered(output, str(i))
        there = {column: filled[column] for column in file.cells.columns if column in filled}
        content = file.filled(there, target)
        write_atomically(target, lambda out, content=content: out.write(content))
        paths.append(target)
    intervals = None
    if interval is not None:
        ends = ({}, {}) if filler is None else filler.interval(interval)
        ending = ".tsv" if output.suffix.lower() == ".tsv" else ".csv"
        intervals = _numbered(output, "interval", ending)
        write_frame(intervals, _interval_rows(file.cells.columns, holes, expected, ends))
    filled_cells = {
        column: int((each & ~np.isnan(expected.get(column, np.full(len(each), np.nan)))).sum())
        for column, each in holes.items()
    }
    return ImputationResult(
        paths=paths,
        intervals=intervals,
        rows=len(table),
        columns=len(holes),
        holes=sum(int(each.sum()) for each in holes.values()),
        filled=sum(filled_cells.values()),
        rows_with_holes=int(np.any([*holes.values()], axis=0).sum()),
        missing={column: float(each.mean()) for column, each in holes.items() if each.any()},
        checks=[] if filler is None else filler.checks,
    )


def _interval_rows(
    columns: Mapping[str, Column],
    holes: Mapping[str, np.ndarray],
    expected: FilledColumns,
    ends: tuple[FilledColumns, FilledColumns],
) -> Any:
    """Return a data frame with a row for each hole that was filled, in the order of the table."""
    import pandas as pd

    found = []
    for place, (name, each) in enumerate(holes.items()):
        if name not in columns or name not in expected:
            continue
        at = np.flatnonzero(each & ~np.isnan(expected[name]))
        column, low, high = columns[name], ends[0][name][at], ends[1][name][at]
        if column.decimals is not None or column.integer:
            # outwards, so that the interval holds what it held
            unit = 10.0 ** (column.decimals or 0)
            low, high = np.floor(low * unit + 1e-6) / unit, np.ceil(high * unit - 1e-6) / unit
        texts = [_in_words(column, values) for values in (expected[name][at], low, high)]
        of_column = pd.DataFrame(
            {"row": at, "column": name, "filled": texts[0], "low": texts[1], "high": texts[2]}
        )
        found.append(of_column.assign(place=place))
    if not found:
        return pd.DataFrame({"row": [], "column": [], "filled": [], "low": [], "high": []})
    return pd.concat(found).sort_values(["row", "place"], kind="stable").drop(columns="place")


def _in_words(column: Column, values: np.ndarray) -> Any:
    """Return values as text, empty where they are missing."""
    import pandas as pd

    restored = restore_column(column, np.rint(values) if column.integer else values)
    return pd.Series(["" if pd.isna(value) else str(value) for value in restored.tolist()], dtype=object)


def _numbered(output: Path, mark: str, ending: str | None = None) -> Path:
    """Return a path with a mark at the end of its stem.

    >>> str(_numbered(Path("a/b.csv.gz"), "2")), str(_numbered(Path("b.parquet"), "interval", ".csv"))
    ('a/b-2.csv.gz', 'b-interval.csv')
    """
    zipped = output.suffix.lower() == ".gz"
    stem = Path(output.stem) if zipped else output
    last = stem.suffix + (output.suffix if zipped else "") if ending is None else ending
    return output.with_name(f"{stem.stem}-{mark}{last}")


def _holes(table: Dataset) -> dict[str, np.ndarray]:
    return {name: np.isnan(table.values[:, j]) for j, name in enumerate(table.columns or ())}


def _check_numbers(draws: int | None, interval: float | None, output: Path) -> None:
    if draws is not None and draws < 1:
        raise UsageError(
            f"draws={draws}: give a whole number of at least 1, or leave it out for one file with what is expected"
        )
    if interval is not None and not 0 < interval < 1:
        raise UsageError(f"interval={interval:g}: give a number between 0 and 1, such as 0.9")
    if is_standard_output(output) and (interval is not None or (draws or 1) > 1):
        raise UsageError("several files cannot go to the standard output; name a file instead of -")


def _check_output(file: FileToFill, path: Path, output: Path) -> None:
    file.check_output(output)
    if not is_standard_output(output) and output.exists() and path.exists() and output.samefile(path):
        raise UsageError(f"{output}: it is the file with the holes, which would be lost; choose another path")


def _refuse_more_than_memory(draws: int | None, table: Dataset) -> None:
    needed, limit = (draws or 1) * table.values.nbytes * _COPIES, memory_limit(None)
    if draws is not None and needed > limit:
        most = max(1, limit // (table.values.nbytes * _COPIES))
        raise UsageError(
            f"draws={draws}: {draws:,} draws of {len(table):,} rows take about {needed / 1e9:,.1f} GB at once, and a "
            f"quarter of this machine's memory is {limit / 1e9:,.1f} GB; give at most {most:,} (5 to 50 are usual)"
        )


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)


def _warn_of_holes_that_stay(whole: Dataset, holes: Mapping[str, np.ndarray]) -> None:
    for name, missing in _holes(whole).items():
        count = int(missing.sum())
        if count == len(missing):
            _warn(f"{whole.source}: column {name!r} has no value at all, and stays empty")
        elif count and name not in holes:
            _warn(
                f"{whole.source}: column {name!r} is left out: its {plural(count, 'hole')} stay{'s' * (count == 1)}"
            )


def _warn_of_little(table: Dataset, holes: Mapping[str, np.ndarray]) -> None:
    """Warn of columns and rows that next to nothing is known of."""
    empty = np.flatnonzero(np.all([*holes.values()], axis=0))
    if len(empty):
        rows = "row has" if len(empty) == 1 else "rows have"
        _warn(
            f"{table.source}: {len(empty):,} {rows} no value at all (row {empty[0]:,}, counted from 0"
            f"{', the first' * (len(empty) > 1)}): what is filled in there is the usual row, and says nothing of it"
        )
    few_known, constant = [], []
    for j, (name, missing) in enumerate(holes.items()):
        known = table.values[~missing, j]
        if not missing.any() or not len(known):
            continue
        if len(np.unique(known)) == 1:
            constant.append(name)
        elif len(known) <= _FEW_VALUES:
            few_known.append(f"{name!r} ({plural(len(known), 'value')} of {len(missing):,})")
    if constant:
        _warn(
            f"{table.source}: column{'s' * (len(constant) > 1)} {few(constant)}: only one value is known, and it is "
            "filled in everywhere"
        )
    if few_known:
        _warn(
            f"{table.source}: next to nothing is known of {', '.join(few_known[:5])}: what is filled in there can be "
            "anything, and its check says little"
        )
