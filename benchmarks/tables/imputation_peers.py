"""A rival of the imputation benchmark, in an environment of its own: HyperImpute with its defaults, the seed aside.

    PEERS_PYTHON imputation_peers.py ROWS.npy FILLED.npy --seed 0

Fills the NaN of a table of numbers, and prints CPU seconds and HyperImpute's version as JSON. It needs pandas below 3,
whose copies on write make it fill in means.
"""

import argparse
import importlib
import importlib.metadata
import json
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch


def main() -> None:
    """Fill in, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows")
    parser.add_argument("filled")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    x = pd.DataFrame(np.load(options.rows)).add_prefix("x")
    imputers: Any = importlib.import_module("hyperimpute.plugins.imputers")
    start = time.process_time()
    filled = imputers.Imputers().get("hyperimpute", random_state=options.seed).fit_transform(x)
    seconds = time.process_time() - start
    np.save(options.filled, np.asarray(filled, dtype=np.float64))
    version = importlib.metadata.version("hyperimpute")
    print(json.dumps({"cpu_seconds": round(seconds, 1), "version": version}))


if __name__ == "__main__":
    main()
