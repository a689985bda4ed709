r"""Baselines for tables in which cells are missing (NaN): fitted to the observed cells, and evaluated on them.

Independent columns are those of whole rows, each fitted to the rows where it is observed. A full Gaussian, and
probabilistic principal components, maximise the likelihood of the observed cells by expectation maximisation
(Little and Rubin, 2002, "Statistical Analysis with Missing Data", section 11.2). With :math:`o` the observed and
:math:`m` the missing columns of a row,

.. math::

    \mathbb E[x_m \mid x_o] &= \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} (x_o - \mu_o), \\
    \operatorname{Cov}[x_m \mid x_o] &= \Sigma_{mm} - \Sigma_{mo} \Sigma_{oo}^{-1} \Sigma_{om},

the next :math:`\mu` is the mean of the completed rows, and the next :math:`\Sigma` their covariance plus the mean of
the conditional covariances: or what maximises the likelihood of that matrix among low-rank ones (Tipping and Bishop,
1999, "Probabilistic Principal Component Analysis", section 3.2). A mixture of Bernoullis has weights
:math:`p(k \mid x_o)`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

__all__ = ["Gaussian", "by_column", "fit_gaussian", "gaussian_baselines", "mixture_baseline"]

_Array = npt.NDArray[np.float64]
Scores = list[tuple[str, _Array]]

_MOST_WORK = 5e10  # operations of all steps together, which decide how many rows a Gaussian is fitted to
_STEPS, _TOLERANCE = 100, 1e-5  # and the gain in nats a row that ends them
_AT_ONCE = 1 << 22  # numbers


def by_column(
    fit: Callable[[_Array, _Array, int], Sequence[tuple[str, _Array]]], train: _Array, held_out: _Array
) -> Scores:
    """Fit baselines of independent columns to the rows where each is observed, and add up their observed cells.

    Parameters
    ----------
    fit
        Returns names and log-likelihoods ``(m,)`` for training and held-out values ``(n, 1)`` and ``(m, 1)`` of a
        column, and its number.
    train, held_out
        ``(n, columns)``, NaN where a cell is missing.

    Examples
    --------
    >>> rows = np.array([[1.0, np.nan], [np.nan, np.nan], [2.0, 5.0]])
    >>> by_column(lambda train, held_out, column: [("count", np.ones(len(held_out)))], rows, rows)
    [('count', array([1., 0., 2.]))]
    """
    totals: dict[str, _Array] = {}
    for j in range(train.shape[1]):
        known, there = ~np.isnan(train[:, j]), ~np.isnan(held_out[:, j])
        if known.any() and there.any():
            for name, values in fit(train[known, j : j + 1], held_out[there, j : j + 1], j):
                totals.setdefault(name, np.zeros(len(held_out)))[there] += values
    return list(totals.items())


class Gaussian(NamedTuple):
    """A Gaussian: its mean ``(d,)`` and covariance ``(d, d)``."""

    mean: _Array
    covariance: _Array

    def log_density(self, x: _Array) -> _Array:
        """Evaluate the log-density of the observed cells of rows ``(n, d)``, ``(n,)`` in nats; 0 if there is none."""
        found = np.zeros(len(x))
        for rows, known, inverse, log_determinant in _patterns(x, self.covariance):
            centred = np.where(known, np.nan_to_num(x[rows]) - self.mean, 0.0)
            distance = np.einsum("ni,nij,nj->n", centred, inverse, centred)
            found[rows] = -0.5 * (known.sum(1) * np.log(2 * np.pi) + log_determinant + distance)
        return found


def fit_gaussian(
    x: _Array,
    *,
    project: Callable[[_Array], _Array] = lambda covariance: covariance,
    steps: int = _STEPS,
    tolerance: float = _TOLERANCE,
) -> Gaussian:
    """Fit a Gaussian to the observed cells of rows by expectation maximisation.

    Parameters
    ----------
    x
        ``(n, d)``, NaN where a cell is missing; every column has some values.
    project
        Maps the covariance of completed rows to the likeliest one of a family.
    steps
        The most steps.
    tolerance
        The gain of a step, in nats a row, below which it was the last.

    Examples
    --------
    Of two columns of which the second is missing in half of the rows, the mean of the second is extrapolated:

    >>> fit_gaussian(np.array([[0.0, 0.0], [1.0, 1.5], [2.0, 2.0], [3.0, np.nan]]), steps=500).mean.round(2)
    array([1.5 , 1.67])
    """
    mean, covariance = np.nanmean(x, 0), np.diag(np.maximum(np.nanvar(x, 0), 1e-12))
    previous = -np.inf
    for _ in range(steps):
        first, second = np.zeros_like(mean), np.zeros_like(covariance)
        log_density = 0.0
        for rows, known, inverse, log_determinant in _patterns(x, covariance):
            centred = np.where(known, np.nan_to_num(x[rows]) - mean, 0.0)
            weights = np.where(known[:, :, None] & known[:, None, :], inverse, 0.0)
            slopes = covariance @ weights  # of the completed row by the observed cells, (n, d, d)
            completed = np.where(known, centred, np.einsum("nij,nj->ni", slopes, centred))
            spread = covariance - slopes @ covariance
            spread *= ~known[:, :, None] & ~known[:, None, :]
            first += completed.sum(0)
            second += completed.T @ completed + spread.sum(0)
            distance = np.einsum("ni,nij,nj->n", centred, inverse, centred)
            log_density -= 0.5 * float((known.sum(1) * np.log(2 * np.pi) + log_determinant + distance).sum())
        shift = first / len(x)
        mean, covariance = mean + shift, project(second / len(x) - np.outer(shift, shift))
        if log_density - previous < tolerance * len(x) or np.linalg.eigvalsh(covariance)[0] <= 0:
            break
        previous = log_density
    return Gaussian(mean, covariance)


def _patterns(
    x: _Array, covariance: _Array
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], _Array, _Array]]:
    """Yield rows in groups: their numbers, which cells are observed, and of the observed block inverse and determinant.

    Where a row or column is missing the inverse is that of the unit matrix, so that all have one shape. Rows with the
    same cells share the work.
    """
    known = ~np.isnan(x)
    patterns, inverse_of = np.unique(known, axis=0, return_inverse=True)
    inverse_of = inverse_of.reshape(-1)
    order = np.argsort(inverse_of, kind="stable")
    d = x.shape[1]
    step = max(1, _AT_ONCE // d**2)
    for start in range(0, len(x), step):
        rows = order[start : start + step]
        first = int(inverse_of[rows[0]])
        group = patterns[first : int(inverse_of[rows[-1]]) + 1]
        block = np.where(group[:, :, None] & group[:, None, :], covariance, np.eye(d))
        factor = np.linalg.cholesky(block)
        log_determinant = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1)
        turned = np.linalg.solve(factor, np.broadcast_to(np.eye(d), block.shape))
        inverse = np.swapaxes(turned, 1, 2) @ turned
        mine = inverse_of[rows] - first
        yield rows, known[rows], inverse[mine], log_determinant[mine]


def gaussian_baselines(train: _Array, held_out: _Array, latent: int, seed: int) -> Scores:
    """Fit a full Gaussian and probabilistic principal components to the observed cells.

    Of many rows or columns, a random part of the rows is fitted to; where that is too small (some hundred columns),
    or the Gaussian has no variance in some direction, it is left out.

    Parameters
    ----------
    train, held_out
        ``(n, columns)``, NaN where a cell is missing.
    latent
        The number of principal components.
    seed
        The seed of the choice of rows.

    Returns
    -------
    list of (str, ndarray)
        Names, and log-densities ``(n,)`` of the observed cells of the held-out rows in nats.
    """
    train = train[~np.isnan(train).all(1)]
    columns = train.shape[1]
    most = int(_MOST_WORK / (_STEPS * columns**3))
    if columns < 2 or most < 5 * columns or len(train) <= 2 * columns:
        return []
    beside = "EM"
    if len(train) > most:
        train, beside = (
            train[np.random.default_rng(seed).permutation(len(train))[:most]],
            f"EM of {most:,} rows",
        )
    if np.isnan(train).all(0).any():
        return []
    components = min(latent, columns - 1)

    def low_rank(covariance: _Array) -> _Array:
        values, vectors = np.linalg.eigh(covariance)
        noise = max(float(values[:-components].mean()), 1e-12)
        leading = vectors[:, -components:] * np.sqrt(np.maximum(values[-components:] - noise, 0))
        return leading @ leading.T + noise * np.eye(columns)

    scores = []
    full = fit_gaussian(train)
    if np.linalg.eigvalsh(full.covariance)[0] > 1e-10 * full.covariance.diagonal().max():
        scores.append((f"full Gaussian ({beside})", full.log_density(held_out)))
    name = f"probabilistic PCA ({components} component{'s'[: components > 1]}, {beside})"
    return [*scores, (name, fit_gaussian(train, project=low_rank).log_density(held_out))]


def mixture_baseline(train: _Array, held_out: _Array, seed: int, *, steps: int = 100) -> Scores:
    """Fit mixtures of Bernoullis to the observed cells; their number is chosen on a tenth of the training rows.

    Parameters
    ----------
    train, held_out
        ``(n, columns)`` numbers in [0, 1], NaN where a cell is missing.
    seed
        The seed of the start.
    steps
        The most steps of expectation maximisation.

    Returns
    -------
    list of (str, ndarray)
        The name, and log-probabilities ``(n,)`` of the observed cells of the held-out rows in nats.
    """

    def fit(x: _Array, components: int) -> tuple[_Array, _Array]:
        rng, known = np.random.default_rng(seed), (~np.isnan(x)).astype(float)
        seen = np.nan_to_num(x)
        mean = (seen.sum(0) + 0.5) / (known.sum(0) + 1)
        start = np.where(np.isnan(x), mean, x)[rng.choice(len(x), components, replace=len(x) < components)]
        log_weight, probability = np.full(components, -np.log(components)), 0.25 + 0.5 * start
        previous = -np.inf
        for _ in range(steps):
            joint = evaluate(x, log_weight, probability)
            evidence = np.asarray(logsumexp(joint, axis=1, keepdims=True))
            if evidence.mean() - previous < 1e-4:
                break
            previous = evidence.mean()
            share = np.exp(joint - evidence)
            log_weight = np.log((share.sum(0) + 0.5) / (share + 0.5 / len(x)).sum())
            probability = (share.T @ seen + 0.5) / (share.T @ known + 1)
        return log_weight, probability

    def evaluate(x: _Array, log_weight: _Array, probability: _Array) -> _Array:
        seen, known = np.nan_to_num(x), (~np.isnan(x)).astype(float)
        return log_weight + seen @ np.log(probability).T + (known - seen) @ np.log1p(-probability).T

    def score(x: _Array, fitted: tuple[_Array, _Array]) -> _Array:
        found = np.asarray(logsumexp(evaluate(x, *fitted), axis=1))
        return np.where(np.isnan(x).all(1), 0.0, found)

    choose = np.random.default_rng(seed).permutation(len(train))[:10_000]
    inner, outer = train[choose[len(choose) // 10 :]], train[choose[: max(1, len(choose) // 10)]]
    sizes = [size for size in (5, 10, 20, 50) if size <= max(1, len(inner) // 10)] or [1]
    chosen = max(sizes, key=lambda size: score(outer, fit(inner, size)).mean())
    return [(f"mixture of {chosen} Bernoullis (EM)", score(held_out, fit(train, chosen)))]
