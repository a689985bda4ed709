r"""One column filled in by several ways at once, weighed by how well each fills in cells that it has not seen.

.. math:: \hat x_j = \sum_k w_k \hat x_{jk}, \qquad w_k \ge 0, \quad \sum_k w_k = 1

over the ways k: the networks, the nearest rows, trees, and the networks corrected by trees that are fitted to what they
miss. The weights have the least squared error on the column's observed cells, each hidden from whoever fills it in
(Wolpert, 1992, "Stacked Generalization"; Breiman, 1996, "Stacked Regressions"), and are drawn towards those
of all columns together. A category is as many columns of zeros and ones as it has positions.
"""

from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls
from sklearn.neighbors import NearestNeighbors

from vaekit.jobs.imputation.bagged_trees import BaggedTrees

__all__ = ["ColumnFiller", "simplex_least_squares", "stack_weights"]

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

_NEIGHBOURS = 10
_WEIGHT_OF_ALL = 100.0  # the weights of all columns count as so many cells of a column
_SUM = 1e3  # how strictly weights add up to one


@dataclass
class ColumnFiller:
    """The ways to fill in one column, and their weights.

    Parameters
    ----------
    rows
        ``(n,)``: the numbers of rows that have the column.
    inputs
        ``(n, features)``: their other columns, completed without this one.
    target
        ``(n, width)``: the column.
    by_networks
        ``(n, width)``: what networks expect of it that have not seen the row.
    part
        ``(n,)``: the part of the rows that each is in.
    parts
        The number of parts.
    with_trees
        Whether there are trees.
    seed
        Of the trees.
    """

    rows: Positions
    inputs: Floats
    target: Floats
    by_networks: Floats
    part: Positions
    _: KW_ONLY
    parts: int
    with_trees: bool
    seed: int
    trees: list[BaggedTrees] = field(init=False, default_factory=list)
    weight: Floats = field(init=False)
    held_out: Floats = field(
        init=False
    )  #: ``(ways, n, width)``: the column by each way, which has not seen the row.

    def __post_init__(self) -> None:
        ways = [self.by_networks, self._nearest(self.inputs, np.arange(len(self.inputs)))]
        if self.with_trees:
            for told, begin in _tasks(self.inputs, self.by_networks):
                trees = BaggedTrees(told, self.target - begin, self.part, bags=self.parts, seed=self.seed)
                self.trees.append(trees)
                ways.append(begin + trees.predict_left_out(told, self.part))
        self.held_out = np.stack(ways)
        self.weight = np.eye(len(ways))[0]

    def to_parts(self) -> tuple[Floats, Floats, list[BaggedTrees], Floats]:
        """Return what fills the column in: inputs, target, trees and weights; not what only their choice took."""
        return self.inputs, self.target, self.trees, self.weight

    @classmethod
    def from_parts(cls, parts: tuple[Floats, Floats, list[BaggedTrees], Floats]) -> "ColumnFiller":
        """Return a filler that fills in the same."""
        found = cls.__new__(cls)
        found.inputs, found.target, found.trees, found.weight = parts
        return found

    @cached_property
    def _search(self) -> NearestNeighbors:
        return NearestNeighbors().fit(self.inputs)

    @property
    def share_of_trees(self) -> float:
        """The weight of both kinds of trees."""
        return float(self.weight[2:].sum())

    def ways(self, inputs: Floats, by_networks: Floats) -> Floats:
        """Return what each way says, ``(ways, n, width)``.

        Parameters
        ----------
        inputs
            ``(n, features)``: the other columns of rows that lack this one, completed.
        by_networks
            ``(n, width)``: what the networks expect of it.
        """
        found = [by_networks, self._nearest(inputs, None)]
        for trees, (told, begin) in zip(self.trees, _tasks(inputs, by_networks), strict=False):
            found.append(begin + trees.predict(told))
        return np.stack(found)

    def blend(self, ways: Floats) -> Floats:
        """Return the weighed mean of the ways, ``(n, width)``; of a category, probabilities."""
        found = np.tensordot(self.weight, ways, 1)
        if found.shape[1] > 1:
            found = np.maximum(found, 1e-9)
            found /= found.sum(1, keepdims=True)
        return found

    def _nearest(self, inputs: Floats, own: Positions | None) -> Floats:
        """Return the mean of the nearest rows, each weighed by one over its distance, without the row itself."""
        most = len(self.inputs) - (own is not None)
        if most < 1:
            return np.tile(self.target.mean(0), (len(inputs), 1))
        asked = min(_NEIGHBOURS, most) + (own is not None)
        distance, near = self._search.kneighbors(inputs, asked)
        closeness = 1 / np.maximum(distance, 1e-6)
        if own is not None:
            itself = near == own[:, None]
            itself[~itself.any(1), -1] = True  # rows that are equal crowd it out
            closeness[itself] = 0
        return np.einsum("nk,nkw->nw", closeness, self.target[near]) / closeness.sum(1)[:, None]


def stack_weights(fillers: list[ColumnFiller]) -> None:
    """Choose the weights of the ways of each column, drawn towards the best ones of all of these columns."""
    products = [_products(filler.held_out, filler.target) for filler in fillers]
    cells = sum(len(filler.target) for filler in fillers)
    of_all = [np.sum([each[k] for each in products], 0) * (_WEIGHT_OF_ALL / max(cells, 1)) for k in range(2)]
    for filler, (square, with_target) in zip(fillers, products, strict=True):
        filler.weight = simplex_least_squares(square + of_all[0], with_target + of_all[1])


def simplex_least_squares(square: Floats, with_target: Floats) -> Floats:
    r"""Return the weights w of least :math:`w^\top S w - 2 w^\top t` that are not negative and add up to one.

    Parameters
    ----------
    square
        :math:`S = A^\top A`, ``(ways, ways)``.
    with_target
        :math:`t = A^\top y`, ``(ways,)``.

    Examples
    --------
    >>> guesses, truth = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([0.75, 0.25, 1.0])
    >>> simplex_least_squares(guesses.T @ guesses, guesses.T @ truth).round(3).tolist()
    [0.75, 0.25]
    """
    scale = max(float(square.diagonal().mean()), 1e-12)
    root = cholesky(square / scale + 1e-9 * np.eye(len(square)))
    left = np.concatenate([root, np.full((1, len(root)), _SUM)])
    right = np.append(solve_triangular(root.T, with_target / scale, lower=True), _SUM)
    weight = nnls(left, right)[0]
    return weight / weight.sum()


def _tasks(inputs: Floats, by_networks: Floats) -> list[tuple[Floats, Floats]]:
    """Return what each kind of trees sees, and what it begins at: nothing, or what the networks expect."""
    return [
        (inputs, np.zeros_like(by_networks)),
        (np.concatenate([inputs, by_networks], 1), by_networks),
    ]


def _products(ways: Floats, target: Floats) -> tuple[Floats, Floats]:
    flat = ways.reshape(len(ways), -1)
    return flat @ flat.T, flat @ target.reshape(-1)
