"""Run a protocol, and put what is measured beside what was published."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.evaluation import evaluate_bound, log_likelihood
from vaekit.objectives import Elbo
from vaekit.randomness import seeded
from vaekit.reproductions.images import DynamicBinarisation, read_images
from vaekit.reproductions.machine import describe
from vaekit.reproductions.protocol import Protocol
from vaekit.spec import Sentence, build_vae
from vaekit.training import EpochMetrics, TrainingSettings, train
from vaekit.vae import VAE

__all__ = ["reproduce"]


def reproduce(
    protocol: Protocol,
    *,
    data_dir: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    epochs: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    **training: Any,
) -> dict[str, Any]:
    """Train by a protocol and measure.

    Parameters
    ----------
    protocol
        What to do.
    data_dir
        Where MNIST's files lie.
    seed
        Of initialisation, order, noise and binarisation.
    device
        ``cpu`` or ``cuda``.
    epochs
        Stop after so many, as the result then says; by default all of them.
    say
        Called with a line after every epoch.
    training
        Passed on to :func:`vaekit.training.train`.

    Returns
    -------
    dict
        Protocol, sentence, what was measured and published, whether each figure lies inside its spread, seed,
        machine and wall time: what is written as JSON.
    """
    sets = read_images(protocol.images, protocol.held_out, data_dir=data_dir, seed=seed)
    x, test = sets.train.to(device), sets.test.to(device)
    held_out = test if sets.held_out is None else sets.held_out.to(device)
    sentence = Sentence.parse(**protocol.parts)
    with seeded(seed):
        model = build_vae(sentence, (1, 28, 28), protocol.latent).to(device)
    objective = sentence.objective.build()
    if protocol.images == "dynamic":
        objective = DynamicBinarisation(objective)
    measured: dict[str, float] = {}
    started = time.perf_counter()
    last = min(epochs or protocol.settings.epochs, protocol.settings.epochs)

    def after_epoch(metrics: EpochMetrics, is_best: bool) -> None:
        bound = metrics.train_bound if metrics.validation_bound is None else metrics.validation_bound
        line = f"epoch {metrics.epoch:4} of {last}  held-out bound {bound:.2f}  {time.perf_counter() - started:.0f} s"
        if metrics.epoch in protocol.curve:
            for name, value in _measure(model, held_out, protocol.samples, seed).items():
                measured[f"{name}, epoch {metrics.epoch}"] = value
                line += f"  {name} {value:.2f}"
        say(line)

    settings = protocol.settings if epochs is None else _shortened(protocol, epochs)
    history = train(
        model, objective, x, held_out, settings=settings, seed=seed, on_epoch=after_epoch, **training
    )
    for name, value in _measure(model, test, protocol.samples, seed).items():
        measured[f"test {name}"] = value
        say(f"test {name} {value:.2f}")
    return {
        "protocol": protocol.to_json(),
        "sentence": sentence.to_json(),
        "seed": seed,
        "epochs": len(history.epochs),
        "epochs_of_the_protocol": protocol.settings.epochs,
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "figures": _beside(protocol, measured),
        "seconds": round(time.perf_counter() - started, 1),
        "device": _name_of(device),
        "threads": torch.get_num_threads(),
        "machine": describe("torch", "numpy"),
    }


@torch.no_grad()
def _measure(model: VAE, x: Tensor, samples: int, seed: int) -> dict[str, float]:
    """Minus the ELBO, and minus the log-likelihood where it is asked for, with the same noise every time."""
    training = model.training
    model.eval()
    with seeded(seed + 3):
        found = {"negative ELBO": -evaluate_bound(model, Elbo(), x).estimate.mean}
        if samples:
            found["negative log-likelihood"] = -log_likelihood(model, x, samples=samples).estimate.mean
    model.train(training)
    return found


def _shortened(protocol: Protocol, epochs: int) -> TrainingSettings:
    return replace(protocol.settings, epochs=min(epochs, protocol.settings.epochs))


def _beside(protocol: Protocol, measured: dict[str, float]) -> list[dict[str, Any]]:
    """One row a figure, published or measured."""
    rows = []
    for name in [*measured, *(name for name in protocol.published if name not in measured)]:
        figure, value = protocol.published.get(name), measured.get(name)
        inside = None if figure is None or value is None else abs(value - figure.value) <= figure.spread
        rows.append(
            {
                "figure": name,
                "measured": value,
                "published": None if figure is None else figure.value,
                "spread": None if figure is None else figure.spread,
                "inside": inside,
            }
        )
    return rows


def _name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
