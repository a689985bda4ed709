"""Outliers in eight tables: AUROC and CPU seconds of vaekit's detector beside an isolation forest, kNN and ECOD.

    python benchmarks/tables/outliers.py --data-dir DIR --output benchmarks/tables/outliers.json

``DIR`` holds ADBench's ``.npz`` files, with arrays X and y. Every method sees all rows, outliers included, no
labels, and has the same settings for every table; larger tables are cut to 3,000 rows, the first ones of
``default_rng(0).permutation``. kNN and ECOD know no seed.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from vaekit import OutlierDetector

ROWS = 3000
Method = Callable[[np.ndarray, int], np.ndarray]


def detector(x: np.ndarray, seed: int) -> np.ndarray:
    """vaekit's detector: negative log-densities of rows by members that have not seen them."""
    return -OutlierDetector(false_alarm_rate=0.05, random_state=seed).fit(x).score_samples(x)


def forest(x: np.ndarray, seed: int) -> np.ndarray:
    """scikit-learn's isolation forest with its defaults."""
    return -IsolationForest(random_state=seed).fit(x).score_samples(x)


def nearest(x: np.ndarray, seed: int) -> np.ndarray:
    """Distance to the fifth neighbour, of standardised columns, as PyOD's KNN by default."""
    scaled = StandardScaler().fit_transform(x)
    return NearestNeighbors(n_neighbors=6).fit(scaled).kneighbors(scaled)[0][:, -1]


def ecod(x: np.ndarray, seed: int) -> np.ndarray:
    """Empirical cumulative distributions: Li et al. (2022), "ECOD", algorithm 1."""
    n = len(x)
    ascending = np.sort(x, axis=0)
    left, right = np.empty_like(x), np.empty_like(x)
    for j in range(x.shape[1]):
        left[:, j] = np.searchsorted(ascending[:, j], x[:, j], side="right") / n
        right[:, j] = 1 - np.searchsorted(ascending[:, j], x[:, j], side="left") / n
    centred = x - x.mean(0)
    skewness = (centred**3).mean(0) / np.maximum((centred**2).mean(0), 1e-300) ** 1.5
    tails = -np.log(left), -np.log(right)
    automatic = np.where(skewness < 0, tails[0], tails[1])
    return np.max([part.sum(1) for part in (*tails, automatic)], axis=0)


METHODS: dict[str, Method] = {"vaekit": detector, "isolation forest": forest, "kNN": nearest, "ECOD": ecod}


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm_up = np.random.default_rng(0).normal(size=(64, 3))
    for method in METHODS.values():
        method(warm_up, 0)
    tables = {}
    for path in sorted(options.data_dir.glob("*.npz")):
        with np.load(path) as file:
            x, y = file["X"].astype(np.float64), file["y"].astype(int)
        rows = np.random.default_rng(0).permutation(len(x))[:ROWS]
        tables[path.stem.split("_", 1)[-1]] = measure(x[rows], y[rows], options.seeds)
        print(
            path.stem,
            {name: found["mean"] for name, found in tables[path.stem.split("_", 1)[-1]]["methods"].items()},
            flush=True,
        )
    means = {
        name: round(float(np.mean([table["methods"][name]["mean"] for table in tables.values()])), 4)
        for name in METHODS
    }
    slowest = max(max(table["methods"]["vaekit"]["cpu_seconds"]) for table in tables.values())
    print("mean AUROC", means, f"slowest fit and score of vaekit: {slowest} CPU seconds")
    if options.output:
        versions = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": sklearn.__version__,
        }
        document = {
            "mean_auroc": means,
            "slowest_cpu_seconds": slowest,
            "tables": tables,
            "versions": versions,
        }
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def measure(x: np.ndarray, y: np.ndarray, seeds: int) -> dict:
    """Return AUROC and CPU seconds of all methods on one table."""
    methods = {}
    for name, method in METHODS.items():
        auroc, seconds = [], []
        for seed in range(seeds if name in ("vaekit", "isolation forest") else 1):
            start = time.process_time()
            score = method(x, seed)
            seconds.append(round(time.process_time() - start, 2))
            auroc.append(round(float(roc_auc_score(y, score)), 4))
        methods[name] = {"mean": round(float(np.mean(auroc)), 4), "auroc": auroc, "cpu_seconds": seconds}
    return {"rows": len(x), "columns": x.shape[1], "outliers": int(y.sum()), "methods": methods}


if __name__ == "__main__":
    main()
