"""The data a likelihood accepts, and the message for data that it does not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaekit.errors import DataError

__all__ = ["Support"]


@dataclass(frozen=True)
class Support:
    """An interval of numbers, in words a message can use.

    Parameters
    ----------
    description
        What the data should be, as in "numbers in [0, 1]".
    lower, upper
        The closed interval.
    advice
        Which likelihood would fit other data.

    Examples
    --------
    >>> unit = Support("numbers in [0, 1]", 0.0, 1.0, "the gaussian likelihood accepts any number")
    >>> unit.check(np.array([0.0, 0.5]), "bernoulli")
    >>> unit.check(np.array([0.0, 7.0]), "bernoulli")
    Traceback (most recent call last):
    vaekit.errors.DataError: bernoulli accepts numbers in [0, 1], but the data run from 0 to 7; ...
    """

    description: str
    lower: float
    upper: float
    advice: str

    def contains(self, values: npt.ArrayLike) -> bool:
        """Whether all values lie inside."""
        array = np.asarray(values)
        return not array.size or bool(array.min() >= self.lower and array.max() <= self.upper)

    def check(self, values: npt.ArrayLike, kind: str) -> None:
        """Refuse data outside of the interval with a :class:`~vaekit.errors.DataError`."""
        array = np.asarray(values)
        if not self.contains(array):
            raise DataError(
                f"{kind} accepts {self.description}, but the data run from {array.min():.6g} to "
                f"{array.max():.6g}; {self.advice}"
            )
