"""A mean over examples with its standard error."""

from math import nan
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Estimate"]


class Estimate(NamedTuple):
    r"""A mean over examples and its standard error :math:`s / \sqrt n`, in the unit of what was averaged.

    Examples
    --------
    >>> Estimate.of([1.0, 2.0, 3.0])
    Estimate(mean=2.0, standard_error=0.5773502691896258)
    """

    mean: float
    standard_error: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> "Estimate":
        """Average values; the standard error of a single value is unknown (NaN)."""
        array = np.asarray(values, dtype=np.float64)
        error = float(array.std(ddof=1) / np.sqrt(array.size)) if array.size > 1 else nan
        return cls(float(array.mean()), error)
