"""Milliseconds per training step of the classic MNIST network, beside what users would pick instead.

    python benchmarks/training/run.py --data-dir DIR --peers PYTHON [--output benchmarks/training/results.json]

784-400-20-400-784 relu, batch 128, float32, 60,000 images, Adam 1e-3, two threads. Each loop runs in a process
of its own, in turn, for several rounds; the fastest epoch of each counts, the first of each process left out.
``--peers`` is the Python of an environment with pythae (``pip install torch==2.13.0 pythae``); without it that
row is left out. Also measured: the peak memory of ``vaekit fit mnist``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vaekit.data import Schema, read
from vaekit.reproductions import describe

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--peers", help="Python of an environment with pythae")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    loops = {
        "vaekit": [sys.executable, HERE / "vaekit_loop.py"],
        "PyTorch examples' loop": [sys.executable, HERE / "examples_loop.py"],
    }
    if options.peers:
        loops["pythae"] = [options.peers, HERE / "pythae_loop.py"]
    milliseconds: dict[str, list[float]] = {name: [] for name in loops}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "mnist.npy")
        mnist = read("mnist", data_dir=options.data_dir)
        np.save(data, Schema.fit(mnist, scaling="unit").transform(mnist.values).reshape(-1, 784))
        for _ in range(options.rounds):
            for name, command in loops.items():
                arguments = [*map(str, command), str(data), "--epochs", str(options.epochs)]
                done = subprocess.run(
                    arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
                )
                found = json.loads(done.stdout.splitlines()[-1])
                milliseconds[name] += [1e3 * s / found["steps"] for s in found["seconds"][1:]]
                print(f"{name:<24} {min(milliseconds[name]):7.3f} ms per step", flush=True)
        memory = peak_memory(options.data_dir, folder, environment)
    fastest = {name: min(values) for name, values in milliseconds.items()}
    result = {
        "workload": "M1: 784-400-20-400-784 relu, batch 128, float32, 60,000 images",
        "threads": options.threads,
        "milliseconds_per_step": fastest,
        "times_as_fast": {
            name: value / fastest["vaekit"] for name, value in fastest.items() if name != "vaekit"
        },
        "all_epochs": milliseconds,
        "peak_memory_of_fit_mnist_gigabytes": memory,
        "machine": describe("torch", "numpy"),
    }
    print(json.dumps({key: result[key] for key in list(result)[2:4]}, indent=2))
    print(f"peak memory of `vaekit fit mnist`: {memory:.2f} GB")
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


def peak_memory(data_dir: Path | None, folder: str, environment: dict[str, str]) -> float:
    """Gigabytes that `vaekit fit mnist` takes at its peak: reading, training, evaluation and report."""
    command = [sys.executable, "-m", "vaekit", "fit", "mnist", "-o", f"{folder}/mnist.vae", "--epochs", "1"]
    if data_dir:
        command += ["--data-dir", str(data_dir)]
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=environment, capture_output=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    return int(done.stdout) * unit / 1e9


if __name__ == "__main__":
    main()
