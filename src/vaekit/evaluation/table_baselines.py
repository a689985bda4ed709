r"""Baselines for tables: independent columns of the best families, and three simple ways to join them.

* **Independent columns**, each of the family that held-out training rows choose, histograms included
  (:mod:`vaekit.evaluation.column_families`).
* **A Gaussian copula**: columns of numbers keep those families, and what depends on one another are their normal scores
  :math:`t_j = \Phi^{-1}(F_j(x_j))`, with one covariance. Where every column is Gaussian it is the full Gaussian, where
  every column is log-normal the multivariate log-normal. Categories are independent of it.
* **A Gaussian for each category** of one column: the same with a mean and a covariance in each of its categories, and
  the frequencies of the other columns in each.
* **Latent classes**: the same with classes that are not known.

.. math:: \log p(x) = \log \sum_k \pi_k\, \mathcal N(t; \mu_k, \Sigma_k) \prod_{j \text{ coded}} p_{jk}(x_j)
          + \sum_{j \text{ of numbers}} \left[\log f_j(x_j) - \log \varphi(t_j)\right]

The category, the number of classes, and which columns are better left to histograms are chosen on a quarter of the
training rows. At most 6,000 rows are learned from, so that all of it takes seconds. Missing values (NaN) add nothing;
with them covariances are diagonal, and there is no copula.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vaekit.evaluation.class_mixture import ClassMixture, Rows, expectation_maximisation, fit_classes
from vaekit.evaluation.column_families import REAL_FAMILIES
from vaekit.evaluation.column_models import ColumnModel, fit_column
from vaekit.likelihoods.histogram_cells import ColumnFacts

__all__ = ["MOST_ROWS", "table_baselines"]

_Array = npt.NDArray[np.float64]
_Named = tuple[str, _Array]

MOST_ROWS = 6_000  # that are learned from
_MOST_COLUMNS, _FEWEST_ROWS = 200, 40
_CLASSES = (2, 3, 4, 6, 8, 12, 20, 32)
_PROGRESS = 0.01  # nats that a step gains a row, while numbers of classes are compared
_MOST_CATEGORIES, _MOST_CANDIDATES = 30, 4


def table_baselines(
    train: _Array,
    held_out: _Array,
    columns: Sequence[str],
    facts: Sequence[ColumnFacts] | None = None,
    *,
    seed: int = 0,
) -> list[_Named]:
    """Fit the baselines of a table.

    Parameters
    ----------
    train, held_out
        ``(n, columns)`` in the coordinates of the model, NaN where values are missing.
    columns
        The kind of each column, as the likelihood ``mixed`` has them: it says whether a density or a probability is
        asked for, and how many categories there are.
    facts
        Resolution, bounds and name of each column. None: whole numbers are recorded to 1, nothing else is known, and
        columns are independent.
    seed
        The seed of divisions and starts.

    Returns
    -------
    list of (str, ndarray)
        Names, and log-likelihoods ``(n,)`` of the held-out rows in nats.

    Examples
    --------
    >>> x = np.array([[0.0, 2.0], [1.0, 0.0], [1.0, 1.0]])
    >>> (name, values), = table_baselines(x, x, ["bernoulli", "categorical3"])
    >>> name, values.round(3).tolist()
    ('independent columns', [-2.079, -1.569, -1.569])
    """
    rng = np.random.default_rng(seed)
    train = train[np.sort(rng.permutation(len(train))[:MOST_ROWS])]
    known = facts or [ColumnFacts(float((c == np.floor(c))[np.isfinite(c)].all())) for c in train.T]
    models = [fit_column(*column) for column in zip(columns, train.T, known, strict=True)]
    found = [("independent columns", _independent(models, held_out))]
    if facts is None or not 2 <= len(models) <= _MOST_COLUMNS or len(train) < _FEWEST_ROWS:
        return found
    order = rng.permutation(len(train))
    inner, outer = order[len(train) // 4 :], order[: len(train) // 4]
    views = [_View.of(models, train, which) for which in _Choice.all_of(models)]
    shown = [_View.of(models, held_out, view.choice) for view in views]
    complete = not np.isnan(train).any() and not np.isnan(held_out).any()
    copulas = [(v, w) for v, w in zip(views, shown, strict=True) if len(v.choice.columns) > 1 and complete]
    if copulas:
        view, seen = max(copulas, key=lambda pair: _copula(pair[0], inner, pair[0], outer).mean())
        found.append(
            ("Gaussian copula", _copula(view, np.arange(len(train)), seen, np.arange(len(held_out))))
        )
    return [*found, *_with_classes(models, views, shown, facts, inner, outer, seed)]


def _independent(models: Sequence[ColumnModel], values: _Array) -> _Array:
    return np.sum([model.log_density(x) for model, x in zip(models, values.T, strict=True)], 0)


class _Choice(NamedTuple):
    """The columns that have normal scores, and whether those are of Gaussians (or logarithms) alone."""

    columns: tuple[int, ...]
    plain: bool

    @staticmethod
    def all_of(models: Sequence[ColumnModel]) -> "list[_Choice]":
        """Return what to try: scores wherever there are some, only where they are best anyway, and plain ones."""
        able = tuple(j for j, model in enumerate(models) if model.smooth is not None)
        best = tuple(j for j in able if models[j].best.kind in REAL_FAMILIES)
        choices = [_Choice(able, plain=False)]
        if best != able:
            choices.append(_Choice(best, plain=False))
        if any(models[j].smooth is not models[j].plain for j in able):
            choices.append(_Choice(able, plain=True))
        return choices


class _View(NamedTuple):
    """Rows as scores of some columns and codes of the others, and what their log-density is to be added to.

    ``left`` is what the best families say of the coded columns, for a copula; ``base`` and ``rest`` are the terms of
    the scores and of the codes that do not depend on a class.
    """

    choice: _Choice
    rows: Rows
    shares: _Array
    base: _Array
    rest: _Array
    left: _Array

    @classmethod
    def of(cls, models: Sequence[ColumnModel], values: _Array, choice: _Choice) -> "_View":
        n = len(values)
        base, rest, left = np.zeros(n), np.zeros(n), np.zeros(n)
        scores, coded, shares = np.empty((n, len(choice.columns))), [], []
        for j, model in enumerate(models):
            x = values[:, j]
            missing = np.isnan(x)
            seen = np.where(missing, 0.0, x)
            marginal = model.plain if choice.plain else model.smooth
            if j in choice.columns and marginal is not None and marginal.score is not None:
                t = marginal.score(seen)
                scores[:, choice.columns.index(j)] = np.where(missing, np.nan, t)
                density = marginal.log_density(seen) + 0.5 * t**2 + 0.5 * np.log(2 * np.pi)
                base += np.where(missing, 0.0, density)
            else:
                unit = sparse.csr_array(
                    (1.0 - missing, (np.arange(n), model.place(seen))), shape=(n, len(model.shares))
                )
                coded.append(unit)
                shares.append(model.shares)
                rest += np.where(missing, 0.0, model.rest(seen))
                left += model.log_density(x)
        codes = sparse.csr_array(sparse.hstack(coded)) if coded else sparse.csr_array((n, 0))
        return cls(choice, Rows(scores, codes), np.concatenate([*shares, np.empty(0)]), base, rest, left)


def _copula(train: _View, fit: npt.NDArray[np.int64], view: _View, at: npt.NDArray[np.int64]) -> _Array:
    """Fit a copula to some rows, and return the log-densities of others."""
    scores = train.rows.scores[fit]
    none = sparse.csr_array((len(scores), 0))
    gaussian = fit_classes(Rows(scores, none), np.empty(0), np.ones((len(scores), 1)))
    if len(scores) <= 2 * scores.shape[1]:
        from sklearn.covariance import ledoit_wolf

        covariance = ledoit_wolf(scores)[0] + 1e-6 * np.eye(scores.shape[1])
        factors = np.linalg.cholesky(covariance)[None]
        gaussian = ClassMixture(gaussian.log_weights, gaussian.means, factors, gaussian.log_shares)
    joined = gaussian.log_density(Rows(view.rows.scores[at], sparse.csr_array((len(at), 0))))
    return joined + view.base[at] + view.left[at]


def _with_classes(
    models: Sequence[ColumnModel],
    views: Sequence[_View],
    shown: Sequence[_View],
    facts: Sequence[ColumnFacts],
    inner: npt.NDArray[np.int64],
    outer: npt.NDArray[np.int64],
    seed: int,
) -> Iterator[_Named]:
    """Return the baseline with the classes of a column, where there is one, and that with latent classes."""
    known: list[tuple[float, int, int]] = []  # quality, view, column
    latent: list[tuple[float, int, int]] = []  # quality, view, number of classes
    for v, view in enumerate(views):
        train, test = view.rows.take(inner), view.rows.take(outer)
        rest = float((view.base + view.rest)[outer].mean())

        def quality(mixture: ClassMixture, test: Rows = test, rest: float = rest) -> float:
            return float(mixture.log_density(test).mean()) + rest

        for j in _category_columns(models) if view.choice.columns else ():
            members = _memberships(view, models, j)
            known.append((quality(fit_classes(train, view.shares, members[inner])), v, j))
        before = -np.inf
        for classes in (size for size in _CLASSES if size <= len(inner) // 10):
            found = quality(expectation_maximisation(train, view.shares, classes, seed, enough=_PROGRESS))
            latent.append((found, v, classes))
            if found < before:
                break
            before = found
    if known:
        _, v, j = max(known)
        mixture = fit_classes(views[v].rows, views[v].shares, _memberships(views[v], models, j))
        yield f"a Gaussian for each category of {facts[j].name or f'column {j}'}", _shown(mixture, shown[v])
    if latent:
        _, v, classes = max(latent)
        mixture = expectation_maximisation(views[v].rows, views[v].shares, classes, seed)
        yield f"{classes} latent classes", _shown(mixture, shown[v])


def _shown(mixture: ClassMixture, view: _View) -> _Array:
    return mixture.log_density(view.rows) + view.base + view.rest


def _category_columns(models: Sequence[ColumnModel]) -> list[int]:
    """Return the columns whose categories may be classes: those of the largest entropy first."""
    found = [j for j, m in enumerate(models) if 2 <= m.categories <= _MOST_CATEGORIES]
    found.sort(key=lambda j: float((models[j].shares * np.log(models[j].shares)).sum()))
    return found[:_MOST_CANDIDATES]


def _memberships(view: _View, models: Sequence[ColumnModel], column: int) -> _Array:
    """Return the category of each row in a column as unit vectors; a row without one belongs to all."""
    before = sum(len(m.shares) for j, m in enumerate(models[:column]) if j not in view.choice.columns)
    unit = view.rows.codes[:, before : before + len(models[column].shares)].toarray()
    return np.where(unit.any(1, keepdims=True), unit, models[column].shares)
