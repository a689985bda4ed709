"""vaekit's training loop on the same network."""

import argparse
import json

import numpy as np
import torch

from vaekit.objectives import Elbo
from vaekit.randomness import seeded
from vaekit.spec import Sentence, build_vae
from vaekit.training import TrainingSettings, train


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    x = torch.from_numpy(np.load(options.data))
    sentence = Sentence.parse(network="mlp:hidden=400,activation=relu", likelihood="bernoulli")
    with seeded(0):
        model = build_vae(sentence, (784,), latent=20)
    settings = TrainingSettings(epochs=options.epochs, batch_size=128, learning_rate=1e-3)
    history = train(model, Elbo(), x, settings=settings, seed=0)
    print(
        json.dumps(
            {
                "seconds": [epoch.seconds for epoch in history.epochs],
                "loss": -history.epochs[-1].train_bound,
                "steps": -(-len(x) // settings.batch_size),
            }
        )
    )


if __name__ == "__main__":
    main()
