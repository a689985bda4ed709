r"""Families of distributions for one column, fitted by maximum likelihood, and compared by held-out nats.

Real numbers may be Gaussian, Laplace, Student's t, log-normal (a Gaussian of the logarithm), Gaussian in the area
hyperbolic sine, or a histogram; counts may be Poisson, negative binomial, the latter with a mass of its own at zero, or
a histogram. Every density is one of the same units, the Jacobian of its scale included, and a value stands for the
interval that it was recorded to (:mod:`vaekit.likelihoods.histogram_cells`), so that the log-likelihoods of rows that
no family has seen say which fits.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, gammaln, ndtri_exp, stdtr

from vaekit.likelihoods.histogram_cells import Cells, ColumnFacts, find_cells

__all__ = [
    "COUNT_FAMILIES",
    "REAL_FAMILIES",
    "Marginal",
    "compare",
    "fit_concentration",
    "fit_marginal",
    "log_negative_binomial",
]

_Array = npt.NDArray[np.float64]

#: Families of real numbers that have normal scores, the simplest first.
REAL_FAMILIES = ("gaussian", "laplace", "student-t", "log-normal", "asinh-normal")
#: Families of counts, the simplest first.
COUNT_FAMILIES = ("poisson", "negative-binomial", "zero-inflated-negative-binomial", "histogram")

_ROWS_TO_CHOOSE_BY = 6_000
_PEAKED = ("student-t", "laplace", "log-normal", "asinh-normal")  # which can shrink onto one value
_DEGREES = (2.2, 3.0, 4.0, 6.0, 10.0, 20.0)


class Marginal(NamedTuple):
    """A family fitted to a column.

    Parameters
    ----------
    kind
        Its name, as a kind of column.
    log_density
        From values ``(n,)`` to log-densities, or log-probabilities of counts, in nats.
    score
        From values to numbers that are standard normal where the family is true; None for discrete families.
    cells
        The cells of a histogram.
    """

    kind: str
    log_density: Callable[[_Array], _Array]
    score: Callable[[_Array], _Array] | None = None
    cells: Cells | None = None


def fit_marginal(kind: str, column: _Array, facts: ColumnFacts) -> Marginal | None:
    """Fit a family to the values of a column, without missing ones; None where its support excludes one of them.

    A value stands for the interval of its resolution, whose probability is at most 1, so that a density above one over
    the resolution is none: a peak that shrinks onto a value that comes often, such as zero, would beat everything.

    Examples
    --------
    >>> x = np.random.default_rng(0).lognormal(size=2000)
    >>> log_normal = fit_marginal("log-normal", x, ColumnFacts(lower=0.0))
    >>> gaussian = fit_marginal("gaussian", x, ColumnFacts(lower=0.0))
    >>> round(float(log_normal.log_density(x).mean() - gaussian.log_density(x).mean()), 1)
    0.7
    """
    found = _FITS[kind](column, facts)
    if found is None or kind not in _PEAKED or not facts.resolution > 0:
        return found
    highest = float(found.log_density(column).max())
    return found if highest <= -np.log(facts.resolution) else None


def compare(column: _Array, facts: ColumnFacts, kinds: Sequence[str], *, seed: int = 0) -> dict[str, _Array]:
    """Fit families to two thirds of a column's values, and evaluate them on the rest.

    Parameters
    ----------
    column
        ``(n,)``; missing values (NaN) are left out, and 6,000 are enough.
    facts
        Resolution and bounds.
    kinds
        The families to fit.
    seed
        The seed of the division.

    Returns
    -------
    dict of str to ndarray
        By kind, the log-likelihoods of the same held-out values in nats; a family that excludes one is not there.

    Examples
    --------
    >>> x = np.random.default_rng(0).lognormal(size=2000)
    >>> found = compare(x, ColumnFacts(lower=0.0), ["gaussian", "log-normal"])
    >>> max(found, key=lambda kind: found[kind].mean())
    'log-normal'
    """
    known = column[np.isfinite(column)]
    rows = np.random.default_rng(seed).permutation(len(known))[:_ROWS_TO_CHOOSE_BY]
    held_out, train = known[rows[: len(rows) // 3]], known[rows[len(rows) // 3 :]]
    found = {}
    if len(held_out) < 2 or train.min() == train.max():
        return found
    for kind in kinds:
        marginal = fit_marginal(kind, train, facts)
        if marginal is not None:
            values = marginal.log_density(held_out)
            if np.isfinite(values).all():
                found[kind] = values
    return found


def fit_concentration(column: _Array, mean: float) -> float:
    """Maximise the likelihood of negative binomial counts over theta, on distinct values; at most e^14."""
    values, counts = np.unique(column, return_counts=True)

    def loss(log_theta: float) -> float:
        return -float((counts * log_negative_binomial(values, mean, np.exp(log_theta))).sum())

    found = minimize_scalar(loss, bounds=(-12.0, 14.0), method="bounded")
    return float(np.exp(found.x))


def log_negative_binomial(x: _Array, mean: "_Array | float", theta: "_Array | float") -> _Array:
    """Return log-probabilities of counts, elementwise."""
    log_odds = np.log(mean) - np.log(theta)
    return (
        gammaln(x + theta)
        - gammaln(theta)
        - gammaln(x + 1)
        - theta * np.logaddexp(0, log_odds)
        - x * np.logaddexp(0, -log_odds)
    )


def _log_normal_density(score: _Array) -> _Array:
    return -0.5 * score**2 - 0.5 * np.log(2 * np.pi)


def _gaussian(column: _Array, facts: ColumnFacts) -> Marginal:
    mean = float(column.mean())
    deviation = np.sqrt(max(float(column.var()), facts.resolution**2 / 12, 1e-12))

    def score(x: _Array) -> _Array:
        return (x - mean) / deviation

    def log_density(x: _Array) -> _Array:
        return _log_normal_density(score(x)) - np.log(deviation)

    return Marginal("gaussian", log_density, score)


def _from_tail(x: _Array, log_tail: _Array) -> _Array:
    """Return the normal score of values at signed distances ``x`` by the logarithm of the probability beyond."""
    return -np.sign(x) * ndtri_exp(log_tail)


def _laplace(column: _Array, facts: ColumnFacts) -> Marginal:
    middle = float(np.median(column))
    length = max(float(np.abs(column - middle).mean()), 0.25 * facts.resolution, 1e-6)

    def log_density(x: _Array) -> _Array:
        return -np.abs(x - middle) / length - np.log(2 * length)

    def score(x: _Array) -> _Array:
        return _from_tail(x - middle, -np.abs(x - middle) / length - np.log(2))

    return Marginal("laplace", log_density, score)


def _student_t(column: _Array, facts: ColumnFacts) -> Marginal:
    """Fit location and scale by expectation maximisation (Lange, Little and Taylor, 1989) for each of some degrees."""
    least = max(facts.resolution**2 / 12, 1e-12)

    def log_density(x: _Array, mean: float, square: float, nu: float) -> _Array:
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(np.pi * nu * square)
        return constant - 0.5 * (nu + 1) * np.log1p((x - mean) ** 2 / (nu * square))

    def fit(nu: float) -> tuple[float, float, float]:
        mean, square = float(np.median(column)), max(float(column.var()) * (nu - 2) / nu, least)
        for _ in range(15):
            weight = (nu + 1) / (nu + (column - mean) ** 2 / square)
            mean = float((weight * column).sum() / weight.sum())
            square = max(float((weight * (column - mean) ** 2).mean()), least)
        return mean, square, nu

    mean, square, nu = max((fit(nu) for nu in _DEGREES), key=lambda found: log_density(column, *found).sum())

    def score(x: _Array) -> _Array:
        beyond = stdtr(nu, -np.abs(x - mean) / np.sqrt(square))
        return _from_tail(x - mean, np.log(np.maximum(beyond, 1e-300)))

    def chosen(x: _Array) -> _Array:
        return log_density(x, mean, square, nu)

    return Marginal("student-t", chosen, score)


def _log_normal(column: _Array, facts: ColumnFacts) -> Marginal | None:
    """Fit a Gaussian of the logarithm of what is above the lower bound, which must be 0 in the units of the data."""
    if not np.isfinite(facts.lower) or column.min() <= facts.lower:
        return None
    inner = _gaussian(np.log(column - facts.lower), ColumnFacts())

    def log_density(x: _Array) -> _Array:
        above = x > facts.lower
        logarithm = np.log(np.where(above, x - facts.lower, 1.0))
        return np.where(above, inner.log_density(logarithm) - logarithm, -np.inf)

    def score(x: _Array) -> _Array:
        return (inner.score or np.asarray)(np.log(np.maximum(x - facts.lower, 1e-300)))

    return Marginal("log-normal", log_density, score)


def _asinh_normal(column: _Array, facts: ColumnFacts) -> Marginal:
    """Fit a Gaussian of asinh((x - median) / width), with the width by maximum likelihood from some."""
    middle = float(np.median(column))
    spread = float(np.median(np.abs(column - middle))) or float(np.abs(column - middle).mean())

    def fit(width: float) -> Marginal:
        inner = _gaussian(np.arcsinh((column - middle) / width), ColumnFacts())

        def log_density(x: _Array) -> _Array:
            deviation = (x - middle) / width
            return inner.log_density(np.arcsinh(deviation)) - 0.5 * np.log1p(deviation**2) - np.log(width)

        def score(x: _Array) -> _Array:
            return (inner.score or np.asarray)(np.arcsinh((x - middle) / width))

        return Marginal("asinh-normal", log_density, score)

    widths = [max(factor * spread, facts.resolution, 1e-9) for factor in (0.1, 0.3, 1.0, 3.0)]
    return max(map(fit, widths), key=lambda marginal: marginal.log_density(column).sum())


def _histogram(column: _Array, facts: ColumnFacts) -> Marginal:
    cells = find_cells(column, facts)
    return Marginal("histogram", cells.log_density, None, cells)


def _poisson(column: _Array, facts: ColumnFacts) -> Marginal:
    mean = (column.sum() + 0.5) / len(column)

    def log_mass(x: _Array) -> _Array:
        return x * np.log(mean) - mean - gammaln(x + 1)

    return Marginal("poisson", log_mass)


def _negative_binomial(column: _Array, facts: ColumnFacts) -> Marginal:
    mean = (column.sum() + 0.5) / len(column)
    theta = fit_concentration(column, mean)

    def log_mass(x: _Array) -> _Array:
        return log_negative_binomial(x, mean, theta)

    return Marginal("negative-binomial", log_mass)


def _zero_inflated(column: _Array, facts: ColumnFacts) -> Marginal:
    """Fit a negative binomial with a mass of its own at zero, on the distinct values."""
    distinct, counts = np.unique(column, return_counts=True)

    def log_mass(x: _Array, parameters: _Array) -> _Array:
        log_mean, log_theta, logit = parameters
        base = log_negative_binomial(x, np.exp(log_mean), np.exp(log_theta)) - np.logaddexp(0, logit)
        return np.where(x == 0, np.logaddexp(base, np.log(expit(logit))), base)

    start = [np.log(column.mean() + 0.5 / len(column)), 0.0, -3.0]
    bounds = [(-20.0, 20.0), (-12.0, 12.0), (-20.0, 20.0)]

    def loss(parameters: _Array) -> float:
        return -float((counts * log_mass(distinct, parameters)).sum()) / len(column)

    found = minimize(loss, start, bounds=bounds)

    def fitted(x: _Array) -> _Array:
        return log_mass(x, found.x)

    return Marginal("zero-inflated-negative-binomial", fitted)


_FITS: dict[str, Callable[[_Array, ColumnFacts], Marginal | None]] = {
    "gaussian": _gaussian,
    "laplace": _laplace,
    "student-t": _student_t,
    "log-normal": _log_normal,
    "asinh-normal": _asinh_normal,
    "histogram": _histogram,
    "poisson": _poisson,
    "negative-binomial": _negative_binomial,
    "zero-inflated-negative-binomial": _zero_inflated,
}
