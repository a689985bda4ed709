"""Other ways to fill in a table, and the holes that all of them get."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge

__all__ = [
    "RIVALS",
    "IterativeImputer",
    "categories",
    "chained_trees",
    "enable_iterative_imputer",  # makes IterativeImputer importable
    "hide",
    "read_options",
]

SHARE, SLOPE, TREES, ROUNDS = 0.3, 2.0, 50, 3

# By name scikit-learn's imputers of numbers, each made with a seed.
RIVALS: dict[str, Callable[[int], Any]] = {
    "mean": lambda seed: SimpleImputer(),
    "nearest": lambda seed: KNNImputer(n_neighbors=10),
    "ridge": lambda seed: IterativeImputer(BayesianRidge(), random_state=seed),
    "trees": lambda seed: IterativeImputer(
        ExtraTreesRegressor(TREES, random_state=seed), max_iter=5, tol=0, random_state=seed
    ),
}


def read_options(description: str | None) -> argparse.Namespace:
    """Read where the data lie, how many seeds to measure, and where results go, from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


def hide(x: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Return which cells are hidden."""
    random, columns = np.random.default_rng(seed), x.shape[1]
    if kind == "MCAR":
        return random.random(x.shape) < SHARE
    seen = random.permutation(columns)[: columns // 2]
    z = (x - x.mean(0)) / (x.std(0) + 1e-9)
    holes = np.zeros(x.shape, dtype=bool)
    for j in np.setdiff1d(np.arange(columns), seen):
        score = z[:, seen] @ random.normal(size=len(seen))
        score *= SLOPE / score.std()
        low, high = -20.0, 20.0
        for _ in range(60):  # the intercept that makes the mean chance what is asked
            middle = (low + high) / 2
            low, high = (
                (low, middle) if (1 / (1 + np.exp(-score - middle))).mean() > SHARE else (middle, high)
            )
        holes[:, j] = random.random(len(x)) < 1 / (1 + np.exp(-score - low))
    return holes


def categories(frame: pd.DataFrame) -> list[str]:
    """Return the names of columns of categories."""
    return [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]  # type: ignore[misc]


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
