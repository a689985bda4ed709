"""Scalars of a part: checked when it is built, and moved by their schedules while it trains."""

from math import isfinite

from vaekit.errors import UsageError
from vaekit.schedules import Schedule

__all__ = ["Annealed", "check_count", "check_scalar"]


class Annealed:
    """What objectives, and other parts, with scalars have in common; abstract.

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

    schedules: dict[str, Schedule]

    def __init__(self, **scalars: float | Schedule | None) -> None:
        self.schedules = {name: value for name, value in scalars.items() if isinstance(value, Schedule)}
        for name, value in scalars.items():
            setattr(self, name, value(0.0) if isinstance(value, Schedule) else value)

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
