r"""Fitting a prior to the aggregate posterior, and putting it into the slot.

.. math:: \max_p \; \mathbb E_{q(z)} \log p(z), \qquad q(z) = \frac 1 n \sum_i q(z \mid x_i)

How much is won shows on held-out rows: with encoder and decoder as they are, the evidence lower bound moves by exactly
:math:`\mathbb E_{q(z \mid x)} [\log p_\text{new}(z) - \log p_\text{old}(z)]`.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from vaekit.aggregate.draws import aggregate_draws
from vaekit.aggregate.maximum_likelihood import maximise_log_density
from vaekit.contracts import Prior, traits_of
from vaekit.errors import UsageError
from vaekit.evaluation import Estimate
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE

__all__ = ["PriorFit", "fit_prior"]

_DRAWS_AT_LEAST, _DRAWS_AT_MOST = 10_000, 100_000  # more rows than that teach a prior little
_REPEATS_AT_MOST, _HELD_OUT_REPEATS = 50, 20


class PriorFit(NamedTuple):
    r"""How well a prior was fitted, in nats per example.

    Parameters
    ----------
    draws
        From the aggregate posterior, that it was fitted to; anew in every epoch, where it took epochs.
    epochs
        Of stochastic gradients; 0 where the fit needs none.
    log_density
        :math:`\mathbb E_{q(z \mid x)} \log p_\text{new}(z)` over held-out rows (over the rows of the fit, where none
        were held out).
    advantage
        The same less that of the prior that was there before: what the evidence lower bound has gained.
    bound_samples
        None, or where the new prior gives a lower bound instead of its log-density (as ``two-stage`` does), of how
        many samples: the two numbers above are then lower bounds, in expectation.
    """

    draws: int
    epochs: int
    log_density: Estimate
    advantage: Estimate
    bound_samples: int | None = None


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

    A prior with a method ``fit_draws(z, seed)`` is given draws and fits itself (with ``condition=`` where it needs
    that); any other is trained by stochastic gradients of :math:`\log p(z)` on draws that are new in every epoch, and
    keeps the weights of the epoch that is best on held-out rows.

    Parameters
    ----------
    model
        Whose ``prior`` is replaced, once the fit is done.
    prior
        A prior over the latents of the model, on its device.
    x
        ``(n, *event)``, in the coordinates of the model: the rows that it was trained on, as a rule.
    held_out
        More rows, to stop early by and to tell how much is won.
    seed
        Of all noise; torch's global generators are put back afterwards.
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
    with seeded(seed):
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
            epochs = maximise_log_density(
                fitted, x, repeats, c=c, held_out=None if held_out is None else (shown_z, shown_c)
            )
        log_density = log_density_by_row(fitted, shown_z, shown_c)
        before = log_density_by_row(model, shown_z, shown_c)
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
    """The same modules with another prior, which is so given all that it needs of them."""
    parts = dict(model.parts.items()) | {"prior": prior}
    return VAE(**parts).eval()


@torch.no_grad()
def log_density_by_row(model: VAE, z: Tensor, c: Tensor | None) -> Tensor:
    """The mean of log p(z) over the draws ``(repeats, n, *latent)`` of each row, ``(n,)`` in float64."""
    return model.prior(c).log_prob(z).double().mean(0)
