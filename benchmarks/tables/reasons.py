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

from vaekit import OutlierDetector

CHANGED = 500
ROWS = {"adult": 15_000, "pendigits": 3_000}
NAMES = [
    *(
        "age",
        "workclass",
        "fnlwgt",
        "education",
        "education_num",
        "marital_status",
        "occupation",
        "relationship",
    ),
    *("race", "sex", "capital_gain", "capital_loss", "hours", "country", "income"),
]


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    document = {}
    for name, frame in read_tables(options.data_dir).items():
        each = [measure(frame, seed) for seed in range(options.seeds)]
        document[name] = {
            "rows": len(frame),
            "top_three": [round(found["top_three"], 3) for found in each],
            "first": [round(found["first"], 3) for found in each],
            "conditional_gaussian_top_three": [round(found["gaussian"], 3) for found in each],
            "cpu_seconds": [round(found["seconds"], 1) for found in each],
        }
        print(name, document[name], flush=True)
    if options.output:
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return Adult, and the good rows of pendigits."""
    adult = pd.read_csv(
        folder / "tables" / "adult.data", header=None, names=NAMES, skipinitialspace=True, na_values="?"
    )
    with np.load(folder / "outliers" / "28_pendigits.npz") as file:
        pendigits = pd.DataFrame(file["X"][file["y"] == 0]).add_prefix("x")
    tables = {"adult": adult, "pendigits": pendigits}
    return {
        name: frame.iloc[np.random.default_rng(0).permutation(len(frame))[: ROWS[name]]].reset_index(
            drop=True
        )
        for name, frame in tables.items()
    }


def measure(frame: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the shares of rows whose changed column is blamed first, and among the first three."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(frame))
    fitted, clean = frame.iloc[order[CHANGED:]], frame.iloc[order[:CHANGED]].reset_index(drop=True)
    changed, columns = replace_one_cell(clean, fitted, generator)
    start = time.process_time()
    detector = OutlierDetector(random_state=seed).fit(fitted)
    reasons = detector.explain(changed)
    seconds = time.process_time() - start
    blamed = [[reason.column for reason in each] for each in reasons]
    return {
        "top_three": float(np.mean([column in each for column, each in zip(columns, blamed, strict=True)])),
        "first": float(np.mean([column == each[0] for column, each in zip(columns, blamed, strict=True)])),
        "gaussian": conditional_gaussian(fitted, changed, columns),
        "seconds": seconds,
    }


def replace_one_cell(
    clean: pd.DataFrame, others: pd.DataFrame, generator: np.random.Generator
) -> tuple[pd.DataFrame, list[str]]:
    """Replace one value of each row by another row's, where neither is missing and they differ."""
    changed, columns = clean.copy(), []
    while len(columns) < len(clean):
        i, j = len(columns), int(generator.integers(clean.shape[1]))
        value = others.iat[int(generator.integers(len(others))), j]
        if pd.isna(value) or pd.isna(clean.iat[i, j]) or value == clean.iat[i, j]:
            continue
        changed.iat[i, j] = value
        columns.append(clean.columns[j])
    return changed, columns


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
