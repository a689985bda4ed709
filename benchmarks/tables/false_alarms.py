"""Rates of false alarms on rows that are good: asked for, and found.

    python benchmarks/tables/false_alarms.py --data-dir DIR --output benchmarks/tables/false_alarms.json

The detector is fitted to half of the good rows of each of ADBench's tables, and tests the other half, for some seeds of
the halves. Found rates are averaged over seeds, and set beside 1.96 standard errors of a binomial, of the calibration's
rows and the tested ones together: seeds share their rows, so that more of them make the interval no narrower. Plain
quantile: the line is drawn at a quantile of the scores that every member gives the rows it was trained on.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from vaekit import OutlierDetector
from vaekit.data import from_object

ROWS = 3000
RATES = (0.01, 0.05, 0.1)


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables, inside = {}, 0
    for path in sorted(options.data_dir.glob("*.npz")):
        with np.load(path) as file:
            good = file["X"][file["y"] == 0].astype(np.float64)
        good = good[np.random.default_rng(0).permutation(len(good))[:ROWS]]
        n, m = len(good) // 2, len(good) - len(good) // 2
        found = np.array([measure(good, n, seed) for seed in range(options.seeds)])
        error = [1.96 * float(np.sqrt(rate * (1 - rate) * (1 / n + 1 / m))) for rate in RATES]
        conformal, plain = found[:, 0].mean(0), found[:, 1].mean(0)
        inside += int((np.abs(conformal - RATES) <= error).sum())
        name = path.stem.split("_", 1)[-1]
        tables[name] = {"fitted": n, "tested": m} | {
            f"{rate:g}": {
                "found": round(float(conformal[k]), 4),
                "plain_quantile": round(float(plain[k]), 4),
                "binomial_error": round(error[k], 4),
                "seeds": found[:, 0, k].round(4).tolist(),
            }
            for k, rate in enumerate(RATES)
        }
        print(name, n, conformal.round(4), "error", np.round(error, 4), "plain", plain.round(4), flush=True)
    print(f"{inside} of {len(tables) * len(RATES)} within the error")
    if options.output:
        document = {"rates": RATES, "within_error": inside, "tables": tables}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def measure(good: np.ndarray, n: int, seed: int) -> tuple[list[float], list[float]]:
    """Return the rates that are found with p-values, and with quantiles of scores in training."""
    order = np.random.default_rng(seed).permutation(len(good))
    fitted, tested = good[order[:n]], good[order[n:]]
    detector = OutlierDetector(false_alarm_rate=0.1, random_state=seed).fit(fitted)
    p = detector.p_values(tested)
    members = detector.members_
    rows = detector.coding_.code(from_object(fitted), what="fitted")
    trained = ~members.halves.unseen()
    seen = (members.surprise_of_each(rows) * trained).sum(0) / trained.sum(0)
    surprise = -detector.score_samples(tested)
    return (
        [float((p <= rate).mean()) for rate in RATES],
        [float((surprise > np.quantile(seen, 1 - rate)).mean()) for rate in RATES],
    )


if __name__ == "__main__":
    main()
