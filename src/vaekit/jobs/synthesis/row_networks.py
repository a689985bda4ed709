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

Neighbouring codes of a number share a part of their vectors in E and U (:class:`CodeTable`). A hole (code -1) has no
embedding and no term: the bound is over the observed cells.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaekit.networks.bounded import soft_bound

__all__ = ["CodeTable", "RowNetworks", "order_with_first"]

_NARROWEST = 8  # codes that a column's logits are padded to
_BUMPS = 8  # that make up what is learned of a number
_OWN = 0.3  # the part of a code's own vector beside them that training begins with


@dataclass(frozen=True)
class RowNetworksParts:
    """Everything that trained networks are made of.

    Parameters
    ----------
    sizes
        The number of codes of each column.
    ordered
        Whether the codes of a column are those of numbers.
    hidden, latent, dropout
        As for :class:`RowNetworks`.
    weights
        Its parameters and buffers by name.
    """

    sizes: tuple[int, ...]
    ordered: tuple[bool, ...]
    hidden: int
    latent: int
    dropout: float
    weights: dict[str, Tensor]


class RowNetworks(nn.Module):
    """Encoder q(z | x), decoder p(x | z) and their bound.

    Parameters
    ----------
    shares
        For each column the shares of its codes, all positive: the decoder begins with them.
    ranks
        For each column None, or ``(codes,)``: where the codes stand in the order of its numbers, from 0 to 1, NaN for a
        hole. What a network learns of a number it then learns of its neighbours too.
    hidden, latent
        Units of every layer, and latent dimensions.
    layers
        Layers of the decoder between its first one and the logits.
    dropout
        The share of units that each step of training leaves out.

    Examples
    --------
    >>> networks = RowNetworks([torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.3, 0.5])], hidden=8, latent=2)
    >>> codes = torch.tensor([[0, 2], [1, -1]])
    >>> reconstruction, divergence = networks.bound(codes, networks.own_order, torch.zeros(2, 2))
    >>> reconstruction.shape, divergence.shape
    (torch.Size([2, 2]), torch.Size([2]))
    """

    first: Tensor
    own_order: Tensor
    """The order of the columns themselves, ``(columns, columns)``: see :func:`order_with_first`."""

    def __init__(
        self,
        shares: Sequence[Tensor],
        ranks: Sequence[Tensor | None] | None = None,
        *,
        hidden: int,
        latent: int,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sizes = tuple(len(share) for share in shares)
        columns, self.hole = len(self.sizes), sum(self.sizes)
        self.columns, self.latent = columns, latent
        first = [sum(self.sizes[:j]) for j in range(columns)]
        self.register_buffer("first", torch.tensor(first))
        self.register_buffer("own_order", order_with_first(torch.zeros(columns, dtype=torch.bool)))
        bases = [None] * columns if ranks is None else ranks
        self.ordered = tuple(rank is not None for rank in bases)
        self.told, self.seen, self.asked = (
            CodeTable(self.hole, hidden, dict(zip(first, bases, strict=True)), scale)
            for scale in (columns**-0.5, columns**-0.5, 0.1 * hidden**-0.5)
        )
        self.encoder = nn.Sequential(
            nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent)
        )
        self.query = nn.Parameter(0.3 * torch.randn(columns, hidden))
        self.from_latent = nn.Linear(latent, hidden, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.bias = nn.Parameter(torch.cat([share.log() for share in shares]))
        padded = [max(_NARROWEST, 1 << (size - 1).bit_length()) for size in self.sizes]
        self.groups = [[j for j, each in enumerate(padded) if each == width] for width in sorted(set(padded))]

    def to_parts(self) -> RowNetworksParts:
        """Return everything that the trained networks are made of."""
        return RowNetworksParts(
            self.sizes,
            self.ordered,
            hidden=self.query.shape[1],
            latent=self.latent,
            dropout=self.dropout.p,
            weights=self.state_dict(),
        )

    @classmethod
    def from_parts(cls, parts: RowNetworksParts) -> "RowNetworks":
        """Return trained networks; sizes that do not fit the weights cost no memory, and raise a RuntimeError.

        Examples
        --------
        >>> networks = RowNetworks([torch.tensor([0.5, 0.5])], [torch.tensor([0.0, 1.0])], hidden=8, latent=2).eval()
        >>> again = RowNetworks.from_parts(networks.to_parts())
        >>> bool((again.table(torch.zeros(1, 8), 0) == networks.table(torch.zeros(1, 8), 0)).all())
        True
        """
        with torch.device("meta"):
            found = cls(
                [torch.ones(size) for size in parts.sizes],
                [
                    torch.ones(size) if own else None
                    for size, own in zip(parts.sizes, parts.ordered, strict=True)
                ],
                hidden=parts.hidden,
                latent=parts.latent,
                layers=sum(name.startswith("layers.") for name in parts.weights) // 2,
                dropout=parts.dropout,
            )
        found.load_state_dict(parts.weights, assign=True)
        return found.eval().requires_grad_(False)

    def encode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-deviations of the latents of rows, each ``(n, latent)``."""
        mean, log_deviation = self.encoder(
            functional.embedding(self._places(codes), self.told()).sum(1)
        ).chunk(2, -1)
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
        known = order.to(z.dtype) @ functional.embedding(self._places(codes), self.seen())
        features = self._features(known + self.query + self.from_latent(z)[:, None])
        weights, bias = self.asked(), functional.pad(self.bias, (0, 1), value=-torch.inf)
        found = torch.zeros(codes.shape, dtype=z.dtype)
        for group in self.groups:
            places = self._padded(group)
            logits = torch.baddbmm(
                bias[places][:, None], features[:, group].transpose(0, 1), weights[places].transpose(1, 2)
            )  # (columns of the group, n, codes)
            mine = codes[:, group]
            picked = logits.log_softmax(-1).gather(-1, mine.clamp(min=0).t()[..., None])[..., 0].t()
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
        features = self._features(known + self.query[column])
        mine = slice(int(self.first[column]), int(self.first[column]) + self.sizes[column])
        return functional.linear(features, self.asked()[mine], self.bias[mine]).log_softmax(-1)

    def tell(self, known: Tensor, column: int, codes: Tensor) -> Tensor:
        """Return what is known of rows once the codes ``(n,)`` of a column are."""
        places = torch.where(codes < 0, self.hole, codes + self.first[column])
        return known + functional.embedding(places, self.seen())

    def _places(self, codes: Tensor) -> Tensor:
        return torch.where(codes < 0, self.hole, codes + self.first)

    def _padded(self, group: Sequence[int]) -> Tensor:
        """Return the places of the codes of some columns, ``(columns, the most codes)``, padded by that of a hole."""
        width = max(self.sizes[j] for j in group)
        code, sizes = torch.arange(width), torch.tensor([self.sizes[j] for j in group])
        return torch.where(code < sizes[:, None], self.first[group][:, None] + code, self.hole)

    def _features(self, inputs: Tensor) -> Tensor:
        features = self.dropout(functional.silu(inputs))
        for layer in self.layers:
            features = features + self.dropout(functional.silu(layer(features)))
        return features


class CodeTable(nn.Module):
    r"""A vector for every code of every column, and zeros for a hole: of numbers, neighbours have similar ones.

    .. math:: E_k = T_k + \sum_m e^{-(r_k - m / (M - 1))^2 M^2 / 2}\, S_m

    with the rank r of the code among the numbers of its column, and a matrix S of M rows for each column.

    Parameters
    ----------
    codes
        The number of codes of all columns together.
    width
        Of the vectors.
    ranks
        By the first code of a column the ranks of its codes, or None: see :class:`RowNetworks`.
    scale
        Of the numbers that training begins with.
    """

    basis: Tensor
    rows: Tensor
    there: Tensor

    def __init__(self, codes: int, width: int, ranks: Mapping[int, Tensor | None], scale: float) -> None:
        super().__init__()
        ordered = {first: rank for first, rank in ranks.items() if rank is not None}
        widest = max((len(rank) for rank in ordered.values()), default=0)
        basis, there = torch.zeros(len(ordered), widest, _BUMPS), torch.zeros(len(ordered), widest).bool()
        centres = torch.linspace(0, 1, _BUMPS)
        for i, rank in enumerate(ordered.values()):
            bumps = torch.exp(-0.5 * ((rank[:, None] - centres) * _BUMPS).square())
            basis[i, : len(rank)], there[i, : len(rank)] = bumps.nan_to_num(), True
        places = [torch.arange(first, first + len(rank)) for first, rank in ordered.items()]
        self.register_buffer("basis", basis)
        self.register_buffer("there", there)
        self.register_buffer("rows", torch.cat(places) if places else torch.zeros(0, dtype=torch.long))
        own = scale * torch.randn(codes, width)
        own[self.rows] *= _OWN
        self.own = nn.Parameter(own)
        self.smooth = nn.Parameter(scale * torch.randn(len(ordered), _BUMPS, width))

    def forward(self) -> Tensor:
        """Return all vectors, ``(codes + 1, width)``, the last one of a hole."""
        table = functional.pad(self.own, (0, 0, 0, 1))
        return table.index_add(0, self.rows, (self.basis @ self.smooth)[self.there])


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
