"""Imputation of six tables with 30 % of holes: errors and coverage of vaekit's imputer beside four others.

    python benchmarks/tables/imputation.py --data-dir DIR --output benchmarks/tables/imputation.json

Breast cancer, wine and diabetes are scikit-learn's; ``DIR`` holds ADBench's ``40_vowels.npz``, ``28_pendigits.npz`` and
``30_satellite.npz``, each cut to 1,500 rows, the first ones of ``default_rng(0).permutation``. Holes come in two kinds:
MCAR, each cell with a chance of 30 %; MAR, half of the columns always seen, and each other one missing with 30 % on
average, by a logistic of slope 2 in a random direction of the seen ones. Everyone sees columns standardised by their
observed cells, all rows, and no parameter is changed between tables. The error is the root mean square over the holes,
in standard deviations of the whole column; the ratio is to the best of the others on that table. Rows are written as
they come, and those that the output already holds are not measured again; ``--seeds 0`` measures no more of them.

Then breast cancer with the mask of Ipsen et al. (2021), "not-MIWAE": in the first half of the columns all values above
the mean are missing. They report .72 for not-MIWAE.
"""

import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sklearn
import torch
from imputation_rivals import RIVALS, hide, read_options
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from vaekit import Imputer

ROWS = 1500


def main() -> None:
    """Measure what is not there yet, print it, and write the results."""
    options = read_options(__doc__)
    torch.set_num_threads(1)
    rows = json.loads(options.output.read_text())["tables"] if options.output.exists() else []
    done = {(row["table"], row["holes"], row["seed"]) for row in rows}
    whole = read_tables(options.data_dir)
    for seed in range(options.seeds):
        for kind in ("MCAR", "MAR"):
            for name, table in whole.items():
                if (name, kind, seed) in done:
                    continue
                found = measure(table, hide(table, kind, seed), seed)
                rows.append({"table": name, "holes": kind, "seed": seed, **found})
                print(rows[-1], flush=True)
                options.output.write_text(json.dumps(document(rows), indent=1) + "\n")
    found = document(rows) | {
        "breast_cancer_missing_above_the_mean": missing_not_at_random(whole["breast cancer"])
    }
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(found["breast_cancer_missing_above_the_mean"])


def missing_not_at_random(x: np.ndarray) -> dict:
    """Return errors where all values above the mean are missing in half of the columns."""
    x = (x - x.mean(0)) / x.std(0)
    holes = np.zeros(x.shape, dtype=bool)
    holes[:, : x.shape[1] // 2] = x[:, : x.shape[1] // 2] > 0
    given = np.where(holes, np.nan, x)
    ways = {
        "mean": RIVALS["mean"](0),
        "ridge": RIVALS["ridge"](0),
        **{f"vaekit, mnar='self', seed {seed}": Imputer(mnar="self", random_state=seed) for seed in range(3)},
    }
    errors = {
        name: round(float(np.sqrt(np.square(way.fit_transform(given) - x)[holes].mean())), 4)
        for name, way in ways.items()
    }
    low, high = Imputer(mnar="self").fit(given).interval(given)
    return errors | {"coverage_of_90": round(float(((low <= x) & (x <= high))[holes].mean()), 3)}


def read_tables(folder: Path) -> dict[str, np.ndarray]:
    """Return the six tables."""
    tables = {
        "wine": load_wine().data,
        "diabetes": load_diabetes().data,
        "breast cancer": load_breast_cancer().data,
    }
    for name in ("40_vowels", "28_pendigits", "30_satellite"):
        with np.load(folder / f"{name}.npz") as file:
            x = file["X"].astype(np.float64)
        tables[name.split("_")[1]] = x[np.random.default_rng(0).permutation(len(x))[:ROWS]]
    return tables


def measure(truth: np.ndarray, holes: np.ndarray, seed: int) -> dict:
    """Return errors, coverage of 90 % intervals, and CPU seconds on one table with holes."""
    x = np.where(holes, np.nan, truth)
    mean, deviation = np.nanmean(x, 0), np.nanstd(x, 0) + 1e-12
    x, truth = (x - mean) / deviation, (truth - mean) / deviation
    unit = truth.std(0) + 1e-12

    def error(filled: np.ndarray) -> float:
        return round(float(np.sqrt(np.square((filled - truth) / unit)[holes].mean())), 4)

    found = {}
    for name, make in RIVALS.items():
        found[name] = error(make(seed).fit_transform(x))
    best = min(found.values())
    start = time.process_time()
    imputer = Imputer(random_state=seed).fit(x)
    found["vaekit"] = error(imputer.transform(x))
    seconds = time.process_time() - start
    low, high = imputer.interval(x, level=0.9)
    return {
        **found,
        "ratio_to_best": round(found["vaekit"] / best, 3),
        "coverage_of_90": round(float(((low <= truth) & (truth <= high))[holes].mean()), 3),
        "cpu_seconds": round(seconds, 1),
    }


def document(rows: list[dict]) -> dict:
    """Return the results with their summary."""
    ratios = np.array([row["ratio_to_best"] for row in rows])
    return {
        "measured": f"{len(rows)} of 36 (six tables, two kinds of holes, three seeds)",
        "mean_ratio_to_best": round(float(ratios.mean()), 3),
        "largest_ratio_to_best": float(ratios.max()),
        "mean_coverage_of_90": round(float(np.mean([row["coverage_of_90"] for row in rows])), 3),
        "tables": rows,
        "machine": f"{platform.machine()}, one thread, shared with other work",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": sklearn.__version__,
        },
        "date": datetime.now(UTC).date().isoformat(),
    }


if __name__ == "__main__":
    main()
