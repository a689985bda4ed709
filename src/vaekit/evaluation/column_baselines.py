r"""The baseline for tables whose columns are of different types: all independent, each by what it is measured by.

Gaussians for real numbers; frequencies for categories, zeros and ones; for counts a negative binomial with a
mass of its own at zero. Densities are compared with densities and probabilities with probabilities, column by
column, so that the sums may be compared.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from vaekit.evaluation.discrete_baselines import log_negative_binomial
from vaekit.likelihoods.mixed import column_measure

__all__ = ["mixed_baselines"]

_Array = npt.NDArray[np.float64]


def mixed_baselines(train: _Array, held_out: _Array, columns: Sequence[str]) -> list[tuple[str, _Array]]:
    """Fit an independent distribution to every column.

    Parameters
    ----------
    train, held_out
        ``(n, columns)`` in the coordinates of the model.
    columns
        The kind of each column, as the likelihood ``mixed`` has them.

    Returns
    -------
    list of (str, ndarray)
        A name, and log-likelihoods ``(n,)`` of the held-out rows in nats.

    Examples
    --------
    >>> x = np.array([[0.0, 2.0], [1.0, 0.0], [1.0, 1.0]])
    >>> (name, values), = mixed_baselines(x, x, ["bernoulli", "categorical3"])
    >>> name, values.round(3).tolist()
    ('independent columns', [-2.079, -1.569, -1.569])
    """
    total = np.zeros(len(held_out))
    for kind, column, values in zip(columns, train.T, held_out.T, strict=True):
        total += _column(kind, column, values)
    return [("independent columns", total)]


def _column(kind: str, train: _Array, held_out: _Array) -> _Array:
    measure, levels = column_measure(kind)
    if measure == "density":
        variance = max(float(train.var()), 1e-12)
        return -0.5 * (np.log(2 * np.pi * variance) + (held_out - train.mean()) ** 2 / variance)
    if measure in ("unit", "levels"):
        levels = levels or 2
        counts = np.bincount(train.astype(np.int64), minlength=levels)
        return np.log((counts + 1 / levels) / (len(train) + 1))[held_out.astype(np.int64)]
    return _counts(train, held_out)


def _counts(train: _Array, held_out: _Array) -> _Array:
    """A zero-inflated negative binomial by maximum likelihood, on the distinct values."""
    distinct, counts = np.unique(train, return_counts=True)

    def log_mass(x: _Array, parameters: _Array) -> _Array:
        log_mean, log_theta, logit = parameters
        base = log_negative_binomial(x, np.exp(log_mean), np.exp(log_theta)) - np.logaddexp(0, logit)
        return np.where(x == 0, np.logaddexp(base, np.log(expit(logit))), base)

    start = [np.log(train.mean() + 0.5 / len(train)), 0.0, -3.0]
    bounds = [(-20.0, 20.0), (-12.0, 12.0), (-20.0, 20.0)]
    found = minimize(lambda p: -(counts * log_mass(distinct, p)).sum() / len(train), start, bounds=bounds)
    return log_mass(held_out, found.x)
