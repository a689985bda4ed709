"""A million rows with holes, read block by block: peak memory and time of a fit beside those of fewer rows.

    python benchmarks/tables/scale.py --output benchmarks/tables/scale.json

Tables of 30 columns (a linear model of five latents, with noise) in which 10 % of the cells are missing, as float32 in
an ``.npy`` that is opened with ``mmap_mode``. One epoch of a network of 64 hidden units, with a memory limit for data
of 4 MB: of the smallest table a third. Then the model scores all rows, with ten importance samples each. Every size is
a process of its own. Its memory is looked at twenty times a second: ``anonymous`` is what it allocates, and is to stay
where it is when the table grows; ``resident`` counts pages of the mapped file as well, which the system may take back
at any time. What it takes before the fit, with the libraries loaded, is there beside it. Linux only: all are read from
/proc.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

COLUMNS, LATENTS, HOLES, LIMIT = 30, 5, 0.1, "4MB"
SIZES = [100_000, 300_000, 1_000_000]
AT_ONCE = 50_000


def make_file(path: Path, rows: int) -> None:
    """Write a table with holes, some rows at a time."""
    random = np.random.default_rng(0)
    loadings = random.normal(size=(LATENTS, COLUMNS))
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, COLUMNS))
    for start in range(0, rows, AT_ONCE):
        shape = (min(AT_ONCE, rows - start), COLUMNS)
        part = random.normal(size=(shape[0], LATENTS)) @ loadings + random.normal(size=shape)
        array[start : start + shape[0]] = np.where(random.random(shape) < HOLES, np.nan, part)
    array.flush()


class Watch:
    """The peaks of this process's memory in MB, looked at from a thread until it is stopped."""

    def __init__(self) -> None:
        self.anonymous = self.resident = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stopped.wait(0.05):
            lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
            found = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in ("RssAnon:", "VmRSS:")}
            self.anonymous = max(self.anonymous, found["RssAnon:"])
            self.resident = max(self.resident, found["VmRSS:"])

    def stop(self) -> dict[str, float]:
        """Stop looking, and return both peaks."""
        self._stopped.set()
        self._thread.join()
        return {"anonymous": round(self.anonymous, 1), "resident": round(self.resident, 1)}


def fit(path: Path) -> dict[str, Any]:
    """Fit one epoch, score all rows, and return seconds and megabytes."""
    from vaekit import VariationalAutoencoder

    torch.set_num_threads(1)
    rows = np.load(path, mmap_mode="r")
    vae = VariationalAutoencoder(
        5, network="mlp:hidden=64", likelihood="gaussian", epochs=1, memory_limit=LIMIT, random_state=0
    )
    before = Watch()
    time.sleep(0.2)
    found: dict[str, Any] = {"megabytes_before": before.stop()}
    watch, start, wall = Watch(), time.process_time(), time.perf_counter()
    vae.fit(rows)
    found["cpu_seconds_of_fit"] = round(time.process_time() - start, 1)
    found["seconds_of_fit"] = round(time.perf_counter() - wall, 1)
    found["megabytes_of_fit"] = watch.stop()
    watch, start = Watch(), time.process_time()
    scores = vae.score_samples(rows, samples=10)
    found["cpu_seconds_of_score"] = round(time.process_time() - start, 1)
    found["megabytes_of_score"] = watch.stop()
    return found | {"mean_score": round(float(np.mean(scores)), 3)}


def main() -> None:
    """Make the files, measure each in its own process, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(fit(options.child)))
        return
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            path = Path(folder) / f"{rows}.npy"
            make_file(path, rows)
            megabytes = path.stat().st_size / 2**20
            found = subprocess.run(
                [sys.executable, __file__, "--child", str(path)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            measured = json.loads(found.stdout.splitlines()[-1])
            per_million = round(1e6 * measured["cpu_seconds_of_fit"] / rows, 1)
            tables.append(
                {
                    "rows": rows,
                    "megabytes": round(megabytes, 1),
                    **measured,
                    "cpu_seconds_a_million": per_million,
                }
            )
            print(tables[-1], flush=True)
            path.unlink()
    document = {
        "columns": COLUMNS,
        "holes": HOLES,
        "memory_limit": LIMIT,
        "tables": tables,
        "machine": f"{platform.machine()}, one thread, shared with other work",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.now(UTC).date().isoformat(),
    }
    if options.output is not None:
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
