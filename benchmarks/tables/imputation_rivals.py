"""Other ways to fill in a table."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge

from vaekit.reproductions.tables.hidden_categories import categories

__all__ = [
    "RIVALS",
    "IterativeImputer",
    "chained_trees",
    "enable_iterative_imputer",  # makes IterativeImputer importable
    "read_options",
]

TREES, ROUNDS = 50, 3

# By name scikit-learn's imputers of numbers, each made with a seed.
RIVALS: dict[str, Callable[[int], Any]] = {
    "mean": lambda seed: SimpleImputer(),
    "nearest": lambda seed: KNNImputer(n_neighbors=10),
    "ridge": lambda seed: IterativeImputer(BayesianRidge(), random_state=seed),
    "trees": lambda seed: IterativeImputer(
        ExtraTreesRegressor(TREES, random_state=seed), max_iter=5, tol=0, random_state=seed
    ),
}


def read_options(description: str | None, *, peers: str | None = None) -> argparse.Namespace:
    """Read where the data lie, how many seeds to measure, and where results go, from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    if peers is not None:
        parser.add_argument("--peers", type=Path, help=peers)
    return parser.parse_args()


def chained_trees(given: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the table filled in by chained trees."""
    texts, filled = categories(given), given.copy()
    for name in given:
        column = given[name]
        filled[name] = column.fillna(column.value_counts().index[0] if name in texts else column.mean())
    for _ in range(ROUNDS):
        for name in given:
            holes = given[name].isna()
            others = pd.get_dummies(filled.drop(columns=name)).to_numpy(dtype=float)
            kind = ExtraTreesClassifier if name in texts else ExtraTreesRegressor
            trees = kind(TREES, random_state=seed).fit(others[~holes], filled[name][~holes])
            filled.loc[holes, name] = trees.predict(others[holes])
    return filled
