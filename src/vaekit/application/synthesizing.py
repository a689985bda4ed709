"""From a table to a file of made-up rows like its own."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vaekit.application.row_makers import ArtifactRows, RowMaker, SavedRows, SynthesizerRows
from vaekit.application.sources import Source, check_save, source_name
from vaekit.application.table_text import as_written, read_table
from vaekit.data import write_text
from vaekit.data.column_selection import read_column_names
from vaekit.data.messages import few
from vaekit.data.result_tables import TABLES
from vaekit.data.writers import write_frame
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.jobs import Synthesizer, SyntheticReport, check_constraints, report_synthetic
from vaekit.jobs.any_artifact import load_for
from vaekit.language.grammar import did_you_mean
from vaekit.report import render_synthetic_report

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SynthesisResult", "synthesize_to_file"]

_FEW_LATENTS = 0.1


@dataclass(frozen=True)
class SynthesisResult:
    """A file of made-up rows.

    Parameters
    ----------
    path
        The file that was written.
    frame
        Its rows.
    left_out
        Columns of the source that are not modelled, and why.
    fitted_rows, fitted_columns
        The number of rows and columns that the model is fitted to.
    acceptance
        The share of the rows drawn that meet the constraints.
    filled
        Names of the columns that have holes in the source, and none in the file.
    fixed
        Groups of columns that determine each other, and take only combinations of values that the source has.
    report
        The rows judged beside real ones, where that was asked for.
    page
        The page of the report, ``NAME.report.html`` beside the file.
    saved
        The artifact that the synthesizer was saved as.
    """

    path: Path
    frame: "pd.DataFrame" = field(repr=False)
    left_out: dict[str, str]
    fitted_rows: int
    fitted_columns: int
    acceptance: float
    filled: tuple[str, ...]
    fixed: tuple[tuple[str, ...], ...]
    report: SyntheticReport | None = field(default=None, repr=False)
    page: Path | None = None
    saved: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain dictionaries, lists, strings and numbers."""
        return {
            "path": str(self.path),
            "rows": len(self.frame),
            "columns": [str(name) for name in self.frame.columns],
            "fitted_rows": self.fitted_rows,
            "acceptance": self.acceptance,
            "filled": list(self.filled),
            "fixed": [list(names) for names in self.fixed],
            "left_out": self.left_out,
            "report": None if self.report is None else self.report.to_json(),
            "page": None if self.page is None else str(self.page),
            **({} if self.saved is None else {"saved": str(self.saved)}),
        }


def synthesize_to_file(
    data: Source | None,
    output: str | Path,
    n_samples: int,
    *,
    given: Mapping[str, Any] | None = None,
    constraints: Sequence[str] = (),
    unique: str | Sequence[str] = (),
    keep_missing: bool = False,
    model: str | Path | None = None,
    save: str | Path | None = None,
    force: bool = False,
    report: bool = False,
    target: str | None = None,
    missing_values: Any = None,
    seed: int = 0,
    data_dir: Path | None = None,
) -> SynthesisResult:
    """Fit a :class:`vaekit.Synthesizer` to a table, and write a file of rows that it makes up.

    The file has the columns of the source in their order and types; categories are spelt as there.

    Parameters
    ----------
    data
        The table: a path, or data in memory; None where a saved synthesizer is given.
    output
        A ``.csv``, ``.tsv``, ``.parquet`` or ``.json``.
    n_samples
        The number of rows to make up: so many are written, or nothing.
    given
        By name of column a value or a range that all rows have: ``{"sex": "Female", "age": "30..40"}``.
    constraints
        Conditions that all rows meet, such as ``"low <= high"``.
    unique
        Columns that tell rows apart, which get new values.
    keep_missing
        Whether there are holes as in the source.
    model
        A ``NAME.vae`` that was fitted to the table before, which then makes the rows up: a model, of which what is
        given are its conditions; or a synthesizer that was saved, which needs no table. With one, numbers are written
        as they are in it.
    save
        A folder to save the fitted synthesizer in: see :meth:`vaekit.Synthesizer.save`.
    force
        Whether an artifact that is there is replaced.
    report
        Whether the rows are judged beside real ones by :func:`vaekit.jobs.report_synthetic`. A fifth of the rows of the
        source, chosen by chance, is then held out, and no part of the fit; of a model it is its own test rows.
    target
        A column to predict from the others, by which the report says what the rows are good for.
    missing_values
        Values that stand for missing ones, as :func:`vaekit.data.read` takes them.
    seed
        Of fit and rows: the same seed gives the same bytes.
    data_dir
        Where named data sets lie.

    Raises
    ------
    UsageError
        For columns and values that are not there.
    DataError
        For data that are no table, and constraints that hardly any row meets.

    Warns
    -----
    DataWarning
        For columns that are left out, constraints that rows of the source break, and conditions that hardly any latent
        fits.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> path = Path(tempfile.mkdtemp()) / "flowers.csv"
    >>> found = synthesize_to_file(load_iris(as_frame=True).frame, path, 20, given={"target": 1})
    >>> found.frame.shape, path.read_text().splitlines()[0][:17]
    ((20, 5), 'sepal length (cm)')
    """
    output = Path(output)
    if output.suffix.lower() not in TABLES:
        raise DataError(
            f"{output}: unknown ending {output.suffix!r} for made-up rows; expected one of {', '.join(TABLES)}"
        )
    names = read_column_names(unique)
    check_save(save, model=model, force=force, job="a synthesizer")
    if save is not None and given:
        raise UsageError(
            "save keeps a synthesizer for any rows, and what is given is of these alone: save it first, and give it as "
            "the model then"
        )
    maker: RowMaker
    table = None
    fitted = None if model is None else load_for(Synthesizer, model)
    if isinstance(fitted, Synthesizer):
        of_the_fit = {"unique": names, "keep_missing": keep_missing, "missing_values": missing_values}
        _refuse_with_saved(report=report, **of_the_fit)
        if data is not None:
            ids, codes = read_column_names(fitted.unique), fitted.source_.get("missing_values")
            table = read_table(data, ids, codes, data_dir)
        maker = SavedRows(fitted, table, seed=seed)
    elif data is None:
        raise UsageError(
            "no data: give a table to make up rows like its own, or a synthesizer that was saved as the model"
        )
    elif fitted is None:
        table = read_table(data, names, missing_values, data_dir)
        maker = SynthesizerRows(
            table,
            unique=names,
            given=given or {},
            constraints=constraints,
            keep_missing=keep_missing,
            hold_out=report,
            seed=seed,
        )
    else:
        if keep_missing:
            raise UsageError("keep_missing=True: a model's rows have no holes; leave it out, or the model")
        maker = ArtifactRows(
            Path(str(model)), data, unique=names, hold_out=report, seed=seed, data_dir=data_dir
        )
    source, asked = source_name(data if data is not None else model) or "the data", dict(given or {})
    rules = maker.check(asked, constraints)
    if n_samples < 1:
        raise UsageError(f"n_samples={n_samples}: give a whole number of at least 1")
    if target is not None:
        _check_target(target, list(maker.known.columns), report=report)
    for broken in check_constraints(rules, maker.known):
        warnings.warn(f"{source}: {broken}; made-up rows meet it", DataWarning, stacklevel=2)
    maker.train()
    made = maker.draw(n_samples, asked, constraints)
    if save is not None and isinstance(maker, SynthesizerRows):
        maker.save(Path(save), force=force, missing_values=missing_values)
    if made.effective < _FEW_LATENTS:
        warnings.warn(
            f"{source}: what is given is rare: {made.effective * n_samples:,.0f} different latents stand behind the "
            f"{n_samples:,} rows",
            DataWarning,
            stacklevel=2,
        )
    is_text = output.suffix.lower() in (".csv", ".tsv")
    write_frame(output, made.frame if table is None or not is_text else as_written(made.frame, table))
    found = page = None
    if maker.held_out is not None:
        rows = cast("pd.DataFrame", made.frame[list(maker.known.columns)])
        found = report_synthetic(
            maker.known, maker.held_out, rows, target=target, log_density=maker.log_density, seed=seed
        )
        page = output.with_name(f"{output.stem}.report.html")
        write_text(page, render_synthetic_report(found, maker.known, rows, name=Path(source).name))
    return SynthesisResult(
        output,
        made.frame,
        dict(maker.left_out),
        maker.rows,
        maker.columns,
        made.acceptance,
        maker.filled,
        maker.fixed,
        found,
        page,
        None if save is None else Path(save),
    )


def _refuse_with_saved(*, report: bool, **of_the_fit: Any) -> None:
    if report:
        raise UsageError(
            "report=True: the synthesizer was fitted before, so that no row is left that it has not seen; ask for the "
            "report when it is fitted"
        )
    asked = [name for name, value in of_the_fit.items() if value]
    if asked:
        raise UsageError(f"{asked[0]} is of the fit, and the synthesizer is fitted; leave it out")


def _check_target(target: str, columns: Sequence[str], *, report: bool) -> None:
    if not report:
        raise UsageError(f"target={target!r}: it is what the report asks for: give report=True")
    if target not in columns:
        hint = did_you_mean(target, columns) or ";"
        raise UsageError(
            f"target={target!r}: there is no column of that name{hint} there are {few(columns, 20)}"
        )
