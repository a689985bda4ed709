r"""Schedules of the learning rate: a factor of it, when :math:`t` of at most :math:`T` epochs are done.

.. math::

    \text{constant}  &: 1 \\
    \text{cosine}    &: \tfrac12 (1 + \cos(\pi t / T)) \\
    \text{one-cycle} &: \text{from } 1/s \text{ to } 1 \text{ over the first } w T \text{ epochs,
                        then to } 1/(s e), \text{ both along a cosine} \\
    \text{staircase} &: 10^{-i/7} \text{ for } 3^i \text{ epochs, } i = 0, \ldots, 7 \\
    \text{plateau}   &: r^m \text{ after } m \text{ times } p \text{ epochs without a better bound}

Cosine is equation 5 of Loshchilov and Hutter (2017) without restarts, one-cycle Smith and Topin (2018)
without the cycle of momentum, and the staircase the protocol of Burda et al. (2015), section 5, whose eight
stages take 3,280 epochs. Every one is a function of what is known, and keeps nothing between steps: there is
nothing to lose.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from math import cos, pi

from vaekit.errors import UsageError
from vaekit.language.grammar import read_choice

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "LearningRateSchedule",
    "OneCycle",
    "Plateau",
    "Staircase",
    "parse_schedule",
]


class LearningRateSchedule(ABC):
    """A factor of the learning rate; most know it from the start."""

    def given(self, bounds: Sequence[float]) -> "LearningRateSchedule":
        """Return the schedule once these bounds, one an epoch, are known."""
        return self

    @abstractmethod
    def __call__(self, epochs_done: float, epochs: int) -> float:
        """Return the factor of the learning rate."""


@dataclass(frozen=True)
class Constant(LearningRateSchedule):
    """Always 1."""

    def __call__(self, epochs_done: float, epochs: int) -> float:
        """Return the factor of the learning rate."""
        return 1.0


@dataclass(frozen=True)
class Cosine(LearningRateSchedule):
    """From 1 to 0 along half a cosine."""

    def __call__(self, epochs_done: float, epochs: int) -> float:
        """Return the factor of the learning rate."""
        return 0.5 * (1 + cos(pi * (epochs_done / epochs)))


@dataclass(frozen=True)
class OneCycle(LearningRateSchedule):
    """Up, then down: ``one-cycle:warmup=0.3``.

    Parameters
    ----------
    warmup
        Share of the epochs on the way up.
    start
        The learning rate starts at this part of its highest value.
    end
        And ends at this part of where it started.
    """

    _: KW_ONLY
    warmup: float = 0.3
    start: float = 25.0
    end: float = 1e4

    def __post_init__(self) -> None:
        if not 0 < self.warmup < 1:
            raise UsageError(f"schedule: warmup={self.warmup:g}; give a share between 0 and 1, such as 0.3")
        for name, value in (("start", self.start), ("end", self.end)):
            if not 1 <= value < float("inf"):
                raise UsageError(f"schedule: {name}={value:g}; give a number of at least 1")

    def __call__(self, epochs_done: float, epochs: int) -> float:
        """Return the factor of the learning rate."""
        progress = epochs_done / epochs
        lowest = 1 / self.start
        if progress < self.warmup:
            return _along_cosine(lowest, 1.0, progress / self.warmup)
        return _along_cosine(1.0, lowest / self.end, (progress - self.warmup) / (1 - self.warmup))


@dataclass(frozen=True)
class Staircase(LearningRateSchedule):
    """Eight steps down, each three times as long as the one before."""

    def __call__(self, epochs_done: float, epochs: int) -> float:
        """Return the factor of the learning rate."""
        stage, ends_at = 0, 1
        while stage < 7 and epochs_done >= ends_at:
            stage += 1
            ends_at += 3**stage
        return 10 ** (-stage / 7)


@dataclass(frozen=True)
class Plateau(LearningRateSchedule):
    """Down when the bound gets no better: ``plateau:factor=0.5,patience=10``.

    The bound is the un-annealed one of the validation rows; of the training rows where there are none.

    Parameters
    ----------
    reductions
        The number of reductions so far; it follows from the bounds, and is no option.
    factor
        The learning rate is multiplied by it.
    patience
        After more than this many epochs without a better bound.
    """

    reductions: int = 0
    _: KW_ONLY
    factor: float = 0.5
    patience: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise UsageError(f"schedule: factor={self.factor:g}; give a number between 0 and 1, such as 0.5")
        if self.patience < 0:
            raise UsageError(f"schedule: patience={self.patience}; give a whole number of epochs")

    def __call__(self, epochs_done: float, epochs: int) -> float:
        """Return the factor of the learning rate."""
        return self.factor**self.reductions

    def given(self, bounds: Sequence[float]) -> "Plateau":
        """Return the schedule once these bounds, one an epoch, are known."""
        best, waited, reductions = -float("inf"), 0, 0
        for bound in bounds:
            best, waited = (bound, 0) if bound > best else (best, waited + 1)
            if waited > self.patience:
                reductions, waited = reductions + 1, 0
        return replace(self, reductions=reductions)


SCHEDULES: dict[str, type[LearningRateSchedule]] = {
    "constant": Constant,
    "cosine": Cosine,
    "one-cycle": OneCycle,
    "plateau": Plateau,
    "staircase": Staircase,
}


def parse_schedule(text: str) -> LearningRateSchedule:
    """Read ``cosine``, ``one-cycle:warmup=0.2``, ...

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> staircase = parse_schedule("staircase")
    >>> [round(staircase(epoch, 40), 3) for epoch in (0, 1, 3, 4, 12, 13)]
    [1.0, 0.72, 0.72, 0.518, 0.518, 0.373]
    """
    name, options = read_choice("schedule", text, SCHEDULES)
    return SCHEDULES[name](**options)


def _along_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1 + cos(pi * progress))
