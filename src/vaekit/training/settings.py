"""How long, how fast and in what steps to train."""

from dataclasses import dataclass
from math import cos, log2, pi

from vaekit.errors import UsageError

__all__ = ["TrainingSettings"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of one training run; checked when made.

    Parameters
    ----------
    epochs
        At most this many passes over the data.
    batch_size
        Examples a step; the last batch of an epoch may be smaller and is kept.
    learning_rate
        Adam's.
    patience
        Stop after this many epochs without a better validation bound; None: never.
    schedule
        ``constant``, or ``cosine``: the learning rate falls to zero over the epochs (Loshchilov and Hutter,
        2017, equation 5, without restarts).

    Raises
    ------
    UsageError
        For a value that makes no sense.

    Examples
    --------
    >>> TrainingSettings(learning_rate=-1.0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: learning_rate=-1: give a positive number, such as 0.001
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 1e-3
    patience: int | None = None
    schedule: str = "constant"

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if value < 1:
                raise UsageError(f"{name}={value}: give a whole number of at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate={self.learning_rate:g}: give a positive number, such as 0.001")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"patience={self.patience}: give at least 1 epoch, or none to train to the end")
        if self.schedule not in ("constant", "cosine"):
            raise UsageError(f"schedule={self.schedule!r}: there are constant and cosine")

    @classmethod
    def for_rows(
        cls,
        rows: int,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        patience: int | None = 50,
        schedule: str = "cosine",
    ) -> "TrainingSettings":
        """Fill in what was left open by the number of training rows.

        A batch is about a twentieth of the rows, a power of two from 16 to 128. Epochs make about 3,500
        steps, but are at least 30 and at most 300.

        Examples
        --------
        >>> TrainingSettings.for_rows(1450)
        TrainingSettings(epochs=152, batch_size=64, learning_rate=0.003, patience=50, schedule='cosine')
        >>> TrainingSettings.for_rows(54_000).epochs
        30
        """
        if batch_size is None:
            batch_size = min(128, max(16, 2 ** round(log2(max(rows, 1) / 20))))
        if epochs is None:
            steps = -(-rows // max(1, batch_size))
            epochs = min(300, max(30, 3500 // steps))
        return cls(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            schedule=schedule,
        )

    def learning_rate_at(self, progress: float) -> float:
        """Give the learning rate when a share of all steps, from 0 to 1, is done."""
        return self.learning_rate * (0.5 * (1 + cos(pi * progress)) if self.schedule == "cosine" else 1.0)
