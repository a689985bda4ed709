"""Seconds an image of vaekit's importance-sampled log-likelihood."""

import argparse
import json
import time

import numpy as np
import torch

from vaekit.evaluation import log_likelihood
from vaekit.randomness import seeded
from vaekit.spec import Sentence, build_vae


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images, (n, 784)")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--samples", type=int, default=5000)
    options = parser.parse_args()
    x = torch.from_numpy(np.load(options.data)[: options.images])
    with seeded(0):
        sentence = Sentence.parse(network="mlp:hidden=200x200,activation=tanh", likelihood="bernoulli")
        model = build_vae(sentence, (784,), latent=50).eval()
    log_likelihood(model, x[:2], samples=options.samples)
    started = time.perf_counter()
    found = log_likelihood(model, x, samples=options.samples)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds_an_image": seconds / len(x), "log_likelihood": found.estimate.mean}))


if __name__ == "__main__":
    main()
