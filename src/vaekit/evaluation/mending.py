r"""Importance sampling for rows whose posterior is no proposal: outliers, above all.

Far from the data an encoder's posterior runs away, and its draws miss the mass of :math:`p(x, z)`. Here a row has a
proposal of its own, a mixture of

* the prior, for a tenth of the draws, so that no weight is above :math:`10\, p(x \mid z)` (Hesterberg, 1995, "Weighted
  Average Importance Sampling and Defensive Mixture Distributions", Technometrics 37);
* the posterior, for another tenth, where its density is known at draws of others;
* Student-t distributions around the modes of :math:`p(x, z)` (:mod:`vaekit.evaluation.modes`), which are fitted to
  weighted draws twice (Cappé, Douc, Guillin, Marin and Robert, 2008, "Adaptive Importance Sampling in General Mixture
  Classes", Statistics and Computing 18).

The draws behind the estimate are made after the proposal is settled, so it is a lower bound in expectation, as ever.
All is done in double precision: the log-density of a row a million deviations away is of the order of -1e12. Where
latents are not vectors of real numbers, or there is no gradient, the mixture is made of the prior and the posterior.
"""

import copy
from math import prod
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Model, traits_of
from vaekit.evaluation.row_proposals import RowProposals, bytes_a_row
from vaekit.runtime.randomness import seeded

__all__ = ["MendedRows", "can_be_mended", "in_double_precision", "mend_rows", "mended_draws"]

_ROWS = 64  # at a time
_LEAST_DRAWS, _MOST_DRAWS = 256, 1024  # in a round


class MendedRows(NamedTuple):
    """Estimates of the rows that were mended, all ``(n,)`` float64 on the CPU.

    Parameters
    ----------
    values
        Of log p(x), in nats.
    effective_sample_size, standard_error, pareto_shape
        As in :class:`vaekit.evaluation.LogLikelihood`.
    draws
        The number of draws behind each value.
    """

    values: Tensor
    effective_sample_size: Tensor
    standard_error: Tensor
    pareto_shape: Tensor
    draws: Tensor


def can_be_mended(p: Distribution) -> bool:
    """Return whether the prior can be a proposal: its density is exact."""
    return traits_of(p).bound_samples is None


def mend_rows(
    model: Model, x: Tensor, c: Tensor | None, *, samples: int, seed: int, common_noise: bool, memory: int
) -> MendedRows:
    """Estimate log p(x) of rows ``(n, *event)`` with proposals of their own.

    Parameters
    ----------
    model, x, c
        As for :func:`vaekit.evaluation.log_likelihood`.
    samples
        The samples that were asked for: a quarter of them, but from 256 to 1024, are drawn in each of some rounds.
    seed
        The seed of all noise.
    common_noise
        Whether all rows have the same noise: a row's value is then a function of the row and the seed.
    memory
        About how many bytes an intermediate result may take.
    """
    with torch.inference_mode(False), torch.no_grad():
        model, x, c = in_double_precision(model, x, c)
        found = []
        latents = prod(model.prior(None if c is None else c[:1]).event_shape)
        size = max(1, min(_ROWS, memory // (bytes_a_row(model, x)), memory // (32 * _MOST_DRAWS * latents)))
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            rows = RowProposals(
                model,
                x[part],
                None if c is None else c[part],
                seed=seed if common_noise else seed + 1000 * start,
                common_noise=common_noise,
                memory=memory,
            )
            found.append(rows.estimate(min(max(samples // 4, _LEAST_DRAWS), _MOST_DRAWS)))
    return MendedRows(*(torch.cat(terms) for terms in zip(*found, strict=True)))


def mended_draws(
    model: Model, x: Tensor, c: Tensor | None, *, draws: int, seed: int, memory: int = 32 * 2**20
) -> tuple[Tensor, Tensor]:
    """Draw latents of rows ``(n, *event)`` from proposals of their own.

    Parameters
    ----------
    model, x, c, seed, memory
        As for :func:`mend_rows`.
    draws
        The number of draws of each row.

    Returns
    -------
    tuple of Tensor
        Latents ``(draws, n, *latent)``, and the logarithms of their weights ``(draws, n)``, float64.
    """
    with torch.inference_mode(False), torch.no_grad():
        double, rows, conditions = in_double_precision(model, x, c)
        latents, log_weights = [], []
        for start in range(0, len(x), _ROWS):
            part = slice(start, start + _ROWS)
            some = RowProposals(
                double,
                rows[part],
                None if conditions is None else conditions[part],
                seed=seed + 1000 * start,
                common_noise=False,
                memory=memory,
            )
            z, log_weight = some.weighted(draws)
            latents.append(z)
            log_weights.append(log_weight)
    return torch.cat(latents, 1).to(x), torch.cat(log_weights, 1).to(x.device)


def in_double_precision(model: Model, x: Tensor, c: Tensor | None) -> tuple[Model, Tensor, Tensor | None]:
    """Return a copy of a model in double precision, with data and conditions; as they are where it knows no other."""
    if not isinstance(model, nn.Module):  # callables: nothing can be done about their precision
        return model, x.clone(), None if c is None else c.clone()
    device = torch.device("cpu") if x.device.type == "mps" else x.device  # which knows no double precision
    double = copy.deepcopy(model).to(device, torch.float64).eval().requires_grad_(False)
    double_x = x.to(device, torch.float64, copy=True)
    double_c = None if c is None else c.to(device, torch.float64, copy=True)
    first_c = None if double_c is None else double_c[:1]
    if not _works_in_double_precision(cast(Model, double), double_x[:1], first_c):
        return model, x.clone(), None if c is None else c.clone()
    return cast(Model, double), double_x, double_c


def _works_in_double_precision(model: Model, x: Tensor, c: Tensor | None) -> bool:
    """Return whether a model's draws are in double precision: a part of one's own may make tensors of float32."""
    try:
        with seeded(0):
            z = model.prior(c).sample()
            z = z.expand(1, *z.shape) if c is None else z
            draws = [z, model.encode(x, c).sample(), model.decode(z, c).log_prob(x)]
    except RuntimeError:
        return False
    return all(draw.dtype == torch.float64 for draw in draws)
