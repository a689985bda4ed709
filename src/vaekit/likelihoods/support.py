"""The data that a likelihood accepts, and the message for data that it does not."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vaekit.errors import DataError, UsageError

__all__ = ["LARGEST_COUNT", "ColumnSupport", "Support", "levels_support"]

LARGEST_COUNT = 2**24  # float32 holds all whole numbers up to here


@dataclass(frozen=True)
class Support:
    """An interval of numbers, or of whole numbers, with a description for messages; missing values (NaN) are accepted.

    Parameters
    ----------
    description
        The data that are accepted, as in "numbers in [0, 1]".
    lower, upper
        The closed interval.
    advice
        Advice for other data, the end of the message.
    whole
        Whether only whole numbers are accepted, up to 16,777,216, the limit of float32.

    Examples
    --------
    >>> unit = Support("numbers in [0, 1]", 0.0, 1.0, "scale them")
    >>> unit.check(np.array([0.0, 0.5]), "bernoulli")
    >>> unit.check(np.array([0.5, 7.0]), "bernoulli")
    Traceback (most recent call last):
    vaekit.errors.DataError: bernoulli accepts numbers in [0, 1], but the data run from 0.5 to 7; scale them.
    Likelihoods that fit these data: gaussian, laplace, student-t
    """

    description: str
    lower: float
    upper: float
    advice: str
    whole: bool = False

    def contains(self, values: npt.ArrayLike) -> bool:
        """Whether all values lie inside."""
        array = _observed(values)
        if not array.size:
            return True
        upper = min(self.upper, LARGEST_COUNT) if self.whole else self.upper
        inside = bool(array.min() >= self.lower and array.max() <= upper)
        return inside and not (self.whole and _fractions(array).size)

    def inside(self, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which values lie inside, in the shape of the values; NaN does.

        >>> Support("whole numbers", 0.0, 9.0, "round them", whole=True).inside([3.0, 0.5, -1.0])
        array([ True, False, False])
        """
        array = np.asarray(values)
        upper = min(self.upper, LARGEST_COUNT) if self.whole else self.upper
        outside = (array < self.lower) | (array > upper)
        return ~(outside | (array != np.floor(array)) & ~np.isnan(array) if self.whole else outside)

    def check(self, values: npt.ArrayLike, kind: str) -> None:
        """Refuse data outside with a :class:`~vaekit.errors.DataError` that says which likelihoods would fit."""
        array = _observed(values)
        if self.contains(array):
            return
        seen = f"the data run from {array.min():.6g} to {array.max():.6g}"
        if self.whole and (fractions := _fractions(array)).size:
            seen += (
                f" and {fractions.size:,} of {array.size:,} values are not whole, such as {fractions[0]:.6g}"
            )
        raise DataError(
            f"{kind} accepts {self.description}, but {seen}; {self.advice}. Likelihoods that fit these data: "
            f"{', '.join(_fitting(array))}"
        )


@dataclass(frozen=True)
class ColumnSupport:
    """Supports of a table's columns.

    Parameters
    ----------
    supports
        Kinds of column, and the support of each.
    members
        The numbers of the columns of each kind.
    lower, upper
        An interval that contains all of them.

    Examples
    --------
    >>> zero_or_one = Support("zeros and ones", 0.0, 1.0, "recode them", whole=True)
    >>> ColumnSupport([("bernoulli", zero_or_one)], [[1]], 0.0, 1.0).check(np.array([[7.0, 2.0]]), "mixed")
    Traceback (most recent call last):
    vaekit.errors.DataError: mixed accepts in column 1 (counted from 0 among those that vary), which is bernoulli, zeros
    and ones, but the data run from 2 to 2; recode them. ...
    """

    supports: list[tuple[str, Support]]
    members: list[list[int]]
    lower: float
    upper: float

    def contains(self, values: npt.ArrayLike) -> bool:
        """Whether every column lies in its support."""
        flat = self._flat(values)
        return all(
            support.contains(flat[:, j])
            for (_, support), columns in zip(self.supports, self.members, strict=True)
            for j in columns
        )

    def inside(self, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which values lie in the support of their column, in the shape of the values; NaN does."""
        flat = self._flat(values)
        found = np.ones(flat.shape, dtype=bool)
        for (_, support), columns in zip(self.supports, self.members, strict=True):
            found[:, columns] = support.inside(flat[:, columns])
        return found.reshape(np.shape(values))

    def check(self, values: npt.ArrayLike, kind: str) -> None:
        """Refuse data outside with a :class:`~vaekit.errors.DataError` that says which column."""
        flat = self._flat(values)
        for (name, support), columns in zip(self.supports, self.members, strict=True):
            for j in columns:
                if not support.contains(flat[:, j]):
                    where = f"in column {j} (counted from 0 among those that vary), which is {name}"
                    replace(support, description=f"{where}, {support.description}").check(flat[:, j], kind)

    @staticmethod
    def _flat(values: npt.ArrayLike) -> np.ndarray:
        array = np.asarray(values)
        return array.reshape(len(array), -1)


def _observed(values: npt.ArrayLike) -> np.ndarray:
    """Return the values that are not missing (NaN)."""
    array = np.asarray(values)
    missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(0, dtype=bool)
    return array[~missing] if missing.any() else array


def _fractions(array: np.ndarray) -> np.ndarray:
    """Return the values that are not whole numbers."""
    return array[:0] if array.dtype.kind in "iub" else array[array != np.floor(array)]


def _fitting(array: np.ndarray) -> list[str]:
    """Return the names of likelihoods that fit the data, for a message."""
    low, high, whole = array.min(), array.max(), not _fractions(array).size
    if not np.isfinite([low, high]).all():
        return ["none, until missing and infinite values are gone"]
    names = ["bernoulli"] if low >= 0 and high <= 1 else []
    if whole and low >= 0 and high > 1:
        names += ["categorical", "discretized-logistic"] if high <= 255 else []
        names += ["poisson", "negative-binomial"] if high <= LARGEST_COUNT else []
    if not whole and low >= 0 and high <= 1:
        names.append("continuous-bernoulli")
    return [*names, "gaussian", "laplace", "student-t"] if not whole or low < 0 or high > 1 else names


def levels_support(kind: str, levels: int) -> Support:
    """Return the support of the levels 0 to ``levels - 1``.

    Raises
    ------
    UsageError
        If there are fewer than 2 levels, or more than 65,536.

    Examples
    --------
    >>> levels_support("categorical", 4).description
    'whole numbers from 0 to 3'
    """
    if not 2 <= levels <= 65536:
        raise UsageError(
            f"{kind}: levels={levels}; give a whole number from 2 to 65536, such as 256 for 8 bits"
        )
    return Support(
        f"whole numbers from 0 to {levels - 1}",
        0.0,
        levels - 1.0,
        "if these are 8-bit images divided by 255, give the 8-bit values themselves, np.round(255 * x); if there "
        f"are more levels, say how many: {kind}:levels=N",
        whole=True,
    )
