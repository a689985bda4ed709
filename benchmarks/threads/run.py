"""Threads on a busy machine: what a step and an estimate take beside other processes, against one thread.

    python benchmarks/threads/run.py [--output benchmarks/threads/results.json]

Small and large training steps, and the log-likelihood of some rows, are timed in four ways: on one thread; on one
thread once more, which tells how far two times of the same thing differ beside such neighbours; on all processors as
torch's threads wait by default, spinning; and as vaekit runs them (``vaekit.runtime.threads``: one thread for small
work, and for large threads that sleep while they wait beside busy processes, and spin alone). The neighbours are
processes that this script starts and ends: none, one or two that compute in Python alone, or one that multiplies
matrices on all processors. The ways take turns, and the median of the rounds counts. A ratio is the time over that on
one thread beside the same neighbours: 1.3 is the most that vaekit's way is to have. Leave the machine alone meanwhile;
another process would be one more neighbour.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch

from vaekit.evaluation import log_likelihood
from vaekit.objectives import Elbo
from vaekit.reproductions import describe
from vaekit.runtime import threads
from vaekit.runtime.processor import restored_threads
from vaekit.runtime.threads import usable_cores
from vaekit.sentence import Sentence, build_vae
from vaekit.training import Examples, RunSetup, TrainingSettings
from vaekit.training.compiled_step import compile_step
from vaekit.training.run_state import Run
from vaekit.vae import VAE

LIMIT = 1.3
STEPS = {  # network, event shape, latent, batch, steps in a measurement
    "step of 64-64-8, batch 32": ("mlp:hidden=64", (64,), 8, 32, 60),
    "step of digits, batch 64": ("mlp:hidden=512x512", (1, 8, 8), 10, 64, 20),
    "step of MNIST, batch 128": ("mlp:hidden=400", (784,), 20, 128, 20),
    "step of MNIST, two layers of 1000, batch 256": ("mlp:hidden=1000x1000", (784,), 20, 256, 4),
    "step of convolutions on MNIST, batch 64": ("convolutional", (1, 28, 28), 16, 64, 4),
}
COMPILED = "compiled step of MNIST, batch 128"
# They end with this script, however that ends.
SPINNER = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
MULTIPLIER = (
    "import os, torch\nparent, a = os.getppid(), torch.randn(700, 700)\nwhile os.getppid() == parent: a @ a"
)
NEIGHBOURS = {
    "alone": [],
    "beside one process": [SPINNER],
    "beside two processes": [SPINNER, SPINNER],
    "beside one that multiplies on all processors": [MULTIPLIER],
}
Block = Callable[[], AbstractContextManager[None]]
Job = tuple[Callable[[], None], Block]


@contextmanager
def neighbours(codes: list[str]) -> Iterator[None]:
    """Run processes beside a block, and end them after it."""
    running = [subprocess.Popen([sys.executable, "-c", code]) for code in codes]
    time.sleep(3.0 if running else 0.0)  # until they are at work
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def model_of(network: str, event: tuple[int, ...], latent: int) -> VAE:
    torch.manual_seed(0)
    return build_vae(Sentence.parse(network=network, likelihood="bernoulli"), event, latent)


def training(
    network: str, event: tuple[int, ...], latent: int, batch: int, steps: int, *, compiled: bool = False
) -> Job:
    """Return some training steps, and the block that vaekit runs them in."""
    choice = "on" if compiled else "off"
    settings = TrainingSettings(epochs=1, batch_size=batch, learning_rate=1e-3, compile=choice)
    data = Examples(torch.rand(batch, *event))

    runs: dict[int, Run] = {}
    for number in (1, usable_cores()):  # compiled code keeps the number of threads that it was made for
        with restored_threads():
            torch.set_num_threads(number)
            model = model_of(network, event, latent)
            setup = RunSetup(model=model, objective=Elbo(), data=data, settings=settings, seed=0)
            runs[number] = Run(setup, setup.build_players())
            compile_step(runs[number])
    rows = data.first(batch)

    def job() -> None:
        run = runs[torch.get_num_threads()]
        for _ in range(steps):
            run.stepper.gradient(rows).loss.item()
            run.stepper.move(rows)

    return job, partial(setup.threads, compiled=compiled)


def scoring(network: str, rows: int, samples: int, times: int) -> Job:
    """Return an estimate of some rows; it chooses its threads itself, within those of the block."""
    model, x = model_of(network, (64,), 8).eval(), torch.rand(rows, 64)

    def job() -> None:
        for _ in range(times):
            log_likelihood(model, x, samples=samples)

    return job, nullcontext


def jobs() -> dict[str, Job]:
    return {
        **{name: training(*workload) for name, workload in STEPS.items()},
        COMPILED: training(*STEPS["step of MNIST, batch 128"], compiled=True),
        "log p(x) of 200 rows, 24 samples": scoring("mlp:hidden=512x512", 200, 24, 2),
        "log p(x) of 20 rows, 24 samples, a small model": scoring("mlp:hidden=16", 20, 24, 100),
    }


@contextmanager
def on_one_thread() -> Iterator[None]:
    with restored_threads():
        torch.set_num_threads(1)
        yield


@contextmanager
def spinning() -> Iterator[None]:
    """All threads for everything, which wait for each other as torch's do."""
    everything = {"WORTH_SHARING": 0, "COMPILED_WORTH_SHARING": 0}
    plain = {"waiting_as_others_allow": lambda **_: nullcontext()}
    with restored_threads(), patch.multiple(threads, **everything, **plain):
        torch.set_num_threads(usable_cores())
        yield


def seconds(job: Callable[[], None]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def measure(
    job: Callable[[], None], block: Callable[[], AbstractContextManager[None]], rounds: int
) -> dict[str, float]:
    """Return the median seconds of a job in each way."""
    ways: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "one thread": on_one_thread,
        "one thread again": on_one_thread,
        "spinning": spinning,
        "vaekit": block,
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, enter in ways.items():
            with enter():
                job()  # once to wake the threads
                found[way].append(seconds(job))
    return {way: statistics.median(values) for way, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    load, rows = os.getloadavg()[0], []
    prepared = jobs()
    for beside, codes in NEIGHBOURS.items():
        with neighbours(codes):
            for name, (job, block) in prepared.items():
                found = measure(job, block, arguments.rounds)
                ratios = {way: found[way] / found["one thread"] for way in found}
                rows.append({"job": name, "neighbours": beside, "seconds": found, "ratios": ratios})
                told = ", ".join(f"{way} {found[way] * 1e3:.1f} ms ({ratios[way]:.2f})" for way in found)
                print(f"{name}, {beside}: {told}", flush=True)
    worst = max(rows, key=lambda row: row["ratios"]["vaekit"])
    print(f"largest ratio of vaekit: {worst['ratios']['vaekit']:.2f} ({worst['job']}, {worst['neighbours']})")
    if arguments.output is not None:
        document = {
            **describe("torch", "vaekit"),
            "usable_cores": usable_cores(),
            "load_before": load,
            "limit": LIMIT,
            "largest_ratio": worst["ratios"]["vaekit"],
            "within_limit": worst["ratios"]["vaekit"] <= LIMIT,
            "rows": rows,
        }
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
