"""Categories of Adult with 30 % of holes (MCAR): the accuracy of vaekit's imputer beside chained trees.

    python benchmarks/tables/imputed_categories.py --data-dir DIR --output benchmarks/tables/imputed_categories.json

``DIR`` holds ``tables/adult.data``; 2,000 rows, the first ones of ``default_rng(0).permutation``. Both fill in the same
holes of all fifteen columns, and the accuracy is the mean over the nine columns of categories. Chained trees, in
missForest's way: each column by 50 extremely randomised trees on the others, categories one-hot, three rounds,
beginning at means and the most frequent categories.
"""

import json
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from imputation_rivals import categories, chained_trees, read_options

from vaekit import Imputer

ROWS, SHARE = 2000, 0.3


def main() -> None:
    """Measure, print, and write the results as they come."""
    options = read_options(__doc__)
    file = options.data_dir / "tables" / "adult.data"
    frame = pd.read_csv(file, header=None, skipinitialspace=True, na_values="?").add_prefix("column_")
    frame = frame.iloc[np.random.default_rng(0).permutation(len(frame))[:ROWS]].reset_index(drop=True)
    found = []
    for seed in range(options.seeds):
        given = frame.mask(np.random.default_rng(seed).random(frame.shape) < SHARE)
        start = time.process_time()
        filled = Imputer(random_state=seed).fit(given).transform(given)
        seconds = time.process_time() - start
        found.append(
            {
                "seed": seed,
                "vaekit": accuracy(frame, given, filled),
                "chained_trees": accuracy(frame, given, chained_trees(given, seed)),
                "cpu_seconds": round(seconds, 1),
            }
        )
        print(found[-1], flush=True)
        document = {"accuracy": found, "date": datetime.now(UTC).date().isoformat()}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def accuracy(frame: pd.DataFrame, given: pd.DataFrame, filled: pd.DataFrame) -> float:
    """Return the share of hidden categories that are right, as the mean over columns."""
    right = []
    for name in categories(frame):
        hidden = given[name].isna() & frame[name].notna()
        right.append((filled[name][hidden] == frame[name][hidden]).mean())
    return round(float(np.mean(right)), 4)


if __name__ == "__main__":
    main()
