"""A rival of the outliers benchmark, in an environment of its own: PyOD's variational autoencoder.

    PEERS_PYTHON outliers_peers.py ROWS.npy SCORES.npy --seed 0

Fits PyOD's ``VAE`` with its defaults, the seed aside, to all rows, and writes the outlier score of each. Prints CPU
seconds and PyOD's version as JSON.
"""

import importlib
import importlib.metadata
import time
from typing import Any

import numpy as np
import torch
from peer_process import answer


def score(x: np.ndarray, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the scores of the rows, CPU seconds and the version."""
    vae: Any = importlib.import_module("pyod.models.vae")
    # the first optimiser of a process imports torch's compiler, which is no part of a fit
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    start = time.process_time()
    model = vae.VAE(random_state=seed, device="cpu", verbose=0).fit(x)
    seconds = time.process_time() - start
    told = {"cpu_seconds": round(seconds, 2), "pyod": importlib.metadata.version("pyod")}
    return np.asarray(model.decision_scores_), told


if __name__ == "__main__":
    answer(__doc__, score)
