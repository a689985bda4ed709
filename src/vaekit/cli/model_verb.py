"""What every verb that takes a model to data has: its arguments, and the opening of both."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaekit.cli import common

if TYPE_CHECKING:
    from vaekit.data import Dataset
    from vaekit.estimator import VariationalAutoencoder

__all__ = ["ModelVerb"]


@dataclass(frozen=True, kw_only=True)
class ModelVerb:
    """The arguments that evaluate, encode, reconstruct and score share; not a verb by itself."""

    artifact: common.ArtifactArgument
    data: common.DataArgument
    device: common.Device = "auto"
    label: common.LabelOption = None
    data_dir: common.DataDirOption = None
    memory_limit: common.MemoryOption = None
    json: common.JsonFlag = False

    def open(self) -> "tuple[VariationalAutoencoder, Dataset]":
        """Load the artifact, and read the data checked against its schema."""
        from vaekit.data.mapped import memory_limit

        memory = memory_limit(self.memory_limit)
        estimator = common.load_artifact(self.artifact, self.device)
        return estimator, common.read_model_data(
            estimator, self.data, label=self.label, data_dir=self.data_dir, memory=memory
        )
