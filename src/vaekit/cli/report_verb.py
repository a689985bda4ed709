"""``vaekit report NAME.vae``: make the report again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vaekit.cli.options import ArtifactArgument, DataDirOption, Device, JsonFlag, LabelOption
from vaekit.cli.printing import print_json, say

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the report of an artifact again: one self-contained HTML page."""

    artifact: ArtifactArgument
    data: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="DATA", help="Data to show; by default what it was fitted on, where that is at hand."
        ),
    ] = None
    output: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["-o"], metavar="OUT.html", help="Where to; report.html in the artifact by default."
        ),
    ] = None
    samples: Annotated[int, tyro.conf.arg(help="Importance samples an example.")] = 200
    device: Device = "auto"
    label: LabelOption = None
    data_dir: DataDirOption = None
    json: JsonFlag = False

    def run(self) -> int:
        """Render, write and print."""
        from vaekit.application import write_report

        result = write_report(
            self.artifact,
            self.output,
            data=self.data,
            samples=self.samples,
            device=self.device,
            label=self.label,
            data_dir=self.data_dir,
        )
        if result.without_data is not None:
            say(f"without pictures of data: {result.without_data}")
        if self.json:
            print_json({"report": str(result.path)})
        else:
            print(result.path)
        return 0
