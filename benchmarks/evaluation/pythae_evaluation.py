"""Seconds an image of pythae's get_nll on the same network. In an environment of its own."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from pythae_loop import build
from workloads import WORKLOADS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images, (n, 784)")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--samples", type=int, default=5000)
    options = parser.parse_args()
    x = torch.from_numpy(np.load(options.data)[: options.images]).reshape(-1, 1, 28, 28)
    model = build(WORKLOADS["M2, batch 100"]).eval()
    model.get_nll(x[:2], n_samples=options.samples, batch_size=options.samples)
    started = time.perf_counter()
    found = model.get_nll(x, n_samples=options.samples, batch_size=options.samples)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds_an_image": seconds / len(x), "nll": float(found)}))


if __name__ == "__main__":
    main()
