r"""Every column given any others, by networks that see rows with holes at random.

A network is told the visible cells of a row, and which they are, and gives one distribution for each column: a softmax
for a category; for a number a mixture of Gaussians, and of the values that many rows have (0 hours, 40 hours), each of
which is a point with a probability of its own. It maximises the mean over rows, and over random sets H of hidden
cells,

.. math:: \frac 1 {|H|} \sum_{j \in H} \log p(x_j \mid x_{\bar H}),

so that one network gives every conditional in one pass. Ivanov, Figurnov and Vetrov (2019), "Variational Autoencoder
with Arbitrary Conditioning", hide cells in the same way. There are two such networks, on complementary halves: a row of
the fit is judged by the one that has not seen it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.jobs.detection.column_marginals import POINT_SCALE, ColumnMarginals
from vaekit.jobs.detection.one_cycle import minimise
from vaekit.jobs.layers_and_optimiser import apply_layers, make_layers, one_hot
from vaekit.jobs.table_coding import CodedRows
from vaekit.networks.bounded import soft_bound

__all__ = ["CellDistributions", "ColumnConditionals"]

_HIDDEN = 128
_COMPONENTS = 3  # Gaussians of a number
_FEWEST_PASSES, _MOST_STEPS = 100, 1500  # a small table is not to be learned by heart
_BATCH = 192
_LEARNING_RATE = 4e-3
_WEIGHT_DECAY = 1e-2
_HIDDEN_AT_MOST = 0.3  # share of the cells of a row, over the one cell that is hidden anyway
_LOG_SCALE_LIMIT = 4.0


@dataclass(frozen=True)
class CellDistributions:
    """Distributions of the cells of rows, of two networks: ``(2, n, ...)``.

    Parameters
    ----------
    log_weight, mean, log_scale
        ``(2, n, numeric columns, components)``: mixtures of Gaussians, and of points, which are very narrow ones.
    log_probabilities
        For each categorical column ``(2, n, positions)``.
    """

    log_weight: Tensor
    mean: Tensor
    log_scale: Tensor
    log_probabilities: list[Tensor]

    def log_density(self, rows: CodedRows) -> Tensor:
        """Return the log-density of every cell, ``(2, n, columns)``, in nats."""
        u = (rows.numbers[..., None] - self.mean) * (-self.log_scale).exp()
        normal = -0.5 * u.square() - self.log_scale - 0.5 * np.log(2 * np.pi)
        found = [(self.log_weight + normal).logsumexp(-1)]
        for j, table in enumerate(self.log_probabilities):
            code = rows.codes[..., j].expand(table.shape[:-1])
            found.append(table.gather(-1, code[..., None]))
        return torch.cat(found, dim=-1)


@dataclass(frozen=True)
class ColumnConditionals:
    """Two trained networks, on complementary halves.

    Parameters
    ----------
    layers
        Weights and biases, ``(2, in, out)`` and ``(2, 1, out)``.
    sizes
        The number of positions of each categorical column.
    points
        ``(numeric columns, points)``: values that are points, infinite where a column has fewer.
    """

    layers: list[tuple[Tensor, Tensor]]
    sizes: tuple[int, ...]
    points: Tensor

    @classmethod
    def fit(
        cls, rows: CodedRows, own: Sequence[Tensor], marginals: ColumnMarginals, *, seed: int
    ) -> "ColumnConditionals":
        """Train on rows of the fit.

        Parameters
        ----------
        rows
            The rows of the fit.
        own
            The positions of the rows that each of the two is trained on.
        marginals
            The columns by themselves, with the values that are points.
        seed
            Of weights and hidden cells.
        """
        generator = torch.Generator().manual_seed(seed)
        sizes, points = marginals.sizes, marginals.points
        d, columns = rows.numbers.shape[1], rows.observed.shape[1]
        heads = d * (3 * _COMPONENTS + points.shape[1]) + sum(sizes)
        widths = [d + sum(sizes) + columns, _HIDDEN, _HIDDEN, heads]
        networks = cls(make_layers(2, widths, generator), sizes, points)
        fewest = min(map(len, own))
        batch_size = min(_BATCH, fewest)
        steps = min(_MOST_STEPS, max(_FEWEST_PASSES * fewest // batch_size, fewest))

        def loss(_: int) -> Tensor:
            drawn = torch.stack(
                [mine[torch.randint(len(mine), (batch_size,), generator=generator)] for mine in own]
            )
            batch = rows.take(drawn)
            share = torch.rand(2, batch_size, 1, generator=generator) * _HIDDEN_AT_MOST + 1 / columns
            visible = (torch.rand(2, batch_size, columns, generator=generator) > share) * batch.observed
            hidden = batch.observed - visible
            found = networks.given(batch, visible).log_density(batch) * hidden
            return -(found.sum((1, 2)) / hidden.sum((1, 2)).clamp(min=1)).sum()

        weights = [weight for layer in networks.layers for weight in layer]
        minimise(weights, loss, steps=steps, learning_rate=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        return networks

    def given(self, rows: CodedRows, visible: Tensor) -> CellDistributions:
        """Return the distribution of every cell given the visible ones.

        Parameters
        ----------
        rows
            ``(n, ...)`` or ``(2, n, ...)``.
        visible
            1 for the cells that are told, ``(n, columns)`` or ``(2, n, columns)``; never one for a hole.
        """
        told = CodedRows(rows.numbers * visible[..., : rows.numbers.shape[-1]], rows.codes, visible)
        inputs = torch.cat([told.numbers, *one_hot(told, self.sizes), visible], dim=-1)
        d = rows.numbers.shape[-1]
        features = apply_layers(self.layers, inputs.expand(2, -1, -1))
        a = self.points.shape[1]
        numbers, of_points, *logits = features.split([3 * _COMPONENTS * d, a * d, *self.sizes], dim=-1)
        weight, mean, log_scale = numbers.unflatten(-1, (3, d, _COMPONENTS)).unbind(-3)
        of_points = of_points.unflatten(-1, (d, a)).masked_fill(self.points.isinf(), -torch.inf)
        # components begin apart, and narrow enough to differ
        start = torch.linspace(-1, 1, _COMPONENTS)
        at = torch.where(self.points.isinf(), 0.0, self.points).expand_as(of_points)
        return CellDistributions(
            torch.cat([weight, of_points], -1).log_softmax(-1),
            torch.cat([mean + start, at], -1),
            torch.cat(
                [soft_bound(log_scale, _LOG_SCALE_LIMIT), torch.full_like(at, np.log(POINT_SCALE))], -1
            ),
            [each.log_softmax(-1) for each in logits],
        )

    @torch.no_grad()
    def of_each_cell(self, rows: CodedRows) -> CellDistributions:
        """Return the distribution of every cell given all others in its row."""
        n, columns = rows.observed.shape
        copies = torch.arange(n).repeat_interleave(columns)
        left_out = torch.arange(columns).repeat(n)
        visible = rows.observed[copies].clone()
        visible[torch.arange(n * columns), left_out] = 0
        found = self.given(rows.take(copies), visible)
        d = rows.numbers.shape[1]

        def own(part: Tensor) -> Tensor:
            """Pick from the copies of a row the one that leaves out the column, ``(2, n, d, components)``."""
            each = part.unflatten(1, (n, columns))
            return torch.stack([each[:, :, j, j] for j in range(d)], dim=2) if d else each[:, :, 0]

        return CellDistributions(
            own(found.log_weight),
            own(found.mean),
            own(found.log_scale),
            [
                table.unflatten(1, (n, columns))[:, :, d + j]
                for j, table in enumerate(found.log_probabilities)
            ],
        )
