r"""The family of each column of a table, by the log-likelihood of rows that it was not fitted to.

Every family that a column may have is fitted to two thirds of its values and evaluated on the rest, in nats and the
units of the data (:mod:`vaekit.evaluation.column_families`). The best wins, unless a simpler one is as good: within
twice the standard error of the difference row by row, where no row counts for more than 5 nats, or within 0.02 nats. So
Gaussians stay where nothing is clearly better. In a column without negative values a family that expects a dozen values
beyond an end where there is none (ages under the youngest, negative incomes) is passed over; where all others are, it
is a histogram.

What a column looks like on its own is only a part of what a model must know of it. Where the other columns say nearly
all (a linear regression on them leaves a share :math:`s` of its variance below a tenth), the bins of a histogram may be
too coarse: it must be better by the :math:`-\tfrac 12 \log s` that a Gaussian gains from them. And counts whose
variance would then be below their mean are neither Poisson nor negative binomial.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from vaekit.evaluation.column_families import compare, fit_marginal
from vaekit.likelihoods.histogram_cells import ColumnFacts, facts_of, find_cells
from vaekit.likelihoods.support import LARGEST_COUNT

__all__ = ["MOST_COLUMNS", "Family", "histogram_kind", "table_families"]

_Array = npt.NDArray[np.float64]

_FEW_LEVELS = 32
_CLEAR = 0.02  # nats
_FAR = 5.0  # nats of one row: what it says is clear, and more would only hide what the others say
_ROWS, _VALUES = 6_000, 400_000
MOST_COLUMNS = 300
_EXPLAINED = 0.9
_LARGEST_COUNTED = 100_000  # larger whole numbers are amounts
_HEAPED = 0.05  # share of the rows that stand on frequent values, for a histogram of real numbers
_UNSEEN = 12.0  # values that a family expects beyond an end where there is none
_WIDE = 2.0  # steps in a standard deviation, for densities of whole numbers

# The simplest first.
_REAL = ("gaussian", "log-normal", "student-t", "laplace", "asinh-normal", "histogram")
_COUNTS = ("poisson", "negative-binomial", "zero-inflated-negative-binomial", "histogram")
_WHOLE = ("gaussian", "poisson", "negative-binomial", "log-normal", "student-t", "laplace", "asinh-normal",
          "zero-inflated-negative-binomial", "histogram")  # fmt: skip


class Family(NamedTuple):
    """The kind of a column, and how much better it is than another.

    Parameters
    ----------
    kind
        Its kind under the likelihood ``mixed``.
    gain
        Held-out nats a row more than the rival; None where nothing was compared.
    rival
        The kind that it is compared with: a Gaussian, or the next best.
    """

    kind: str
    gain: float | None = None
    rival: str = ""


def table_families(values: _Array, texts: Sequence[tuple[str, ...] | None]) -> list[Family]:
    """Choose the family of each column of a table.

    Parameters
    ----------
    values
        ``(n, columns)``, each with at least two different values; NaN where they are missing.
    texts
        The names of the categories of each column that holds text; None for numbers.

    Returns
    -------
    list of Family

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.stack([rng.normal(size=600), rng.lognormal(size=600), rng.integers(3, size=600)], 1)
    >>> [family.kind for family in table_families(x, [None] * 3)]
    ['gaussian', 'log-normal', 'categorical3']
    """
    most = max(300, min(_ROWS, _VALUES // max(1, values.shape[1])))
    rows = np.random.default_rng(0).permutation(len(values))[:most]
    known = values[rows]
    explained = _explained_shares(known, [text is None for text in texts])
    return [
        _family(values[:, j], known[:, j], texts[j], float(explained[j]), fast=len(texts) > MOST_COLUMNS)
        for j in range(len(texts))
    ]


def _explained_shares(values: _Array, numeric: Sequence[bool]) -> _Array:
    """Return the share of each numeric column's variance that a linear regression on the other ones explains."""
    columns = np.flatnonzero(numeric)
    shares = np.zeros(values.shape[1])
    n, p = len(values), len(columns)
    if p < 2 or n <= 2 * p + 10:
        return shares
    x = values[:, columns]
    with np.errstate(invalid="ignore"):
        x = np.nan_to_num((x - np.nanmean(x, 0)) / np.nanstd(x, 0))
    precision = np.linalg.inv(x.T @ x / n + 1e-9 * np.eye(p))
    left = 1 / precision.diagonal() * (n - 1) / (n - p)
    shares[columns] = (1 - left).clip(0, 1)
    return shares


def histogram_kind(values: _Array) -> str:
    """Return the kind of a histogram with as many cells as a column needs, and some to spare.

    Columns with the same number of cells are computed together, so there are few numbers.

    Examples
    --------
    >>> histogram_kind(np.repeat([1.0, 5.0, 7.0], 20))
    'histogram8'
    """
    known = values[np.isfinite(values)]
    x, facts = _standardised(known)
    cells = len(find_cells(x, facts).counts)
    return f"histogram{next(size for size in (8, 16, 32 * -(-cells // 32)) if cells <= size)}"


def _standardised(known: _Array) -> tuple[_Array, ColumnFacts]:
    """Return a column's values as a model sees them, and the facts about it in the same coordinates."""
    decimals = next((d for d in range(7) if (np.round(known, d) == known).all()), None)
    offset, scale = float(known.mean()), float(known.std())
    facts = facts_of(known, whole=decimals == 0, decimals=decimals, offset=offset, scale=scale)
    return (known - offset) / scale, facts


def _family(
    column: _Array, sample: _Array, text: tuple[str, ...] | None, explained: float, *, fast: bool
) -> Family:
    if text is not None:
        return Family("bernoulli" if len(text) == 2 else f"categorical{len(text)}")
    known = column[np.isfinite(column)]
    lowest, highest = known.min(), known.max()
    whole = bool((known == np.floor(known)).all() and (known % 10).any())  # round tens are no counts
    if whole and lowest >= 0 and highest <= 1:
        return Family("bernoulli")
    sample = sample[np.isfinite(sample)]
    if fast or len(sample) < 30 or sample.min() == sample.max():
        return Family(_by_rule(known, whole=whole))
    if whole and lowest >= 0 and highest < _FEW_LEVELS:
        return _few_levels(known, sample)
    return _compared(known, sample, explained, whole=whole)


def _few_levels(known: _Array, sample: _Array) -> Family:
    """Choose between levels and counts."""
    order = (
        "histogram",
        *_COUNTS[:-1],
    )  # categories are what they look like, unless counts are clearly better
    chosen = _simplest(compare(sample, facts_of(sample, whole=True, decimals=0), order), order)
    return chosen._replace(kind=_levels(known)) if chosen.kind == "histogram" else chosen


def _levels(known: _Array) -> str:
    """Return the kind of a column of few whole numbers from 0: categories, or a histogram, where others may follow.

    A category that was never seen has no probability, so that one new value would make a row impossible. The chance
    that the next value is a new one is about the share of those seen once (Good, 1953, "The population frequencies of
    species and the estimation of population parameters"). A histogram has tails.

    >>> _levels(np.array([0.0, 1.0, 2.0] * 20)), _levels(np.array([0.0, 1.0] * 20 + [2.0]))
    ('categorical3', 'histogram8')
    """
    once = bool((np.bincount(known.astype(np.int64)) == 1).any())
    return histogram_kind(known) if once else f"categorical{int(known.max()) + 1}"


def _compared(known: _Array, sample: _Array, explained: float, *, whole: bool) -> Family:
    """Choose by held-out nats, of the values as the model sees them."""
    lowest, highest = float(known.min()), float(known.max())
    x, facts = _standardised(known)
    scale = float(known.std())
    seen = (sample - float(known.mean())) / scale
    wide = not whole or scale > _WIDE
    families = [kind for kind in (_WHOLE if whole else _REAL) if wide or kind in _COUNTS]
    if whole and (lowest < 0 or highest > _LARGEST_COUNTED):
        families = [kind for kind in families if kind in _REAL]
    cells = find_cells(x, facts)
    atoms = cells.width <= 1.001 * cells.step
    heaped = whole or cells.counts[atoms].sum() > _HEAPED * len(x)
    bounded = np.isfinite(facts.lower) and np.isfinite(facts.upper)
    few = whole and len(np.unique(known)) <= _FEW_LEVELS
    if not (few or heaped or bounded):
        families.remove("histogram")
    if (1 - explained) * float(known.var()) < float(known.mean()):  # counts vary by their mean at the least
        families = [kind for kind in families if kind not in _COUNTS or kind == "histogram"]
    real = compare(seen, facts, [kind for kind in families if kind in _REAL])
    found = {kind: values - np.log(scale) for kind, values in real.items()}
    counts = [kind for kind in families if kind in _COUNTS and kind != "histogram"]
    if counts:  # the same rows, of the counts themselves
        found |= compare(sample, ColumnFacts(1.0), counts)
    if not found:
        return Family(_by_rule(known, whole=whole))
    handicap = -0.5 * float(np.log(max(1 - explained, 1e-6))) if explained > _EXPLAINED and not few else 0.0
    chosen = _simplest(found, families, handicap)
    checked = lowest >= 0 and explained <= _EXPLAINED
    while checked and chosen.kind != "histogram" and _leaves_range(chosen.kind, seen, sample, facts):
        del found[chosen.kind]
        if not found:
            found = compare(seen, facts, ["histogram"])
            families = ["histogram"]
        chosen = _simplest(found, families, handicap)
    return chosen._replace(kind=histogram_kind(known)) if chosen.kind == "histogram" else chosen


def _leaves_range(kind: str, seen: _Array, sample: _Array, facts: ColumnFacts) -> bool:
    """Whether a family puts so much beyond the ends of the values that it would have been seen there.

    Of n values none is beyond an end with the probability :math:`(1 - p)^n`, which is below 6e-6 where n p is above 12.
    """
    if kind in _COUNTS:
        marginal = fit_marginal(kind, sample, ColumnFacts(1.0))
        low, high = int(sample.min()), int(sample.max())
        if marginal is None:
            return False
        mass = np.exp(marginal.log_density(np.arange(high + 1.0)))
        beyond = (float(mass[:low].sum()), 1 - float(mass.sum()))
    else:
        marginal = fit_marginal(kind, seen, facts)
        if marginal is None or marginal.score is None:
            return False
        half = 0.5 * facts.resolution
        ends = marginal.score(np.array([seen.min() - half, seen.max() + half]))
        beyond = (float(ndtr(ends[0])), float(ndtr(-ends[1])))
    return len(seen) * max(beyond) > _UNSEEN


def _simplest(found: dict[str, _Array], families: Sequence[str], handicap: float = 0.0) -> Family:
    """Return the simplest family that is as good as the best, with its gain over the Gaussian or the next best.

    ``handicap`` is taken off a histogram before they are compared.
    """
    told = {kind: values - handicap * (kind == "histogram") for kind, values in found.items()}
    best = max(told, key=lambda kind: float(told[kind].mean()))

    def is_as_good(kind: str) -> bool:
        difference = np.clip(told[best] - told[kind], -_FAR, _FAR)
        error = float(difference.std()) / len(difference) ** 0.5
        return float(difference.mean()) <= max(2 * error, _CLEAR)

    chosen = next(kind for kind in families if kind in found and is_as_good(kind))
    if "gaussian" in told and told["gaussian"].mean() >= told[chosen].mean():
        chosen = "gaussian"
    others = [kind for kind in found if kind != chosen]
    if not others:
        return Family(chosen)
    rival = max(others, key=lambda kind: float(found[kind].mean()))
    if chosen != "gaussian" and "gaussian" in others:
        rival = "gaussian"
    return Family(chosen, float((found[chosen] - found[rival]).mean()), rival)


def _by_rule(known: _Array, *, whole: bool) -> str:
    """Return the family of a column too short to be divided, or one of very many."""
    highest = known.max()
    if known.min() < 0 or not whole:
        spread = known - known.mean()
        return "student-t" if np.mean(spread**4) > 9 * np.mean(spread**2) ** 2 else "gaussian"
    if highest < _FEW_LEVELS:
        return _levels(known)
    if highest <= LARGEST_COUNT and np.mean(known == 0) > 0.5:
        return "zero-inflated-negative-binomial"
    return "negative-binomial" if highest <= 255 else "gaussian"
