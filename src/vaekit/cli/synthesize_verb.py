"""``vaekit synthesize DATA -n N -o OUT``: a table of made-up rows, to be shared in the place of the real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vaekit.cli.options import (
    DataDirOption,
    ForceFlag,
    JsonFlag,
    MissingValuesOption,
    SaveOption,
    SeedOption,
)
from vaekit.cli.printing import print_json
from vaekit.errors import UsageError

if TYPE_CHECKING:
    from vaekit.application import SynthesisResult

__all__ = ["Synthesize"]


@dataclass(frozen=True, kw_only=True)
class Synthesize:
    """Make up rows like those of a table: its columns, types and decimals, and what depends on what in them.

    No row is copied, but there is no formal guarantee of privacy. No cell is empty, unless with --keep-missing.
    """

    data: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="DATA",
            help="A table (.csv .tsv .parquet .npy), or - for standard input; not needed where --model is a saved "
            "synthesizer.",
        ),
    ] = None
    output: Annotated[
        Path, tyro.conf.arg(aliases=["-o"], metavar="OUT", help="Where to: .csv .tsv .parquet .json.")
    ]
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="N", help="How many rows; so many, or none.")]
    given: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            metavar="NAME=VALUE",
            help="A value that a column has in all rows, or a range: --given sex=Female --given age=30..40.",
        ),
    ] = ()
    constraint: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            metavar="RULE",
            help='What every row meets: "low <= high", "age >= 18 or married == \'no\'". Several: again.',
        ),
    ] = ()
    unique: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            metavar="COLUMN",
            help="A column that tells rows apart: it gets new values of the same kind, none of them of DATA. Others of "
            "that sort are left out, with a note.",
        ),
    ] = ()
    keep_missing: Annotated[
        bool, tyro.conf.arg(help="Leave cells empty as often, and where, as in DATA.")
    ] = False
    model: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="NAME.vae",
            help="A model that was fitted to DATA before, to make up rows by it; --given are then its conditions. Or a "
            "synthesizer that --save wrote.",
        ),
    ] = None
    save: SaveOption = None
    force: ForceFlag = False
    report: Annotated[
        bool,
        tyro.conf.arg(
            help="Hold a fifth of DATA out of the fit, and print how near made-up rows are to real ones: told apart by "
            "trees, columns and pairs, nearest records, copies, membership. OUT.report.html has pictures."
        ),
    ] = False
    target: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN",
            help="For --report: a column to predict, by models trained on made-up and on real rows.",
        ),
    ] = None
    seed: SeedOption = 0
    missing_values: MissingValuesOption = None
    data_dir: DataDirOption = None
    json: JsonFlag = False

    def run(self) -> int:
        """Fit, make up, write and print."""
        from vaekit.application import synthesize_to_file

        result = synthesize_to_file(
            self.data,
            self.output,
            self.n,
            given=_pairs(self.given),
            constraints=self.constraint,
            unique=self.unique,
            keep_missing=self.keep_missing,
            model=self.model,
            save=self.save,
            force=self.force,
            report=self.report,
            target=self.target,
            missing_values=self.missing_values,
            seed=self.seed,
            data_dir=self.data_dir,
        )
        if self.json:
            print_json(result.to_json())
        else:
            print("\n".join(_lines(result, constraints=bool(self.constraint))))
        return 0


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE``, where the name may be anything without an equals sign."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"--given {text!r}: write NAME=VALUE, such as --given age=30..40")
        if name.strip() in found:
            raise UsageError(f"--given: {name.strip()} is given twice")
        found[name.strip()] = value.strip()
    return found


def _lines(result: "SynthesisResult", *, constraints: bool) -> list[str]:
    lines = [
        f"fitted to    {result.fitted_rows:,} rows, {result.fitted_columns} columns",
    ]
    lines += [
        f"fixed        {', '.join(names[:-1])} and {names[-1]} determine each other: only combinations in the data"
        for names in result.fixed
    ]
    if constraints:
        others = "; the others are left out" if result.acceptance < 1 else ""
        lines.append(f"constraints  met by {result.acceptance:.1%} of the rows drawn{others}")
    if result.filled:
        lines.append(
            f"holes        none, but in the data in {', '.join(result.filled[:9])}; --keep-missing leaves as many "
            "cells empty"
        )
    lines.append(f"{result.path}: {len(result.frame):,} rows x {len(result.frame.columns)} columns")
    if result.saved is not None:
        lines.append(f"{result.saved}: the synthesizer, for --model")
    if result.report is not None:
        lines += ["", *result.report.lines(), f"{result.page}: the same with pictures"]
    return lines
