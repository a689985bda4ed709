"""``vaekit encode NAME.vae DATA -o OUT``: rows to latents."""

from dataclasses import dataclass

from vaekit.cli import common

__all__ = ["Encode"]


@dataclass(frozen=True, kw_only=True)
class Encode:
    """Encode rows: write the posterior means, one row each."""

    artifact: common.ArtifactArgument
    data: common.DataArgument
    output: common.OutputOption
    device: common.Device = "auto"
    label: common.LabelOption = None
    data_dir: common.DataDirOption = None
    json: common.JsonFlag = False

    def run(self) -> int:
        """Encode and write."""
        estimator = common.load_artifact(self.artifact, self.device)
        dataset = common.read_model_data(estimator, self.data, label=self.label, data_dir=self.data_dir)
        latents = estimator.transform(dataset)
        columns = tuple(f"z{i}" for i in range(latents.shape[1]))
        return common.finish(self.output, latents, columns=columns, as_json=self.json)
