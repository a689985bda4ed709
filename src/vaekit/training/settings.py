"""How long, how fast and in what steps to train."""

from dataclasses import dataclass
from math import isfinite, log2
from typing import Literal

from vaekit.errors import UsageError
from vaekit.training.clipping import default_limit
from vaekit.training.learning_rates import parse_schedule
from vaekit.training.optimizers import parse_optimizer
from vaekit.training.output_bias import OutputBias

__all__ = ["Compilation", "Precision", "TrainingSettings"]

Compilation = Literal["auto", "on", "off"]
Precision = Literal["float32", "tf32", "bf16"]


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
        The optimiser's, before its schedule.
    patience
        Stop after this many epochs without a better validation bound; None: never.
    schedule
        Of the learning rate: ``constant``, ``cosine``, ``one-cycle``, ``plateau`` or ``staircase``, with options
        such as ``plateau:patience=5``; see :mod:`vaekit.training.learning_rates`.
    optimizer
        ``adam`` or ``rmsprop``, with options such as ``adam:epsilon=1e-4``; see
        :mod:`vaekit.training.optimizers`.
    clip
        Global norm that a gradient is shortened to; ``auto``: ten times the dimensions of the data, and at least
        100; None: never.
    averaging
        Decay of an exponential moving average of the weights, such as 0.999, which is then evaluated, selected and
        kept in their place; None: no average.
    output_bias
        ``marginal``: the decoder begins at the data's means, see :mod:`vaekit.training.output_bias`; ``auto``: for
        counts; ``none``.
    compile
        Whether a step becomes native code: ``auto``, where the planned steps repay the 10 seconds that it takes;
        ``on``; ``off``. See :mod:`vaekit.training.compilation`.
    precision
        Of the networks' products: ``float32``; ``tf32``, on NVIDIA cards; ``bf16``. See
        :mod:`vaekit.training.precision`.

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
    optimizer: str = "adam"
    clip: float | Literal["auto"] | None = "auto"
    averaging: float | None = None
    output_bias: OutputBias = "auto"
    compile: Compilation = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if value < 1:
                raise UsageError(f"{name}={value}: give a whole number of at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate={self.learning_rate:g}: give a positive number, such as 0.001")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"patience={self.patience}: give at least 1 epoch, or none to train to the end")
        if isinstance(self.clip, str) and self.clip != "auto":
            raise UsageError(f"clip={self.clip!r}: give a positive number, auto, or none")
        if isinstance(self.clip, (int, float)) and not (isfinite(self.clip) and self.clip > 0):
            raise UsageError(f"clip={self.clip:g}: give a positive number, auto, or none")
        if self.averaging is not None and not 0 < self.averaging < 1:
            raise UsageError(f"averaging={self.averaging:g}: give a decay between 0 and 1, such as 0.999")
        if self.output_bias not in ("auto", "marginal", "none"):
            raise UsageError(f"output_bias={self.output_bias!r}: there are auto, marginal and none")
        if self.compile not in ("auto", "on", "off"):
            raise UsageError(f"compile={self.compile!r}: there are auto, on and off")
        if self.precision not in ("float32", "tf32", "bf16"):
            raise UsageError(f"precision={self.precision!r}: there are float32, tf32 and bf16")
        parse_schedule(self.schedule)
        parse_optimizer(self.optimizer)

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
        optimizer: str = "adam",
        clip: float | Literal["auto"] | None = "auto",
        averaging: float | None = None,
        output_bias: OutputBias = "auto",
        compile: Compilation = "auto",
        precision: Precision = "float32",
    ) -> "TrainingSettings":
        """Fill in what was left open by the number of training rows.

        A batch is about a twentieth of the rows, a power of two from 16 to 128. Epochs make about 3,500
        steps, but are at least 30 and at most 300; a staircase has its own 3,280.

        Examples
        --------
        >>> settings = TrainingSettings.for_rows(1450)
        >>> settings.epochs, settings.batch_size, settings.learning_rate, settings.schedule
        (152, 64, 0.003, 'cosine')
        >>> TrainingSettings.for_rows(54_000).epochs
        30
        """
        if batch_size is None:
            batch_size = min(128, max(16, 2 ** round(log2(max(rows, 1) / 20))))
        if epochs is None:
            steps = -(-rows // max(1, batch_size))
            epochs = 3280 if schedule == "staircase" else min(300, max(30, 3500 // steps))
        return cls(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            schedule=schedule,
            optimizer=optimizer,
            clip=clip,
            averaging=averaging,
            output_bias=output_bias,
            compile=compile,
            precision=precision,
        )

    def learning_rate_at(self, progress: float) -> float:
        """Give the learning rate when a share of all steps, from 0 to 1, is done, and no bound is known."""
        return self.learning_rate * parse_schedule(self.schedule)(progress * self.epochs, self.epochs)

    def clip_at(self, dimensions: int) -> float | None:
        """Give the norm that gradients are shortened to, for data of so many dimensions."""
        return default_limit(dimensions) if self.clip == "auto" else self.clip
