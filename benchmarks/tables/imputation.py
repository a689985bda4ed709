"""Imputation of six tables with 30 % of holes: errors and coverage of vaekit's imputer beside five others.

    python3 -m venv /tmp/peers/hyperimpute
    /tmp/peers/hyperimpute/bin/pip install torch hyperimpute "pandas<3" "scikit-learn<1.7"
    python benchmarks/tables/imputation.py --data-dir DIR --peers /tmp/peers/hyperimpute/bin/python \\
        --output benchmarks/tables/imputation.json

Breast cancer, wine and diabetes are scikit-learn's; ``DIR`` holds ADBench's ``40_vowels.npz``, ``28_pendigits.npz`` and
``30_satellite.npz``, each cut to 1,500 rows, the first ones of ``default_rng(0).permutation``. Holes come in two kinds:
MCAR, each cell with a chance of 30 %; MAR, half of the columns always seen, and each other one missing with 30 % on
average, by a logistic of slope 2 in a random direction of the seen ones. Everyone sees columns standardised by their
observed cells, all rows, and no parameter is changed between tables. The error is the root mean square over the holes,
in standard deviations of the whole column; the ratio is to the best of the others on that table. Rows are written as
they come, and those that the output already holds are not measured again; ``--seeds 0`` measures no more of them.
``--peers`` adds HyperImpute, in its own environment, to the rows that lack it.

Then breast cancer with the mask of Ipsen et al. (2021), "not-MIWAE": in the first half of the columns all values above
the mean are missing. They report .72 for not-MIWAE.
"""

import argparse
import json
import platform
import time
from datetime import UTC, datetime

import numpy as np
import sklearn
import torch
from imputation_rivals import RIVALS, read_options
from peer_process import ask_peer

from vaekit import Imputer
from vaekit.reproductions.tables.filled_holes import (
    HIDDEN_TABLES,
    coverage,
    read_whole,
    root_mean_square,
    standardised_by_seen,
    standardised_not_at_random,
)
from vaekit.reproductions.tables.hidden_cells import hide


def main() -> None:
    """Measure what is not there yet, print it, and write the results."""
    options = read_options(__doc__, peers="Python of an environment with HyperImpute")
    torch.set_num_threads(1)
    rows = json.loads(options.output.read_text())["tables"] if options.output.exists() else []
    done = {(row["table"], row["holes"], row["seed"]) for row in rows}
    whole = {name: read_whole(options.data_dir, name) for name in HIDDEN_TABLES}
    for seed in range(options.seeds):
        for kind in ("MCAR", "MAR"):
            for name, table in whole.items():
                if (name, kind, seed) in done:
                    continue
                found = measure(table, hide(table, kind, seed), seed)
                rows.append({"table": name, "holes": kind, "seed": seed, **found})
                print(rows[-1], flush=True)
                options.output.write_text(json.dumps(document(rows), indent=1) + "\n")
    if options.peers:
        add_peer(rows, whole, options)
    found = document(rows) | {
        "breast_cancer_missing_above_the_mean": missing_not_at_random(whole["breast cancer"])
    }
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(found["breast_cancer_missing_above_the_mean"])


def missing_not_at_random(x: np.ndarray) -> dict:
    """Return errors where all values above the mean are missing in half of the columns."""
    given, x, holes = standardised_not_at_random(x)
    ways = {
        "mean": RIVALS["mean"](0),
        "ridge": RIVALS["ridge"](0),
        **{f"vaekit, mnar='self', seed {seed}": Imputer(mnar="self", random_state=seed) for seed in range(3)},
    }
    errors = {
        name: round(root_mean_square(way.fit_transform(given), x, holes), 4) for name, way in ways.items()
    }
    intervals = Imputer(mnar="self").fit(given).interval(given)
    return errors | {"coverage_of_90": round(coverage(intervals, x, holes), 3)}


def measure(truth: np.ndarray, holes: np.ndarray, seed: int) -> dict:
    """Return errors, coverage of 90 % intervals, and CPU seconds on one table with holes."""
    x, truth = standardised_by_seen(truth, holes)

    def error(filled: np.ndarray) -> float:
        return round(root_mean_square(filled, truth, holes), 4)

    found = {}
    for name, make in RIVALS.items():
        found[name] = error(make(seed).fit_transform(x))
    start = time.process_time()
    imputer = Imputer(random_state=seed).fit(x)
    found["vaekit"] = error(imputer.transform(x))
    seconds = time.process_time() - start
    return {
        **found,
        "ratio_to_best": ratio_to_best(found),
        "coverage_of_90": round(coverage(imputer.interval(x, level=0.9), truth, holes), 3),
        "cpu_seconds": round(seconds, 1),
    }


def ratio_to_best(errors: dict) -> float:
    """Return vaekit's error over the smallest of the others."""
    others = [errors[name] for name in (*RIVALS, "hyperimpute") if name in errors]
    return round(errors["vaekit"] / min(others), 3)


def add_peer(rows: list[dict], whole: dict[str, np.ndarray], options: argparse.Namespace) -> None:
    """Add HyperImpute's error to the rows that lack it, and write the results as they come."""
    for row in rows:
        if "hyperimpute" in row:
            continue
        table = whole[row["table"]]
        holes = hide(table, row["holes"], row["seed"])
        x, truth = standardised_by_seen(table, holes)
        filled, _ = ask_peer(options.peers, "imputation_peers.py", x, row["seed"])
        row["hyperimpute"] = round(root_mean_square(filled, truth, holes), 4)
        row["ratio_to_best"] = ratio_to_best(row)
        print(row, flush=True)
        options.output.write_text(json.dumps(document(rows), indent=1) + "\n")


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
