"""Run an experiment, and compare the measured numbers with the published ones."""

import signal
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.errors import UsageError
from vaekit.evaluation import evaluate_bound, log_likelihood
from vaekit.objectives import Elbo
from vaekit.reproductions.figures import beside
from vaekit.reproductions.mnist_images import DynamicBinarisation, read_images
from vaekit.reproductions.protocol import Protocol
from vaekit.reproductions.sittings import Sittings, describe
from vaekit.reproductions.tables import TableExperiment
from vaekit.reproductions.tables.table_run import run_steps
from vaekit.runtime.device import choose_device
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.training import Callbacks, Checkpoints, EpochMetrics, StopRequest, stopping_on, train
from vaekit.training.training_plan import in_words
from vaekit.vae import VAE

__all__ = ["reproduce"]

_SECONDS_BETWEEN_LINES = 10.0
_ACCELERATOR_MEMORY = 2 * 2**30  # bytes of intermediate results
_PROCESSOR_MEMORY = 32 * 2**20  # small enough for the caches


def reproduce(
    protocol: Protocol | TableExperiment,
    *,
    data_dir: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    samples: int | None = None,
    folder: Path | None = None,
    resume: bool = False,
    stop: StopRequest | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train and measure by a protocol, in one sitting or in several.

    Parameters
    ----------
    protocol
        The protocol, or an experiment on tables.
    data_dir
        The folder of MNIST's files, or of the tables.
    seed
        The seed of initialisation, order, noise and binarisation; an experiment on tables says what it decides.
    device
        ``auto``, ``cpu`` or ``cuda``; experiments on tables run on the CPU.
    epochs, batch_size, learning_rate, samples
        Values other than the protocol's, which the result then states among its deviations; None for experiments on
        tables.
    folder
        The folder for checkpoints and measured numbers until the experiment is finished; None keeps nothing.
    resume
        Continue where an earlier sitting stopped; on the CPU the result is the same as without the stop.
    stop
        A request to stop the training before its next step, such as a :class:`vaekit.training.TimeLimit`. The final
        measurements are never interrupted, and do not start if the stop was requested before. An experiment on tables
        stops before its next part, such as a table.
    say
        Called with a line of progress after epochs with measurements, and several times a minute.

    Returns
    -------
    dict
        The protocol, the parts of the model, measured and published numbers, whether each lies within its spread, the
        seed, and the machine and wall time of every sitting: all that is written as JSON. ``finished`` says whether
        the experiment is complete.

    Raises
    ------
    UsageError
        If a setting makes no sense.
    DataError
        If MNIST's files or the tables are missing.
    CheckpointError
        If ``folder`` holds an unfinished run and ``resume`` was not given, or the run of another experiment.
    """
    if isinstance(protocol, TableExperiment):
        asked = {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "samples": samples,
            "device": None if device in ("auto", "cpu") else device,
        }
        for name, value in asked.items():
            if value is not None:
                raise UsageError(
                    f"{name}={value}: {protocol.name} is an experiment on tables, which runs on the CPU with the "
                    f"defaults of its estimators; leave {name} out"
                )
        return run_steps(
            protocol,
            data_dir=data_dir,
            seed=seed,
            folder=folder,
            resume=resume,
            stop=StopRequest() if stop is None else stop,
            say=say,
        )
    done = protocol.changed(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, samples=samples
    )
    stop = StopRequest() if stop is None else stop
    where = choose_device(device)
    here = {
        "device": _name_of(where),
        "threads": torch.get_num_threads(),
        "machine": describe("torch", "numpy"),
    }
    sittings = Sittings(folder, here, resume=resume)
    sets = read_images(done.images, done.held_out, data_dir=data_dir, seed=seed)
    held_out = None if sets.held_out is None else sets.held_out.to(where)
    test = sets.test.to(where)
    sentence = Sentence.parse(**done.parts)
    with seeded(seed):
        model = build_vae(sentence, (1, 28, 28), done.latent).to(where)
    objective = sentence.objective.build()
    with stopping_on(stop, signal.SIGINT, signal.SIGTERM):
        history = train(
            model,
            DynamicBinarisation(objective) if done.images == "dynamic" else objective,
            sets.train.to(where),
            held_out,
            settings=done.settings,
            seed=seed,
            callbacks=Callbacks(
                on_epoch=_Reporter(done, model, test if held_out is None else held_out, seed, sittings, say),
                stop=stop,
            ),
            checkpoints=_checkpoints(folder, resume, done, sentence),
        )
    sittings.write()
    finished = history.stopped != "interrupted" and not stop
    if finished:
        say(
            f"measuring on {len(test)} test images"
            + (f", {done.samples} samples each" if done.samples else "")
        )
        for name, value in _measure(model, test, done.samples, seed).items():
            sittings.measured[f"test {name}"] = value
            say(f"test {name} {value:.2f}")
        sittings.remove()
    trained = f"{len(history.epochs)} of {protocol.settings.epochs} epochs ({history.stopped})"
    if not finished:
        training = f"{len(history.epochs)} of {done.settings.epochs} epochs"
        trained = training if history.stopped == "interrupted" else "trained"
    return {
        "protocol": done.to_json(),
        "sentence": sentence.to_json(),
        "seed": seed,
        "finished": finished,
        "epochs": len(history.epochs),
        "epochs_of_the_protocol": protocol.settings.epochs,
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "progress": trained,
        "figures": beside(done.published, sittings.measured),
        "seconds": round(sittings.seconds, 1),
        "sittings": sittings.to_json(),
    }


def _checkpoints(
    folder: Path | None, resume: bool, protocol: Protocol, sentence: Sentence
) -> Checkpoints | None:
    if folder is None:
        return None
    identity = {"reproduction": protocol.name, "latent": str(protocol.latent), **sentence.to_json()}
    return Checkpoints(folder=folder, resume=resume, at_end=True, identity=identity)


class _Reporter:
    """A function called after every epoch, which measures the points of the curve and reports progress."""

    def __init__(
        self,
        protocol: Protocol,
        model: VAE,
        x: Tensor,
        seed: int,
        sittings: Sittings,
        say: Callable[[str], None],
    ) -> None:
        self.protocol, self.model, self.x, self.seed = protocol, model, x, seed
        self.sittings, self.say = sittings, say
        self.said_at = -inf

    def __call__(self, metrics: EpochMetrics, is_best: bool) -> None:
        name = "training" if metrics.validation_bound is None else "held-out"
        line = f"epoch {metrics.epoch} of {metrics.epochs}: {name} bound {metrics.bound:.2f}"
        if metrics.epoch in self.protocol.curve:
            for name, value in _measure(self.model, self.x, self.protocol.samples, self.seed).items():
                self.sittings.measured[f"{name}, epoch {metrics.epoch}"] = value
                line += f", {name} {value:.2f}"
            self.sittings.write()
        elif time.perf_counter() - self.said_at < _SECONDS_BETWEEN_LINES:
            return self.sittings.write_now_and_then()
        self.said_at = time.perf_counter()
        left = in_words((metrics.epochs - metrics.epoch) * metrics.seconds)
        self.say(f"{line}; {in_words(self.sittings.seconds)} so far, about {left} of training left at most")
        return self.sittings.write_now_and_then()


@torch.no_grad()
def _measure(model: VAE, x: Tensor, samples: int, seed: int) -> dict[str, float]:
    """Return the negative ELBO, and with ``samples`` the negative log-likelihood, with the same noise every time."""
    training = model.training
    model.eval()
    with seeded(seed + 3):
        found = {"negative ELBO": -evaluate_bound(model, Elbo(), x).estimate.mean}
        if samples:
            memory = _ACCELERATOR_MEMORY if x.is_cuda else _PROCESSOR_MEMORY
            found["negative log-likelihood"] = -log_likelihood(
                model, x, samples=samples, most_mended=0, memory=memory
            ).estimate.mean
    model.train(training)
    return found


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
