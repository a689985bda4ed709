"""Training: one loop over data in a tensor on the device, or in a file larger than memory; it never loses work."""

from vaekit.language.settings import Compilation, OutputBias, Precision, TrainingOptions, TrainingSettings
from vaekit.training.checkpoints import Checkpoints
from vaekit.training.history import EpochMetrics, History
from vaekit.training.loggers import JsonLinesLogger, Logger, TensorBoardLogger
from vaekit.training.loop import train
from vaekit.training.opponent import OpponentSteps, has_opponent
from vaekit.training.output_bias import begin_at_marginals
from vaekit.training.stopping import StopRequest, TimeLimit, stopping_on
from vaekit.training.streamed import StreamedRows

__all__ = [
    "Checkpoints",
    "Compilation",
    "EpochMetrics",
    "History",
    "JsonLinesLogger",
    "Logger",
    "OpponentSteps",
    "OutputBias",
    "Precision",
    "StopRequest",
    "StreamedRows",
    "TensorBoardLogger",
    "TimeLimit",
    "TrainingOptions",
    "TrainingSettings",
    "begin_at_marginals",
    "has_opponent",
    "stopping_on",
    "train",
]
