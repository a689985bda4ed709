r"""A cheap look for mass that a posterior misses, which its own draws cannot show.

Draws of a posterior that is far too narrow, or in the wrong place, have nearly equal weights: their effective size is
high and their sum is wrong. So the weight :math:`p(x, z) / q(z \mid x)` is looked at in a few places that are not drawn
from it: between the posterior's mean and the prior's, and around the posterior's mean at several distances. A place that
is about as good as the mean, by :math:`p(x, z)`, but where the posterior has no density, is a place that it misses.
"""

from math import prod

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vaekit.contracts import Model, traits_of
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE, code_of

__all__ = ["is_euclidean", "misses_mass"]

_BETWEEN = (0.0, 0.5)
_AROUND = (1.0, 0.2, 0.04)
_DRAWS = 64
_MARGIN, _MARGIN_A_DIMENSION = 10.0, 0.5  # nats by which the weight in a place is above that at the mean


def is_euclidean(model: Model, q: Distribution, p: Distribution) -> bool:
    """Return whether latents are vectors of real numbers with a continuous density."""
    if traits_of(q).discrete or traits_of(p).discrete:
        return False
    if isinstance(model, VAE):
        return model.posterior_part.traits.space == "euclidean"
    return _is_normal(q) and _is_normal(p)


def _is_normal(distribution: Distribution) -> bool:
    base = distribution.base_dist if isinstance(distribution, Independent) else distribution
    return isinstance(base, Normal | MultivariateNormal)


def misses_mass(model: Model, x: Tensor, c: Tensor | None, *, rows_at_once: int) -> Tensor:
    """Return which rows' posteriors miss mass, ``(n,)`` of booleans on the CPU.

    Parameters
    ----------
    model, x, c
        As for :func:`vaekit.evaluation.log_likelihood`. Only a :class:`vaekit.VAE` is probed. Posteriors without a density are not probed: the proposals that
        are fitted in their place have been to other places.
    rows_at_once
        About how many latents to decode at once.
    """
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
        mean = code_of(q)
        places = _places(mean, offers) if euclidean else _offered(mean, offers)
        z = torch.cat([mean.unsqueeze(0), *places])
        found.append(_judge((model.decode(z, part_c).log_prob(part) + p.log_prob(z)).double(), q, z).cpu())
    return torch.cat(found)


def _judge(log_joint: Tensor, q: Distribution, z: Tensor) -> Tensor:
    """Compare the places' weights ``(places, n)`` with those of the means, which come first."""
    better = log_joint[1:] - log_joint[0]
    size = prod(q.event_shape)
    margin = _MARGIN + _MARGIN_A_DIMENSION * size
    if traits_of(q).scores_own_draws_only:
        return (better > margin).any(0)
    density = q.log_prob(z).double()
    return ((better > -3 - size / 2) & (better - (density[1:] - density[0]) > margin)).any(0)


def _offered(mean: Tensor, offers: Tensor | None) -> list[Tensor]:
    """Return some draws of the prior as places, for every row: in a curved space nothing else is known to lie in it."""
    if offers is None:
        return []
    return [offers[: len(_BETWEEN) + len(_AROUND)].unsqueeze(1).expand(-1, *mean.shape)]


def _places(mean: Tensor, offers: Tensor | None) -> list[Tensor]:
    centre, scale = torch.zeros_like(mean[0]), torch.ones_like(mean[0])
    if offers is not None:
        centre, scale = offers.mean(0), offers.std(0)
    with seeded(0):
        signs = torch.randn(centre.shape, dtype=mean.dtype).sign().to(mean.device)
    between = [centre + share * (mean - centre) for share in _BETWEEN]
    around = [mean + size * scale * signs for size in _AROUND]
    return [torch.stack([*between, *around])]
