"""Training: one loop over data in a tensor on the device, or in a file larger than memory; it never loses work."""

from vaekit.language.settings import (
    Compilation,
    Launch,
    OutputBias,
    Precision,
    TrainingOptions,
    TrainingSettings,
)
from vaekit.training.checkpoints import Checkpoints
from vaekit.training.history import EpochMetrics, History
from vaekit.training.loggers import JsonLinesLogger, Logger, TensorBoardLogger
from vaekit.training.loop import Callbacks, carry_out, train
from vaekit.training.output_bias import begin_at_marginals
from vaekit.training.players import OpponentSteps, has_opponent
from vaekit.training.setup import Examples, Progress, RunSetup, begin_objective
from vaekit.training.stopping import StopRequest, TimeLimit, stopping_on
from vaekit.training.streamed import StreamedRows
from vaekit.training.training_plan import TrainingPlan, plan_training

__all__ = [
    "Callbacks",
    "Checkpoints",
    "Compilation",
    "EpochMetrics",
    "Examples",
    "History",
    "JsonLinesLogger",
    "Launch",
    "Logger",
    "OpponentSteps",
    "OutputBias",
    "Precision",
    "Progress",
    "RunSetup",
    "StopRequest",
    "StreamedRows",
    "TensorBoardLogger",
    "TimeLimit",
    "TrainingOptions",
    "TrainingPlan",
    "TrainingSettings",
    "begin_at_marginals",
    "begin_objective",
    "carry_out",
    "has_opponent",
    "plan_training",
    "stopping_on",
    "train",
]
