"""Boosted trees of scikit-learn on columns of numbers and categories with holes, which judge a synthetic table."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BoostedTrees"]

Floats = npt.NDArray[np.float64]

_MOST_POSITIONS = 250  # of a column of categories for scikit-learn's trees; the rarer ones share the last


class BoostedTrees:
    """Histogram gradient boosting (as LightGBM; Ke et al. 2017), fitted.

    Parameters
    ----------
    x
        ``(n, columns)``: numbers, positions of categories with the most frequent first, NaN in a hole.
    y
        ``(n,)``: classes, or numbers.
    discrete
        ``(columns,)``: which columns are of categories.
    rounds
        Of boosting.
    numbers
        Whether y is of numbers.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [np.nan]] * 40)
    >>> trees = BoostedTrees(x, np.isnan(x[:, 0]), np.array([False]), rounds=20)
    >>> trees.classes.tolist(), trees.probabilities(x[:3])[:, 1].round().tolist()
    ([False, True], [0.0, 0.0, 1.0])
    """

    def __init__(
        self,
        x: Floats,
        y: npt.NDArray[Any],
        discrete: "npt.NDArray[np.bool_]",
        *,
        rounds: int,
        numbers: bool = False,
    ) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        self._discrete = discrete
        self._empty = np.isnan(x).all(0)  # scikit-learn finds no bins for a column without a value
        options: dict[str, Any] = {
            "max_iter": rounds,
            "categorical_features": discrete & ~self._empty,
            "early_stopping": False,
            "random_state": 0,
        }
        kind: Any = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
        self._trees = kind(**options).fit(self._prepared(x), y)

    def _prepared(self, x: Floats) -> Floats:
        x = x.copy()
        x[:, self._discrete] = np.minimum(x[:, self._discrete], _MOST_POSITIONS - 1)
        x[:, self._empty] = 0.0
        return x

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The classes, in the order of the probabilities."""
        return self._trees.classes_

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        """Return the class or the number of each row, ``(n,)``."""
        return self._trees.predict(self._prepared(x))

    def probabilities(self, x: Floats) -> Floats:
        """Return the probability of each class for each row, ``(n, classes)``."""
        return self._trees.predict_proba(self._prepared(x))

    def scores(self, x: Floats) -> Floats:
        """Return the log-odds of the second of two classes for each row, ``(n,)``."""
        return self._trees.decision_function(self._prepared(x))
