"""A column of a table on its own: the best of the families that it may have, its normal scores, and its codes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaekit.evaluation.column_families import COUNT_FAMILIES, REAL_FAMILIES, Marginal, compare, fit_marginal
from vaekit.likelihoods.histogram_cells import ColumnFacts, find_cells
from vaekit.likelihoods.mixed import column_measure

__all__ = ["ColumnModel", "fit_column"]

_Array = npt.NDArray[np.float64]

_WIDE = 2.0  # standard deviations of counts above it: their probabilities and a density agree


@dataclass(frozen=True)
class ColumnModel:
    """A column on its own.

    Parameters
    ----------
    best
        The family that held-out training rows choose.
    smooth
        The best family that has normal scores; None where a density would not do.
    plain
        The Gaussian, or the log-normal where that is the best with normal scores: for Gaussians within classes.
    categories
        How many categories it has; 0: it holds numbers.
    shares
        ``(codes,)``: the frequencies of its categories, or of the cells of its histogram.
    place
        From values to codes.
    rest
        From values to the log-density, less the logarithm of the code's frequency.
    """

    best: Marginal
    smooth: Marginal | None
    plain: Marginal | None
    categories: int
    shares: _Array
    place: Callable[[_Array], npt.NDArray[np.int64]]
    rest: Callable[[_Array], _Array]

    def log_density(self, x: _Array) -> _Array:
        """Return log-densities under the best family, in nats; 0 for missing values."""
        return np.where(np.isnan(x), 0.0, self.best.log_density(np.where(np.isnan(x), 0.0, x)))


def fit_column(kind: str, column: _Array, facts: ColumnFacts) -> ColumnModel:
    """Choose and fit the families of a column.

    Parameters
    ----------
    kind
        Its kind under the likelihood ``mixed``, which says whether a density or a probability is asked for.
    column
        ``(n,)`` training values in the coordinates of the model, NaN where they are missing.
    facts
        Resolution and bounds.

    Examples
    --------
    >>> x = np.random.default_rng(0).lognormal(size=2000)
    >>> fit_column("gaussian", x, ColumnFacts(lower=0.0)).best.kind
    'log-normal'
    """
    known = column[np.isfinite(column)]
    measure, levels = column_measure(kind)
    if measure in ("unit", "levels"):
        return _categories(known, levels or 2)
    allowed = ("histogram", *REAL_FAMILIES) if measure == "density" else COUNT_FAMILIES
    held_out = compare(known, facts, tuple(dict.fromkeys((*allowed, *REAL_FAMILIES))))
    ranked = sorted(held_out, key=lambda name: float(held_out[name].mean()), reverse=True)
    best = _first(ranked, allowed, known, facts) or fit_marginal("histogram", known, facts)
    if best is None:
        raise ValueError(f"no family fits a column of kind {kind}")
    has_scores = measure == "density" or known.std() > _WIDE
    smooth = _first(ranked, REAL_FAMILIES, known, facts) if has_scores else None
    straight = smooth is None or smooth.kind in ("gaussian", "log-normal")
    plain = smooth if straight else fit_marginal("gaussian", known, facts)
    cells = best.cells or find_cells(known, facts)
    shares = (cells.counts + 1 / len(cells.counts)) / (cells.counts.sum() + 1)

    def rest(x: _Array) -> _Array:
        return cells.log_density(x) - np.log(shares)[cells.place(x)]

    return ColumnModel(best, smooth, plain, 0, shares, cells.place, rest)


def _first(ranked: list[str], allowed: tuple[str, ...], known: _Array, facts: ColumnFacts) -> Marginal | None:
    """Fit the best of the allowed families that fits all values."""
    fits = (fit_marginal(name, known, facts) for name in ranked if name in allowed)
    return next((marginal for marginal in fits if marginal is not None), None)


def _categories(known: _Array, categories: int) -> ColumnModel:
    """Return the frequencies of categories, with one row spread over all of them (Perks's prior)."""
    counts = np.bincount(known.astype(np.int64), minlength=categories)
    shares = (counts + 1 / categories) / (len(known) + 1)

    def place(x: _Array) -> npt.NDArray[np.int64]:
        return x.astype(np.int64).clip(0, categories - 1)

    def log_density(x: _Array) -> _Array:
        return np.log(shares)[place(x)]

    best = Marginal("categorical", log_density)
    return ColumnModel(best, None, None, categories, shares, place, np.zeros_like)
