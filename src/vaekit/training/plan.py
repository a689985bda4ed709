"""What a training will take, said before it begins."""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from vaekit.language.settings import TrainingSettings
from vaekit.objectives import Objective
from vaekit.runtime.randomness import seeded
from vaekit.training.fused_adam import build_optimizer
from vaekit.training.opponent import has_opponent
from vaekit.training.streamed import StreamedRows
from vaekit.training.threads import threads_for
from vaekit.vae import VAE

__all__ = ["Plan", "in_words", "plan_training"]

_COPIES_OF_WEIGHTS = (
    9  # weights, gradients, Adam's two; a good state's three; the best; one while they are copied
)
_PROCESS = 530 * 2**20  # a fit of next to no data, report included, as measured
_WORK = 200 * 2**20  # blocks of a million numbers on their way, in float64, and what the report shows
_MAPPED = 150 * 2**20  # pages of the file, as they are counted: see vaekit.data.mapped
_BYTES_A_ROW, _BYTES_A_LATENT = (
    36,
    16,
)  # order and split; an epoch's results, and once more while they are summed
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Memory and time of a training, estimated; ``str`` says it in a sentence.

    Parameters
    ----------
    rows
        Training rows.
    window
        Rows of a window of the shuffle; None where they are in memory, and shuffled as a whole.
    window_bytes
        Of such a window in float32; 0 where there is none.
    pieces
        From how many pieces of the source a window comes, where it is read in pieces; 1 where windows are rows that
        follow one another; None where chunks of any size can be read.
    memory_bytes
        Of the process, at its largest.
    seconds_per_epoch
        Of steps, and of reading; validation, and the time of a second player, are not in it.
    epochs
        At most.
    """

    rows: int
    window: int | None
    window_bytes: int
    pieces: int | None
    memory_bytes: int
    seconds_per_epoch: float
    epochs: int

    def __str__(self) -> str:
        seconds = self.seconds_per_epoch
        return (
            f"{self.rows:,} training rows {self._where()}; about {self.memory_bytes / 1e9:.1f} GB of memory, and "
            f"{in_words(seconds)} an epoch, {in_words(seconds * self.epochs)} for at most {self.epochs}"
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
        """All of it, for JSON."""
        return asdict(self)


def plan_training(
    x: Tensor,
    model: VAE,
    objective: Objective,
    settings: TrainingSettings,
    *,
    found_bytes: int = 0,
    c: Tensor | None = None,
) -> Plan:
    """Estimate memory and time of a training.

    Parameters
    ----------
    x
        The training rows, or :class:`~vaekit.training.streamed.StreamedRows`, of which a few are read.
    model, objective
        Of which copies take a few steps, so that the model and torch's generators stay what they are.
    settings
        Epochs and batch size.
    found_bytes
        What the data take in memory beside ``x``.
    c
        Conditions of the rows.

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (3,), latent=2)
    >>> str(plan_training(torch.zeros(90, 3), model, Elbo(), TrainingSettings(epochs=2)))
    '90 training rows in memory; about 0.6 GB of memory, and less than 1 s an epoch, less than 1 s for at most 2'
    """
    each = 4 * prod(x.shape[1:])
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    memory = _PROCESS + found_bytes + _COPIES_OF_WEIGHTS * weights
    memory += len(x) * (_BYTES_A_ROW + _BYTES_A_LATENT * prod(model.latent_shape))
    seconds = -(-len(x) // settings.batch_size) * _seconds_a_step(x, c, model, objective, settings)
    if not isinstance(x, StreamedRows):
        return Plan(
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
    return Plan(
        rows=len(x),
        window=window,
        window_bytes=held,
        pieces=1 if x.in_order else x.places,
        memory_bytes=memory + (1 + ahead) * held + _WORK + _MAPPED + x.piece_bytes,
        seconds_per_epoch=max(seconds, reading) if ahead else seconds + reading,
        epochs=settings.epochs,
    )


def _seconds_a_step(
    x: Tensor, c: Tensor | None, model: VAE, objective: Any, settings: TrainingSettings
) -> float:
    model, objective = copy.deepcopy(model).train(), copy.deepcopy(objective)
    optimizer = build_optimizer(settings.optimizer, model.parameters(), settings.learning_rate)
    some = slice(settings.batch_size)
    batch, condition = x[some], None if c is None else c[some]
    objective.begin(rows=len(x))
    if c is not None:
        objective.count_labels(c)

    def step() -> None:
        (-objective(model, batch, condition).surrogate.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        if batch.device.type == "cuda":
            torch.cuda.synchronize(batch.device)

    with seeded(0), threads_for(model, objective, settings.batch_size):
        if has_opponent(objective):
            objective.build_opponent(model)
        return _seconds(step)


def _seconds_a_row(x: StreamedRows, batch_size: int) -> float:
    """Of reading: rows that were not read before, for some sources keep what they read."""
    some = min(x.window, max(batch_size, 10_000_000 // (4 * prod(x.shape[1:]))), max(1, len(x) // 4))
    if x.in_order or x.places is not None:
        started = time.perf_counter()
        x[some : 2 * some]
        return (time.perf_counter() - started) / some
    return _seconds(lambda: x[:some]) / some


def _seconds(action: Callable[[], Any]) -> float:
    """The shortest of some tries, after one that pays for what is paid once."""
    action()
    taken = []
    for _ in range(_TRIES):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return min(taken)


def in_words(seconds: float) -> str:
    """Say a time to one figure that matters.

    >>> in_words(0.2), in_words(4), in_words(600), in_words(20000)
    ('less than 1 s', '4 s', '10 min', '5.6 h')
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
