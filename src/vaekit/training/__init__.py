"""Training: one loop over data that sits in one tensor on the device."""

from vaekit.training.history import EpochMetrics, History
from vaekit.training.loop import train
from vaekit.training.opponent import OpponentSteps, has_opponent
from vaekit.training.settings import TrainingSettings

__all__ = ["EpochMetrics", "History", "OpponentSteps", "TrainingSettings", "has_opponent", "train"]
