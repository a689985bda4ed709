"""Usefulness of a synthetic table: how well trees that are trained on it predict a column of real rows.

Train on synthetic, test on real (Esteban, Hyland and Raetsch, "Real-valued (Medical) Time Series Generation with
Recurrent Conditional GANs", 2017), with scikit-learn's histogram gradient boosting.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, r2_score, roc_auc_score
from threadpoolctl import threadpool_limits

from vaekit.jobs.comparison.boosted_trees import BoostedTrees
from vaekit.jobs.comparison.compared_tables import ComparedColumn

__all__ = ["Utility", "trained_and_tested"]

Floats = npt.NDArray[np.float64]

_FEWEST = 20  # rows with a target to train on
_MOST_CLASSES = 10
_ROUNDS = 100


class Utility(NamedTuple):
    """The scores of trees on real rows that they have not seen.

    Parameters
    ----------
    auroc
        Of classes: of the rarer of two, or the mean over classes, each against the others; None for numbers.
    f1
        Of classes: of the rarer of two, or the mean over classes; None for numbers.
    r_squared
        Of numbers; None for classes.
    """

    auroc: float | None = None
    f1: float | None = None
    r_squared: float | None = None


@threadpool_limits.wrap(limits=1)  # threads that wait for one another are slow on a busy machine
def trained_and_tested(
    rows: Floats, tested: Floats, columns: tuple[ComparedColumn, ...], target: int, *, rounds: int = _ROUNDS
) -> Utility | str:
    """Return the scores of trees that are trained on some rows and tested on others.

    Parameters
    ----------
    rows, tested
        ``(n, columns)`` and ``(m, columns)``.
    columns
        The columns.
    target
        The position of the column to predict: one of categories gives classes (the ten most frequent; the others are
        one), and so does one of numbers with at most two values; other numbers are predicted as numbers.
    rounds
        Of boosting.

    Returns
    -------
    Utility
        The scores.
    str
        In words, why there are none.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(600, 2))
    >>> x[:, 1] += 3 * x[:, 0]
    >>> columns = (ComparedColumn("a"), ComparedColumn("b"))
    >>> trained_and_tested(x[:400], x[400:], columns, 1).r_squared > 0.8
    True
    >>> trained_and_tested(x[:4], x[400:], columns, 1)
    'only 4 rows with a value to train on; at least 20 are needed'
    """
    fitted, asked = (x[~np.isnan(x[:, target])] for x in (rows, tested))
    if len(fitted) < _FEWEST:
        return f"only {len(fitted)} rows with a value to train on; at least {_FEWEST} are needed"
    if len(asked) < _FEWEST:
        return f"only {len(asked)} rows with a value to test on; at least {_FEWEST} are needed"
    if len(columns) < 2:
        return "there is no other column to predict it from"
    discrete = np.array([column.discrete for column in columns], dtype=bool)
    others = np.arange(len(columns)) != target
    x, tested_x, y, wanted = fitted[:, others], asked[:, others], fitted[:, target], asked[:, target]
    if not discrete[target] and len(np.unique(wanted)) > 2:
        trees = BoostedTrees(x, y, discrete[others], rounds=rounds, numbers=True)
        return Utility(r_squared=float(r2_score(wanted, trees.predict(tested_x))))
    if discrete[target]:
        y, wanted = (np.minimum(values, _MOST_CLASSES) for values in (y, wanted))
    classes, counts = np.unique(wanted, return_counts=True)
    if len(classes) < 2:
        return "the rows to test on have one class"
    if len(np.unique(y)) < 2:
        return "the rows to train on have one class"
    trees = BoostedTrees(x, y, discrete[others], rounds=rounds)
    given, guessed = trees.probabilities(tested_x), trees.predict(tested_x)
    known = {label: k for k, label in enumerate(trees.classes.tolist())}
    probability = np.zeros((len(asked), len(classes)))
    for k, label in enumerate(classes.tolist()):
        if label in known:
            probability[:, k] = given[:, known[label]]
    if len(classes) == 2:
        rarer = int(counts.argmin())
        is_it = wanted == classes[rarer]
        return Utility(
            auroc=float(roc_auc_score(is_it, probability[:, rarer])),
            f1=float(f1_score(is_it, guessed == classes[rarer])),
        )
    each = [
        float(roc_auc_score(wanted == label, probability[:, k])) for k, label in enumerate(classes.tolist())
    ]
    return Utility(
        auroc=float(np.mean(each)), f1=float(f1_score(wanted, guessed, labels=classes, average="macro"))
    )
