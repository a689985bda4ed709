"""Milliseconds per training step in one process and in several on this machine, one thread each.

    python benchmarks/distributed/run.py [--processes 1 2] [--output benchmarks/distributed/results.json]

Uniform noise as 20,000 images, 784-HIDDEN-20-HIDDEN-784 relu, Adam, float32, uncompiled, gradients over gloo on
127.0.0.1; global batches of several sizes. The fastest epoch counts, the first left out. Beside it the time of one
all-reduce of as many bytes as the model's gradient, the fastest of 20.
"""

import argparse
import datetime
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from vaekit.objectives import Elbo
from vaekit.reproductions import describe
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.training import TrainingSettings, train

ROWS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--hidden", type=int, nargs="*", default=[400, 1000])
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[128, 1024])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rank", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        rank, size, port, hidden, batch_size = map(int, options.rank)
        measure(rank, size, port, hidden, batch_size, options.epochs)
        return
    rows = []
    for hidden in options.hidden:
        for batch_size in options.batch_sizes:
            alone = None
            for size in options.processes:
                row = launch(size, hidden, batch_size, options.epochs)
                alone = row["milliseconds_a_step"] if size == 1 else alone
                row["speedup"] = None if alone is None else alone / row["milliseconds_a_step"]
                rows.append(row)
                print(json.dumps(row))
    if options.output is not None:
        document = {"environment": describe(), "rows": rows}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


def launch(size: int, hidden: int, batch_size: int, epochs: int) -> dict[str, Any]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                __file__,
                *map(str, ("--epochs", epochs, "--rank", rank, size, port, hidden, batch_size)),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    outputs = [process.communicate()[0] for process in processes]
    return json.loads(outputs[0])


def measure(rank: int, size: int, port: int, hidden: int, batch_size: int, epochs: int) -> None:
    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group(
            "gloo",
            init_method=f"tcp://127.0.0.1:{port}",
            rank=rank,
            world_size=size,
            timeout=datetime.timedelta(minutes=5),
        )
    with seeded(0):
        x = torch.rand(ROWS, 784)
        sentence = Sentence.parse(network=f"mlp:hidden={hidden},activation=relu", likelihood="bernoulli")
        model = build_vae(sentence, (784,), latent=20)
    settings = TrainingSettings(epochs=epochs, batch_size=batch_size, learning_rate=1e-3, compile="off")
    history = train(model, Elbo(), x, settings=settings, seed=0)
    seconds = min(epoch.seconds for epoch in history.epochs[1:])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    row = {
        "processes": size,
        "hidden": hidden,
        "batch_size": batch_size,
        "parameters": parameters,
        "milliseconds_a_step": 1e3 * seconds / -(-ROWS // batch_size),
        "milliseconds_an_all_reduce": 1e3 * reduce_once(parameters) if size > 1 else 0.0,
        "bytes_sent_a_step": round(4 * parameters * 2 * (size - 1) / size),
    }
    if rank == 0:
        print(json.dumps(row))


def reduce_once(numbers: int) -> float:
    values, taken = torch.zeros(numbers), []
    for _ in range(20):
        dist.barrier()
        started = time.perf_counter()
        dist.all_reduce(values)
        taken.append(time.perf_counter() - started)
    return min(taken)


if __name__ == "__main__":
    main()
