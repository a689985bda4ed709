"""How long, how fast and in what steps to train."""

from dataclasses import dataclass

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

    Raises
    ------
    UsageError
        For a value that makes no sense.

    Examples
    --------
    >>> TrainingSettings(learning_rate=-1.0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: learning_rate=-1 ...
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 1e-3
    patience: int | None = 10

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if value < 1:
                raise UsageError(f"{name}={value}: give a whole number of at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate={self.learning_rate:g}: give a positive number, such as 0.001")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"patience={self.patience}: give at least 1 epoch, or none to train to the end")
