r"""Exact baselines: closed forms, fitted on the training rows and evaluated on held-out ones.

A model that cannot beat them has learned nothing that a simple method does not give for free. They are fitted in the
coordinates of the model, and densities take the same ``log_jacobian``, so that all numbers are in the units of the
data. A density is never compared with a probability: each measure has its own baselines.

* Real numbers: independent Gaussians; one full Gaussian; probabilistic principal components (Tipping and
  Bishop, 1999) of the same latent size, the best that any linear VAE can do.
* [0, 1] under ``bernoulli``: independent Bernoullis; a mixture of Bernoullis by expectation maximisation.
* Counts: independent Poissons; independent negative binomials.
* Tables, whatever their columns: independent columns of the best families, a Gaussian copula, a Gaussian for each
  category, latent classes (:mod:`vaekit.evaluation.table_baselines`).
* Levels 0 to L - 1: independent categoricals; independent discretised Gaussians; principal components, discretised.
"""

from collections.abc import Callable, Sequence
from math import fsum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, xlogy  # SciPy comes with scikit-learn

from vaekit.evaluation.bound import Estimate
from vaekit.evaluation.column_baselines import count_baselines, level_baselines
from vaekit.evaluation.discretised_components import component_baselines
from vaekit.evaluation.missing_baselines import by_column, gaussian_baselines, mixture_baseline
from vaekit.evaluation.table_baselines import table_baselines
from vaekit.likelihoods import Measure
from vaekit.likelihoods.histogram_cells import ColumnFacts
from vaekit.runtime.first_imports import import_quietly

__all__ = ["Baseline", "fit_baselines"]

_Array = npt.NDArray[np.float64]
Further = Callable[[_Array, _Array], Sequence[tuple[str, _Array]]]

_ROWS_TO_CHOOSE_BY = 10_000
_KIND_OF_COLUMNS = {"density": "gaussian", "counts": "poisson", "levels": "categorical"}


class Baseline(NamedTuple):
    """A baseline's held-out result.

    Parameters
    ----------
    name
        The name of the method.
    log_likelihood
        Mean over the held-out rows with its standard error, in nats per example; exact, not estimated.
    advantage
        The mean difference between the model and the baseline, row by row, with its standard error. None where no
        model was given. Hard rows are hard for both, so this error is far smaller than that of either mean.
    """

    name: str
    log_likelihood: Estimate
    advantage: Estimate | None = None


def fit_baselines(
    train: npt.ArrayLike,
    held_out: npt.ArrayLike,
    *,
    latent: int,
    measure: Measure,
    levels: int | None = None,
    columns: Sequence[str] | None = None,
    facts: Sequence[ColumnFacts] | None = None,
    further: Further | None = None,
    log_jacobian: float | Sequence[float] = 0.0,
    model_values: npt.ArrayLike | None = None,
    seed: int = 0,
) -> list[Baseline]:
    r"""Fit every baseline of the data's measure on ``train``, and evaluate it on ``held_out``.

    Parameters
    ----------
    train, held_out
        ``(n, *event)`` in the coordinates of the model. Where cells of a table are missing (NaN), baselines are fitted
        to the observed ones and evaluated on them: see :mod:`vaekit.evaluation.missing_baselines`.
    latent
        Latent dimensions of the probabilistic principal components.
    measure
        The measure of the data: ``density``, ``unit``, ``counts`` or ``levels``; see
        :mod:`vaekit.likelihoods.conventions`.
    levels
        The number of levels, for ``levels``.
    columns
        The kind of each column, for ``mixed``.
    facts
        The facts about each column of a table, to which further baselines are then fitted:
        :mod:`vaekit.evaluation.table_baselines`.
    further
        A function of both that returns further baselines (a likelihood may bring its own).
    log_jacobian
        The log-Jacobian of the data's scaling, in nats: added to every density, and to no probability. One number, or
        for a table one for each column.
    model_values
        ``(n,)``: a model's log-likelihoods of the held-out rows, to compare with.
    seed
        The seed of the mixture's start.

    Returns
    -------
    list of Baseline

    Raises
    ------
    ValueError
        For an unknown measure, or ``levels`` without their number.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(500, 3))
    >>> [b.name for b in fit_baselines(x[:400], x[400:], latent=2, measure="density")]
    ['independent Gaussians', 'full Gaussian', 'probabilistic PCA (2 components)']
    """
    # Bernoullis are fitted in the type of the data: no copy in float64 of a large set of images.
    kept = (np.float32,) if measure == "unit" else ()
    train, held_out = (
        a.reshape(len(a), -1).astype(a.dtype if a.dtype in kept else np.float64, copy=False)
        for a in (np.asarray(train), np.asarray(held_out))
    )
    jacobian: npt.ArrayLike = fsum(np.atleast_1d(log_jacobian))
    scores: list[tuple[str, _Array]] = []
    if any(a.dtype.kind == "f" and bool(np.isnan(a).any()) for a in (train, held_out)):
        if measure != "mixed":
            scores = _of_observed_cells(train, held_out, latent, measure, levels, seed)
        further = None
        jacobian = (~np.isnan(held_out)) @ np.broadcast_to(np.asarray(log_jacobian), train.shape[1])
    elif measure != "mixed":
        scores = _of_whole_rows(train, held_out, latent, measure, levels, seed)
    if measure == "mixed" and columns is None:
        raise ValueError("measure='mixed' needs the kinds of the columns")
    kind = _KIND_OF_COLUMNS.get(measure)
    if measure == "mixed" and columns is not None:
        scores = table_baselines(train, held_out, columns, facts, seed=seed)
    elif facts is not None and kind is not None:
        kinds = [kind if levels is None else f"categorical{levels}"] * train.shape[1]
        scores = [*scores, *table_baselines(train, held_out, kinds, facts, seed=seed)]
    if further is not None:
        scores = [*scores, *further(train, held_out)]
    baselines = []
    for name, values in scores:
        values = values + (jacobian if measure in ("density", "mixed") else 0.0)
        advantage = None if model_values is None else Estimate.of(np.asarray(model_values) - values)
        baselines.append(Baseline(name, Estimate.of(values), advantage))
    return baselines


def _of_whole_rows(
    train: _Array, held_out: _Array, latent: int, measure: Measure, levels: int | None, seed: int
) -> list[tuple[str, _Array]]:
    if measure == "density":
        return _gaussian_baselines(train, held_out, latent)
    if measure == "unit":
        return _bernoulli_baselines(train, held_out, seed)
    if measure == "counts":
        return count_baselines(train, held_out)
    if measure == "levels" and levels is not None:
        further = component_baselines(train, held_out, levels, latent, seed)
        return [*level_baselines(train, held_out, levels), *further]
    raise ValueError(
        f"measure={measure!r}, levels={levels}; expected density, unit, counts, levels and how "
        "many, or mixed and the columns"
    )


def _of_observed_cells(
    train: _Array, held_out: _Array, latent: int, measure: Measure, levels: int | None, seed: int
) -> list[tuple[str, _Array]]:
    """Fit the baselines of rows with missing cells; those of independent columns column by column."""

    def of_column(known: _Array, there: _Array, j: int) -> Sequence[tuple[str, _Array]]:
        found = _of_whole_rows(known, there, 1, measure, levels, seed)
        return found[:1] if measure == "unit" else found

    scores = by_column(of_column, train, held_out)
    if measure == "density":
        return [*scores, *gaussian_baselines(train, held_out, latent, seed)]
    return [*scores, *mixture_baseline(train, held_out, seed)] if measure == "unit" else scores


def _gaussian_baselines(train: _Array, held_out: _Array, latent: int) -> list[tuple[str, _Array]]:
    mean, covariance = train.mean(0), np.atleast_2d(np.cov(train, rowvar=False, bias=True))
    variance = covariance.diagonal()
    floor = 1e-12 * max(variance.max(), np.finfo(float).tiny)  # a column that is constant on these rows alone
    variance = np.maximum(variance, floor)
    independent = -0.5 * (np.log(2 * np.pi * variance) + (held_out - mean) ** 2 / variance).sum(1)
    scores = [("independent Gaussians", independent)]
    rows, columns = train.shape
    if columns < 2:
        return scores
    name = "full Gaussian"
    if rows <= 2 * columns or np.linalg.eigvalsh(covariance)[0] <= 1e-10 * variance.max():
        import_quietly("sklearn.covariance")
        from sklearn.covariance import ledoit_wolf

        name = "full Gaussian (Ledoit-Wolf shrinkage)"
        covariance = ledoit_wolf(train)[0]
    if np.linalg.eigvalsh(covariance)[0] > 0:  # two or three rows may leave a direction without any variance
        scores.append((name, _gaussian_log_density(held_out, mean, covariance)))
    components = min(latent, columns - 1, rows - 1)
    values, vectors = np.linalg.eigh(np.cov(train, rowvar=False, bias=True))
    noise = max(float(values[:-components].mean()), floor)
    leading = vectors[:, -components:] * np.sqrt(np.maximum(values[-components:] - noise, 0))
    low_rank = leading @ leading.T + noise * np.eye(columns)
    return [
        *scores,
        (
            f"probabilistic PCA ({components} component{'s'[: components > 1]})",
            _gaussian_log_density(held_out, mean, low_rank),
        ),
    ]


def _gaussian_log_density(x: _Array, mean: _Array, covariance: _Array) -> _Array:
    factor = np.linalg.cholesky(covariance)
    whitened = np.linalg.solve(factor, (x - mean).T)
    constant = x.shape[1] * np.log(2 * np.pi) + 2 * np.log(factor.diagonal()).sum()
    return -0.5 * (constant + (whitened**2).sum(0))


def _bernoulli_baselines(train: _Array, held_out: _Array, seed: int) -> list[tuple[str, _Array]]:
    # Add-one-half smoothing (the Jeffreys prior's mean): a pixel that is never on in training may be on later.
    probability = (train.sum(0, dtype=np.float64) + 0.5) / (len(train) + 1)
    independent = xlogy(held_out, probability).sum(1) + xlogy(1 - held_out, 1 - probability).sum(1)
    # The number of components is chosen on a tenth of the training rows, of which 10,000 are plenty.
    choose = np.random.default_rng(seed).permutation(len(train))[:_ROWS_TO_CHOOSE_BY]
    inner, outer = train[choose[len(choose) // 10 :]], train[choose[: max(1, len(choose) // 10)]]
    sizes = [size for size in (5, 10, 20, 50) if size <= max(1, len(inner) // 10)] or [1]
    chosen = max(sizes, key=lambda size: _mixture_log_density(outer, *_fit_mixture(inner, size, seed)).mean())
    mixture = _mixture_log_density(held_out, *_fit_mixture(train, chosen, seed))
    return [("independent Bernoullis", independent), (f"mixture of {chosen} Bernoullis", mixture)]


def _fit_mixture(x: _Array, components: int, seed: int, iterations: int = 100) -> tuple[_Array, _Array]:
    """Fit a mixture by expectation maximisation; returns the log-weights and the logits of the components."""
    rng = np.random.default_rng(seed)
    # Start from random examples, softened, rather than from nearly equal averages.
    probability = 0.25 + 0.5 * x[rng.choice(len(x), components, replace=len(x) < components)].astype(float)
    log_weight, logits = np.full(components, -np.log(components)), np.log(probability / (1 - probability))
    previous = -np.inf
    for _ in range(iterations):
        joint = _joint(x, log_weight, logits)
        evidence = np.asarray(logsumexp(joint, axis=1, keepdims=True))
        if evidence.mean() - previous < 1e-4:
            break
        previous = evidence.mean()
        responsibility = np.exp(joint - evidence)
        mass = responsibility.sum(0)
        log_weight = np.log((mass + 0.5) / (mass + 0.5).sum())
        probability = (responsibility.T.astype(x.dtype) @ x + 0.5).clip(0.5) / (mass[:, None] + 1)
        probability = np.minimum(probability, 1 - 0.5 / (mass[:, None] + 1))
        logits = np.log(probability / (1 - probability))
    return log_weight, logits


def _joint(x: _Array, log_weight: _Array, logits: _Array) -> _Array:
    return log_weight - np.logaddexp(0, logits).sum(1) + x @ logits.T.astype(x.dtype)


def _mixture_log_density(x: _Array, log_weight: _Array, logits: _Array) -> _Array:
    return np.asarray(logsumexp(_joint(x, log_weight, logits), axis=1))
