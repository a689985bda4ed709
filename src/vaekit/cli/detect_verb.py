"""``vaekit detect DATA [NEW] -o OUT``: the odd rows of a table, a rate of false alarms, and the values to blame."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vaekit.cli.options import (
    DataArgument,
    DataDirOption,
    ForceFlag,
    JsonFlag,
    MissingValuesOption,
    SaveOption,
    SeedOption,
)
from vaekit.cli.printing import print_json

if TYPE_CHECKING:
    from vaekit.application import DetectionResult

__all__ = ["Detect"]

_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Detect:
    """Find the odd rows of a table: a surprise and a p-value for each, and the values to blame where it is flagged.

    Columns may hold numbers or categories, and have holes. With NEW, its rows are tested against those of DATA.
    """

    data: DataArgument
    new: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="NEW", help="Another table of the same columns, to test instead."),
    ] = None
    model: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="NAME.vae",
            help="Ask a model that was fitted to such a table, or a detector that --save wrote, whose rows to test are "
            "DATA, rather than a detector that is fitted to DATA.",
        ),
    ] = None
    save: SaveOption = None
    force: ForceFlag = False
    output: Annotated[
        Path,
        tyro.conf.arg(
            aliases=["-o"], metavar="OUT", help="Where to: .csv .tsv .parquet, a line for each row."
        ),
    ]
    false_alarm_rate: Annotated[
        float | None,
        tyro.conf.arg(
            help="Share of good rows that may be flagged, at least 1/(n + 1) for n rows; by default 0.01, or that of a "
            "saved detector."
        ),
    ] = None
    fdr: Annotated[
        float | None,
        tyro.conf.arg(help="Instead: share of false ones among the flagged rows (Benjamini and Hochberg)."),
    ] = None
    reasons: Annotated[int, tyro.conf.arg(help="Values to blame for each flagged row; 0 is faster.")] = 3
    members: Annotated[int, tyro.conf.arg(help="Autoencoders, an even number.")] = 16
    label: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN", help="A column that is a label: never looked at but to print the AUROC."
        ),
    ] = None
    seed: SeedOption = 0
    missing_values: MissingValuesOption = None
    data_dir: DataDirOption = None
    json: JsonFlag = False

    def run(self) -> int:
        """Fit, test, write and print."""
        from vaekit.application import detect_to_file

        result = detect_to_file(
            self.data,
            self.output,
            new=self.new,
            model=self.model,
            save=self.save,
            force=self.force,
            false_alarm_rate=self.false_alarm_rate,
            fdr=self.fdr,
            reasons=self.reasons,
            members=self.members,
            label=self.label,
            missing_values=self.missing_values,
            seed=self.seed,
            data_dir=self.data_dir,
        )
        if self.json:
            print_json(result.to_json())
        else:
            print("\n".join(_lines(result)))
        return 0


def _lines(result: "DetectionResult") -> list[str]:
    by_model = result.detector is None
    n, found = len(result.surprise), result.flagged_rows()
    if result.fdr is None:
        chance = (
            f"p <= {result.rate:g}; of {n:,} good rows, {result.rate * n:.3g} would be flagged on average"
        )
    else:
        chance = f"at most {result.fdr:.3g} of them false, in expectation (Benjamini and Hochberg)"
    lines = [
        f"{'ranks among' if by_model else 'fitted to  '}  {result.fitted_rows:,} rows, {result.columns} columns",
        f"flagged      {len(found):,} of {n:,} rows: {chance}",
    ]
    if by_model:
        lines.append(
            "p-values     ranks among the rows of DATA: exact only if the model was not fitted to these"
        )
    if result.auroc is not None:
        lines.append(
            f"AUROC        {result.auroc:.3f} of the label {result.odd_label!r}, the rarest; it is not used otherwise"
        )
    for i in found[:_SHOWN]:
        lines.append(f"row {i:<8,} surprise {result.surprise[i]:.1f} nats, p = {result.p_values[i]:.2g}")
        lines += [f"             {reason}" for reason in result.reasons.get(i, [])]
    if len(found) > _SHOWN:
        lines.append(f"             and {len(found) - _SHOWN:,} more rows in the file")
    lines.append(f"{result.path}: {n:,} rows" + (", counted from 0 here" if found else ""))
    if result.saved is not None:
        lines.append(f"{result.saved}: the detector, for --model")
    return lines
