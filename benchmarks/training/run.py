"""Milliseconds per training step, beside what users would pick instead.

    python benchmarks/training/run.py --data-dir DIR --peers PYTHON [--output benchmarks/training/results.json]

Float32 unless a row says otherwise, Adam 1e-3, two threads. M1: 784-400-20-400-784 relu, batch 128. M2:
784-200-200-50-200-200-784 tanh, batch 20 and 100, one and 50 importance samples. M3: convolutions of 32 and 64
channels with stride 2, latent 16, batch 128. Each loop runs in a process of its own, in turn, for several rounds; the
fastest epoch of each counts, the first of each process left out. vaekit's steps are compiled, as they are in runs
that are long enough; a row says what they take as they are. Also measured: ten epochs of M1 from the first line to
the last, with vaekit's own choice whether to compile, an empty cache of compiled code, and the time that this takes;
and the peak memory of ``vaekit fit mnist``. ``--peers`` is the Python of an environment with the others (``pip
install torch==2.13.0 pythae jax``); without it their rows are left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from workloads import WORKLOADS

from vaekit.data import Schema, read
from vaekit.reproductions import describe

HERE = Path(__file__).parent
TARGETS = {  # how many times as fast as pythae, and as JAX's compiled scan
    ("M1", "pythae"): 3.0,
    ("M1", "JAX, compiled scan"): 1.0,
    ("M2, batch 20", "pythae"): 1.8,
    ("M2, batch 100", "pythae"): 1.8,
    ("M2, batch 20, 50 samples", "pythae"): 2.5,
    ("M2, batch 100, 50 samples", "pythae"): 2.5,
    ("ten epochs of M1, all in", "pythae"): 2.5,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--peers", help="Python of an environment with pythae and JAX")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--steps-only", action="store_true", help="no ten epochs and no peak memory")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "mnist.npy")
        mnist = read("mnist", data_dir=options.data_dir)
        np.save(data, Schema.fit(mnist, scaling="unit").transform(mnist.values).reshape(-1, 784))
        for workload in options.workloads:
            rows += measure(workload, loops(workload, options.peers), data, options, environment)
            write(options, rows)
        if not options.steps_only:
            if "M1" in options.workloads:
                rows += all_in(loops("M1", options.peers), data, environment)
            memory = peak_memory(options.data_dir, folder, environment)
            print(f"peak memory of `vaekit fit mnist`: {memory:.2f} GB")
            write(options, rows, memory)


def write(options: argparse.Namespace, rows: list[dict[str, Any]], memory: float | None = None) -> None:
    """Write what is known so far."""
    result = {
        "threads": options.threads,
        "rounds": options.rounds,
        "rows": rows,
        "peak_memory_of_fit_mnist_gigabytes": memory,
        "machine": describe("torch", "numpy"),
    }
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


def loops(workload: str, peers: str | None) -> dict[str, list[str]]:
    """The command of every loop that trains a workload."""
    own = [sys.executable, str(HERE / "vaekit_loop.py")]
    found = {
        "vaekit": [*own, "--compile", "on"],
        "vaekit, not compiled": [*own, "--compile", "off"],
        "vaekit, products in bf16": [*own, "--compile", "on", "--precision", "bf16"],
    }
    if workload == "M1":
        found["PyTorch examples' loop"] = [sys.executable, str(HERE / "examples_loop.py")]
    if peers:
        found["pythae"] = [peers, str(HERE / "pythae_loop.py")]
        if workload == "M1":
            found["JAX, compiled scan"] = [peers, str(HERE / "jax_loop.py")]
    return found


def run(
    command: list[str], data: Path, workload: str, epochs: int, environment: dict[str, str]
) -> dict[str, Any]:
    """Run a loop in a process of its own."""
    arguments = [*command, str(data), "--workload", workload, "--epochs", str(epochs)]
    done = subprocess.run(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(
    workload: str,
    commands: dict[str, list[str]],
    data: Path,
    options: argparse.Namespace,
    environment: dict[str, str],
) -> list[dict[str, Any]]:
    """The fastest epoch of every loop, in milliseconds a step."""
    milliseconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            found = run(command, data, workload, options.epochs, environment)
            milliseconds[name] += [1e3 * s / WORKLOADS[workload].steps for s in found["seconds"][1:]]
    return compared(workload, {name: min(values) for name, values in milliseconds.items()}, "ms per step")


def all_in(commands: dict[str, list[str]], data: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """Ten epochs, compilation included, in seconds, and the negative ELBO of the last on the training images."""
    commands = {**commands, "vaekit": commands["vaekit"][:2]}
    seconds, losses = {}, {}
    for name, command in commands.items():
        with tempfile.TemporaryDirectory() as cache:
            found = run(command, data, "M1", 10, {**environment, "TORCHINDUCTOR_CACHE_DIR": cache})
        seconds[name], losses[name] = found["seconds_in_all"], found.get("loss")
    rows = compared("ten epochs of M1, all in", seconds, "seconds")
    return [{**row, "negative ELBO of the last epoch": losses[row["loop"]]} for row in rows]


def compared(workload: str, numbers: dict[str, float], unit: str) -> list[dict[str, Any]]:
    """Rows of a table: every loop's number, and how many times as fast vaekit is."""
    rows = []
    for name, value in numbers.items():
        target = TARGETS.get((workload, name))
        ratio = None if name == "vaekit" else value / numbers["vaekit"]
        rows.append(
            {
                "workload": workload,
                "loop": name,
                unit: round(value, 3),
                "vaekit is so many times as fast": ratio,
                "asked": target,
            }
        )
        asked = "" if target is None else f"  (asked {target})"
        shown = "" if ratio is None else f"vaekit is {ratio:.2f} times as fast{asked}"
        print(f"{workload:<28} {name:<24} {value:9.3f} {unit:<12} {shown}", flush=True)
    return rows


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
