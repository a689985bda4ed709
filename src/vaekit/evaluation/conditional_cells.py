r"""The missing cells of rows given those that are there, by importance resampling.

.. math:: \mathbb E[h(x_\text{mis}) \mid x_\text{obs}] \approx \sum_{k=1}^K w_k\, \mathbb E[h(x_\text{mis}) \mid z_k],
          \qquad w_k \propto \frac{p(x_\text{obs} \mid z_k)\, p(z_k)}{r(z_k)}, \quad z_k \sim r

with weights that sum to one: Mattei and Frellsen (2019), "MIWAE: Deep Generative Modelling and Imputation of Incomplete
Data", equation 12. Draws of :math:`x_\text{mis}` come from :math:`p(x_\text{mis} \mid z)` at a :math:`z_k` that is
drawn by its weight. There the proposal r is the posterior :math:`q(z \mid x_\text{obs})`; here half of the draws are
the prior's,

.. math:: r(z) = \tfrac 1 2\, q(z \mid x_\text{obs}) + \tfrac 1 2\, p(z),

so that no weight is above :math:`2\, p(x_\text{obs} \mid z)` where the encoder has never seen such holes (Hesterberg,
1995, "Weighted Average Importance Sampling and Defensive Mixture Distributions", Technometrics 37). Rows of which too
few draws have all the weight get a proposal of their own (:mod:`vaekit.evaluation.mending`). Of a row without any
observed cell it is the model's marginal.
"""

from math import log, prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaekit.contracts import traits_of
from vaekit.distributions.base import WrappedDistribution
from vaekit.errors import UsageError
from vaekit.evaluation.importance_sampling import require_log_likelihood
from vaekit.evaluation.log_weights import proposal
from vaekit.evaluation.mending import can_be_mended, mended_draws
from vaekit.likelihoods.categorical_likelihood import Levels
from vaekit.likelihoods.mixed import MixedColumns
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.runtime.threads import shared_threads, work_of
from vaekit.vae import VAE

__all__ = ["ConditionalCells", "conditional_cells"]

_POOR, _POOR_OF_FEW, _FEW = 0.05, 0.2, 20  # shares of the samples: see _too_few
_NUMBERS_AT_ONCE = 2**22  # of the largest intermediate result


class ConditionalCells(NamedTuple):
    r"""The cells of rows given those that are observed, in the coordinates of the model.

    Parameters
    ----------
    expected
        ``(n, *event)``: the mean of every cell, or of a column of categories the most probable one.
    drawn
        ``(draws, n, *event)``: draws of whole rows; their observed cells are draws too, given :math:`z`.
    effective_sample_size
        ``(n,)`` float64: that of the weights, between 1 and the number of samples.
    """

    expected: Tensor
    drawn: Tensor
    effective_sample_size: Tensor


@plain_arithmetic()
@torch.no_grad()
def conditional_cells(
    model: VAE, x: Tensor, *, c: Tensor | None = None, samples: int = 500, draws: int = 0
) -> ConditionalCells:
    r"""Estimate the mean of the missing cells of rows given the observed ones, and draw them.

    Parameters
    ----------
    model
        Its likelihood takes missing cells: see :class:`vaekit.likelihoods.ObservedCells`.
    x
        ``(n, *event)``, NaN in a missing cell.
    c
        Condition, ``(n, ...)``.
    samples
        :math:`K`, the number of importance samples of a row, at least 2.
    draws
        The number of draws of each row.

    Raises
    ------
    UsageError
        For fewer samples than two, or a pseudo-likelihood.

    Examples
    --------
    A decoder that ignores :math:`z`: what is missing does not depend on what is there.

    >>> from torch import nn
    >>> from vaekit.likelihoods import GaussianLikelihood, ObservedCells
    >>> from vaekit.posteriors import DiagonalPosterior
    >>> from vaekit.priors import StandardPrior
    >>> likelihood = ObservedCells(GaussianLikelihood((2,), scale="fixed", value=0.1))
    >>> encoder = nn.Sequential(likelihood.encoder_input, nn.Linear(2, 2))
    >>> model = VAE(encoder, DiagonalPosterior(1), StandardPrior((1,)), nn.Linear(1, 2), likelihood)
    >>> _ = [nn.init.zeros_(weight) for weight in (*encoder[1].parameters(), model.decoder.weight)]
    >>> _ = model.decoder.bias.data.copy_(torch.tensor([3.0, 5.0]))
    >>> found = conditional_cells(model, torch.tensor([[2.9, torch.nan]]), draws=4)
    >>> found.expected.round(decimals=3), found.drawn.shape, found.effective_sample_size.item() > 490
    (tensor([[3., 5.]]), torch.Size([4, 1, 2]), True)
    """
    require_log_likelihood(model)
    if samples < 2:
        raise UsageError(f"samples={samples}: give a whole number of at least 2")
    width = max(prod(model.likelihood_part.feature_shape), prod(x.shape[1:]), 64)
    rows = max(1, _NUMBERS_AT_ONCE // (max(samples, draws) * width))
    parts: list[ConditionalCells] = []
    with shared_threads(work_of(model.decoder, min(len(x), rows) * samples)):
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            parts.append(_of_rows(model, x[part], None if c is None else c[part], samples, draws))
    if not parts:
        return ConditionalCells(x, x.new_zeros(draws, *x.shape), torch.zeros(0, dtype=torch.float64))
    return ConditionalCells(
        torch.cat([part.expected for part in parts]),
        torch.cat([part.drawn for part in parts], 1),
        torch.cat([part.effective_sample_size for part in parts]),
    )


def _of_rows(model: VAE, x: Tensor, c: Tensor | None, samples: int, draws: int) -> ConditionalCells:
    z, weight = _weighted_latents(model, x, c, samples)
    likelihood = model.decode(z, c)
    shape = (*weight.shape, *(1 for _ in model.event_shape))
    expected = (weight.to(x.dtype).reshape(shape) * likelihood.mean).sum(0)
    expected = _with_categories(likelihood, weight, expected)
    drawn = x.new_zeros(0, *x.shape)
    if draws:
        chosen = torch.multinomial(weight.T, draws, replacement=True).T
        drawn = model.decode(z[chosen, torch.arange(len(x), device=x.device)], c).sample()
    return ConditionalCells(expected, drawn, 1 / weight.square().sum(0))


def _weighted_latents(model: VAE, x: Tensor, c: Tensor | None, samples: int) -> tuple[Tensor, Tensor]:
    r"""Draw latents ``(samples, n, *latent)`` for rows, with weights that sum to one ``(samples, n)``."""
    q, p = proposal(model, x, c), model.prior(c)
    if traits_of(q).scores_own_draws_only or not can_be_mended(p):
        z = q.sample(torch.Size((samples,)))
        log_proposal = q.log_prob(z)
    else:
        from_prior = _sample(p, samples // 2, len(x))
        z = torch.cat([q.sample(torch.Size((samples - samples // 2,))), from_prior])
        share = samples // 2 / samples
        log_proposal = torch.logaddexp(q.log_prob(z) + log(1 - share), p.log_prob(z) + log(share))
    log_joint = model.decode(z, c).log_prob(x) + p.log_prob(z)
    log_weight = (log_joint - log_proposal).double()
    weight = _to_one(log_weight)
    poor = (1 / weight.square().sum(0) < _too_few(samples)).nonzero()[:, 0]
    if len(poor) and can_be_mended(p):
        seed, c_of_poor = int(torch.randint(2**62, ())), None if c is None else c[poor]
        z[:, poor], log_weight = mended_draws(model, x[poor], c_of_poor, draws=samples, seed=seed)
        weight[:, poor] = _to_one(log_weight)
    return z, weight


def _too_few(samples: int) -> float:
    """Return the effective sample size below which a row gets a proposal of its own."""
    return max(_POOR * samples, min(_POOR_OF_FEW * samples, _FEW))


def _to_one(log_weight: Tensor) -> Tensor:
    """Return weights that sum to one, ``(samples, n)``; where no draw has any, all are the same."""
    usable = log_weight.masked_fill(~log_weight.isfinite(), -torch.inf)
    return torch.where(usable.isinf().all(0), torch.zeros_like(usable), usable).softmax(0)


def _sample(p: Distribution, samples: int, n: int) -> Tensor:
    """Draw from a prior, which may be one for each row."""
    return p.sample(torch.Size((samples,) if p.batch_shape else (samples, n)))


def _with_categories(likelihood: Distribution, weight: Tensor, expected: Tensor) -> Tensor:
    """Return means with the most probable category in the columns of categories."""
    cells = likelihood.base if isinstance(likelihood, WrappedDistribution) else likelihood
    if not isinstance(cells, MixedColumns):
        return expected
    flat, start = expected.flatten(1).clone(), 0
    for part in cells.parts:
        columns = cells.order[start : start + part.event_shape[0]]
        start += part.event_shape[0]
        if isinstance(part, Independent) and isinstance(part.base_dist, Levels):
            mass = torch.einsum("kn,knml->nml", weight, part.base_dist.probs.to(weight))
            flat[:, columns] = mass.argmax(-1).to(flat)
    return flat.reshape(expected.shape)
