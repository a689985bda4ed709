"""A rival of the outliers benchmark, in an environment of its own: PyOD's variational autoencoder.

    PEERS_PYTHON outliers_peers.py ROWS.npy SCORES.npy --seed 0

Fits PyOD's ``VAE`` with its defaults, the seed aside, to all rows, and writes the outlier score of each. Prints CPU
seconds and PyOD's version as JSON.
"""

import argparse
import importlib
import importlib.metadata
import json
import time
import warnings
from typing import Any

import numpy as np
import torch


def main() -> None:
    """Fit, and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows")
    parser.add_argument("scores")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    x = np.load(options.rows)
    vae: Any = importlib.import_module("pyod.models.vae")
    # the first optimiser of a process imports torch's compiler, which is no part of a fit
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    start = time.process_time()
    model = vae.VAE(random_state=options.seed, device="cpu", verbose=0).fit(x)
    seconds = time.process_time() - start
    np.save(options.scores, np.asarray(model.decision_scores_, dtype=np.float64))
    print(json.dumps({"cpu_seconds": round(seconds, 2), "pyod": importlib.metadata.version("pyod")}))


if __name__ == "__main__":
    main()
