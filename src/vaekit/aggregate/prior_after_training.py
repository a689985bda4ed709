r"""Fitting a prior to the aggregate posterior of a trained model, and putting it into the model.

.. math:: \max_p \; \mathbb E_{q(z)} \log p(z), \qquad q(z) = \frac 1 n \sum_i q(z \mid x_i)

The gain shows on held-out rows: with encoder and decoder as they are, the evidence lower bound moves by
exactly :math:`\mathbb E_{q(z \mid x)} [\log p_\text{new}(z) - \log p_\text{old}(z)]`.

A prior that cannot fit itself to draws is trained by stochastic gradients. The draws are new in every epoch,
so that it cannot learn them by heart; rows it can, which is why held-out rows choose the epoch.
"""

from copy import deepcopy
from math import cos, isfinite, pi
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from vaekit.contracts import Prior, traits_of
from vaekit.errors import TrainingDivergedError, UsageError
from vaekit.evaluation import Estimate
from vaekit.runtime.fused_adam import FusedAdam
from vaekit.runtime.randomness import seeded
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.vae import VAE

__all__ = ["PriorFit", "aggregate_draws", "fit_prior"]

_ROWS_AT_ONCE = 4096
_DRAWS_AT_LEAST, _DRAWS_AT_MOST = 10_000, 100_000  # more rows than that teach a prior little
_REPEATS_AT_MOST, _HELD_OUT_REPEATS = 50, 20
_EPOCHS, _PATIENCE, _BATCH, _LEARNING_RATE, _LARGEST_GRADIENT = 40, 8, 256, 5e-3, 100.0
_CHOOSING_DRAWS = 10_000  # enough to tell epochs apart


class PriorFit(NamedTuple):
    r"""The quality of a fit of a prior, in nats per example.

    Parameters
    ----------
    draws
        The number of draws from the aggregate posterior that it was fitted to; anew in every epoch, where it
        took epochs.
    epochs
        The number of epochs of stochastic gradients; 0 where the fit needs none.
    log_density
        :math:`\mathbb E_{q(z \mid x)} \log p_\text{new}(z)` over held-out rows (over the rows of the fit, where none
        were held out).
    advantage
        The same less that of the prior that was there before: the gain of the evidence lower bound.
    bound_samples
        Where the new prior gives a lower bound instead of its log-density, the number of samples that it
        takes: the two numbers above are then lower bounds, in expectation. None: they are exact.
    """

    draws: int
    epochs: int
    log_density: Estimate
    advantage: Estimate
    bound_samples: int | None = None


@plain_arithmetic()
def fit_prior(
    model: VAE,
    prior: nn.Module,
    x: Tensor,
    held_out: Tensor | None = None,
    *,
    seed: int,
    c: Tensor | None = None,
    held_out_c: Tensor | None = None,
) -> PriorFit:
    r"""Fit a prior to a model's aggregate posterior and put it into the model; nothing else of it is changed.

    A prior with a method ``fit_draws(z, seed)`` is given draws and fits itself (with ``condition=`` where it
    needs that); any other is trained by stochastic gradients of :math:`\log p(z)` on draws that are new in
    every epoch, and keeps the weights of the epoch that is best on held-out rows.

    Parameters
    ----------
    model
        The model whose prior is replaced, once the fit is done.
    prior
        A prior over the latents of the model, on its device.
    x
        ``(n, *event)``, in the coordinates of the model: the rows that it was trained on, as a rule.
    held_out
        More rows, to stop early by and to measure the gain on.
    seed
        Governs all noise; torch's global generators are put back afterwards.
    c, held_out_c
        Conditions of ``x`` and ``held_out``, ``(n, d)``.

    Returns
    -------
    PriorFit

    Raises
    ------
    UsageError
        For a prior that has nothing to fit.
    DataError
        If the draws do not suffice.
    TrainingDivergedError
        If the density became infinite or NaN.

    Examples
    --------
    >>> from vaekit.priors import GaussianMixturePrior
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (3,), latent=2)
    >>> fit = fit_prior(model, GaussianMixturePrior((2,), components=2), torch.rand(100, 3), seed=0)
    >>> fit.draws, fit.advantage.mean > 0, model.prior().mixture_distribution.probs.shape
    (5000, True, torch.Size([2]))
    """
    if not any(True for _ in prior.parameters()):
        raise UsageError(
            f"{type(prior).__name__} has no parameters, so there is nothing to fit; give a prior that has, such as gmm"
        )
    was_training, device = model.training, x.device
    model.eval()
    fitted = _with_prior(model, prior.to(device))
    shown, shown_c = (x, c) if held_out is None else (held_out, held_out_c)
    repeats = min(_REPEATS_AT_MOST, -(-_DRAWS_AT_LEAST // len(x)))
    with seeded(seed), shared_threads(work_of(prior, _BATCH)):
        shown_z = aggregate_draws(model, shown, repeats=_HELD_OUT_REPEATS, c=shown_c)
        if len(x) > _DRAWS_AT_MOST:
            rows = torch.randperm(len(x))[:_DRAWS_AT_MOST].to(device)
            x, c = x[rows], None if c is None else c[rows]
        epochs = 0
        part = cast(Prior, prior)
        if part.traits.fits_draws:
            z = aggregate_draws(model, x, repeats=repeats, c=c)
            told = c.repeat(repeats, 1) if c is not None and "condition" in part.traits.needs else None
            part.fit_draws(z.flatten(0, 1), seed, condition=told)
        else:
            epochs = _maximise_log_density(
                fitted, x, repeats, c=c, held_out=None if held_out is None else (shown_z, shown_c)
            )
        log_density = _log_density_by_row(fitted, shown_z, shown_c)
        before = _log_density_by_row(model, shown_z, shown_c)
        bound_samples = traits_of(fitted.prior(shown_c)).bound_samples
    model.parts["prior"] = prior.train(was_training)
    model.train(was_training)
    return PriorFit(
        draws=repeats * len(x),
        epochs=epochs,
        log_density=Estimate.of(log_density.cpu().numpy()),
        advantage=Estimate.of((log_density - before).cpu().numpy()),
        bound_samples=bound_samples,
    )


def _with_prior(model: VAE, prior: nn.Module) -> VAE:
    """Return a model of the same modules with another prior, which is so given all that it needs of them."""
    parts = dict(model.parts.items()) | {"prior": prior}
    return VAE(**parts).eval()


@torch.no_grad()
def _log_density_by_row(model: VAE, z: Tensor, c: Tensor | None) -> Tensor:
    """Return the mean of log p(z) over the draws ``(repeats, n, *latent)`` of each row, ``(n,)`` in float64."""
    return model.prior(c).log_prob(z).double().mean(0)


@torch.no_grad()
def aggregate_draws(model: VAE, x: Tensor, *, repeats: int = 1, c: Tensor | None = None) -> Tensor:
    r"""Draw from :math:`q(z \mid x_i)` of every row, with torch's global generator.

    Every row has the same number of draws, so their union is a draw from :math:`q(z)` stratified by row.

    Parameters
    ----------
    model
        Anything with ``encode``; it is not changed.
    x
        ``(n, *event)``, in the coordinates of the model.
    repeats
        The number of draws of a row.
    c
        Conditions, ``(n, d)``.

    Returns
    -------
    Tensor
        ``(repeats, n, *latent)``.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (3,), latent=2)
    >>> aggregate_draws(model, torch.zeros(5, 3), repeats=4).shape
    torch.Size([4, 5, 2])
    """
    parts = [
        model.encode(
            x[start : start + _ROWS_AT_ONCE], None if c is None else c[start : start + _ROWS_AT_ONCE]
        ).sample(torch.Size((repeats,)))
        for start in range(0, len(x), _ROWS_AT_ONCE)
    ]
    return torch.cat(parts, 1)


def _maximise_log_density(
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
        The model whose prior is trained, by Adam at a rate that falls like a cosine.
    x, c
        ``(n, *event)`` rows and their conditions.
    repeats
        The number of draws of a row in every epoch.
    held_out
        Draws ``(repeats, m, *latent)`` and their conditions, at least one a row, to choose the epoch by.

    Returns
    -------
    int
        The number of epochs that were taken.

    Raises
    ------
    TrainingDivergedError
        If the density became infinite or NaN.
    """
    prior = model.parts["prior"]
    if held_out is not None:
        z, held_out_c = held_out
        held_out = z[: max(1, _CHOOSING_DRAWS // z.shape[1])], held_out_c
    optimizer = FusedAdam(prior.parameters(), lr=_LEARNING_RATE)
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


def _train_epoch(model: VAE, optimizer: FusedAdam, x: Tensor, repeats: int, c: Tensor | None) -> None:
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
