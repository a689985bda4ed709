r"""Rows of codes drawn from a model, given some of their columns or none.

Given columns v come first in the order of the decoder, and latents are drawn from :math:`p(z \mid x_v)` by
self-normalised importance resampling: of many draws :math:`z_i` of the prior, each is chosen with a probability in
proportion to

.. math:: w_i = p(x_v \mid z_i) = \prod_{j \in v} \sum_{x \in A_j} p(x \mid x_{v, <j}, z_i)

with the set :math:`A_j` of the values of column j that are allowed: one, or those of a range, of which one is drawn at
once. No row is drawn and thrown away, so a condition that hardly any row meets takes as long as one that half of
them meet. The rows that come out are those of the model as the number of draws grows (Rubin 1987).

Columns that belong together (:mod:`vaekit.jobs.synthesis.fixed_combinations`) take, one after another, only codes that
some combination has beside those drawn before.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaekit.jobs.synthesis.discrete_columns import Codes
from vaekit.jobs.synthesis.fixed_combinations import FixedCombinations, StillPossible
from vaekit.jobs.synthesis.row_networks import RowNetworks

__all__ = ["DrawnRows", "draw_rows"]

_AT_ONCE, _MOST_FLAGS = 8192, 1 << 24
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
    combinations
        For each kind of fixed combinations ``(n,)``: the one that each row has.
    """

    codes: Tensor
    effective: float
    combinations: list[Codes]


@torch.no_grad()
def draw_rows(
    networks: RowNetworks,
    n: int,
    generator: torch.Generator,
    *,
    allowed: Mapping[int, Tensor] | None = None,
    fixed: Sequence[FixedCombinations] = (),
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
    fixed
        Columns that belong together, with those of their combinations that what is given allows.

    Examples
    --------
    >>> networks = RowNetworks([torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.3, 0.5])], hidden=8, latent=2)
    >>> rows = draw_rows(networks, 4, torch.Generator().manual_seed(0), allowed={1: torch.tensor([0.0, 1.0, 0.0])})
    >>> rows.codes[:, 1].tolist()
    [1, 1, 1, 1]
    """
    found, effective = [torch.empty(0, networks.columns, dtype=torch.long)], np.inf
    chosen = [[np.empty(0, dtype=np.int64)] for _ in fixed]
    told = {j: share.log() for j, share in sorted((allowed or {}).items())}
    at_once = min(_AT_ONCE, _MOST_FLAGS // max((len(each.values) for each in fixed), default=1))
    for start in range(0, n, at_once):
        m = min(at_once, n - start)
        codes = torch.empty(m, networks.columns, dtype=torch.long)
        still = StillPossible(fixed, networks.sizes, m)
        if told:
            known, given, share = _given_rows(networks, m, told, fixed, at_once, generator)
            codes[:, list(told)], effective = given, min(effective, share)
            for column in told:
                still.tell(column, codes[:, column])
        else:
            known = networks.begin(torch.randn(m, networks.latent, generator=generator))
        for column in range(networks.columns):
            if column not in told:
                table = networks.table(known, column).masked_fill(~still.allowed(column), -torch.inf)
                codes[:, column] = _drawn(table, generator)
                still.tell(column, codes[:, column])
                known = networks.tell(known, column, codes[:, column])
        found.append(codes)
        for each, mine in zip(chosen, still.chosen(generator), strict=True):
            each.append(mine)
    return DrawnRows(torch.cat(found), effective, [np.concatenate(each) for each in chosen])


def _given_rows(
    networks: RowNetworks,
    m: int,
    told: Mapping[int, Tensor],
    fixed: Sequence[FixedCombinations],
    at_once: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, float]:
    """Return what is known of m rows, the codes of their given columns, and the effective share of latents."""
    pool = max(_LEAST_POOL, _POOL * m)
    parts, weights = [], torch.empty(0)
    for start in range(0, pool, at_once):
        k = min(at_once, pool - start)
        known = networks.begin(torch.randn(k, networks.latent, generator=generator))
        codes, log_weight = torch.empty(k, len(told), dtype=torch.long), torch.zeros(k)
        still = StillPossible(fixed, networks.sizes, k)
        for i, (column, log_share) in enumerate(told.items()):
            table = (networks.table(known, column) + log_share).masked_fill(
                ~still.allowed(column), -torch.inf
            )
            total = table.logsumexp(-1)
            log_weight = log_weight + total
            codes[:, i] = _drawn(table - total[:, None], generator)
            still.tell(column, codes[:, i])
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
