"""``vaekit report NAME.vae``: make the report again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vaekit.cli import common

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the report of an artifact again: one self-contained HTML page."""

    artifact: common.ArtifactArgument
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
    device: common.Device = "auto"
    label: common.LabelOption = None
    data_dir: common.DataDirOption = None
    json: common.JsonFlag = False

    def run(self) -> int:
        """Render and write."""
        from vaekit.data import partition, write_text
        from vaekit.errors import DataError
        from vaekit.report import render_report

        estimator = common.load_artifact(self.artifact, self.device)
        origin = estimator.origin_
        source = self.data or origin.get("source")
        shown, results = None, {}
        try:
            if source is None:
                raise DataError("the artifact does not say where its data came from")
            dataset = common.read_model_data(estimator, source, label=self.label, data_dir=self.data_dir)
            if dataset.hash() == origin.get("hash"):
                parts = partition(dataset, estimator.seed_, validation=origin["validation"])
                shown, split, train = parts.test, "test", parts.train
            else:
                shown, split, train = dataset, "all", None
            if estimator.model_.has_log_likelihood:
                results[split] = estimator.evaluate(shown, samples=self.samples, split=split, train=train)
        except DataError as error:
            if self.data is not None:
                raise
            common.say(f"without pictures of data: {error}")
        output = self.output or self.artifact / "report.html"
        write_text(output, render_report(estimator, estimator.to_artifact(origin), shown, results))
        if self.json:
            common.print_json({"report": str(output)})
        else:
            print(output)
        return 0
