r"""A prior trained by stochastic gradients on draws: :math:`\max \mathbb E_{q(z)} \log p(z)`.

The draws are new in every epoch, so that a prior cannot learn them by heart; rows it can, which is why held-out rows
choose the epoch.
"""

from copy import deepcopy
from math import cos, isfinite, pi

import torch
from torch import Tensor

from vaekit.aggregate.draws import aggregate_draws
from vaekit.errors import TrainingDivergedError
from vaekit.vae import VAE

__all__ = ["maximise_log_density"]

_EPOCHS, _PATIENCE, _BATCH, _LEARNING_RATE, _LARGEST_GRADIENT = 40, 8, 256, 5e-3, 100.0
_CHOOSING_DRAWS = 10_000  # enough to tell epochs apart


def maximise_log_density(
    model: VAE,
    x: Tensor,
    repeats: int,
    *,
    c: Tensor | None = None,
    held_out: tuple[Tensor, Tensor | None] | None = None,
) -> int:
    """Train a model's prior, and nothing else of it, with torch's global generator.

    Parameters
    ----------
    model
        Whose prior is trained, by Adam at a rate that falls like a cosine.
    x, c
        ``(n, *event)`` rows and their conditions.
    repeats
        Draws a row in every epoch.
    held_out
        Draws ``(repeats, m, *latent)`` and their conditions, at least one a row, to choose the epoch by.

    Returns
    -------
    int
        How many epochs were taken.

    Raises
    ------
    TrainingDivergedError
        If the density became infinite or NaN.
    """
    prior = model.parts["prior"]
    if held_out is not None:
        z, held_out_c = held_out
        held_out = z[: max(1, _CHOOSING_DRAWS // z.shape[1])], held_out_c
    optimizer = torch.optim.Adam(prior.parameters(), lr=_LEARNING_RATE)
    best, best_weights, best_epoch, epoch = -float("inf"), None, 0, 0
    for epoch in range(1, _EPOCHS + 1):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * 0.5 * (1 + cos(pi * (epoch - 1) / _EPOCHS))
        prior.train()  # one whose density is an estimate has fresh noise in training, and always the same elsewhere
        _train_epoch(model, optimizer, x, repeats, c)
        prior.eval()
        if held_out is None:
            continue
        with torch.no_grad():
            value = float(model.prior(held_out[1]).log_prob(held_out[0]).double().mean())
        if value > best:
            best, best_weights, best_epoch = value, deepcopy(prior.state_dict()), epoch
        elif epoch - best_epoch >= _PATIENCE:
            break
    if best_weights is not None:
        prior.load_state_dict(best_weights)
    return epoch


def _train_epoch(
    model: VAE, optimizer: torch.optim.Optimizer, x: Tensor, repeats: int, c: Tensor | None
) -> None:
    parameters = list(model.parts["prior"].parameters())
    z = aggregate_draws(model, x, repeats=repeats, c=c).flatten(0, 1)
    order = torch.randperm(len(z)).to(z.device)
    total = torch.zeros((), dtype=torch.float64, device=z.device)
    for batch in order.split(_BATCH):
        condition = None if c is None else c[batch % len(x)]
        loss = -model.prior(condition).log_prob(z[batch]).mean()
        # The encoder may take part (in a VampPrior), but is not to move, nor to gather gradients.
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        optimizer.step()
        total += loss.detach().double()
    optimizer.zero_grad(set_to_none=True)
    if not isfinite(float(total)):
        raise TrainingDivergedError(
            f"log p(z) became {-float(total):g} while the prior was fitted to draws from the posterior, whose "
            f"values go up to {float(z.abs().max()):.3g}; try another prior, such as gmm with few components"
        )
