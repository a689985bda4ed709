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

from vaekit.data import from_object
from vaekit.reproductions.tables.false_alarm_rates import (
    RATES,
    binomial_error,
    fit_to_half,
    found_rates,
    good_rows,
)
from vaekit.reproductions.tables.ranked_outliers import OUTLIER_SETS


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables, inside = {}, 0
    for name, file in OUTLIER_SETS.items():
        good = good_rows(options.data_dir, file)
        n, m = len(good) // 2, len(good) - len(good) // 2
        found = np.array([measure(good, seed) for seed in range(options.seeds)])
        error = [binomial_error(rate, len(good)) for rate in RATES]
        conformal, plain = found[:, 0].mean(0), found[:, 1].mean(0)
        inside += int((np.abs(conformal - RATES) <= error).sum())
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


def measure(good: np.ndarray, seed: int) -> tuple[list[float], list[float]]:
    """Return the rates that are found with p-values, and with quantiles of scores in training."""
    detector, fitted, tested = fit_to_half(good, seed)
    members = detector.members_
    rows = detector.coding_.code(from_object(fitted), what="fitted")
    trained = ~members.halves.unseen()
    seen = (members.surprise_of_each(rows) * trained).sum(0) / trained.sum(0)
    surprise = -detector.score_samples(tested)
    return (
        found_rates(detector, tested),
        [float((surprise > np.quantile(seen, 1 - rate)).mean()) for rate in RATES],
    )


if __name__ == "__main__":
    main()
