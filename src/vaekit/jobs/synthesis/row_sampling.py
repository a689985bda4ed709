r"""Rows of codes drawn from a model, given some of their columns or none.

Given columns v come first in the order of the decoder, and latents are drawn from :math:`p(z \mid x_v)` by
self-normalised importance resampling: of many draws :math:`z_i` of the prior, each is chosen with a probability in
proportion to

.. math:: w_i = p(x_v \mid z_i) = \prod_{j \in v} \sum_{x \in A_j} p(x \mid x_{v, <j}, z_i)

with the set :math:`A_j` of the values of column j that are allowed: one, or those of a range, of which one is drawn at
once. No row is drawn and thrown away, so a condition that hardly any row meets takes as long as one that half of
them meet. The rows that come out are those of the model as the number of draws grows (Rubin 1987).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaekit.jobs.synthesis.row_networks import RowNetworks

__all__ = ["DrawnRows", "draw_rows"]

_AT_ONCE = 8192
_POOL, _LEAST_POOL = 8, 4096  # draws of the prior for every row, and at least, where something is given


class DrawnRows(NamedTuple):
    """Rows of codes, and how many draws of the prior they are worth.

    Parameters
    ----------
    codes
        ``(n, columns)``.
    effective
        The effective number of the latents that the rows were resampled from, divided by n; infinite where nothing is
        given.
    """

    codes: Tensor
    effective: float


@torch.no_grad()
def draw_rows(
    networks: RowNetworks, n: int, generator: torch.Generator, *, allowed: Mapping[int, Tensor] | None = None
) -> DrawnRows:
    """Draw rows.

    Parameters
    ----------
    networks
        The model.
    n
        How many rows.
    generator
        Of latents and codes.
    allowed
        For each given column ``(codes,)``: the share of each code's rows that are allowed, from 0 to 1.

    Examples
    --------
    >>> networks = RowNetworks([torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.3, 0.5])], hidden=8, latent=2)
    >>> rows = draw_rows(networks, 4, torch.Generator().manual_seed(0), allowed={1: torch.tensor([0.0, 1.0, 0.0])})
    >>> rows.codes[:, 1].tolist()
    [1, 1, 1, 1]
    """
    found, effective = [torch.empty(0, networks.columns, dtype=torch.long)], np.inf
    told = {j: share.log() for j, share in sorted((allowed or {}).items())}
    for start in range(0, n, _AT_ONCE):
        m = min(_AT_ONCE, n - start)
        codes = torch.empty(m, networks.columns, dtype=torch.long)
        if told:
            known, given, share = _given_rows(networks, m, told, generator)
            codes[:, list(told)], effective = given, min(effective, share)
        else:
            known = networks.begin(torch.randn(m, networks.latent, generator=generator))
        for column in range(networks.columns):
            if column not in told:
                codes[:, column] = _drawn(networks.table(known, column), generator)
                known = networks.tell(known, column, codes[:, column])
        found.append(codes)
    return DrawnRows(torch.cat(found), effective)


def _given_rows(
    networks: RowNetworks, m: int, told: Mapping[int, Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor, float]:
    """Return what is known of m rows, the codes of their given columns, and the effective share of latents."""
    pool = max(_LEAST_POOL, _POOL * m)
    parts, weights = [], torch.empty(0)
    for start in range(0, pool, _AT_ONCE):
        k = min(_AT_ONCE, pool - start)
        known = networks.begin(torch.randn(k, networks.latent, generator=generator))
        codes, log_weight = torch.empty(k, len(told), dtype=torch.long), torch.zeros(k)
        for i, (column, log_share) in enumerate(told.items()):
            table = networks.table(known, column) + log_share
            total = table.logsumexp(-1)
            log_weight = log_weight + total
            codes[:, i] = _drawn(table - total[:, None], generator)
            known = networks.tell(known, column, codes[:, i])
        parts.append((known, codes))
        weights = torch.cat([weights, log_weight])
    known, codes = (torch.cat(each) for each in zip(*parts, strict=True))
    share = (weights - weights.max()).double().exp()
    share = share / share.sum()
    # systematic: every latent is chosen as often as its weight says, give or take one
    points = (torch.arange(m) + torch.rand(1, generator=generator)).double() / m
    chosen = torch.searchsorted(share.cumsum(0), points).clamp(max=pool - 1)
    # neighbours in the pool are no neighbours in the result
    chosen = chosen[torch.randperm(m, generator=generator)]
    return known[chosen], codes[chosen], float(1 / share.square().sum()) / m


def _drawn(log_probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a code from each row of a table, ``(n, codes)``."""
    return torch.multinomial(log_probabilities.exp(), 1, generator=generator)[:, 0]
