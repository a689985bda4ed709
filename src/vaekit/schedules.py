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

from dataclasses import dataclass
from math import cos, floor, isfinite, pi
from typing import ClassVar

from vaekit.errors import UsageError
from vaekit.grammar import there_are

__all__ = ["Schedule"]

_SHAPES = {
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
