r"""The surprise of a row: what members that have not seen it say of it.

.. math:: s_m(x) = -\log p_m(x) - 2 \sum_j \log h_{mj}(x_j) - c_m

in nats, with the member's autoencoder p, its histograms h of single columns, and the median c of the same over the
rows that it has not seen. The first term knows the columns together, the second one does not, and is not misled by a
model that has learned odd rows: they are far from everything in some column. A row's surprise is the mean over members.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.jobs.detection.column_histograms import ColumnHistograms
from vaekit.jobs.detection.complementary_halves import Halves
from vaekit.jobs.detection.member_networks import MemberNetworks
from vaekit.jobs.detection.member_training import MemberSettings, train_members
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["Members"]

_SAMPLES = 8  # importance samples of a row
_WEIGHT_OF_COLUMNS = 2.0
_ROWS_AT_ONCE = 512  # always so many, filled up: a row's number must not depend on its company


@dataclass(frozen=True)
class Members:
    """Trained members, and the surprise of rows by them.

    Parameters
    ----------
    halves
        What each member was trained on.
    networks, histograms
        The members' autoencoders and histograms.
    hole
        ``(members, columns)``: what the autoencoders count a hole as, the average log p(x_j | z) of the column.
    noise
        ``(samples, members, 1, latent)``: draws for all rows.
    centre
        ``(members,)``: the median surprise of the rows that a member has not seen.
    kept
        ``(members, k)``: the rows that each member was trained on, without those that it dropped.
    """

    halves: Halves
    networks: MemberNetworks
    histograms: ColumnHistograms
    hole: Tensor
    noise: Tensor
    centre: np.ndarray
    kept: Tensor

    @classmethod
    def fit(
        cls, rows: CodedRows, coding: TableCoding, *, members: int, settings: MemberSettings, seed: int
    ) -> "tuple[Members, np.ndarray]":
        """Train members, and return them with the surprise of each row by those that have not seen it."""
        halves = Halves.deal(len(rows), members=members, generator=np.random.default_rng(seed))
        generator = torch.Generator().manual_seed(seed)
        networks = MemberNetworks.begin(
            members,
            len(coding.numeric),
            coding.sizes,
            hidden=settings.hidden,
            latent=settings.latent,
            generator=generator,
        )
        kept = train_members(networks, rows, halves, settings, generator)
        most = min(len(halves.rows_of(m)) for m in range(members))
        chosen = torch.from_numpy(np.stack([halves.rows_of(m)[:most] for m in range(members)]))
        histograms = ColumnHistograms.fit(rows, chosen, coding.sizes)
        noise = torch.randn(_SAMPLES, members, 1, settings.latent, generator=generator)
        unfinished = cls(
            halves, networks, histograms, _mean_cells(networks, rows, kept), noise, np.zeros(members), kept
        )
        each, unseen = unfinished.surprise_of_each(rows), halves.unseen()
        centre = np.array([np.median(each[m, unseen[m]]) for m in range(members)])
        finished = cls(halves, networks, histograms, unfinished.hole, noise, centre, kept)
        return finished, ((each - centre[:, None]) * unseen).sum(0) / unseen.sum(0)

    @torch.no_grad()
    def surprise_of_each(self, rows: CodedRows) -> np.ndarray:
        """Return the surprise of every row by every member, ``(members, n)``, in nats, less the member's median."""
        found, n = [], len(rows)
        for start in range(0, n, _ROWS_AT_ONCE):
            there = torch.arange(start, start + _ROWS_AT_ONCE).clamp(max=n - 1)
            block = rows.take(there)
            surprise = -self.networks.log_evidence(block, self.noise, self.hole)
            surprise = surprise + _WEIGHT_OF_COLUMNS * self.histograms.surprise(block)
            found.append(surprise[:, : n - start].double().numpy())
        return np.concatenate(found, axis=1) - self.centre[:, None]

    def surprise_of_new(self, rows: CodedRows) -> np.ndarray:
        """Return the surprise of new rows, ``(n,)``: by as many members as have not seen a row of the fit."""
        return self.surprise_of_each(rows)[self.halves.of_new_rows()].mean(0)


@torch.no_grad()
def _mean_cells(networks: MemberNetworks, rows: CodedRows, kept: Tensor) -> Tensor:
    """Return the mean of log p(x_j | z) at the mean of q(z | x), over a member's rows, ``(members, columns)``."""
    own = rows.take(kept)
    mean, _ = networks.encode(networks.inputs(own))
    cells = networks.cells(mean, own)
    return (cells * own.observed).sum(1) / own.observed.sum(1).clamp(min=1)
