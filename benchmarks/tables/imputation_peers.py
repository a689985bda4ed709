"""A rival of the imputation benchmark, in an environment of its own: HyperImpute with its defaults, the seed aside.

    PEERS_PYTHON imputation_peers.py ROWS.npy FILLED.npy --seed 0

Fills the NaN of a table of numbers, and prints CPU seconds and HyperImpute's version as JSON. It needs pandas below 3,
whose copies on write make it fill in means.
"""

import importlib
import importlib.metadata
import time
from typing import Any

import numpy as np
import pandas as pd
from peer_process import answer


def fill(x: np.ndarray, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the table filled in, CPU seconds and the version."""
    table = pd.DataFrame(x).add_prefix("x")
    imputers: Any = importlib.import_module("hyperimpute.plugins.imputers")
    start = time.process_time()
    filled = imputers.Imputers().get("hyperimpute", random_state=seed).fit_transform(table)
    seconds = time.process_time() - start
    version = importlib.metadata.version("hyperimpute")
    return np.asarray(filled), {"cpu_seconds": round(seconds, 1), "hyperimpute": version}


if __name__ == "__main__":
    answer(__doc__, fill)
