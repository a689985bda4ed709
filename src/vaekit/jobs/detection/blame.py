r"""The columns to blame for an odd row: values that the other values of the row do not let expect.

Columns are ordered by how much less probable the value is given the others than it is by itself,

.. math:: \tfrac 1 2 \log h_j(x_j) - \log p(x_j \mid x_{-j}),

with the conditionals of :mod:`vaekit.jobs.detection.column_conditionals`. If the value of column j had been replaced by
one from elsewhere, with density r, then the ratio :math:`r(x_j) / p(x_j \mid x_{-j})` says how probable that is beside
the same in another column; the square root of the column's own density h lies between a value of another row, h itself,
and any value at all.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.jobs.detection.column_conditionals import CellDistributions, ColumnConditionals
from vaekit.jobs.detection.column_histograms import ColumnHistograms
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["Reason", "blame"]

_ROWS_AT_ONCE = 64
_HALVINGS = 40  # of the interval in which a quantile is sought: 1e-12 of its length


@dataclass(frozen=True)
class Reason:
    """One value of a row beside what the other values of the row let expect.

    Parameters
    ----------
    column
        The name of the column.
    value
        The value: a number, or the name of a category.
    expected
        The median of ``p(x_j | x_-j)``, or the most probable category.
    low, high
        The 90 % interval of ``p(x_j | x_-j)``; None for a category.
    p_value
        The probability under ``p(x_j | x_-j)`` of a number as far out on either side, or of a category as improbable.
    """

    column: str
    value: float | str
    expected: float | str
    low: float | None
    high: float | None
    p_value: float

    def __str__(self) -> str:
        """Return the reason as a person reads it.

        >>> str(Reason("age", 99.0, 41.0, 30.0, 52.5, 0.0004)), str(Reason("sex", "f", "m", None, None, 0.01))
        ('age 99, expected 41 (30 to 52.5), p = 0.0004', 'sex f, expected m, p = 0.01')
        """
        interval = "" if self.low is None or self.high is None else f" ({self.low:.5g} to {self.high:.5g})"
        chance = "p < 1e-6" if self.p_value < 1e-6 else f"p = {self.p_value:.2g}"
        return f"{self.column} {_in_words(self.value)}, expected {_in_words(self.expected, 5)}{interval}, {chance}"


@torch.no_grad()
def blame(
    conditionals: ColumnConditionals,
    histograms: ColumnHistograms,
    coding: TableCoding,
    rows: CodedRows,
    unseen: np.ndarray,
    *,
    columns: int = 3,
) -> list[list[Reason]]:
    """Return for each row the values to blame, the first one first.

    Parameters
    ----------
    conditionals, histograms, coding
        ``p(x_j | x_-j)``; the columns by themselves; how columns are seen.
    rows
        The rows to explain.
    unseen
        ``(2, n)``: which of the two networks have not seen a row; their distributions are averaged.
    columns
        The number of values for each row; fewer where a row has fewer.
    """
    found: list[list[Reason]] = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows.take(slice(start, start + _ROWS_AT_ONCE))
        each = torch.from_numpy(unseen[:, start : start + _ROWS_AT_ONCE]).double()
        found += _blame_block(conditionals, histograms, coding, block, each / each.sum(0), columns)
    return found


def _blame_block(
    conditionals: ColumnConditionals,
    histograms: ColumnHistograms,
    coding: TableCoding,
    rows: CodedRows,
    share: Tensor,
    columns: int,
) -> list[list[Reason]]:
    cells = conditionals.of_each_cell(rows)
    by_itself = histograms.cells(rows).double().logsumexp(0) - np.log(len(histograms.low))
    given_others = (cells.log_density(rows).double() + share.log()[..., None]).logsumexp(0)
    key = torch.where(rows.observed > 0, 0.5 * by_itself - given_others, -torch.inf)
    order = key.argsort(dim=1, descending=True, stable=True)[:, :columns]
    tables = [(share[..., None] * table.double().exp()).sum(0) for table in cells.log_probabilities]
    return [
        [
            _reason(cells, tables, share, coding, rows, i, j)
            for j in order[i].tolist()
            if rows.observed[i, j] > 0
        ]
        for i in range(len(rows))
    ]


def _reason(
    cells: CellDistributions,
    tables: list[Tensor],
    share: Tensor,
    coding: TableCoding,
    rows: CodedRows,
    i: int,
    j: int,
) -> Reason:
    column, d = coding.coded[j], len(coding.numeric)
    if column.categories is not None:
        mass, code = tables[j - d][i], int(rows.codes[i, j - d])
        names = (*column.categories, "that is new")
        tail = float(mass[mass <= mass[code] * (1 + 1e-9)].sum())
        return Reason(column.name, names[code], names[int(mass[:-1].argmax())], None, None, min(tail, 1.0))
    weight = (share[:, i, None] * cells.log_weight[:, i, j].double().exp()).flatten()
    mean, scale = cells.mean[:, i, j].double().flatten(), cells.log_scale[:, i, j].double().exp().flatten()
    value = rows.numbers[i, j].double()
    u = (value - mean) / scale
    tail = 2 * min(
        float((weight * torch.special.ndtr(u)).sum()), float((weight * torch.special.ndtr(-u)).sum())
    )
    quantiles = mixture_quantiles(weight, mean, scale, torch.tensor([0.5, 0.05, 0.95]).double())
    expected, low, high, seen = column.unbend(torch.cat([quantiles, value[None]]).numpy()).tolist()
    return Reason(column.name, seen, expected, low, high, min(tail, 1.0))


def mixture_quantiles(weight: Tensor, mean: Tensor, scale: Tensor, level: Tensor) -> Tensor:
    """Return quantiles of a mixture of Gaussians, by halving an interval that holds them.

    Examples
    --------
    >>> one, level = torch.ones(1).double(), torch.tensor([0.5, 0.975]).double()
    >>> [round(q, 4) for q in mixture_quantiles(one, 3 * one, 2 * one, level).tolist()]
    [3.0, 6.9199]
    """
    low = (mean - 10 * scale).min().repeat(len(level))
    high = (mean + 10 * scale).max().repeat(len(level))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = (weight * torch.special.ndtr((middle[:, None] - mean) / scale)).sum(1) < level
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


def _in_words(value: float | str, digits: int = 6) -> str:
    return value if isinstance(value, str) else f"{value:.{digits}g}"
