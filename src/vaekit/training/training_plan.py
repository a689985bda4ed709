"""The memory and the time that a training will take, estimated before it begins."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import torch

from vaekit.runtime.randomness import seeded
from vaekit.runtime.threads import quota_in_words
from vaekit.training.setup import RunSetup, begin_objective
from vaekit.training.streamed import StreamedRows

__all__ = ["TrainingPlan", "in_words", "plan_training"]

_COPIES_OF_WEIGHTS = (
    9  # weights, gradients, Adam's two; a good state's three; the best; one while they are copied
)
_PROCESS = 530 * 2**20  # a fit of next to no data, report included, as measured
_WORK = 200 * 2**20  # blocks of a million numbers on their way, in float64, and what the report shows
_MAPPED = 150 * 2**20  # pages of the file, as they are counted: see vaekit.data.mapped
_BYTES_A_ROW = 36  # order and split
_BYTES_A_LATENT = 16  # an epoch's results, and once more while they are summed
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Memory and time of a training, estimated; ``str`` says it in a sentence.

    Parameters
    ----------
    rows
        Training rows.
    window
        Rows of a window of the shuffle; None where they are in memory, and shuffled as a whole.
    window_bytes
        The size of such a window in float32; 0 where there is none.
    pieces
        The number of pieces of the source that a window comes from, where it is read in pieces; 1 where
        windows are rows that follow one another; None where chunks of any size can be read.
    memory_bytes
        The memory of the process, at its largest.
    seconds_per_epoch
        The time of steps and of reading; validation, and the time of a second player, are not in it.
    epochs
        The largest number of epochs.
    evaluation_seconds
        The time of evaluating the held-out rows afterwards; None where that was not estimated.
    """

    rows: int
    window: int | None
    window_bytes: int
    pieces: int | None
    memory_bytes: int
    seconds_per_epoch: float
    epochs: int
    evaluation_seconds: float | None = None

    def __str__(self) -> str:
        seconds, proof = self.seconds_per_epoch, self.evaluation_seconds
        evaluation = "" if proof is None else f", then {in_words(proof)} to evaluate the model"
        return (
            f"{self.rows:,} training rows {self._where()}; about {self.memory_bytes / 1e9:.1f} GB of memory, and "
            f"{in_words(seconds)} an epoch, {in_words(seconds * self.epochs)} for at most {self.epochs}{evaluation}"
            f"{quota_in_words()}"
        )

    def _where(self) -> str:
        if self.window is None:
            return "in memory"
        read = "are read as they are needed, shuffled"
        if self.window >= self.rows:
            return f"{read} as a whole"
        size = f"of {self.window:,} ({self.window_bytes / 1e6:,.0f} MB)"
        if self.pieces is None:
            return f"{read} in windows {size}"
        if self.pieces == 1:
            return f"{read} in windows {size} that follow one another"
        return f"{read} in windows {size} from about {self.pieces} pieces each"

    def to_json(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return asdict(self)


def plan_training(setup: RunSetup, *, found_bytes: int = 0) -> TrainingPlan:
    """Estimate memory and time of a training.

    Parameters
    ----------
    setup
        The run; copies of its model and objective take a few steps, so that they and torch's generators stay
        what they are. Of rows that are read as they are needed, a few are read.
    found_bytes
        Memory that the data take beside the training rows.

    Examples
    --------
    >>> from vaekit.language.settings import TrainingSettings
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.sentence import Sentence, build_vae
    >>> from vaekit.training import Examples
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (3,), latent=2)
    >>> settings = TrainingSettings(epochs=2)
    >>> setup = RunSetup(model=model, objective=Elbo(), data=Examples(torch.zeros(90, 3)), settings=settings, seed=0)
    >>> str(plan_training(setup))
    '90 training rows in memory; about 0.6 GB of memory, and less than 1 s an epoch, less than 1 s for at most 2'
    """
    x, settings, model = setup.data.x, setup.settings, setup.model
    each = 4 * prod(x.shape[1:])
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    memory = _PROCESS + found_bytes + _COPIES_OF_WEIGHTS * weights
    memory += len(x) * (_BYTES_A_ROW + _BYTES_A_LATENT * prod(model.latent_shape))
    seconds = -(-len(x) // settings.batch_size) * _seconds_a_step(setup.copied())
    if not isinstance(x, StreamedRows):
        return TrainingPlan(
            rows=len(x),
            window=None,
            window_bytes=0,
            pieces=None,
            memory_bytes=memory + len(x) * each,
            seconds_per_epoch=seconds,
            epochs=settings.epochs,
        )
    window = x.window_for(settings.batch_size)
    held = min(window, len(x)) * each
    reading = len(x) * _seconds_a_row(x, settings.batch_size)
    ahead = x.in_thread and window < len(x)
    return TrainingPlan(
        rows=len(x),
        window=window,
        window_bytes=held,
        pieces=1 if x.in_order else x.places,
        memory_bytes=memory + (1 + ahead) * held + _WORK + _MAPPED + x.piece_bytes,
        seconds_per_epoch=max(seconds, reading) if ahead else seconds + reading,
        epochs=settings.epochs,
    )


def _seconds_a_step(setup: RunSetup) -> float:
    """Return the time of a step of a run whose model and objective may be moved."""
    model, objective = setup.model.train(), setup.objective
    optimizer = setup.build_optimizer(model.parameters())
    batch = setup.data.first(setup.settings.batch_size)

    def step() -> None:
        (-objective(model, *batch).surrogate.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        if batch.x.device.type == "cuda":
            torch.cuda.synchronize(batch.x.device)

    with seeded(0), setup.threads():
        begin_objective(objective, model, rows=len(setup.data.x), c=setup.data.c)
        return _seconds(step)


def _seconds_a_row(x: StreamedRows, batch_size: int) -> float:
    """Return the time of reading a row that was not read before, for some sources keep what they read."""
    some = min(x.window, max(batch_size, 10_000_000 // (4 * prod(x.shape[1:]))), max(1, len(x) // 4))
    if x.in_order or x.places is not None:
        started = time.perf_counter()
        x[some : 2 * some]
        return (time.perf_counter() - started) / some
    return _seconds(lambda: x[:some]) / some


def _seconds(action: Callable[[], Any]) -> float:
    """Return the shortest time of some tries, after one that pays for what is paid once."""
    action()
    taken = []
    for _ in range(_TRIES):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return min(taken)


def in_words(seconds: float) -> str:
    """Return a time in words, to one figure that matters.

    >>> in_words(0.2), in_words(4), in_words(600), in_words(20000)
    ('less than 1 s', '4 s', '10 min', '5.6 h')
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
