"""``vaekit reconstruct NAME.vae DATA -o OUT``: rows to what the model makes of them."""

from dataclasses import dataclass

from vaekit.cli import common

__all__ = ["Reconstruct"]


@dataclass(frozen=True, kw_only=True)
class Reconstruct:
    """Encode and decode rows: write the model's version of each, in the units of the data."""

    artifact: common.ArtifactArgument
    data: common.DataArgument
    output: common.OutputOption
    device: common.Device = "auto"
    label: common.LabelOption = None
    data_dir: common.DataDirOption = None
    json: common.JsonFlag = False

    def run(self) -> int:
        """Reconstruct and write."""
        estimator = common.load_artifact(self.artifact, self.device)
        dataset = common.read_model_data(estimator, self.data, label=self.label, data_dir=self.data_dir)
        return common.finish_data(estimator, self.output, estimator.reconstruct(dataset), as_json=self.json)
