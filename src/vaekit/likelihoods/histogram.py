r"""A histogram in every column: any shape, heaps and holes included, with exact probabilities.

.. math:: \log p(x \mid z) = \sum_j \Bigl[ \log(1 - \epsilon_j) + l_{j k} - \log \sum_i e^{l_{j i}} - \log w_{j k}
          \Bigr], \qquad k = \text{the cell of } x_j

with :math:`w` the width that a cell's probability is spread over, and :math:`\epsilon_j` the small probability of the
two tails beyond the training rows. Which cells there are, what a value that comes often means in a column of real
numbers, and how the tails fall is told in :mod:`vaekit.likelihoods.histogram_cells`. Over whole numbers it is a
probability, over real numbers a density, so that nats compare with those of every other family. Uria, Murray and
Larochelle (2013), "RNADE: The real-valued neural autoregressive density-estimator", section 3, discretise so; the cells
of frequent values are those of mixed discrete and continuous columns.
"""

from collections.abc import Sequence
from math import inf, prod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.distributions.base import SampleShape
from vaekit.errors import UsageError
from vaekit.likelihoods.conventions import InDataUnits, stacked_shape, unstack
from vaekit.likelihoods.histogram_cells import Cells, ColumnFacts, find_cells
from vaekit.likelihoods.observed_cells import CellwiseDistribution
from vaekit.likelihoods.support import Support

__all__ = ["HistogramLikelihood", "Histograms"]

_SCALAR = torch.Size()
_BEYOND = 1e30  # the end of intervals that are not used
_MOST_CELLS = 4096


class HistogramLikelihood(nn.Module, Likelihood):
    r"""``histogram``: the probabilities of cells that are learned from the training rows, for columns of a table.

    In a table, ``histogram37`` has 37 cells: as many as looking at the data found. Before :meth:`learn_rows` has seen
    any, they are of equal width from -3 to 3. The features are the logits of the cells. The mean, which reconstructions
    show, is that of the numbers.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Logarithm of the Jacobian of the scaling, in nats (see :class:`InDataUnits`).
    cells
        The most cells of a column. Those that a column does not use have no probability.

    Raises
    ------
    UsageError
        For fewer than 2 cells, or more than 4,096.

    Examples
    --------
    >>> likelihood = HistogramLikelihood((1,), cells=4)
    >>> likelihood.learn_rows(np.array([[0.0]] * 30 + [[2.0]] * 10), [ColumnFacts(resolution=1.0)])
    >>> p = likelihood(likelihood.marginal_features(torch.tensor([[0.0]] * 30 + [[2.0]] * 10)))
    >>> p.log_prob(torch.tensor([[0.0], [1.0], [2.0], [3.0]])).exp()
    tensor([0.7037, 0.0077, 0.2397, 0.0154])
    """

    traits = LikelihoodTraits(
        measure="density", scaling="standardize", column=True, learns_rows=True, takes_missing=True
    )
    support = Support(
        "finite numbers", -inf, inf, "no likelihood accepts anything else: remove or impute such rows"
    )
    edges: Tensor
    owner: Tensor
    log_width: Tensor
    used: Tensor
    intervals: Tensor
    ranks: Tensor
    tails: Tensor

    def __init__(self, event_shape: Sequence[int], log_jacobian: float = 0.0, *, cells: int = 64) -> None:
        super().__init__()
        if not 2 <= cells <= _MOST_CELLS:
            raise UsageError(f"histogram: cells={cells}; give a whole number from 2 to {_MOST_CELLS:,}")
        self.event_shape, self.log_jacobian, self.cells = tuple(event_shape), log_jacobian, cells
        self.feature_shape = stacked_shape(self.event_shape, cells)
        count, most = prod(event_shape), 2 * cells + 1
        step = 6.0 / cells
        edges = torch.full((most + 1,), _BEYOND)
        edges[: cells + 1] = torch.linspace(-3.0, 3.0, cells + 1)
        owner = torch.arange(most).clamp(max=cells - 1)
        ranks = torch.linspace(-1.0, 1.0, cells + 1)
        ranks = torch.cat([ranks, torch.ones(most - cells)])
        tail = torch.tensor([[0.01, 1.0, 1e-6], [0.01, 1.0, 1e-6]])  # probability, mean length, step
        for name, value in (
            ("edges", edges),
            ("owner", owner),
            ("log_width", torch.full((cells,), step).log()),
            ("used", torch.ones(cells, dtype=torch.bool)),
            ("intervals", torch.tensor(cells)),
            ("ranks", ranks),
            ("tails", tail),
        ):
            self.register_buffer(name, torch.stack([value] * count))

    def learn_rows(self, rows: npt.NDArray[np.floating], facts: Sequence[ColumnFacts]) -> None:
        """Learn the cells of every column from training rows ``(n, *event)`` in the coordinates of the model."""
        flat = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
        for j, known in enumerate(facts):
            self._take(j, find_cells(flat[:, j], known, most=self.cells))

    def _take(self, j: int, found: Cells) -> None:
        """Put the cells of a column into the buffers."""
        pieces, cells = len(found.owner), len(found.width)
        share = found.counts / max(found.counts.sum(), 1.0)
        lengths = np.diff(found.edges)
        whole = np.bincount(found.owner, lengths)
        ranks = np.cumsum(share[found.owner] * lengths / whole[found.owner])
        self.edges[j] = _BEYOND
        self.edges[j, : pieces + 1] = torch.from_numpy(found.edges)
        self.owner[j] = cells - 1
        self.owner[j, :pieces] = torch.from_numpy(found.owner)
        self.log_width[j] = 0.0
        self.log_width[j, :cells] = torch.from_numpy(np.log(found.width))
        self.used[j] = torch.arange(self.cells) < cells
        self.intervals[j] = pieces
        self.ranks[j] = 1.0
        self.ranks[j, 0] = -1.0
        self.ranks[j, 1 : pieces + 1] = torch.from_numpy(2 * ranks - 1)
        self.tails[j] = torch.tensor(
            [[mass, scale, found.step] for mass, scale in zip(found.tails, found.scales, strict=True)],
            dtype=torch.float64,
        )

    @property
    def encoder_input(self) -> nn.Module:
        """The map to what the encoder sees: the rank of a value, and the cell that it is in."""
        return _RankAndCell(self)

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """The shape of what the encoder sees, flat."""
        return (prod(self.event_shape) * (self.cells + 1),)

    def marginal_features(self, x: Tensor) -> Tensor:
        """Return the features of the frequencies in data ``(n, *event)``, for every latent alike."""
        place, _ = self.find(x.flatten(1))
        counts = torch.stack([(place == cell).sum(0) for cell in range(self.cells)])
        share = (counts.to(x.dtype) + 1 / self.used.to(x.dtype).sum(1)) / (len(x) + 1)
        return share.log().unflatten(1, self.event_shape).flatten(0, 1)

    def find(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cell and the interval of values ``(..., columns)``; beyond the range -1 and too many intervals."""
        interval = (x.unsqueeze(-1) >= self.edges).sum(
            -1
        ) - 1  # unlike a search, any layout and compiler takes it
        at = torch.arange(x.shape[-1], device=x.device)
        return self.owner[at, interval.clamp(0, self.owner.shape[1] - 1)], interval

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *feature_shape)``, the logits cell by cell, into a distribution over the event."""
        logits = unstack(features, self.event_shape).movedim(0, -1)
        logits = logits.flatten(features.dim() - len(self.feature_shape), -2)
        inner = Histograms(logits.masked_fill(~self.used, -inf).log_softmax(-1), self)
        return InDataUnits(inner, self.log_jacobian) if self.log_jacobian else inner


class Histograms(CellwiseDistribution):
    """Independent histograms over the columns of an event.

    Parameters
    ----------
    log_shares
        ``(*batch, columns, cells)``: log-probabilities of the cells, given that a value is in no tail.
    cells
        The likelihood that knows them.
    """

    has_rsample = False

    def __init__(self, log_shares: Tensor, cells: HistogramLikelihood) -> None:
        self.log_shares, self.cells = log_shares, cells
        super().__init__(log_shares.shape[:-2], torch.Size(cells.event_shape), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density, ``(...)`` in nats."""
        return self.log_prob_by_cell(value).flatten(-len(self.event_shape)).sum(-1)

    def log_prob_by_cell(self, value: Tensor) -> Tensor:
        """Evaluate the log-density of each number, ``(..., *event)`` in nats."""
        known = self.cells
        x = value.flatten(value.dim() - len(known.event_shape))
        place, interval = known.find(x)
        at = torch.arange(x.shape[-1], device=x.device)
        inside = (-known.tails[..., 0].sum(1)).log1p() - known.log_width[at, place]
        shares, place = torch.broadcast_tensors(self.log_shares[..., :1], place.unsqueeze(-1))
        shares = self.log_shares.expand(*shares.shape[:-1], -1).gather(-1, place).squeeze(-1)
        last = known.edges.gather(1, known.intervals.unsqueeze(1)).squeeze(1)
        tails = [
            self._tail(known.edges[:, 0] - x, known.tails[:, 0]),
            self._tail(x - last, known.tails[:, 1]),
        ]
        found = torch.where(interval < 0, tails[0], shares + inside)
        found = torch.where(interval >= known.intervals, tails[1], found)
        return found.unflatten(-1, known.event_shape)

    @staticmethod
    def _tail(distance: Tensor, tail: Tensor) -> Tensor:
        """Return the log-density of a tail at a distance from the range."""
        mass, length, step = tail.unbind(-1)
        steps = (distance / step).clamp(min=0).floor()
        return mass.log() - steps * (step / length) + (-(-step / length).expm1()).log() - step.log()

    def _intervals(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-probabilities of intervals ``(*batch, columns, intervals)``, their middles and lengths."""
        known = self.cells
        real = torch.arange(known.owner.shape[1], device=known.owner.device) < known.intervals.unsqueeze(1)
        lengths = known.edges.diff().where(real, 0.0)
        middles = (0.5 * known.edges[:, :-1] + 0.5 * known.edges[:, 1:]).where(real, 0.0)
        whole = torch.zeros_like(known.log_width).scatter_add(1, known.owner, lengths)
        share = (lengths / whole.gather(1, known.owner)).log()
        owner = known.owner.expand(*self.log_shares.shape[:-1], -1)
        return (self.log_shares.gather(-1, owner) + share).where(real, -inf), middles, lengths

    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw ``(*sample_shape, *batch, *event)``: steps of the resolution, in the middle of their intervals."""
        known = self.cells
        logits, _, lengths = self._intervals()
        mass = known.tails[..., 0]
        inside = (-mass.sum(1)).log1p().unsqueeze(-1)
        joint = torch.cat([logits + inside, mass.log().expand(*logits.shape[:-1], 2)], -1)
        drawn = torch.distributions.Categorical(logits=joint, validate_args=False).sample(
            torch.Size(sample_shape)
        )
        many = logits.shape[-1]
        at = torch.arange(drawn.shape[-1], device=drawn.device)
        step, piece = known.tails[:, 0, 2], drawn.clamp(max=many - 1)
        uniform = torch.rand(drawn.shape, dtype=logits.dtype, device=logits.device)
        inner = known.edges[at, piece] + step * (uniform * lengths[at, piece] / step).floor() + 0.5 * step
        inner = torch.minimum(inner, known.edges[at, piece + 1] - 0.5 * step).maximum(known.edges[at, piece])
        length = known.tails[at, (drawn - many).clamp(0), 1]
        far = step * (-(-uniform).log1p() * length / step).floor() + 0.5 * step
        last = known.edges.gather(1, known.intervals.unsqueeze(1)).squeeze(1)
        result = torch.where(drawn == many, known.edges[:, 0] - far, inner)
        return torch.where(drawn > many, last + far, result).unflatten(-1, known.event_shape)

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Return the mean, and the mean of the square, ``(*batch, columns)``."""
        known = self.cells
        logits, middles, lengths = self._intervals()
        mass, length, step = known.tails.unbind(-1)
        p = logits.exp() * (1 - mass.sum(1)).unsqueeze(-1)
        spread = ((lengths.square() - known.tails[:, :1, 2].square()) / 12).clamp(min=0)
        fall = (-step / length).exp()
        survive = -(-step / length).expm1()
        far, variance = step * (0.5 + fall / survive), step.square() * fall / survive.square()
        last = known.edges.gather(1, known.intervals.unsqueeze(1)).squeeze(1)
        ends = torch.stack([known.edges[:, 0] - far[:, 0], last + far[:, 1]], -1)
        first = (p * middles).sum(-1) + (mass * ends).sum(-1)
        second = (p * (middles.square() + spread)).sum(-1) + (mass * (ends.square() + variance)).sum(-1)
        return first, second

    @property
    def mean(self) -> Tensor:
        """The means of the numbers."""
        return self._moments()[0].unflatten(-1, self.cells.event_shape)

    @property
    def variance(self) -> Tensor:
        """The variances of the numbers."""
        first, second = self._moments()
        return (second - first.square()).unflatten(-1, self.cells.event_shape)


class _RankAndCell(nn.Module):
    """Values ``(batch, *event)`` to ``(batch, columns * (1 + cells))``: ranks, and unit vectors of cells."""

    def __init__(self, cells: HistogramLikelihood) -> None:
        super().__init__()
        self.known = [cells]  # in a list, so that its buffers are not counted twice

    def forward(self, x: Tensor) -> Tensor:
        known = self.known[0]
        x = x.flatten(1)
        place, interval = known.find(x)
        at = torch.arange(x.shape[-1], device=x.device)
        piece = torch.minimum(interval.clamp(min=0), known.intervals - 1)
        low, high = known.edges[at, piece], known.edges[at, piece + 1]
        share = (x - low) / (high - low)
        bounded = share.clamp(0, 1) + 0.1 * torch.tanh(share - share.clamp(0, 1))
        rank = known.ranks[at, piece] + (known.ranks[at, piece + 1] - known.ranks[at, piece]) * bounded
        cells = torch.nn.functional.one_hot(place, known.cells).to(x.dtype)
        cells = cells.masked_fill(x.isnan().unsqueeze(-1), torch.nan)  # of a missing value nothing is known
        return torch.cat([1.7 * rank, cells.flatten(1)], 1)
