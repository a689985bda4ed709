r"""A cheap search for mass that a posterior misses, which its own draws cannot show.

Draws of a posterior that is far too narrow, or in the wrong place, have nearly equal weights: their effective size
is high and their sum is wrong. So the weight :math:`p(x, z) / q(z \mid x)` is evaluated in a few places that are not
drawn from the posterior: between its mean and the prior's, around its mean at several distances, and at some draws of
the prior. A place that is about as good as the mean by :math:`p(x, z)`, but where the posterior has hardly any
density, is missed.
"""

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vaekit.contracts import Model, traits_of
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE, code_of

__all__ = ["is_euclidean", "is_normal", "misses_mass"]

_BETWEEN = (0.0, 0.5)
_AROUND = (1.0, 0.2, 0.04)
_DRAWS, _SHARED = 64, 16  # draws of the prior, and how many of them are tried
_FURTHER = 3.0  # how much further out half of them are
_MARGIN, _MARGIN_A_DIMENSION = 10.0, 0.5  # nats by which the weight in a place is above that at the mean


def is_euclidean(model: Model, q: Distribution, p: Distribution) -> bool:
    """Return whether latents are vectors of real numbers with a continuous density."""
    if traits_of(q).discrete or traits_of(p).discrete:
        return False
    if isinstance(model, VAE):
        return model.posterior_part.traits.space == "euclidean"
    return is_normal(q) and is_normal(p)


def is_normal(distribution: Distribution) -> bool:
    """Return whether a distribution is a Gaussian of torch's classes, whose density is cheap at every point."""
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    return isinstance(base, Normal | MultivariateNormal)


def misses_mass(model: Model, x: Tensor, c: Tensor | None, *, rows_at_once: int) -> Tensor:
    """Return which rows' posteriors miss mass, ``(n,)`` of booleans on the CPU.

    Parameters
    ----------
    model, x, c
        As for :func:`vaekit.evaluation.log_likelihood`. Only a :class:`vaekit.VAE` is probed, and only where its
        posterior has a density: proposals that are fitted are not as blind.
    rows_at_once
        About how many latents to decode at once.
    """
    offered: _Offered | None = None
    if not isinstance(model, VAE):
        return torch.zeros(len(x), dtype=torch.bool)
    offers: Tensor | None = None  # draws of the prior, where it is the same for every row
    found = [torch.zeros(0, dtype=torch.bool)]
    size = max(1, rows_at_once // (1 + len(_BETWEEN) + len(_AROUND)))
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        part, part_c = x[rows], None if c is None else c[rows]
        q, p = model.encode(part, part_c), model.prior(part_c)
        euclidean = is_euclidean(model, q, p)
        codes = traits_of(q).discrete or traits_of(p).discrete
        if codes or not traits_of(q).has_density:
            return torch.zeros(len(x), dtype=torch.bool)
        if not start and not p.batch_shape:
            with seeded(0):
                offers = p.sample(torch.Size((_DRAWS,)))
            if c is None:
                offered = _Offered.of(model, p, offers, euclidean)
        mean = code_of(q)
        at_mean = (model.decode(mean, part_c).log_prob(part) + p.log_prob(mean)).double()
        missed = torch.zeros(len(part), dtype=torch.bool, device=x.device)
        if euclidean:
            z = _places(mean, offers)
            log_joint = model.decode(z, part_c).log_prob(part) + p.log_prob(z)
            missed |= _are_missed(log_joint - at_mean, z, mean, q)
        if offered is not None:
            features = offered.features.unsqueeze(1)
            features = features.expand(-1, len(part), *features.shape[2:])
            log_joint = model.likelihood(features).log_prob(part) + offered.log_prior[:, None]
            z = offered.z.unsqueeze(1).expand(-1, *mean.shape)
            missed |= _are_missed(log_joint - at_mean, z, mean, q)
        found.append(missed.cpu())
    return torch.cat(found)


class _Offered(NamedTuple):
    """Draws of the prior ``(k, *latent)`` and what the decoder says of them: decoded once for all rows."""

    z: Tensor
    features: Tensor
    log_prior: Tensor

    @classmethod
    def of(cls, model: VAE, p: Distribution, offers: Tensor, euclidean: bool) -> "_Offered":
        z = offers[:_SHARED]
        if euclidean:  # some of them further out
            z = torch.cat(
                [z[: _SHARED // 2], offers.mean(0) + _FURTHER * (z[_SHARED // 2 :] - offers.mean(0))]
            )
        return cls(z, model.decoder_features(z), p.log_prob(z))


def _are_missed(better: Tensor, z: Tensor, mean: Tensor, q: Distribution) -> Tensor:
    """Compare places ``(k, n, *latent)`` with the means: how much better they are ``(k, n)``, and their densities."""
    better = better.double()
    size = prod(q.event_shape)
    margin = _MARGIN + _MARGIN_A_DIMENSION * size
    if traits_of(q).scores_own_draws_only:
        return (better > margin).any(0)
    weight = better - (q.log_prob(z) - q.log_prob(mean)).double()
    return ((better > -3 - size / 2) & (weight > margin)).any(0)


def _places(mean: Tensor, offers: Tensor | None) -> Tensor:
    centre, scale = torch.zeros_like(mean[0]), torch.ones_like(mean[0])
    if offers is not None:
        centre, scale = offers.mean(0), offers.std(0)
    with seeded(0):
        signs = torch.randn(centre.shape, dtype=mean.dtype).sign().to(mean.device)
    between = [centre + share * (mean - centre) for share in _BETWEEN]
    around = [mean + size * scale * signs for size in _AROUND]
    return torch.stack([*between, *around])
