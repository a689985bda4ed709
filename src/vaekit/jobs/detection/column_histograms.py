r"""The null model: independent columns, each a smoothed histogram, for all members at once.

.. math:: \log h(x) = \sum_j \log \frac{\tilde c_{j b_j(x)} + \frac 1 2}{n_j + \frac 1 2 B_j} - \log w_j,

with the counts c of a column's equal bins, smoothed over neighbours by (1/4, 1/2, 1/4), the bins' width w and
their number B. Beyond the largest and the smallest value there is one empty bin on each side. A categorical column has
a bin of width one for every category, and one for a category that is unseen. Densities are in nats, with respect to
the coordinates of :mod:`vaekit.jobs.table_coding`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.jobs.table_coding import CodedRows

__all__ = ["ColumnHistograms"]

_PRIOR = 0.5  # the weight of an empty bin, in rows
_FEWEST, _MOST = 5, 30  # bins of a numeric column


@dataclass(frozen=True)
class ColumnHistograms:
    """Histograms of every column, for every member of an ensemble.

    Parameters
    ----------
    low, width
        ``(members, numeric columns)``: where the bins of a numeric column begin, and how wide they are.
    numeric
        ``(members, numeric columns, bins + 2)``: the log-density in each bin.
    categorical
        For each categorical column ``(members, categories + 1)``: the log-probability of each category.
    entropy
        ``(members, columns)``: the mean of the negative log-density over the rows of the fit, which a hole counts as.

    Examples
    --------
    >>> rows = CodedRows(torch.tensor([[0.0], [1.0], [1.2], [4.0]]), torch.zeros(4, 0).long(), torch.ones(4, 1))
    >>> histograms = ColumnHistograms.fit(rows, torch.tensor([[0, 1, 2, 3]]), ())
    >>> histograms.surprise(rows).shape
    torch.Size([1, 4])
    """

    low: Tensor
    width: Tensor
    numeric: Tensor
    categorical: tuple[Tensor, ...]
    entropy: Tensor

    @classmethod
    def fit(cls, rows: CodedRows, chosen: Tensor, sizes: tuple[int, ...]) -> "ColumnHistograms":
        """Count the chosen rows of every member.

        Parameters
        ----------
        rows
            The rows.
        chosen
            ``(members, k)``: the positions of each member's rows.
        sizes
            The number of positions of each categorical column.
        """
        members, k = chosen.shape
        numbers, d = rows.numbers[chosen], rows.numbers.shape[1]
        observed = rows.observed[chosen]
        bins = int(min(_MOST, max(_FEWEST, 2 * k ** (1 / 3))))
        there = observed[..., :d] > 0
        inf = torch.tensor(torch.inf)
        low = torch.where(there, numbers, inf).amin(1) if d else torch.zeros(members, 0)
        high = torch.where(there, numbers, -inf).amax(1) if d else torch.zeros(members, 0)
        usable = low < high
        low = torch.where(usable, low, torch.where(low.isfinite(), low - 0.5, torch.zeros(())))
        width = torch.where(usable, (high - low) / bins, torch.ones(()) / bins)
        # A hair wider, so that rounding leaves the largest value in the last bin.
        width = width * (1 + 1e-5)
        position = _bins(numbers, low, width, bins)
        counts = torch.zeros(members, d, bins + 2)
        counts.scatter_add_(2, position.transpose(1, 2), there.to(counts.dtype).transpose(1, 2))
        padded = torch.nn.functional.pad(counts, (1, 1))
        smooth = 0.25 * padded[..., :-2] + 0.5 * padded[..., 1:-1] + 0.25 * padded[..., 2:]
        total = smooth.sum(2, keepdim=True) + _PRIOR * (bins + 2)
        numeric = ((smooth + _PRIOR) / total).log() - width.log()[..., None]
        categorical = []
        for j, size in enumerate(sizes):
            weight = observed[..., d + j]
            count = torch.zeros(members, size).scatter_add_(1, rows.codes[chosen][..., j], weight)
            categorical.append(((count + _PRIOR) / (count.sum(1, keepdim=True) + _PRIOR * size)).log())
        unfinished = cls(low, width, numeric, tuple(categorical), torch.zeros(members, d + len(sizes)))
        cells = torch.stack([unfinished.cells(rows.take(own))[m] for m, own in enumerate(chosen)])
        entropy = -(cells * observed).sum(1) / observed.sum(1).clamp(min=1)
        return cls(low, width, numeric, tuple(categorical), entropy)

    def cells(self, rows: CodedRows) -> Tensor:
        """Return the log-density of every cell, ``(members, n, columns)``, in nats."""
        members, bins = len(self.low), self.numeric.shape[2] - 2
        numbers = rows.numbers.expand(members, -1, -1)
        position = _bins(numbers, self.low, self.width, bins)
        found = [self.numeric.gather(2, position.transpose(1, 2)).transpose(1, 2)]
        for j, table in enumerate(self.categorical):
            found.append(table[:, rows.codes[:, j]][..., None])
        return torch.cat(found, dim=2)

    def surprise(self, rows: CodedRows) -> Tensor:
        """Return the negative log-density of rows, ``(members, n)``, in nats; a hole counts as an average cell."""
        cells, there = self.cells(rows), rows.observed > 0
        return torch.where(there, -cells, self.entropy[:, None]).sum(2)


def _bins(numbers: Tensor, low: Tensor, width: Tensor, bins: int) -> Tensor:
    """Return the bin of each number: 0 below all bins, and ``bins + 1`` above them."""
    position = ((numbers - low[:, None]) / width[:, None]).floor()
    return position.clamp(-1, bins).long() + 1
