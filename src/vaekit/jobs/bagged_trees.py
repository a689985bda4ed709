"""Trees for every column with holes, each judged by rows that it has not seen: what an imputation has to beat.

Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006), by scikit-learn, on completed rows, as in missForest
(Stekhoven and Buehlmann, 2012): but only once, since the rows have been completed well before. A part of the rows is
left out of each bag, so that a re-hidden cell is judged by trees that have not seen its row.
"""

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

__all__ = ["BaggedTrees"]

Floats = npt.NDArray[np.float64]

_TREES = 25  # of each bag
_MOST_ROWS = 5000  # that a bag is fitted to


class BaggedTrees:
    """Trees that say what one column is given all others.

    Parameters
    ----------
    inputs
        ``(n, features)``: the other columns, completed.
    target
        ``(n,)``: the values of the column, or positions of categories; NaN in a hole.
    left_out
        ``(bags, n)``: the rows that each bag leaves out.
    positions
        The number of positions where the column is one of categories; 0 for a column of numbers.
    seed
        Of the trees.
    """

    def __init__(
        self,
        inputs: Floats,
        target: Floats,
        left_out: "npt.NDArray[np.bool_]",
        *,
        positions: int,
        seed: int,
    ) -> None:
        self.positions = positions
        self.bags: list[ExtraTreesRegressor | ExtraTreesClassifier] = []
        known = ~np.isnan(target)
        for bag, without in enumerate(left_out):
            rows = np.flatnonzero(known & ~without)
            if len(rows) == 0:  # a column of very few values: those of all bags
                rows = np.flatnonzero(known)
            rows = np.random.default_rng([seed, bag]).permutation(rows)[:_MOST_ROWS]
            kind = ExtraTreesClassifier if positions else ExtraTreesRegressor
            trees = kind(_TREES, random_state=(seed + bag) % 2**32)
            wanted = target[rows].astype(np.int64) if positions else target[rows]
            self.bags.append(trees.fit(inputs[rows], wanted))

    def predict(self, inputs: Floats, counts: "npt.NDArray[np.bool_] | None" = None) -> Floats:
        """Return means ``(n,)``, or probabilities ``(n, positions)``.

        Parameters
        ----------
        inputs
            ``(n, features)``.
        counts
            ``(bags, n)``: which bags are asked about which row; all if left out.
        """
        total = np.zeros((len(inputs), max(1, self.positions)))
        asked = np.zeros((len(inputs), 1))
        for bag, trees in enumerate(self.bags):
            rows = np.arange(len(inputs)) if counts is None else np.flatnonzero(counts[bag])
            if len(rows) == 0:
                continue
            if isinstance(trees, ExtraTreesClassifier):
                found = np.zeros((len(rows), self.positions))
                found[:, trees.classes_] = trees.predict_proba(inputs[rows])
            else:
                found = trees.predict(inputs[rows])[:, None]
            total[rows] += found
            asked[rows] += 1
        mean = total / np.maximum(asked, 1)
        return mean if self.positions else mean[:, 0]
