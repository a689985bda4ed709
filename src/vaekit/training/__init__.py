"""Training: one loop over data that sits in one tensor on the device; it never loses work."""

from vaekit.training.checkpoints import Checkpoints
from vaekit.training.history import EpochMetrics, History
from vaekit.training.loggers import JsonLinesLogger, Logger, TensorBoardLogger
from vaekit.training.loop import train
from vaekit.training.opponent import OpponentSteps, has_opponent
from vaekit.training.output_bias import OutputBias, begin_at_marginals
from vaekit.training.settings import TrainingSettings
from vaekit.training.stopping import StopRequest, stopping_on

__all__ = [
    "Checkpoints",
    "EpochMetrics",
    "History",
    "JsonLinesLogger",
    "Logger",
    "OpponentSteps",
    "OutputBias",
    "StopRequest",
    "TensorBoardLogger",
    "TrainingSettings",
    "begin_at_marginals",
    "has_opponent",
    "stopping_on",
    "train",
]
