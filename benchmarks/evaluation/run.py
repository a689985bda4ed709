"""Seconds an image of the log-likelihood with 5,000 importance samples, beside pythae's ``get_nll``.

    python benchmarks/evaluation/run.py --data-dir DIR --peers PYTHON [--output benchmarks/evaluation/results.json]

The network of M2: 784-200-200-50-200-200-784 tanh, untrained, float32, two threads, on images of MNIST. Each measures
some images in a process of its own, in turn, for several rounds, and the fastest counts; pythae, which takes one image
at a time, fewer of them, with its largest batch. ``--peers`` is the Python of an environment with it.
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
ASKED = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--peers", required=True, help="Python of an environment with pythae")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    commands = {
        "vaekit": [sys.executable, str(HERE / "vaekit_evaluation.py")],
        "pythae": [options.peers, str(HERE / "pythae_evaluation.py")],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "mnist.npy")
        mnist = read("mnist", data_dir=options.data_dir)
        np.save(data, Schema.fit(mnist, scaling="unit").transform(mnist.values[:1000]).reshape(-1, 784))
        for _ in range(options.rounds):
            for name, command in commands.items():
                arguments = [*command, str(data), "--samples", str(options.samples)]
                done = subprocess.run(
                    arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
                )
                seconds[name].append(json.loads(done.stdout.splitlines()[-1])["seconds_an_image"])
                print(f"{name:<8} {1e3 * min(seconds[name]):9.2f} ms an image", flush=True)
    fastest = {name: min(values) for name, values in seconds.items()}
    result = {
        "workload": f"M2, {options.samples} importance samples an image",
        "threads": options.threads,
        "milliseconds_an_image": {name: 1e3 * value for name, value in fastest.items()},
        "times_as_fast_as_pythae": fastest["pythae"] / fastest["vaekit"],
        "asked": ASKED,
        "machine": describe("torch", "numpy"),
    }
    print(f"{result['times_as_fast_as_pythae']:.1f} times as fast as pythae (asked {ASKED:g})")
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
