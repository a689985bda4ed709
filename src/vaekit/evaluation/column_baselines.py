r"""Baselines for whole numbers: independent columns of one family.

Probabilities are compared with probabilities only, and they are smoothed: a value that the training rows lack is
improbable, but not impossible.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, log_ndtr

from vaekit.evaluation.column_families import fit_concentration, log_negative_binomial

__all__ = ["count_baselines", "level_baselines", "log_normal_mass"]

_Array = npt.NDArray[np.float64]


def count_baselines(train: _Array, held_out: _Array) -> list[tuple[str, _Array]]:
    r"""Fit independent Poissons and negative binomials to every column.

    The means are those of the training rows, with half a count added to each column's sum (the Jeffreys
    prior's posterior mean); the inverse dispersions :math:`\theta` maximise the likelihood.

    Parameters
    ----------
    train, held_out
        ``(n, columns)`` counts.

    Returns
    -------
    list of (str, ndarray)
        Names, and log-probabilities ``(n,)`` of the held-out rows in nats.

    Examples
    --------
    >>> x = np.random.default_rng(0).negative_binomial(2, 0.1, (200, 3)).astype(float)
    >>> for name, values in count_baselines(x[:100], x[100:]):
    ...     print(f"{name}: {values.mean():.1f}")
    independent Poissons: -21.2
    independent negative binomials: -11.3
    """
    mean = (train.sum(0) + 0.5) / len(train)
    poisson = (held_out * np.log(mean) - mean - gammaln(held_out + 1)).sum(1)
    theta = np.array([fit_concentration(column, m) for column, m in zip(train.T, mean, strict=True)])
    negative_binomial = log_negative_binomial(held_out, mean, theta).sum(1)
    return [("independent Poissons", poisson), ("independent negative binomials", negative_binomial)]


def level_baselines(train: _Array, held_out: _Array, levels: int) -> list[tuple[str, _Array]]:
    r"""Fit independent categoricals and discretised Gaussians to every column.

    The categoricals are smoothed by :math:`1 / L` of a count for each level (Perks's prior). The Gaussians have
    the moments of the training rows, Sheppard's 1/12 added to the variance, and bins open at both ends.

    Parameters
    ----------
    train, held_out
        ``(n, columns)`` whole numbers from 0 to ``levels - 1``.
    levels
        The number of levels.

    Returns
    -------
    list of (str, ndarray)
        Names, and log-probabilities ``(n,)`` of the held-out rows in nats.

    Examples
    --------
    >>> x = np.random.default_rng(0).integers(4, size=(200, 3)).astype(float)
    >>> (name, values), _ = level_baselines(x[:100], x[100:], 4)
    >>> name, round(float(values.mean() / np.log(4)), 1)
    ('independent categoricals', -3.0)
    """
    categorical = np.zeros(len(held_out))
    for column, values in zip(train.T, held_out.T, strict=True):
        counts = np.bincount(column.astype(np.int64), minlength=levels)
        categorical += np.log((counts + 1 / levels) / (len(train) + 1))[values.astype(np.int64)]
    mean, deviation = train.mean(0), np.sqrt(train.var(0) + 1 / 12)
    lower = np.where(held_out == 0, -np.inf, (held_out - 0.5 - mean) / deviation)
    upper = np.where(held_out == levels - 1, np.inf, (held_out + 0.5 - mean) / deviation)
    return [
        ("independent categoricals", categorical),
        ("independent discretized Gaussians", log_normal_mass(lower, upper).sum(1)),
    ]


def log_normal_mass(lower: _Array, upper: _Array) -> _Array:
    """Return the logarithm of the standard normal's mass between two points; in the lower tail, where digits are kept.

    >>> log_normal_mass(np.array([-np.inf, 30.0]), np.array([0.0, np.inf])).round(3)
    array([  -0.693, -454.321])
    """
    mirrored = lower > 0
    low, high = np.where(mirrored, -upper, lower), np.where(mirrored, -lower, upper)
    log_high = log_ndtr(high)
    return log_high + np.log(-np.expm1(log_ndtr(low) - log_high))
