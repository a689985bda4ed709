"""The settings of a training run, written once for every caller: epochs, steps, learning rate, precision, ..."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite, log2
from typing import Any, Literal, TypedDict

from vaekit.errors import UsageError
from vaekit.language.learning_rates import parse_schedule
from vaekit.language.optimizers import parse_optimizer

__all__ = [
    "Compilation",
    "Launch",
    "LaunchOptions",
    "OutputBias",
    "Precision",
    "TrainingOptions",
    "TrainingSettings",
]

Compilation = Literal["auto", "on", "off"]
OutputBias = Literal["auto", "marginal", "none"]
Precision = Literal["float32", "tf32", "bf16"]

_STAIRCASE_EPOCHS = 3280
_PATIENCE = (10, 50)  # epochs, at least and at most


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of a training run. Epochs and batch size that are left open follow from the number of rows.

    Parameters
    ----------
    epochs
        At most this many passes over the training rows; by default it depends on them.
    batch_size
        Rows a step, at most all of them; the last batch of an epoch may be smaller and is kept. By default it depends
        on the rows.
    learning_rate
        The optimiser's learning rate, before its schedule.
    patience
        Stop after this many epochs without a better validation bound, counted from the end of the objective's
        schedules; auto: a fifth of the epochs, from 10 to 50; none: never.
    schedule
        Schedule of the learning rate: constant, cosine (it falls to zero), one-cycle, plateau:patience=10,
        staircase.
    optimizer
        The optimiser and its options: adam:epsilon=1e-8, rmsprop:centered=true, ...
    clip
        Longest gradient, by its global norm; auto: ten times the dimensions of the data and at least 100, out
        of reach of training that goes well; none: no limit.
    averaging
        Decay of an exponential moving average of the weights, such as 0.999, which is then evaluated,
        selected and kept in their place; none: no average.
    output_bias
        Begin the decoder at the data's means: marginal; auto: for counts alone; none.
    compile
        Make native code of a training step, which takes 10 seconds: on, off; auto: where the run is long
        enough.
    precision
        Precision of the networks' products in training: float32; tf32, on NVIDIA cards; bf16. Evaluation is
        in float32.

    Raises
    ------
    UsageError
        For a value that makes no sense.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 3e-3
    patience: int | Literal["auto"] | None = "auto"
    schedule: str = "cosine"
    optimizer: str = "adam"
    clip: float | Literal["auto"] | None = "auto"
    averaging: float | None = None
    output_bias: OutputBias = "auto"
    compile: Compilation = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: give a whole number of at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate={self.learning_rate:g}: give a positive number, such as 0.001")
        if isinstance(self.patience, str) and self.patience != "auto":
            raise UsageError(f"patience={self.patience!r}: give at least 1 epoch, auto, or none")
        if isinstance(self.patience, int) and self.patience < 1:
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

    def filled_in(self, rows: int, *, convolutions: bool = False) -> "TrainingSettings":
        """Return the settings of a run over so many training rows.

        A batch is about a twentieth of the rows, a power of two from 16 to 128; one that is asked for is at most all of
        them. Epochs make about 3,500 steps, or 2,000 of 128 rows, but are at least 30 and at most 300; a staircase has
        its own 3,280. With convolutions, which learn more of each step, and take longer for it, they make 2,000 steps,
        and are at least 15. A fifth of them, but 10 to 50, may pass without a better validation bound.

        Examples
        --------
        >>> settings = TrainingOptions().filled_in(1450)
        >>> settings.epochs, settings.batch_size, settings.learning_rate, settings.schedule, settings.patience
        (152, 64, 0.003, 'cosine', 30)
        >>> [TrainingOptions().filled_in(rows).epochs for rows in (8_000, 54_000)]
        [31, 30]
        >>> TrainingOptions().filled_in(54_000, convolutions=True).epochs
        15
        """
        batch_size, epochs = self.batch_size, self.epochs
        if batch_size is None:
            batch_size = min(128, max(16, 2 ** round(log2(max(rows, 1) / 20))))
        else:
            batch_size = min(batch_size, max(rows, 1))
        if epochs is None:
            steps = -(-rows // batch_size)
            wanted, fewest = (2000, 15) if convolutions else (min(3500, 2000 * 128 // batch_size), 30)
            epochs = min(300, max(fewest, wanted // steps))
            epochs = _STAIRCASE_EPOCHS if self.schedule == "staircase" else epochs
        patience = self.patience
        if patience == "auto":
            low, high = _PATIENCE
            patience = min(high, max(low, round(epochs / 5)))
        filled: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "patience": patience}
        return TrainingSettings(**{**asdict(self), **filled})


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(TrainingOptions):
    """Settings of one training run, everything filled in; checked when made. See :class:`TrainingOptions`.

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

    @classmethod
    def for_rows(cls, rows: int, **given: Any) -> "TrainingSettings":
        """Return the settings that follow from the number of training rows where ``given`` leaves them open.

        The defaults are those of :class:`TrainingOptions`.

        Examples
        --------
        >>> TrainingSettings.for_rows(1450, epochs=7).batch_size
        64
        """
        return TrainingOptions(**given).filled_in(rows)

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate when a share of all steps, from 0 to 1, is done, and no bound is known."""
        return self.learning_rate * parse_schedule(self.schedule)(progress * self.epochs, self.epochs)

    def clip_at(self, dimensions: int) -> float | None:
        """Return the norm that gradients are shortened to, for data of so many dimensions.

        The loss is a sum over the dimensions, and its gradient grows with them: that of a scale that all
        share is about their number.

        >>> TrainingSettings().clip_at(5), TrainingSettings().clip_at(784), TrainingSettings(clip=1.0).clip_at(5)
        (100.0, 7840.0, 1.0)
        """
        return 10.0 * max(dimensions, 10) if self.clip == "auto" else self.clip


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The way in which processes that train one model share the work; the results do not depend on it.

    Parameters
    ----------
    shard
        Under torchrun: spread the networks over the processes, for models too large for one device.
    """

    shard: bool = False

    @classmethod
    def taken_from(cls, options: Mapping[str, Any]) -> "Launch":
        """Return the launch that is among the options of a run.

        >>> Launch.taken_from({"shard": True, "resume": False})
        Launch(shard=True)
        """
        return cls(**{field.name: options[field.name] for field in fields(cls) if field.name in options})


class LaunchOptions(TypedDict, total=False):
    """The fields of a :class:`Launch` as keyword arguments."""

    shard: bool
