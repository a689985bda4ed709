"""vaekit's training loop on a workload."""

import argparse
import json
import time

import numpy as np
import torch
from workloads import WORKLOADS

from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.training import TrainingSettings, train


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images, (n, 784)")
    parser.add_argument("--workload", default="M1")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--compile", default="auto", choices=["auto", "on", "off"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    options = parser.parse_args()
    work = WORKLOADS[options.workload]
    x = torch.from_numpy(np.load(options.data)[: work.images])
    network = f"mlp:hidden={'x'.join(map(str, work.hidden))},activation={work.activation}"
    if work.channels:
        x = x.reshape(-1, 1, 28, 28)
        network = f"convolutional:channels={'x'.join(map(str, work.channels))},hidden=none,activation=relu"
    objective = "elbo" if work.samples == 1 else f"iwae:samples={work.samples}"
    started = time.perf_counter()
    sentence = Sentence.parse(network=network, likelihood="bernoulli", objective=objective)
    with seeded(0):
        model = build_vae(sentence, tuple(x.shape[1:]), latent=work.latent)
    settings = TrainingSettings(
        epochs=options.epochs,
        batch_size=work.batch,
        learning_rate=1e-3,
        compile=options.compile,
        precision=options.precision,
    )
    history = train(model, sentence.objective.build(), x, settings=settings, seed=0)
    print(
        json.dumps(
            {
                "seconds": [epoch.seconds for epoch in history.epochs],
                "seconds_in_all": time.perf_counter() - started,
                "loss": -history.epochs[-1].train_bound,
            }
        )
    )


if __name__ == "__main__":
    main()
