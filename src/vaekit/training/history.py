"""The history of a training run: one line an epoch, as kept in ``metrics.jsonl``."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ACTIVE_KL", "EpochMetrics", "History"]

ACTIVE_KL = 0.01
"""A latent dimension whose mean KL exceeds this many nats counts as active."""


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """Results of one epoch, in nats per example.

    Parameters
    ----------
    epoch, epochs
        The number of the epoch, counted from 1, and of all epochs at most.
    train_bound, train_reconstruction, train_kl
        Means over the epoch's batches, while the weights were moving.
    validation_bound, validation_reconstruction, validation_kl
        After the epoch, on the validation rows; None where there are none.
    kl_per_dimension
        Mean KL of each latent dimension, on the validation rows (the training rows where there are none);
        None where the KL is not a sum over dimensions.
    learning_rate
        The learning rate of the epoch's last step.
    seconds
        Wall time of the epoch, validation included.
    active_units
        The number of dimensions with a mean KL above :data:`ACTIVE_KL`; None where the KL is not a sum over
        them.
    gradient_norm
        Mean global norm of the epoch's gradients before they were clipped; None without clipping.
    clipped
        Share of the epoch's steps whose gradient was shortened; None without clipping.
    rows_per_second
        Training rows a second, with the time of validation included.
    """

    epoch: int
    epochs: int
    train_bound: float
    train_reconstruction: float
    train_kl: float
    validation_bound: float | None
    validation_reconstruction: float | None
    validation_kl: float | None
    kl_per_dimension: list[float] | None
    learning_rate: float
    seconds: float
    active_units: int | None = None
    gradient_norm: float | None = None
    clipped: float | None = None
    rows_per_second: float | None = None

    @property
    def bound(self) -> float:
        """The bound that counts: on the validation rows, or on the training rows where there are none."""
        return self.train_bound if self.validation_bound is None else self.validation_bound

    def numbers(self) -> dict[str, float]:
        """Return every number by name, for a logger: nothing that is missing, no list, and not the epoch."""
        left_out = ("epoch", "epochs", "kl_per_dimension")
        return {
            name: float(value)
            for name, value in vars(self).items()
            if value is not None and name not in left_out
        }

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dict(vars(self))


@dataclass
class History:
    """A training run: its epochs, the best of them, and how it ended.

    Parameters
    ----------
    epochs
        One entry an epoch.
    best_epoch
        The epoch whose weights the model holds; 0 where no epoch was finished.
    stopped
        ``"epochs"``: all of them done; ``"patience"``: the validation bound got no better; ``"interrupted"``.
    """

    epochs: list[EpochMetrics] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "epochs"
