"""``vaekit score NAME.vae DATA -o OUT``: rows to log-likelihoods."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli import common

__all__ = ["Score"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score rows: write log p(x) of each, in nats; low scores are outliers."""

    artifact: common.ArtifactArgument
    data: common.DataArgument
    output: common.OutputOption
    samples: Annotated[int, tyro.conf.arg(help="Importance samples a row.")] = 100
    device: common.Device = "auto"
    label: common.LabelOption = None
    data_dir: common.DataDirOption = None
    json: common.JsonFlag = False

    def run(self) -> int:
        """Score and write."""
        from vaekit.errors import UsageError

        if self.samples < 1:
            raise UsageError(f"--samples {self.samples}: give a whole number of at least 1")
        estimator = common.load_artifact(self.artifact, self.device)
        dataset = common.read_model_data(estimator, self.data, label=self.label, data_dir=self.data_dir)
        scores = estimator.score_samples(dataset, samples=self.samples)
        return common.finish(self.output, scores[:, None], columns=("log_likelihood",), as_json=self.json)
