"""Seconds an image of vaekit's importance-sampled log-likelihood."""

import argparse
import json
import time

import numpy as np
import torch

from vaekit.evaluation import log_likelihood, log_weights
from vaekit.evaluation.log_weights import repays_compilation as would_compile
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images, (n, 784)")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument(
        "--of", type=int, default=10_000, help="as many as are evaluated in all: so long, it is compiled"
    )
    parser.add_argument("--samples", type=int, default=5000)
    options = parser.parse_args()
    x = torch.from_numpy(np.load(options.data)[: options.images])
    with seeded(0):
        sentence = Sentence.parse(network="mlp:hidden=200x200,activation=tanh", likelihood="bernoulli")
        model = build_vae(sentence, (784,), latent=50).eval()
    log_weights.repays_compilation = lambda model, rows: would_compile(model, options.of * options.samples)
    few, log_likelihoods = len(x) // 4, []
    seconds = []
    for part in (x[:1], x[:few], x):  # the difference of the last two is free of what compiling takes
        started = time.perf_counter()
        log_likelihoods.append(log_likelihood(model, part, samples=options.samples).estimate.mean)
        seconds.append(time.perf_counter() - started)
    each = (seconds[2] - seconds[1]) / (len(x) - few)
    compiling = max(0.0, seconds[0] - each)
    print(
        json.dumps(
            {
                "seconds_an_image": each + compiling / options.of,
                "seconds_of_compiling": compiling,
                "log_likelihood": log_likelihoods[-1],
            }
        )
    )


if __name__ == "__main__":
    main()
