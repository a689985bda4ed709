"""Trees as arrays of nodes: to the last bit what scikit-learn says, and nothing that never ends."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from vaekit.errors import ArtifactError
from vaekit.jobs.imputation.bagged_trees import BaggedTrees
from vaekit.jobs.imputation.tree_nodes import TreeNodes


@pytest.mark.parametrize("width", [1, 4])
def test_predictions_are_those_of_scikit_learn_to_the_last_bit(width):
    random = np.random.default_rng(0)
    x = np.round(random.normal(size=(300, 5)), 1)  # many equal values, so that leaves have several rows
    y = random.normal(size=(300, width)) if width == 1 else np.eye(width)[random.integers(width, size=300)]
    forest = ExtraTreesRegressor(12, random_state=1).fit(x, y[:, 0] if width == 1 else y)
    new = np.concatenate([x, random.normal(size=(2000, 5)), 1e30 * random.normal(size=(20, 5))])
    assert TreeNodes.of(forest).predict(new).tobytes() == forest.predict(new).reshape(-1, width).tobytes()


def test_rows_at_a_threshold_and_one_float_beside_it_go_where_scikit_learn_sends_them():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 1)).astype(np.float32)
    forest = ExtraTreesRegressor(5, random_state=0).fit(x, x[:, 0].astype(np.float64))
    exact = np.concatenate([tree.tree_.threshold for tree in forest.estimators_])
    rounded = exact.astype(np.float32)
    assert (rounded > exact).any()
    near = np.concatenate(
        [rounded, np.nextafter(rounded, np.float32(9)), np.nextafter(rounded, np.float32(-9))]
    )
    rows = near[:, None].astype(np.float64)
    assert TreeNodes.of(forest).predict(rows).tobytes() == forest.predict(rows).tobytes()


def test_one_leaf_and_equal_rows():
    x, y = np.ones((4, 2)), np.full(4, 2.5)
    nodes = TreeNodes.of(ExtraTreesRegressor(3, random_state=0).fit(x, y))
    assert nodes.predict(x).tolist() == [[2.5]] * 4
    assert len(nodes.values) == 1


def test_bags_come_back_from_their_parts():
    random = np.random.default_rng(0)
    x, y, part = random.normal(size=(60, 3)), random.normal(size=(60, 1)), np.arange(60) % 3
    trees = BaggedTrees(x, y, part, bags=3, seed=0)
    again = BaggedTrees.from_parts(trees.to_parts())
    again = BaggedTrees.from_parts(again.to_parts())
    assert again.predict(x).tobytes() == trees.predict(x).tobytes()
    assert again.predict_left_out(x, part).tobytes() == trees.predict_left_out(x, part).tobytes()


@pytest.mark.parametrize(
    "where", ["circle", "beyond", "leaf beyond", "no leaf", "root", "lengths", "nothing"]
)
def test_nodes_that_are_no_trees_are_refused(where):
    x = np.random.default_rng(0).normal(size=(30, 2))
    nodes = TreeNodes.of(ExtraTreesRegressor(2, random_state=0).fit(x, x[:, 0]))
    other, feature = nodes.other.copy(), nodes.feature.copy()
    if where in ("circle", "beyond"):
        other[0] = 0 if where == "circle" else len(other)
    other[-1] = len(nodes.values) if where == "leaf beyond" else other[-1]
    feature[-1] = 0 if where == "no leaf" else feature[-1]
    roots = np.array([len(feature)]) if where == "root" else nodes.roots
    changed = {"other": other, "feature": feature[:-1] if where == "lengths" else feature, "roots": roots}
    if where == "nothing":
        changed = {"other": other[:0], "feature": feature[:0], "threshold": nodes.threshold[:0]}
    with pytest.raises(ArtifactError, match="do not lead to leaves"):
        replace(nodes, **changed)
