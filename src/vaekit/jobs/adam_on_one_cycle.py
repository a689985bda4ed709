"""The optimiser of the jobs' networks: AdamW, with a learning rate that rises for a tenth of the steps and falls."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaekit.language.learning_rates import OneCycle

__all__ = ["adam_on_one_cycle"]

_RISING = 0.1  # the share of the steps in which the learning rate rises


def adam_on_one_cycle(
    weights: Sequence[Tensor], *, learning_rate: float, weight_decay: float, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """Return an optimiser of weights, and the schedule that is to step after it.

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
