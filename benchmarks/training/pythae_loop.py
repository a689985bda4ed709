"""pythae's trainer on a workload. Runs in an environment of its own; needs nothing of vaekit."""

import argparse
import json
import tempfile
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn
from workloads import WORKLOADS, Workload

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def dense(sizes: list[int], activation: str) -> list[nn.Module]:
    """Fully connected layers, each with its activation."""
    layers: list[nn.Module] = []
    for size_in, size_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(size_in, size_out), ACTIVATIONS[activation]()]
    return layers


class Encoder(BaseEncoder):
    """From images to mean and log-variance."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        if work.channels:
            first, second = work.channels
            self.layers = nn.Sequential(
                nn.Conv2d(1, first, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(first, second, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
            )
            width = second * 7 * 7
        else:
            self.layers = nn.Sequential(nn.Flatten(), *dense([784, *work.hidden], work.activation))
            width = work.hidden[-1]
        self.mean, self.log_variance = nn.Linear(width, work.latent), nn.Linear(width, work.latent)

    def forward(self, x):
        h = self.layers(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    """From latents to probabilities."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        if work.channels:
            first, second = work.channels
            self.layers = nn.Sequential(
                nn.Linear(work.latent, second * 7 * 7),
                nn.ReLU(),
                nn.Unflatten(1, (second, 7, 7)),
                nn.ConvTranspose2d(second, first, 3, stride=2, padding=1, output_padding=1),
                nn.ReLU(),
                nn.ConvTranspose2d(first, 1, 3, stride=2, padding=1, output_padding=1),
                nn.Sigmoid(),
            )
        else:
            sizes = [work.latent, *work.hidden[::-1]]
            self.layers = nn.Sequential(
                *dense(sizes, work.activation), nn.Linear(sizes[-1], 784), nn.Sigmoid()
            )

    def forward(self, z):
        return ModelOutput(reconstruction=self.layers(z).reshape(-1, 1, 28, 28))


class Stopwatch(TrainingCallback):
    """Seconds of every epoch."""

    def __init__(self) -> None:
        self.seconds = []

    def on_epoch_begin(self, training_config, **_) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, training_config, **_) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def build(work: Workload):
    """The model of a workload."""
    torch.manual_seed(0)
    shape = {"input_dim": (1, 28, 28), "latent_dim": work.latent, "reconstruction_loss": "bce"}
    if work.samples == 1:
        return VAE(VAEConfig(**shape), encoder=Encoder(work), decoder=Decoder(work))
    config = IWAEConfig(**shape, number_samples=work.samples)
    return IWAE(config, encoder=Encoder(work), decoder=Decoder(work))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npy of float32 images, (n, 784)")
    parser.add_argument("--workload", default="M1")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    work = WORKLOADS[options.workload]
    x = torch.from_numpy(np.load(options.data)[: work.images]).reshape(-1, 1, 28, 28)
    stopwatch = Stopwatch()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = BaseTrainer(
            model=build(work),
            train_dataset=BaseDataset(x, torch.zeros(len(x))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                num_epochs=options.epochs,
                per_device_train_batch_size=work.batch,
                learning_rate=1e-3,
                no_cuda=True,
            ),
            callbacks=[stopwatch],
        )
        trainer.train()
    print(json.dumps({"seconds": stopwatch.seconds, "seconds_in_all": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
