"""The layers of the jobs' networks, those of several members stacked into one, and an optimiser for them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vaekit.jobs.table_coding import CodedRows
from vaekit.language.learning_rates import OneCycle

__all__ = ["adam_on_one_cycle", "apply_layers", "make_layers", "one_hot"]

_RISING = 0.1  # the share of the steps in which the learning rate rises


def one_hot(rows: CodedRows, sizes: tuple[int, ...]) -> list[Tensor]:
    """Return each categorical column one-hot, ``(..., n, positions)``; zeros in a hole."""
    d = rows.numbers.shape[-1]
    return [
        torch.nn.functional.one_hot(rows.codes[..., j], size) * rows.observed[..., d + j, None]
        for j, size in enumerate(sizes)
    ]


def make_layers(members: int, widths: list[int], generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Return weights ``(members, in, out)`` and biases ``(members, 1, out)``, uniform in 1/sqrt(in) as in PyTorch."""
    layers = []
    for width, following in zip(widths, widths[1:], strict=False):
        weight = torch.rand(members, width, following, generator=generator) * 2 - 1
        layers.append((weight / math.sqrt(max(width, 1)), torch.zeros(members, 1, following)))
    return layers


def apply_layers(layers: list[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """Return what the networks make of ``(members, n, in)``: SiLU after each layer but the last."""
    for weight, bias in layers[:-1]:
        x = torch.nn.functional.silu(torch.baddbmm(bias, x, weight))
    weight, bias = layers[-1]
    return torch.baddbmm(bias, x, weight)


def adam_on_one_cycle(
    weights: Sequence[Tensor], *, learning_rate: float, weight_decay: float, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """Return AdamW, and the schedule that is to step after it: it rises for a tenth of the steps, and falls.

    Parameters
    ----------
    weights
        What is trained.
    learning_rate
        The highest one.
    weight_decay
        Of AdamW: Loshchilov and Hutter (2019), "Decoupled Weight Decay Regularization".
    steps
        The number of all steps.

    Examples
    --------
    >>> weight = torch.ones(2, requires_grad=True)
    >>> optimizer, schedule = adam_on_one_cycle([weight], learning_rate=0.5, weight_decay=0.0, steps=20)
    >>> for _ in range(10):
    ...     optimizer.step()
    ...     schedule.step()
    >>> 0 < schedule.get_last_lr()[0] < 0.5
    True
    """
    optimizer = torch.optim.AdamW(
        weights, lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.99), foreach=True
    )
    one_cycle = OneCycle(warmup=_RISING)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps))
