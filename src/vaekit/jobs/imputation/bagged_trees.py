"""Trees for a column with holes, each judged by rows that it has not seen.

Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006), by scikit-learn, on completed rows, as in missForest
(Stekhoven and Buehlmann, 2012). A part of the rows is left out of each bag, so that a cell can be judged by trees that
have not seen its row. A category is as many columns of zeros and ones as it has positions; the trees' mean is then a
probability, and the variance that they reduce is Gini's impurity.
"""

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from vaekit.jobs.imputation.tree_nodes import TreeNodes

__all__ = ["BaggedTrees"]

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

_TREES = 12  # of each bag


class BaggedTrees:
    """Trees that say what one column is given all others.

    Parameters
    ----------
    inputs
        ``(n, features)``: the other columns, completed.
    target
        ``(n, width)``: the values of the column.
    left_out
        ``(n,)``: the number of the bag that leaves out each row.
    bags
        The number of bags.
    seed
        Of the trees.
    """

    def __init__(self, inputs: Floats, target: Floats, left_out: Positions, *, bags: int, seed: int) -> None:
        self.width = target.shape[1]
        self.bags: list[ExtraTreesRegressor | TreeNodes] = []
        for bag in range(bags):
            rows = np.flatnonzero(left_out != bag)
            if len(rows) == 0:  # a column of very few values: those of all bags
                rows = np.arange(len(inputs))
            trees = ExtraTreesRegressor(_TREES, random_state=(seed + bag) % 2**32)
            self.bags.append(trees.fit(inputs[rows], target[rows, 0] if self.width == 1 else target[rows]))

    def to_parts(self) -> tuple[int, list[TreeNodes]]:
        """Return the width of the column, and the nodes of the trees of each bag."""
        return self.width, [bag if isinstance(bag, TreeNodes) else TreeNodes.of(bag) for bag in self.bags]

    @classmethod
    def from_parts(cls, parts: tuple[int, list[TreeNodes]]) -> "BaggedTrees":
        """Return trees that predict the same bits."""
        found = cls.__new__(cls)
        found.width, found.bags = parts[0], list[ExtraTreesRegressor | TreeNodes](parts[1])
        return found

    def predict(self, inputs: Floats) -> Floats:
        """Return the mean over all bags, ``(n, width)``, for rows ``(n, features)``."""
        x = np.ascontiguousarray(inputs, dtype=np.float32)
        return np.mean([self._mean(trees, x) for trees in self.bags], 0)

    def predict_left_out(self, inputs: Floats, left_out: Positions) -> Floats:
        """Return what the bag says that leaves a row out, ``(n, width)``.

        Parameters
        ----------
        inputs
            ``(n, features)``.
        left_out
            ``(n,)``: the number of that bag.
        """
        found = np.zeros((len(inputs), self.width))
        for bag in np.unique(left_out):
            mine = left_out == bag
            found[mine] = self._mean(self.bags[bag], np.ascontiguousarray(inputs[mine], dtype=np.float32))
        return found

    def _mean(self, trees: ExtraTreesRegressor | TreeNodes, x: npt.NDArray[np.float32]) -> Floats:
        """Return the mean of trees, ``(n, width)``, without the threads that scikit-learn sets up for it each time."""
        if isinstance(trees, TreeNodes):
            return trees.predict(x)
        total = np.zeros((len(x), self.width))
        for tree in trees.estimators_:
            total += tree.tree_.predict(x).reshape(total.shape)
        return total / len(trees.estimators_)
