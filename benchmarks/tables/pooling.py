"""Coverage of pooled 95 % intervals of a regression on tables with holes: vaekit's draws beside those of MICE.

    python benchmarks/tables/pooling.py --output benchmarks/tables/pooling.json

The 569 rows of scikit-learn's breast cancer table are the population, in six of its columns of means, standardised:
radius, texture, smoothness, compactness, concavity and symmetry. Every repeat takes 190 of them without replacement and
hides 30 % (MAR: half of the columns always seen, each other one missing with 30 % on average, by a logistic of slope 2
in a random direction of the seen ones). Ten draws fill the holes in; concavity is regressed on radius, texture and
smoothness in each, and the results are pooled. The truth is the regression of all 569 rows. Standard errors are those
of MacKinnon and White (HC3), times the root of 1 - 190/569, for the rows are a third of a finite population.

An interval covers if the truth is in it; the share is over four coefficients of all repeats, its error over repeats.
``whole rows`` are the 190 before anything is hidden: what the intervals are worth without holes. ``complete cases`` are
the rows that keep all their cells, where there are at least ten. vaekit's imputer is trained for 300 steps, a fifth of
the default, so that a repeat takes seconds. MICE is scikit-learn's IterativeImputer with ``sample_posterior``, ten
seeds. Repeats are written as they come, and a run goes on where the last one stopped.
"""

import argparse
import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from imputation_rivals import IterativeImputer
from scipy.stats import t as student_t

from vaekit.reproductions.tables.pooled_regressions import (
    DRAWS,
    FINITE,
    INPUTS,
    LEVEL,
    draws_of_imputer,
    pooled_intervals,
    read_population,
    regression,
    take_sample,
)


def mice(table: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return draws of chained Bayesian ridge regressions, each with a seed of its own."""
    seeds = range(seed * DRAWS, (seed + 1) * DRAWS)
    return [IterativeImputer(sample_posterior=True, random_state=each).fit_transform(table) for each in seeds]


WAYS = {"vaekit": draws_of_imputer, "mice": mice}


def one_repeat(population: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, Any]:
    """Return for each way how many of the four intervals cover the truth, and how wide they are."""
    sample = take_sample(population, seed)
    whole, table = sample.whole, sample.given
    found: dict[str, Any] = {"seed": seed}
    cases = whole[~sample.holes.any(1)]
    for name, rows in {"whole rows": whole, "complete cases": cases}.items():
        if len(rows) < 10:
            continue
        estimate, variance = regression(rows)
        half = student_t.ppf(0.5 + LEVEL / 2, len(rows) - len(INPUTS) - 1) * np.sqrt(FINITE * variance)
        found |= told(name, estimate - half, estimate + half, truth)
    for name, draw in WAYS.items():
        start = time.process_time()
        low, high = pooled_intervals(draw(table, seed))
        found |= told(name, low, high, truth)
        found[f"{name} cpu_seconds"] = round(time.process_time() - start, 1)
    return found


def told(name: str, low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Return how many of the intervals cover the truth, and their mean width."""
    covers = (low <= truth) & (truth <= high)
    return {f"{name} covers": int(covers.sum()), f"{name} width": round(float((high - low).mean()), 4)}


def document(repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results with their summary."""
    summary = []
    for name in ("whole rows", "complete cases", *WAYS):
        there = [repeat for repeat in repeats if f"{name} covers" in repeat]
        if len(there) < 2:
            continue
        shares = np.array([each[f"{name} covers"] for each in there]) / (len(INPUTS) + 1)
        summary.append(
            {
                "way": name,
                "repeats": len(there),
                "coverage_of_95": round(float(shares.mean()), 4),
                "standard_error": round(float(shares.std(ddof=1) / np.sqrt(len(shares))), 4),
                "mean_width": round(float(np.mean([each[f"{name} width"] for each in there])), 4),
            }
        )
    return {
        "summary": summary,
        "repeats": repeats,
        "machine": f"{platform.machine()}, one thread, shared with other work",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": sklearn.__version__,
        },
        "date": datetime.now(UTC).date().isoformat(),
    }


def main() -> None:
    """Measure the repeats that are not there yet, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    population = read_population()
    truth = regression(population)[0]
    repeats = json.loads(options.output.read_text())["repeats"] if options.output.exists() else []
    for seed in range(len(repeats), options.repeats):
        repeats.append(one_repeat(population, truth, seed))
        options.output.write_text(json.dumps(document(repeats), indent=1) + "\n")
    print(json.dumps(document(repeats)["summary"], indent=1))


if __name__ == "__main__":
    main()
