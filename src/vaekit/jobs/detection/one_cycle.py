"""Training on one cycle: the learning rate rises for a tenth of the steps and falls along a cosine.

Adam's momentum falls while the rate rises, and rises while it falls: Smith and Topin (2018), "Super-Convergence: Very
Fast Training of Neural Networks Using Large Learning Rates". Weights decay as in Loshchilov and Hutter (2019),
"Decoupled Weight Decay Regularization".
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["minimise"]


def minimise(
    weights: Sequence[Tensor],
    loss: Callable[[int], Tensor],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.0,
) -> None:
    """Move weights so that a loss becomes small.

    Parameters
    ----------
    weights
        What is moved; they require gradients until the end.
    loss
        Given the number of the step, from 0, returns the loss at the weights of that moment.
    steps
        The number of steps.
    learning_rate
        The highest one.
    weight_decay
        The share that weights lose in a step at a learning rate of 1.

    Examples
    --------
    >>> weight = torch.tensor([3.0, -2.0])
    >>> minimise([weight], lambda step: weight.square().sum(), steps=100, learning_rate=0.2)
    >>> bool(weight.abs().max() < 0.1), weight.requires_grad
    (True, False)
    """
    for weight in weights:
        weight.requires_grad_()
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay)
    # PyTorch divides by the length of the rise less one step, which is nothing where a tenth is one step.
    rising = 0.1 if steps != 10 else 0.2
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps, pct_start=rising
    )
    for step in range(steps):
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    for weight in weights:
        weight.requires_grad_(False)
