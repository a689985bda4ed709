"""pythae's trainer on the same network. Runs in an environment of its own; needs nothing of vaekit."""

import argparse
import json
import tempfile
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn


class Encoder(BaseEncoder):
    """784-400-20."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mean = nn.Linear(400, 20)
        self.log_variance = nn.Linear(400, 20)

    def forward(self, x):
        h = torch.relu(self.hidden(x.reshape(-1, 784)))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    """20-400-784."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(20, 400)
        self.output = nn.Linear(400, 784)

    def forward(self, z):
        probability = torch.sigmoid(self.output(torch.relu(self.hidden(z))))
        return ModelOutput(reconstruction=probability.reshape(-1, 1, 28, 28))


class Stopwatch(TrainingCallback):
    """Seconds of every epoch."""

    def __init__(self) -> None:
        self.seconds = []

    def on_epoch_begin(self, training_config, **_) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, training_config, **_) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    x = torch.from_numpy(np.load(options.data)).reshape(-1, 1, 28, 28)
    torch.manual_seed(0)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = BaseTrainer(
            model=model,
            train_dataset=BaseDataset(x, torch.zeros(len(x))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                num_epochs=options.epochs,
                per_device_train_batch_size=128,
                learning_rate=1e-3,
                no_cuda=True,
            ),
            callbacks=[stopwatch],
        )
        trainer.train()
    print(json.dumps({"seconds": stopwatch.seconds, "steps": -(-len(x) // 128)}))


if __name__ == "__main__":
    main()
