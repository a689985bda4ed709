r"""A variational autoencoder of rows of codes, whose decoder goes from column to column.

With an order of the columns, and :math:`x_{<j}` the columns of a row that come before column j in it,

.. math::

    \log p(x) \ge \mathbb E_{q(z \mid x)} \sum_j \log p(x_j \mid x_{<j}, z)
        - \mathrm{KL}\bigl(q(z \mid x) \,\|\, \mathcal N(0, I)\bigr)

in nats. What the decoder knows of the columns before is a sum of embeddings, so that all columns of all rows are one
pass, as in the neural autoregressive density estimator (Larochelle and Murray 2011; for any order Uria, Murray and
Larochelle 2014):

.. math::

    h_j = a\Bigl(b_j + W z + \sum_{k < j} E_k[x_k]\Bigr), \qquad
    h_j \leftarrow h_j + a(V h_j), \qquad p(x_j \mid x_{<j}, z) = \operatorname{softmax}(U_j h_j + c_j)

A hole (code -1) has no embedding and no term: the bound is over the observed cells.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaekit.networks.bounded import soft_bound

__all__ = ["RowNetworks", "order_with_first"]

_NARROWEST = 8  # codes that a column's logits are padded to


class RowNetworks(nn.Module):
    """Encoder q(z | x), decoder p(x | z) and their bound.

    Parameters
    ----------
    shares
        For each column the shares of its codes, all positive: the decoder begins with them.
    hidden, latent
        Units of every layer, and latent dimensions.
    layers
        Layers of the decoder between its first one and the logits.

    Examples
    --------
    >>> networks = RowNetworks([torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.3, 0.5])], hidden=8, latent=2)
    >>> codes = torch.tensor([[0, 2], [1, -1]])
    >>> reconstruction, divergence = networks.bound(codes, networks.own_order, torch.zeros(2, 2))
    >>> reconstruction.shape, divergence.shape
    (torch.Size([2, 2]), torch.Size([2]))
    """

    first: Tensor
    own_order: (
        Tensor  #: The order of the columns themselves, ``(columns, columns)``: see :func:`order_with_first`.
    )

    def __init__(
        self, shares: Sequence[Tensor], *, hidden: int, latent: int, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        sizes = [len(share) for share in shares]
        columns, total = len(sizes), sum(sizes)
        self.columns, self.latent = columns, latent
        self.register_buffer("first", torch.tensor([sum(sizes[:j]) for j in range(columns)]))
        self.register_buffer("own_order", order_with_first(torch.zeros(columns, dtype=torch.bool)))
        self.told = nn.Embedding(total + 1, hidden, padding_idx=total)
        self.encoder = nn.Sequential(
            nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent)
        )
        self.seen = nn.Embedding(total + 1, hidden, padding_idx=total)
        self.query = nn.Parameter(0.3 * torch.randn(columns, hidden))
        self.from_latent = nn.Linear(latent, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        with torch.no_grad():
            for embedding in (self.told, self.seen):
                embedding.weight.mul_(1 / math.sqrt(columns))
        padded = [max(_NARROWEST, 1 << (size - 1).bit_length()) for size in sizes]
        self.groups = [[j for j, each in enumerate(padded) if each == width] for width in sorted(set(padded))]
        self.heads = nn.ModuleList(_Heads([shares[j] for j in group], hidden) for group in self.groups)

    def encode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-deviations of the latents of rows, each ``(n, latent)``."""
        mean, log_deviation = self.encoder(self.told(self._places(codes)).sum(1)).chunk(2, -1)
        return mean, soft_bound(log_deviation, 5.0)

    def log_probabilities(self, codes: Tensor, z: Tensor, order: Tensor) -> Tensor:
        """Return the log-probability of every code given z and the columns before, ``(n, columns)``; 0 for a hole.

        Parameters
        ----------
        codes
            ``(n, columns)``, -1 for a hole.
        z
            ``(n, latent)``.
        order
            ``(columns, columns)``, or for each row its own, ``(n, columns, columns)``: see :func:`order_with_first`.
        """
        known = order.to(z.dtype) @ self.seen(self._places(codes))
        features = self._features(known + self.query + self.from_latent(z)[:, None])
        found = torch.zeros(codes.shape, dtype=z.dtype)
        for group, heads in zip(self.groups, self.heads, strict=True):
            mine = codes[:, group]
            tables = heads(features[:, group].transpose(0, 1)).log_softmax(
                -1
            )  # (columns of the group, n, codes)
            picked = tables.gather(-1, mine.clamp(min=0).t()[..., None])[..., 0].t()
            found[:, group] = torch.where(mine < 0, 0.0, picked)
        return found

    def bound(self, codes: Tensor, order: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return both terms of the bound: log-probabilities ``(n, columns)`` and the divergence ``(n,)``.

        Parameters
        ----------
        codes, order
            As for :meth:`log_probabilities`.
        noise
            ``(n, latent)``: a draw of a standard normal.
        """
        mean, log_deviation = self.encode(codes)
        z = mean + log_deviation.exp() * noise
        divergence = 0.5 * (mean.square() + (2 * log_deviation).exp() - 1) - log_deviation
        return self.log_probabilities(codes, z, order), divergence.sum(-1)

    def log_density(self, codes: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        r"""Estimate :math:`\log p(x)` in the columns' own order by importance samples, ``(n,)`` in nats."""
        mean, log_deviation = self.encode(codes)
        weights = []
        for _ in range(samples):
            noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
            z = mean + log_deviation.exp() * noise
            ratio = 0.5 * (noise.square() - z.square()) + log_deviation  # log p(z) - log q(z | x)
            weights.append(self.log_probabilities(codes, z, self.own_order).sum(1) + ratio.sum(1))
        return torch.stack(weights).logsumexp(0) - math.log(samples)

    def begin(self, z: Tensor) -> Tensor:
        """Return what is known of rows before their first column, ``(n, hidden)``."""
        return self.from_latent(z)

    def table(self, known: Tensor, column: int) -> Tensor:
        """Return log-probabilities of a column's codes, ``(n, codes)``, given what is known of the rows."""
        group = next(i for i, each in enumerate(self.groups) if column in each)
        slot = self.groups[group].index(column)
        heads = cast("_Heads", self.heads[group])
        features = self._features(known + self.query[column])
        return (features @ heads.weight[slot] + heads.bias[slot])[:, : heads.sizes[slot]].log_softmax(-1)

    def tell(self, known: Tensor, column: int, codes: Tensor) -> Tensor:
        """Return what is known of rows once the codes ``(n,)`` of a column are."""
        return known + self.seen(
            torch.where(codes < 0, self.seen.num_embeddings - 1, codes + self.first[column])
        )

    def _places(self, codes: Tensor) -> Tensor:
        return torch.where(codes < 0, self.seen.num_embeddings - 1, codes + self.first)

    def _features(self, inputs: Tensor) -> Tensor:
        features = self.dropout(functional.silu(inputs))
        for layer in self.layers:
            features = features + self.dropout(functional.silu(layer(features)))
        return features


class _Heads(nn.Module):
    """Logits of several columns with about as many codes, padded to one width."""

    def __init__(self, shares: Sequence[Tensor], hidden: int) -> None:
        super().__init__()
        self.sizes = [len(share) for share in shares]
        width = max(self.sizes)
        bias = torch.full((len(shares), width), -torch.inf)
        for row, share in zip(bias, shares, strict=True):
            row[: len(share)] = share.log()
        self.weight = nn.Parameter(torch.randn(len(shares), hidden, width) * 0.1 / math.sqrt(hidden))
        self.bias = nn.Parameter(bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(columns, n, codes)`` of features ``(columns, n, hidden)``."""
        return torch.baddbmm(self.bias[:, None], features, self.weight)


def order_with_first(given: Tensor) -> Tensor:
    """Return the order with some columns first, both kinds as they stand in the table.

    Parameters
    ----------
    given
        ``(..., columns)``: whether a column is one of the first.

    Returns
    -------
    Tensor
        ``(..., columns, columns)``: whether the column of the last index comes before that of the other.

    Examples
    --------
    >>> order_with_first(torch.tensor([False, False, True])).int().tolist()
    [[0, 0, 1], [1, 0, 1], [0, 0, 0]]
    """
    place = torch.arange(given.shape[-1])
    rank = torch.where(given, place, place + given.shape[-1])
    return rank[..., None, :] < rank[..., :, None]
