r"""The columns by themselves: how probable a value is for a cell that has nothing to do with the rest of its row.

.. math:: r(x) = 0.9 \, h(x) + 0.1 \, u(x),

where h is the distribution of the column in the rows of the fit, and u any value at all: flat over the range of a
number, or over the categories. A value that at least 3 % of the rows have is a point with a probability of its own; the
other numbers are in a histogram. The density of a point is that of a very narrow Gaussian, as in
:mod:`vaekit.jobs.detection.column_conditionals`, so that the two can be compared.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.jobs.detection.column_histograms import ColumnHistograms
from vaekit.jobs.table_coding import CodedRows

__all__ = ["POINT_SCALE", "ColumnMarginals"]

POINT_SCALE = 1e-3  # the standard deviation that stands for none, in the coordinates of a column
_POINT_SHARE, _FEWEST_AT_POINT, _MOST_POINTS = 0.03, 5, 32
_ANY_VALUE = 0.1


@dataclass(frozen=True)
class ColumnMarginals:
    """Points, histograms of the other numbers, and the shares of categories.

    Parameters
    ----------
    sizes
        The number of positions of each categorical column.
    points
        ``(numeric columns, points)``: the values that many rows have, infinite where a column has fewer.
    log_share
        ``(numeric columns, points + 1)``: the log-probability of each point, and of all other numbers.
    histograms
        Of the other numbers, and of categories.
    log_flat
        ``(columns,)``: the log-density of any value at all.

    Examples
    --------
    >>> x = torch.cat([torch.zeros(50, 1), torch.linspace(1, 5, 50)[:, None]])
    >>> rows = CodedRows(x, torch.zeros(100, 0).long(), torch.ones(100, 1))
    >>> marginals = ColumnMarginals.fit(rows, ())
    >>> marginals.points.tolist(), marginals.log_share.exp().tolist()
    ([[0.0]], [[0.5, 0.5]])
    """

    sizes: tuple[int, ...]
    points: Tensor
    log_share: Tensor
    histograms: ColumnHistograms
    log_flat: Tensor

    @classmethod
    def fit(cls, rows: CodedRows, sizes: tuple[int, ...]) -> "ColumnMarginals":
        """Count rows.

        Parameters
        ----------
        rows
            The rows.
        sizes
            The number of positions of each categorical column.
        """
        d = rows.numbers.shape[1]
        found: list[tuple[np.ndarray, np.ndarray, float]] = []
        for j in range(d):
            known = rows.numbers[rows.observed[:, j] > 0, j].numpy()
            values, counts = np.unique(known, return_counts=True)
            often = np.flatnonzero(counts >= max(_POINT_SHARE * len(known), _FEWEST_AT_POINT))
            often = np.sort(often[np.argsort(-counts[often], kind="stable")][:_MOST_POINTS])
            width = float(known.max() - known.min()) if len(known) else 0.0
            found.append((values[often], counts[often] / max(len(known), 1), width or 1.0))
        most = max((len(values) for values, _, _ in found), default=0)
        points, log_share = torch.full((d, most), torch.inf), torch.full((d, most + 1), -torch.inf)
        for j, (values, shares, _) in enumerate(found):
            points[j, : len(values)] = torch.from_numpy(values)
            log_share[j, : len(values)] = torch.from_numpy(np.log(shares))
            log_share[j, -1] = float(np.log(max(1 - shares.sum(), 1 / (len(rows) + 1))))
        observed = rows.observed.clone()
        observed[:, :d] *= ~(rows.numbers[..., None] == points).any(-1)
        others = CodedRows(rows.numbers, rows.codes, observed)
        histograms = ColumnHistograms.fit(others, torch.arange(len(rows))[None], sizes)
        flat = [-np.log(width) for _, _, width in found] + [-np.log(size) for size in sizes]
        return cls(sizes, points, log_share, histograms, torch.tensor(flat))

    def log_density(self, rows: CodedRows) -> Tensor:
        """Return the log-density of every cell, ``(n, columns)``, in nats."""
        d = rows.numbers.shape[1]
        cells = self.histograms.cells(rows)[0]
        u = (rows.numbers[..., None] - torch.where(self.points.isinf(), 0.0, self.points)) / POINT_SCALE
        at_points = self.log_share[:, :-1] - 0.5 * u.square() - np.log(POINT_SCALE * np.sqrt(2 * np.pi))
        others = cells[:, :d] + self.log_share[:, -1]
        numbers = torch.cat([at_points, others[..., None]], -1).logsumexp(-1)
        own = torch.cat([numbers, cells[:, d:]], dim=1)
        return torch.logaddexp(own + np.log(1 - _ANY_VALUE), self.log_flat + np.log(_ANY_VALUE))
