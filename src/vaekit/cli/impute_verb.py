"""``vaekit impute DATA -o OUT``: the same file with its holes filled, draws, intervals, and how good they are."""

import sys
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vaekit.cli.options import (
    DataArgument,
    DecimalOption,
    ForceFlag,
    JsonFlag,
    LabelOption,
    MissingValuesOption,
    SaveOption,
    SeedOption,
    ThousandsOption,
)
from vaekit.cli.printing import print_json
from vaekit.errors import UsageError

if TYPE_CHECKING:
    from vaekit.application import ImputationResult
    from vaekit.jobs import ColumnCheck

__all__ = ["Impute"]


@dataclass(frozen=True, kw_only=True)
class Impute:
    """Fill the holes of a table: the same file, with every other cell as it stands there.

    What is filled in is written as the other cells of its column are. On observed cells that are hidden again it is
    compared with simpler ways: the mean, a Gaussian, nearest rows, trees. Draws are files of their own, each like DATA
    with one draw in its holes, so that whatever reads DATA reads them: analyse each, and put the results together by
    Rubin's rules, vaekit.pool in Python.
    """

    data: DataArgument
    output: Annotated[
        Path,
        tyro.conf.arg(
            aliases=["-o"],
            metavar="OUT",
            help="Where to, a file of the same format as DATA; - for standard output.",
        ),
    ]
    model: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="NAME.vae",
            help="Fill by a model that was fitted to such a table, or by an imputer that --save wrote, rather than by "
            "one that is fitted to DATA.",
        ),
    ] = None
    save: SaveOption = None
    force: ForceFlag = False
    draws: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="M",
            help="Write M files with draws, OUT-1 to OUT-M, instead of one with what is expected.",
        ),
    ] = None
    interval: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="SHARE",
            help="Write OUT-interval as well: for each hole the ends of an interval that holds a share such as 0.9 of "
            "what was there.",
        ),
    ] = None
    label: LabelOption = None
    columns: Annotated[
        str | None, tyro.conf.arg(metavar="COLUMN,...", help="Columns to look at and fill, and no others.")
    ] = None
    drop: Annotated[
        str | None, tyro.conf.arg(metavar="COLUMN,...", help="Columns to leave out; their holes stay.")
    ] = None
    missing_values: MissingValuesOption = None
    thousands: ThousandsOption = None
    decimal: DecimalOption = None
    steps: Annotated[
        int | None,
        tyro.conf.arg(help="Steps of training, fewer to be quick; by default as many as the rows need."),
    ] = None
    seed: SeedOption = 0
    json: JsonFlag = False

    def run(self) -> int:
        """Fit, fill, write and print."""
        from vaekit.application import impute_to_file

        to_standard_output = str(self.output) == "-"
        if to_standard_output and self.json:
            raise UsageError(
                "the filled table is on the standard output, where JSON has no place; name a file with -o"
            )
        result = impute_to_file(
            self.data,
            self.output,
            model=self.model,
            save=self.save,
            force=self.force,
            draws=self.draws,
            interval=self.interval,
            label=self.label,
            columns=self.columns,
            drop=self.drop,
            missing_values=self.missing_values,
            thousands=self.thousands,
            decimal=self.decimal,
            steps=self.steps,
            seed=self.seed,
        )
        if self.json:
            print_json(result.to_json())
        else:
            print(
                "\n".join(_lines(result, by_model=self.model is not None and not result.fitted_before)),
                file=sys.stderr if to_standard_output else sys.stdout,
            )
        return 0


def _lines(result: "ImputationResult", *, by_model: bool) -> list[str]:
    if not result.holes:
        lines = [f"filled       nothing: {result.rows:,} rows of {result.columns} columns have no holes"]
    else:
        lines = [
            f"filled       {result.filled:,} of {result.holes:,} holes, in {len(result.missing)} of {result.columns} "
            f"columns and {result.rows_with_holes:,} of {result.rows:,} rows",
            *_table(result, by_model=by_model),
        ]
    if len(result.paths) > 1:
        lines.append(
            f"{result.paths[0]} to {result.paths[-1].name}: {len(result.paths)} draws of {result.rows:,} rows"
        )
    elif not str(result.paths[0]).startswith("-"):
        lines.append(f"{result.paths[0]}: {result.rows:,} rows")
    if result.saved is not None:
        lines.append(f"{result.saved}: the imputer, for --model")
    if result.intervals is not None:
        lines.append(f"{result.intervals}: {result.filled:,} intervals, rows counted from 0")
    return lines


_WAYS = {
    "error": "vaekit",
    "of_mean": "mean",
    "of_linear": "linear",
    "of_neighbours": "kNN",
    "of_trees": "trees",
}
_MOST_COLUMNS = 40


def _table(result: "ImputationResult", *, by_model: bool) -> list[str]:
    """Return the errors of each column beside those of simpler ways, and sentences on what they mean."""
    checks = {check.name: check for check in result.checks}
    ways = [way for way in _WAYS if any(not isnan(getattr(check, way)) for check in result.checks)]
    width = max(map(len, [*result.missing, "column"]))
    lines = [f"  {'column':<{width}}  missing{''.join(f'{_WAYS[way]:>9}' for way in ways)}  in 90 % interval"]
    ordered = sorted(result.missing.items(), key=lambda entry: -entry[1])
    for name, share in ordered[:_MOST_COLUMNS]:
        check = checks.get(name)
        told = "   stays empty" if share == 1 else "   not checked: no cell could be hidden again"
        if check is not None:
            told = f"{''.join(_error(getattr(check, way)) for way in ways)}  {_coverage(check)}"
        lines.append(f"  {name:<{width}}  {_share(share)}{told}")
    if len(ordered) > _MOST_COLUMNS:
        lines.append(f"  and {len(ordered) - _MOST_COLUMNS} more columns")
    if checks:
        lines.append(
            f"  errors on {_hidden(result.checks)} {_when(result)}: root mean square beside the column's"
        )
        lines.append("  standard deviation; of categories the share of wrong ones")
    if by_model and checks:
        lines.append(
            "  the model may have been fitted to these rows, and its intervals are not calibrated; compare without it"
        )
    return [*lines, *_where_others_win(result.checks, by_model=by_model)]


def _where_others_win(checks: "list[ColumnCheck]", *, by_model: bool) -> list[str]:
    lines = [
        f"trees win    in column {check.name!r}: alone they err by {check.of_trees:.3f}, what is filled in by "
        f"{check.error:.3f} ({check.cells:,} cells{'' if by_model else _weight_of_trees(check)})"
        for check in checks
        if check.of_trees < check.error
    ]
    no_better = [
        check.name for check in checks if check.of_mean <= check.error and not check.of_trees < check.of_mean
    ]
    if no_better:
        lines.append(
            f"no better    than the mean, or the most frequent category: {', '.join(map(repr, no_better[:10]))}; the "
            "other columns say little of it"
        )
    return lines


def _weight_of_trees(check: "ColumnCheck") -> str:
    return f"; they have a weight of {check.share_of_trees:.0%} in it"


def _when(result: "ImputationResult") -> str:
    return "of the fit that were hidden again" if result.fitted_before else "that were hidden again"


def _hidden(checks: "list[ColumnCheck]") -> str:
    return f"{sum(check.cells for check in checks):,} cells"


def _share(share: float) -> str:
    return f"{100 * share:5.1f} %"


def _error(error: float) -> str:
    return f"{'-':>9}" if isnan(error) else f"{error:9.3f}"


def _coverage(check: "ColumnCheck") -> str:
    return f"{'-':>7}" if isnan(check.coverage) else f"{100 * check.coverage:5.1f} %"
