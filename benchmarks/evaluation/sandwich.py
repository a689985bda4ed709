"""The gap between lower and upper bounds of log p(x), of MNIST's classic model, beside importance sampling.

    python benchmarks/evaluation/sandwich.py --data-dir DIR [--output benchmarks/evaluation/sandwich.json]

The model of the PyTorch examples, 784-400-20 relu with Bernoulli pixels, is trained for some epochs on binarised
images. It makes 100 images, whose log p(x) is bounded from both sides by annealed importance sampling. Importance
sampling of the same images then gets as many draws as take half to all of the time of both bounds together; and
annealed and importance sampling of 100 test images stand beside each other. One thread, float32.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from vaekit import VariationalAutoencoder
from vaekit.data import read
from vaekit.evaluation import annealed_log_likelihood, log_likelihood, sandwich
from vaekit.reproductions import describe
from vaekit.runtime.randomness import seeded

ASKED = {"gap": 0.3, "seconds": 600}


def mean(values: torch.Tensor) -> dict[str, float]:
    return {
        "mean": float(values.double().mean()),
        "standard_error": float(values.double().std() / len(values) ** 0.5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--chains", type=int, default=8)
    parser.add_argument("--distributions", type=int, default=200)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    mnist = read("mnist", data_dir=options.data_dir)
    if mnist.test is None:
        parser.error("give the folder of MNIST's four files in --data-dir")
    train = (np.asarray(mnist.values[:30_000]) > 127).astype(np.float32)
    test = (np.asarray(mnist.test.values[: options.images]) > 127).astype(np.float32)
    vae = VariationalAutoencoder(
        20,
        network="mlp:hidden=400,activation=relu",
        likelihood="bernoulli",
        epochs=options.epochs,
        batch_size=250,
        random_state=0,
    ).fit(train)
    model, rows = vae.model_, torch.from_numpy(vae.schema_.transform(test))
    asked = {"chains": options.chains, "distributions": options.distributions, "steps": options.steps}
    results = {}
    for start in ("posterior", "prior"):
        with seeded(0):
            started = time.perf_counter()
            between = sandwich(model, examples=options.images, start=start, **asked)
            seconds = time.perf_counter() - started
            samples, spent = 500, 0.0
            sampled = log_likelihood(model, between.x, samples=samples)
            while spent < seconds / 2:  # doubled until the time is the same, within a factor of two
                samples *= 2
                begun = time.perf_counter()
                sampled = log_likelihood(model, between.x, samples=samples)
                spent = time.perf_counter() - begun
            held_out = annealed_log_likelihood(model, rows, start=start, **asked)
            importance = log_likelihood(model, rows, samples=sampled.samples)
        results[f"from the {start}"] = {
            "seconds": seconds,
            "lower": mean(between.lower),
            "upper": mean(between.upper),
            "gap": between.gap._asdict(),
            "largest_gap": float((between.upper - between.lower).max()),
            "importance_sampling": {
                "samples": sampled.samples,
                "seconds": spent,
                "value": mean(sampled.values),
                "below_the_upper_bound": mean(between.upper - sampled.values),
            },
            "test_images": {
                "annealed": mean(held_out.values),
                "importance_sampling": mean(importance.values),
                "annealed_less_importance_sampling": mean(held_out.values - importance.values),
                "acceptance": float(held_out.acceptance.mean()),
            },
        }
        print(json.dumps(results[f"from the {start}"], indent=2), flush=True)
    document = {
        "workload": f"{options.images} images of 784-400-20 relu, Bernoulli, {options.epochs} epochs on 30,000 images",
        "annealing": asked,
        "threads": 1,
        "load_of_the_machine": os.getloadavg(),
        "asked": ASKED,
        **results,
        "machine": describe("torch", "numpy"),
    }
    if options.output:
        options.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
