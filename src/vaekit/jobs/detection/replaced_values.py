r"""The column whose value was replaced by another row's, by networks that are trained to name it.

A row of the fit has one value replaced by that of another row, in a column j drawn at random, and a network that is
told the whole row x says how probable each column is to be that one:

.. math:: p(j \mid x) \propto \frac{r_j(x_j)}{p(x_j \mid x_{-j})} .

The equality holds for the best possible network, where r is the distribution of the column by itself. So networks and
:mod:`vaekit.jobs.detection.column_conditionals` estimate the same; the first by telling rows apart, the second by
densities, and they err in different places. Clark et al. (2020), "ELECTRA: Pre-training text encoders as
discriminators rather than generators", detect replaced words so. There are two networks, on complementary halves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.jobs.detection.one_cycle import minimise
from vaekit.jobs.layers_and_optimiser import apply_layers, make_layers, one_hot
from vaekit.jobs.table_coding import CodedRows

__all__ = ["ReplacedValues"]

_HIDDEN, _LAYERS = 192, 3
_FEWEST_PASSES, _MOST_STEPS = 400, 1500
_BATCH = 192
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-2
_FAR = -1e9  # a logit of what cannot be


@dataclass(frozen=True)
class ReplacedValues:
    """Two trained networks.

    Parameters
    ----------
    layers
        Weights and biases, ``(2, in, out)`` and ``(2, 1, out)``.
    sizes
        The number of positions of each categorical column.
    low, high
        ``(numeric columns,)``: the smallest and the largest number that the networks know; one that is further out is
        shown to them as that.
    """

    layers: list[tuple[Tensor, Tensor]]
    sizes: tuple[int, ...]
    low: Tensor
    high: Tensor

    @classmethod
    def fit(
        cls, rows: CodedRows, own: Sequence[Tensor], sizes: tuple[int, ...], *, seed: int
    ) -> "ReplacedValues":
        """Train on rows of the fit.

        Parameters
        ----------
        rows
            The rows of the fit.
        own
            The positions of the rows that each of the two is trained on.
        sizes
            The number of positions of each categorical column.
        seed
            Of weights and replacements.
        """
        generator = torch.Generator().manual_seed(seed)
        d, columns = rows.numbers.shape[1], rows.observed.shape[1]
        known = rows.take(torch.cat(list(own)))
        there = known.observed[:, :d] > 0
        low = torch.where(there, known.numbers, torch.inf).amin(0).nan_to_num(posinf=0.0)
        high = torch.where(there, known.numbers, -torch.inf).amax(0).nan_to_num(neginf=0.0)
        widths = [d + sum(sizes) + columns, *[_HIDDEN] * _LAYERS, columns]
        networks = cls(make_layers(2, widths, generator), sizes, low, high)
        told = networks._told(rows)
        # the column that each input of the network tells of
        of_sizes = [torch.full((size,), d + j) for j, size in enumerate(sizes)]
        owner = torch.cat([torch.arange(d), *of_sizes, torch.arange(columns)])
        fewest = min(map(len, own))
        batch_size = min(_BATCH, fewest)
        steps = min(_MOST_STEPS, max(_FEWEST_PASSES * fewest // batch_size, fewest))

        def loss(_: int) -> Tensor:
            drawn, other = (
                torch.stack(
                    [each[torch.randint(len(each), (batch_size,), generator=generator)] for each in own]
                )
                for _ in range(2)
            )
            column = torch.randint(columns, (2, batch_size, 1), generator=generator)
            before, there = told[drawn], rows.observed[drawn]
            after = torch.where(owner == column, told[other], before)
            both = there.gather(-1, column) * rows.observed[other].gather(-1, column)
            replaced = both[..., 0] * (after != before).any(-1)
            named = _log_posterior(networks.layers, after, there).gather(-1, column)[..., 0]
            return -((named * replaced).sum(1) / replaced.sum(1).clamp(min=1)).sum()

        weights = [weight for layer in networks.layers for weight in layer]
        minimise(weights, loss, steps=steps, learning_rate=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        return networks

    @torch.no_grad()
    def log_posterior(self, rows: CodedRows) -> Tensor:
        """Return how probable each column is to hold a replaced value, ``(2, n, columns)``, in nats."""
        return _log_posterior(self.layers, self._told(rows).expand(2, -1, -1), rows.observed)

    def _told(self, rows: CodedRows) -> Tensor:
        """Return the inputs of the networks, ``(n, in)``."""
        d = rows.numbers.shape[1]
        numbers = rows.numbers.clamp(self.low, self.high) * rows.observed[:, :d]
        return torch.cat([numbers, *one_hot(rows, self.sizes), rows.observed], dim=-1)


def _log_posterior(layers: list[tuple[Tensor, Tensor]], told: Tensor, observed: Tensor) -> Tensor:
    return apply_layers(layers, told).masked_fill(observed == 0, _FAR).log_softmax(-1)
