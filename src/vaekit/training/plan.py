"""What a training that reads its data from a file will take, said before it begins."""

import copy
import time
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from vaekit.objectives import Objective
from vaekit.randomness import seeded
from vaekit.training.opponent import has_opponent
from vaekit.training.settings import TrainingSettings
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = ["describe_plan"]

_COPIES_OF_WEIGHTS = (
    9  # weights, gradients, Adam's two; a good state's three; the best; one while they are copied
)
_PROCESS = 530 * 2**20  # a fit of next to no data, report included, as measured
_WORK = 200 * 2**20  # blocks of a million numbers on their way, in float64, and what the report shows
_MAPPED = 150 * 2**20  # pages of the file, as they are counted: see vaekit.data.mapped
_TRIES = 3


def describe_plan(x: StreamedRows, model: VAE, objective: Objective, settings: TrainingSettings) -> str:
    """Estimate memory and time of a training, in a sentence.

    Parameters
    ----------
    x
        The training rows, of which a few are read.
    model, objective
        Of which copies take a few steps, so that the model and torch's generators stay what they are. Time of a second
        player, of validation and of a slower disk is not in it.
    settings
        Epochs and batch size.
    """
    model, objective = copy.deepcopy(model).train(), copy.deepcopy(objective)
    batch = x[: settings.batch_size]
    if hasattr(objective, "begin"):
        objective.begin(rows=len(x))  # type: ignore[attr-defined]
    with seeded(0):
        if has_opponent(objective):
            objective.build_opponent(model)  # type: ignore[attr-defined]
        seconds_a_step = _seconds(lambda: _step(model, objective, batch, settings))
    some = min(x.window, max(settings.batch_size, 10_000_000 // (4 * prod(x.shape[1:]))))
    seconds_a_row = _seconds(lambda: x[:some]) / some
    steps = -(-len(x) // settings.batch_size)
    seconds = steps * seconds_a_step + len(x) * seconds_a_row
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    window = x.window_for(settings.batch_size)
    held = min(window, len(x)) * 4 * prod(x.shape[1:])
    memory = _PROCESS + held + _COPIES_OF_WEIGHTS * weights + _WORK + _MAPPED + 24 * len(x)
    shuffled = "as a whole" if window >= len(x) else f"in windows of {window:,} ({held / 1e6:,.0f} MB)"
    return (
        f"{len(x):,} training rows are read from their file as they are needed, shuffled {shuffled}; about "
        f"{memory / 1e9:.1f} GB of memory, and {_in_words(seconds)} an epoch, {_in_words(seconds * settings.epochs)} "
        f"for at most {settings.epochs}"
    )


def _step(model: VAE, objective: Any, batch: Tensor, settings: TrainingSettings) -> None:
    (-objective(model, batch).surrogate.mean()).backward()
    model.zero_grad(set_to_none=True)
    if batch.device.type == "cuda":
        torch.cuda.synchronize(batch.device)


def _seconds(action: Callable[[], Any]) -> float:
    """The shortest of some tries, after one that pays for what is paid once."""
    action()
    taken = []
    for _ in range(_TRIES):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _in_words(seconds: float) -> str:
    """Say a time to one figure that matters.

    >>> _in_words(4), _in_words(600), _in_words(20000)
    ('4 s', '10 min', '5.6 h')
    """
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
