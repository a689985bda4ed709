r"""Baselines for whole numbers, and for tables whose columns are of different types.

Probabilities are compared with probabilities only, and densities with densities. Those of a table with columns of
different types are compared column by column, so that their sums may be compared: Gaussians for real numbers;
frequencies for categories, zeros and ones; for counts a negative binomial with a mass of its own at zero. All
probabilities are smoothed: a value that the training rows lack is improbable, but not impossible.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, gammaln, log_ndtr

from vaekit.likelihoods.mixed import column_measure

__all__ = ["count_baselines", "level_baselines", "mixed_baselines"]

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
    theta = np.array([_fit_concentration(column, m) for column, m in zip(train.T, mean, strict=True)])
    negative_binomial = _log_negative_binomial(held_out, mean, theta).sum(1)
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
        ("independent discretized Gaussians", _log_normal_mass(lower, upper).sum(1)),
    ]


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


def _log_normal_mass(lower: _Array, upper: _Array) -> _Array:
    """Logarithm of the standard normal's mass between two points; in the lower tail, where digits are kept."""
    mirrored = lower > 0
    low, high = np.where(mirrored, -upper, lower), np.where(mirrored, -lower, upper)
    log_high = log_ndtr(high)
    return log_high + np.log(-np.expm1(log_ndtr(low) - log_high))


def _log_negative_binomial(x: _Array, mean: "_Array | float", theta: "_Array | float") -> _Array:
    """Log-probabilities of counts, elementwise."""
    log_odds = np.log(mean) - np.log(theta)
    return (
        gammaln(x + theta)
        - gammaln(theta)
        - gammaln(x + 1)
        - theta * np.logaddexp(0, log_odds)
        - x * np.logaddexp(0, -log_odds)
    )


def _fit_concentration(column: _Array, mean: float) -> float:
    """Maximise a column's likelihood over theta, on its distinct values; where it varies too little, e^14."""
    values, counts = np.unique(column, return_counts=True)

    def loss(log_theta: float) -> float:
        return -float((counts * _log_negative_binomial(values, mean, np.exp(log_theta))).sum())

    found = minimize_scalar(loss, bounds=(-12.0, 14.0), method="bounded")
    return float(np.exp(found.x))


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
        base = _log_negative_binomial(x, np.exp(log_mean), np.exp(log_theta)) - np.logaddexp(0, logit)
        return np.where(x == 0, np.logaddexp(base, np.log(expit(logit))), base)

    start = [np.log(train.mean() + 0.5 / len(train)), 0.0, -3.0]
    bounds = [(-20.0, 20.0), (-12.0, 12.0), (-20.0, 20.0)]

    def loss(parameters: _Array) -> float:
        return -float((counts * log_mass(distinct, parameters)).sum()) / len(train)

    found = minimize(loss, start, bounds=bounds)
    return log_mass(held_out, found.x)
