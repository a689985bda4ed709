r"""Schedules: a scalar that changes with the number of epochs done.

With :math:`t` the epochs done, from :math:`a` to :math:`b` over :math:`T` epochs:

.. math::

    \text{linear}   &: a + (b - a) \min(t / T, 1) \\
    \text{cosine}   &: a + (b - a) \tfrac12 (1 - \cos(\pi \min(t / T, 1))) \\
    \text{cyclical} &: a + (b - a) \min(2 (t / T - \lfloor t / T \rfloor), 1)

The first two stay at :math:`b`. The third starts again every :math:`T` epochs, rises for the first half of
them and stays for the second (Fu et al., 2019, "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL
Vanishing", equations 6 and 7 with R = 1/2). A plain number is the constant schedule. Written in a sentence::

    elbo:beta=linear:0..1/10            from 0 to 1 over 10 epochs, then 1
    elbo:beta=cyclical:0..1/10          the same again every 10 epochs
    elbo:beta=1000,capacity=cosine:0..25/100
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, floor, isfinite, pi
from typing import ClassVar

from vaekit.errors import UsageError
from vaekit.language.grammar import there_are

__all__ = ["Annealed", "Schedule", "check_count", "check_scalar"]

_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: min(progress, 1.0),
    "cosine": lambda progress: 0.5 * (1.0 - cos(pi * min(progress, 1.0))),
    "cyclical": lambda progress: min(2.0 * (progress - floor(progress)), 1.0),
}


@dataclass(frozen=True)
class Schedule:
    """From one value to another over some epochs.

    Parameters
    ----------
    shape
        ``linear``, ``cosine`` or ``cyclical``.
    start, end
        The values it goes from and to; it never leaves the range between them.
    epochs
        How many epochs that takes (a fraction will do), or how long one cycle is.

    Raises
    ------
    UsageError
        For an unknown shape, a value that is not finite, or epochs that are not positive.

    Examples
    --------
    >>> warmup = Schedule.parse("linear:0..1/10")
    >>> warmup(0), warmup(2.5), warmup(10), warmup(99)
    (0.0, 0.25, 1.0, 1.0)
    >>> str(warmup)
    'linear:0.0..1.0/10.0'
    """

    form: ClassVar[str] = "a schedule such as linear:0..1/10"

    shape: str
    start: float
    end: float
    epochs: float

    def __post_init__(self) -> None:
        if self.shape not in _SHAPES:
            raise UsageError(f"unknown schedule {self.shape!r}{there_are(self.shape, _SHAPES)}")
        if not (isfinite(self.start) and isfinite(self.end)):
            raise UsageError(f"schedule {self}: give finite numbers to start and end with")
        if not 0 < self.epochs < float("inf"):
            raise UsageError(f"schedule {self}: give a positive number of epochs after the slash")

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Read ``shape:start..end/epochs``.

        Raises
        ------
        UsageError
            For anything else.

        Examples
        --------
        >>> Schedule.parse("linear:0to1")
        Traceback (most recent call last):
        vaekit.errors.UsageError: 'linear:0to1' is not a schedule; write shape:start..end/epochs, such as ...
        """
        shape, _, rest = text.partition(":")
        start, _, rest = rest.partition("..")
        end, _, epochs = rest.partition("/")
        try:
            numbers = float(start), float(end), float(epochs)
        except ValueError:
            raise UsageError(
                f"{text!r} is not a schedule; write shape:start..end/epochs, such as linear:0..1/10"
            ) from None
        return cls(shape, *numbers)

    def __call__(self, epochs_done: float) -> float:
        """Give the value when ``epochs_done`` epochs, a fraction included, are done."""
        share = _SHAPES[self.shape](epochs_done / self.epochs)
        return (1.0 - share) * self.start + share * self.end

    def __str__(self) -> str:
        return f"{self.shape}:{float(self.start)!r}..{float(self.end)!r}/{float(self.epochs)!r}"


class Annealed:
    """An objective or another part with scalars that may follow schedules. Abstract.

    Each scalar is a plain attribute, a number. One that follows a schedule is moved by :meth:`at`, which the
    training loop calls before every step; before the first call it has its value at 0 epochs. Schedules act
    on the surrogate alone: the bound of an :class:`~vaekit.objectives.ObjectiveResult` never depends on them.
    A part of the model that is also an ``nn.Module`` is found by the loop among the model's modules.

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> objective = Elbo(beta=Schedule("linear", 0.0, 1.0, 10))
    >>> objective.at(2.5)
    >>> objective.beta
    0.25
    """

    schedules: Mapping[str, Schedule]

    def __init__(self, **scalars: float | Schedule | None) -> None:
        self.schedules = {name: value for name, value in scalars.items() if isinstance(value, Schedule)}
        for name, value in scalars.items():
            setattr(self, name, value(0.0) if isinstance(value, Schedule) else value)

    def scheduled_values(self) -> list[float]:
        """Return the present value of every scheduled scalar."""
        return [getattr(self, name) for name in self.schedules]

    def at(self, epochs_done: float) -> None:
        """Move every scheduled scalar to its value after ``epochs_done`` epochs, a fraction included."""
        for name, schedule in self.schedules.items():
            setattr(self, name, schedule(epochs_done))


def check_scalar(
    kind: str,
    name: str,
    value: float | Schedule,
    *,
    at_least: float = 0.0,
    at_most: float = float("inf"),
    meaning: str,
) -> None:
    """Refuse a scalar outside a closed range, or a schedule that leaves it.

    Parameters
    ----------
    kind, name
        The part and its option, for the message.
    value
        The number, or the schedule.
    at_least, at_most
        The range; infinite values are refused in any case.
    meaning
        Ends the message: what values stand for.

    Raises
    ------
    UsageError
        If it does not fit.

    Examples
    --------
    >>> check_scalar("ciwae", "beta", 2.0, at_most=1.0, meaning="1 is the ELBO and 0 the IWAE bound")
    Traceback (most recent call last):
    vaekit.errors.UsageError: ciwae: beta=2; give a number from 0 to 1 (1 is the ELBO and 0 the IWAE bound)
    """
    ends = (value.start, value.end) if isinstance(value, Schedule) else (value,)
    if all(isfinite(end) and at_least <= end <= at_most for end in ends):
        return
    expected = {
        (True, True): f"a number from {at_least:g} to {at_most:g}",
        (True, False): f"a number of at least {at_least:g}",
        (False, True): f"a finite number of at most {at_most:g}",
        (False, False): "a finite number",
    }[isfinite(at_least), isfinite(at_most)]
    written = value if isinstance(value, Schedule) else f"{value:g}"
    raise UsageError(f"{kind}: {name}={written}; give {expected} ({meaning})")


def check_count(kind: str, name: str, value: int) -> None:
    """Refuse a number of samples (or of anything else) below 1.

    Raises
    ------
    UsageError
        If it does not fit.
    """
    if value < 1:
        raise UsageError(f"{kind}: {name}={value}; give a whole number of at least 1")
