r"""Likeness of a synthetic table to the real one: columns, pairs of columns, and whether trees can tell them apart.

Columns are compared by the complement of a distance, 1 where their distributions are the same: for numbers that of
Kolmogorov and Smirnov, for categories the total variation,

.. math:: 1 - \sup_t |F(t) - G(t)|, \qquad 1 - \tfrac12 \sum_k |p_k - q_k|.

Pairs are compared by :math:`1 - |\rho - \rho'| / 2` of their correlations where both are numbers, and else by one minus
the total variation of their joint table, numbers cut at ten equal bins of the real column. These are "column shapes"
and "column pair trends" of the quality report of SDMetrics (DataCebo), whose mean is the quality. One thing differs:
SDMetrics 0.25 cuts each table by its own range, which one far value changes. A missing cell counts in the joint tables
only, as a category.

A table may match in every pair and still be told apart. So the *classifier two-sample test* (C2ST; Lopez-Paz and Oquab,
"Revisiting Classifier Two-Sample Tests", ICLR 2017) trains boosted trees to tell real rows from synthetic ones, and
asks how often a synthetic row of a part that they have not seen ranks above a real one: the AUROC is .5 where nothing
can be told.
"""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import ks_2samp, rankdata
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from vaekit.jobs.comparison.boosted_trees import BoostedTrees
from vaekit.jobs.comparison.compared_tables import ComparedColumn

__all__ = [
    "Auroc",
    "Betrayal",
    "PairSimilarity",
    "auroc",
    "column_similarities",
    "pair_similarities",
    "told_apart",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_tested: Any = ks_2samp  # its results are not typed


_FOLDS = 3
_FEWEST = 10  # rows of each kind in a fold
_ROUNDS = 30, 100  # of boosting, at least and at most: one for 50 rows of each kind
_ROUNDS_ALONE = 30
_MOST_ALONE = 40  # columns that are tried alone
_BINS = 10
_MOST_PAIRS = 500


class Auroc(NamedTuple):
    """The area under the receiver operating characteristic, and its standard error.

    Parameters
    ----------
    value
        The probability that a positive scores higher than a negative, where ties count one half.
    standard_error
        By Hanley and McNeil (1982), "The meaning and use of the area under a ROC curve", equation 2.
    """

    value: float
    standard_error: float


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> Auroc:
    """Return the AUROC of scores of positives and negatives.

    Examples
    --------
    >>> auroc([3.0, 2.0], [1.0, 2.0]).value
    0.875
    """
    a, b = np.asarray(positive, dtype=float), np.asarray(negative, dtype=float)
    n, m = len(a), len(b)
    ranks = rankdata(np.concatenate([a, b]))
    value = float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
    return Auroc(value, _hanley_mcneil(value, n, m))


def _hanley_mcneil(value: float, n: int, m: int) -> float:
    value = max(value, 1 - value)
    two_positive, two_negative = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (n - 1) * (two_positive - value**2) + (m - 1) * (two_negative - value**2)
    return sqrt(max(variance, 0.0) / (n * m))


class Betrayal(NamedTuple):
    """The part of one column in telling synthetic rows from real ones.

    Parameters
    ----------
    drop
        By how much the AUROC falls when the column is shuffled among the rows.
    alone
        The AUROC of the column by itself; None where it was not tried.
    """

    drop: float
    alone: float | None


@threadpool_limits.wrap(limits=1)  # threads that wait for one another are slow on a busy machine
def told_apart(
    real: Floats, synthetic: Floats, discrete: Bools, *, seed: int, columns: bool = True
) -> tuple[Auroc, list[Betrayal]] | None:
    """Return how well boosted trees tell two tables apart, and the part of each column in it.

    Parameters
    ----------
    real, synthetic
        ``(n, columns)`` each, as :class:`vaekit.jobs.comparison.compared_tables.ComparedTables` has them.
    discrete
        ``(columns,)``: which columns are of categories.
    seed
        Of the split into three parts, and of the shuffles.
    columns
        Whether the part of each column is asked for; an empty list if not.

    Returns
    -------
    Auroc
        The mean over the three parts.
    list of Betrayal
        One for each column.
    None
        For fewer than 30 rows of each kind.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + [0.0, 2.0]
    >>> found, betrayals = told_apart(a, b, np.array([False, False]), seed=0)
    >>> found.value > 0.85, betrayals[1].drop > 0.3, abs(betrayals[0].drop) < 0.05
    (True, True, True)
    """
    n = min(len(real), len(synthetic))
    if n < _FOLDS * _FEWEST:
        return None
    x = np.concatenate([real, synthetic])
    y = np.repeat([0, 1], [len(real), len(synthetic)])
    rng = np.random.default_rng(seed)
    fold = np.concatenate([rng.permutation(np.arange(size) % _FOLDS) for size in (len(real), len(synthetic))])
    rounds = min(max(n // 50, _ROUNDS[0]), _ROUNDS[1])
    whole, drops = _crossed(x, y, fold, discrete, rounds, rng if columns else None)
    # The parts share training rows: their correlation is about 1 / parts (Nadeau and Bengio, 2003, section 3).
    error = _hanley_mcneil(whole, len(real), len(synthetic)) * sqrt(1 + (_FOLDS - 1) / _FOLDS)
    if not columns:
        return Auroc(whole, error), []
    tried = set(np.argsort(-drops, kind="stable")[:_MOST_ALONE].tolist())
    alone = [
        _crossed(x[:, j : j + 1], y, fold, discrete[j : j + 1], _ROUNDS_ALONE, None)[0]
        if j in tried
        else None
        for j in range(x.shape[1])
    ]
    return Auroc(whole, error), [Betrayal(float(drop), each) for drop, each in zip(drops, alone, strict=True)]


def _crossed(
    x: Floats,
    y: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int64],
    discrete: Bools,
    rounds: int,
    rng: "np.random.Generator | None",
) -> tuple[float, Floats]:
    """Return the mean AUROC of rows that the trees have not seen, and its drop for each column that is shuffled."""
    values, drops = list[float](), np.zeros(x.shape[1])
    for k in range(_FOLDS):
        fitted, asked = fold != k, fold == k
        trees = BoostedTrees(x[fitted], y[fitted], discrete, rounds=rounds)
        rows, kinds = x[asked], y[asked]
        value = float(roc_auc_score(kinds, trees.scores(rows)))
        values.append(value)
        for j in range(x.shape[1] if rng is not None else 0):
            shuffled = rows.copy()
            shuffled[:, j] = rng.permutation(rows[:, j])  # pyright: ignore[reportOptionalMemberAccess]
            drops[j] += (value - float(roc_auc_score(kinds, trees.scores(shuffled)))) / _FOLDS
    return float(np.mean(values)), drops


def column_similarities(real: Floats, synthetic: Floats, columns: tuple[ComparedColumn, ...]) -> Floats:
    """Return the similarity of each column, ``(columns,)``; NaN where one of the tables has no value in it.

    Examples
    --------
    >>> columns = (ComparedColumn("a"), ComparedColumn("b", ("x", "y")))
    >>> column_similarities(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]]), columns).tolist()
    [0.5, 0.5]
    """
    found = np.full(len(columns), np.nan)
    for j, column in enumerate(columns):
        a, b = (values[~np.isnan(values[:, j]), j] for values in (real, synthetic))
        if len(a) == 0 or len(b) == 0:
            continue
        if column.categories is None:
            with np.errstate(divide="ignore"):  # its p-value of one row, which is not asked for
                found[j] = 1 - float(_tested(a, b, method="asymp").statistic)
        else:
            shares = [np.bincount(v.astype(int), minlength=len(column.categories)) / len(v) for v in (a, b)]
            found[j] = 1 - float(np.abs(shares[0] - shares[1]).sum()) / 2
    return found


class PairSimilarity(NamedTuple):
    """The similarity of two columns' joint distribution, with their positions in the table."""

    first: int
    second: int
    value: float


def pair_similarities(
    real: Floats, synthetic: Floats, columns: tuple[ComparedColumn, ...], *, seed: int
) -> list[PairSimilarity]:
    """Return the similarity of pairs of columns: of all, or of 500 that are drawn where there are more.

    A pair without one, since a column is constant or two are never seen together, is left out.

    Examples
    --------
    >>> columns = (ComparedColumn("a"), ComparedColumn("b"))
    >>> x = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> [round(pair_similarities(x, x * [1, sign], columns, seed=0)[0].value, 6) for sign in (1, -1)]
    [1.0, 0.0]
    """
    count = len(columns)
    pairs = np.stack(np.triu_indices(count, 1), axis=1)
    if len(pairs) > _MOST_PAIRS:
        pairs = pairs[np.sort(np.random.default_rng(seed).choice(len(pairs), _MOST_PAIRS, replace=False))]
    cut = [_binned(real[:, j], synthetic[:, j], column) for j, column in enumerate(columns)]
    found = list[PairSimilarity]()
    for j, k in pairs.tolist():
        if columns[j].discrete or columns[k].discrete:
            value = _joint_similarity(*(cut[j][t] * (cut[k][2] + 1) + cut[k][t] for t in (0, 1)))
        else:
            correlations = [_correlation(values[:, j], values[:, k]) for values in (real, synthetic)]
            value = 1 - abs(correlations[0] - correlations[1]) / 2
        if not np.isnan(value):
            found.append(PairSimilarity(j, k, value))
    return found


def _binned(
    real: Floats, synthetic: Floats, column: ComparedColumn
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Return the positions of both columns, with one more for missing cells, and the largest position."""
    if column.categories is not None:
        last = len(column.categories)
        codes = [np.where(np.isnan(values), last, values).astype(np.int64) for values in (real, synthetic)]
        return codes[0], codes[1], last
    there = real[~np.isnan(real)]
    edges = np.linspace(there.min(), there.max(), _BINS + 1) if len(there) else np.zeros(1)
    last = len(edges) + 1
    codes = [np.where(np.isnan(v), last, np.digitize(v, edges)).astype(np.int64) for v in (real, synthetic)]
    return codes[0], codes[1], last


def _joint_similarity(real: npt.NDArray[np.int64], synthetic: npt.NDArray[np.int64]) -> float:
    _, position = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
    size = int(position.max()) + 1
    p, q = (
        np.bincount(part, minlength=size) / len(part)
        for part in (position[: len(real)], position[len(real) :])
    )
    return 1 - float(np.abs(p - q).sum()) / 2


def _correlation(a: Floats, b: Floats) -> float:
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    with np.errstate(all="ignore"):
        return float(np.corrcoef(a, b)[0, 1])
