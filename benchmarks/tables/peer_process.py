"""A rival that needs an environment of its own: its script is a process, arrays and facts go through files.

Imported by both sides, so it knows neither vaekit nor a rival.
"""

import argparse
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def ask_peer(python: Path, script: str, x: np.ndarray, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return what a script beside this one makes of an array by another Python, and what it tells of that."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("given.npy", "found.npy")]
        np.save(paths[0], x)
        command = [str(python), str(Path(__file__).with_name(script)), *paths, "--seed", str(seed)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return np.load(paths[1]), json.loads(done.stdout.splitlines()[-1])


def answer(
    description: str | None, work: Callable[[np.ndarray, int], tuple[np.ndarray, dict[str, Any]]]
) -> None:
    """Read an array and a seed as the command line says, on one thread, and write what ``work`` returns."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("given")
    parser.add_argument("found")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found, told = work(np.load(options.given), options.seed)
    np.save(options.found, np.asarray(found, dtype=np.float64))
    print(json.dumps(told))
