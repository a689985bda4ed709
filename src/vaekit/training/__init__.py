"""Training: one loop over data that sits in one tensor on the device."""

from vaekit.training.history import EpochMetrics, History
from vaekit.training.loop import train
from vaekit.training.settings import TrainingSettings

__all__ = ["EpochMetrics", "History", "TrainingSettings", "train"]
