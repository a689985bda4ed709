"""The value to blame: one cell of a clean row is replaced by another row's, and is looked for among the top three.

    python benchmarks/tables/reasons.py --data-dir DIR --output benchmarks/tables/reasons.json

``DIR`` holds ``tables/adult.data`` and ``outliers/28_pendigits.npz``. The detector is fitted to other rows than the 500
that are changed; a replacement differs from the value it replaces. The conditional Gaussian ranks columns by the size
of x_j's standardised residual given the others under one normal distribution; categories are one-hot there, and a
column counts by its largest residual.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vaekit.reproductions.tables.changed_cells import (
    CHANGED_TABLES,
    blamed_columns,
    change_cells,
    read_clean,
    shares_blamed,
)


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    document = {}
    for name in CHANGED_TABLES:
        frame = read_clean(options.data_dir, name)
        each = [measure(frame, seed) for seed in range(options.seeds)]
        document[name] = {
            "rows": len(frame),
            "top_three": [round(found["top three"], 3) for found in each],
            "first": [round(found["first"], 3) for found in each],
            "conditional_gaussian_top_three": [round(found["gaussian"], 3) for found in each],
            "cpu_seconds": [round(found["seconds"], 1) for found in each],
        }
        print(name, document[name], flush=True)
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def measure(frame: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the shares of rows whose changed column is blamed first, and among the first three."""
    fitted, changed, columns = change_cells(frame, seed)
    start = time.process_time()
    blamed = blamed_columns(fitted, changed, seed)
    seconds = time.process_time() - start
    return {
        **shares_blamed(blamed, columns),
        "gaussian": conditional_gaussian(fitted, changed, columns),
        "seconds": seconds,
    }


def conditional_gaussian(fitted: pd.DataFrame, changed: pd.DataFrame, columns: list[str]) -> float:
    """Return the share of rows whose changed column is among the three largest residuals of one Gaussian."""
    both = pd.get_dummies(pd.concat([fitted, changed]), prefix_sep="\t").astype(float)
    both = both.fillna(both.mean())
    both = (both - both.mean()) / both.std().replace(0, 1)
    owner = np.array([name.split("\t")[0] for name in both.columns])
    x, new = both.to_numpy()[: len(fitted)], both.to_numpy()[len(fitted) :]
    precision = np.linalg.inv(np.cov(x.T) + 1e-3 * np.eye(x.shape[1]))
    residual = np.abs((new - x.mean(0)) @ precision) / np.sqrt(np.diag(precision))
    names = list(fitted.columns)
    largest = np.stack([residual[:, owner == name].max(1) for name in names], axis=1)
    top = np.argsort(-largest, axis=1)[:, :3]
    return float(np.mean([names.index(column) in each for column, each in zip(columns, top, strict=True)]))


if __name__ == "__main__":
    main()
