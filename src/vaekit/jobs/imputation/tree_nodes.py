r"""Trees of scikit-learn as arrays of their nodes, which any version of it and any other program can read.

Nodes stand in the order in which scikit-learn grows them, depth first, so that the left child of node i is node i + 1.
It compares a 32-bit float x with a 64-bit threshold t, and :math:`x \le t` is the same as :math:`x \le t'` with the
largest 32-bit float :math:`t' \le t`. What is predicted is therefore the same to the last bit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor

from vaekit.errors import ArtifactError

__all__ = ["TreeNodes"]

Floats = npt.NDArray[np.float64]

_LEAF = -1


@dataclass(frozen=True)
class TreeNodes:
    """Trees whose mean is a prediction.

    Parameters
    ----------
    roots
        ``(trees,)``: the first node of each tree.
    feature
        ``(nodes,)``: the feature that a node asks for, -1 in a leaf.
    threshold
        ``(nodes,)``: up to which a row goes to the left.
    other
        ``(nodes,)``: the right child; of a leaf its place among the values.
    values
        ``(different leaves, width)``.

    Raises
    ------
    ArtifactError
        For nodes that are no trees.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> forest = ExtraTreesRegressor(3, random_state=0).fit(x, x[:, 0])
    >>> bool((TreeNodes.of(forest).predict(x)[:, 0] == forest.predict(x)).all())
    True
    """

    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float32]
    other: npt.NDArray[np.int32]
    values: Floats

    def __post_init__(self) -> None:
        inner, place = self.feature >= 0, np.arange(len(self.feature))
        ends = np.where(inner, len(self.feature), len(self.values))
        if (
            len({len(self.feature), len(self.threshold), len(self.other)}) != 1
            or (self.other >= ends).any()
            # every way leads onwards, and so to a leaf
            or (self.other < np.where(inner, place + 1, 0)).any()
            or not inner.size
            or inner[-1]
            or (self.roots < 0).any()
            or (self.roots >= len(self.feature)).any()
        ):
            raise ArtifactError("trees whose nodes do not lead to leaves; was the file edited?")

    @classmethod
    def of(cls, forest: ExtraTreesRegressor) -> "TreeNodes":
        """Take the nodes of fitted trees that all have seen numbers without holes."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        counts = np.array([tree.node_count for tree in trees])
        roots = np.concatenate([[0], counts.cumsum()[:-1]])
        inner = np.concatenate([tree.children_left for tree in trees]) != _LEAF
        asked = np.concatenate([tree.feature for tree in trees])
        exact = np.concatenate([tree.threshold for tree in trees])
        rounded = exact.astype(np.float32)
        below = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)
        right = np.concatenate([tree.children_right for tree in trees]) + np.repeat(roots, counts)
        leaves = np.concatenate([tree.value[:, :, 0] for tree in trees])[~inner]
        values, which = np.unique(leaves, axis=0, return_inverse=True)
        right[~inner] = which.reshape(-1)
        return cls(
            roots,
            np.where(inner, asked, _LEAF).astype(np.int32),
            np.where(inner, below, 0).astype(np.float32),
            right.astype(np.int32),
            values,
        )

    def predict(self, inputs: Floats | npt.NDArray[np.float32]) -> Floats:
        """Return the mean over the trees, ``(n, width)``, for rows ``(n, features)``."""
        x = np.asarray(inputs, dtype=np.float32)
        total = np.zeros((len(x), self.values.shape[1]))
        for root in self.roots:
            total += self.values[self.other[self._leaves(x, root)]]
        return total / len(self.roots)

    def _leaves(self, x: npt.NDArray[np.float32], root: int) -> npt.NDArray[np.int64]:
        """Return the leaf that each row falls into."""
        node, rows = np.full(len(x), root, dtype=np.int64), np.arange(len(x))
        rows = rows[self.feature[node] >= 0]
        while len(rows):
            here = node[rows]
            left = x[rows, self.feature[here]] <= self.threshold[here]
            node[rows] = np.where(left, here + 1, self.other[here])
            rows = rows[self.feature[node[rows]] >= 0]
        return node
