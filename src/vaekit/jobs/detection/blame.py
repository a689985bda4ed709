r"""The columns to blame for an odd row: values that the other values of the row do not let expect.

Columns are ordered by how probable it is that this value, and no other of the row, is one from elsewhere. If the value
of column j was replaced by one that differs from it, of a density :math:`r_j`
(:mod:`vaekit.jobs.detection.column_marginals`), then Bayes' rule gives, each column being as likely as any other,

.. math:: p(j \mid x) \propto r_j(x_j) \, \frac{1 - P_j(x_j \mid x_{-j})}{p_j(x_j \mid x_{-j})}

with the conditionals of :mod:`vaekit.jobs.detection.column_conditionals`; P is the probability of exactly this value,
which is zero for a number that is no point: a category that the others make certain cannot have replaced another one.
Its logarithm is added to that of the probability that :mod:`vaekit.jobs.detection.replaced_values` gives to the column.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.jobs.detection.column_conditionals import CellDistributions, ColumnConditionals
from vaekit.jobs.detection.column_marginals import POINT_SCALE, ColumnMarginals
from vaekit.jobs.detection.complementary_halves import Halves
from vaekit.jobs.detection.replaced_values import ReplacedValues
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["Blame", "Reason"]

_ROWS_AT_ONCE = 64
_MOST_CERTAIN = 1 - 1e-6  # a probability that networks can give
_AT_POINT = 6 * POINT_SCALE  # as far from a point as its density reaches
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


@dataclass(frozen=True)
class Blame:
    """The networks that find values to blame, and which rows each was trained on.

    Parameters
    ----------
    conditionals, replaced, marginals
        ``p(x_j | x_-j)``; the column whose value was replaced; the columns by themselves.
    halves
        The rows that the first and the second network were trained on.
    """

    conditionals: ColumnConditionals
    replaced: ReplacedValues
    marginals: ColumnMarginals
    halves: Halves

    @classmethod
    def fit(cls, rows: CodedRows, sizes: tuple[int, ...], *, good: np.ndarray, seed: int) -> "Blame":
        """Train on the good rows.

        Parameters
        ----------
        rows
            The rows of the fit.
        sizes
            The number of positions of each categorical column.
        good
            ``(n,)``: whether a row is to be learned; an odd one is not.
        seed
            Of halves, weights, hidden and replaced cells.
        """
        halves = Halves.deal(len(rows), members=2, generator=np.random.default_rng(seed))
        own = [torch.from_numpy(np.flatnonzero(halves.trained[m][halves.group] & good)) for m in range(2)]
        marginals = ColumnMarginals.fit(rows.take(torch.from_numpy(np.flatnonzero(good))), sizes)
        conditionals = ColumnConditionals.fit(rows, own, marginals, seed=seed)
        replaced = ReplacedValues.fit(rows, own, sizes, seed=seed)
        return cls(conditionals, replaced, marginals, halves)

    @torch.no_grad()
    def reasons(
        self, rows: CodedRows, coding: TableCoding, unseen: np.ndarray, *, columns: int = 3
    ) -> list[list[Reason]]:
        """Return for each row the values to blame, the first one first.

        Parameters
        ----------
        rows
            The rows to explain.
        coding
            How columns are seen.
        unseen
            ``(2, n)``: which of the networks have not seen a row; what these say is averaged.
        columns
            The number of values for each row; fewer where a row has fewer.
        """
        found: list[list[Reason]] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            block = rows.take(slice(start, start + _ROWS_AT_ONCE))
            each = torch.from_numpy(unseen[:, start : start + _ROWS_AT_ONCE]).double()
            found += self._of_block(block, coding, each / each.sum(0), columns)
        return found

    def _of_block(
        self, rows: CodedRows, coding: TableCoding, share: Tensor, columns: int
    ) -> list[list[Reason]]:
        cells = self.conditionals.of_each_cell(rows)
        order = self._suspicion(cells, rows, share).argsort(dim=1, descending=True, stable=True)[:, :columns]
        tables = [(share[..., None] * table.double().exp()).sum(0) for table in cells.log_probabilities]
        return [
            [
                _reason(cells, tables, share, coding, rows, i, j)
                for j in order[i].tolist()
                if rows.observed[i, j] > 0
            ]
            for i in range(len(rows))
        ]

    def _suspicion(self, cells: CellDistributions, rows: CodedRows, share: Tensor) -> Tensor:
        """Return what columns are ordered by, ``(n, columns)``, in nats."""
        given_others = (cells.log_density(rows).double() + share.log()[..., None]).logsumexp(0)
        point = torch.ones(rows.observed.shape[1]).double()
        point[: rows.numbers.shape[1]] = POINT_SCALE * math.sqrt(2 * math.pi)
        certain = (given_others.exp() * point).clamp(max=_MOST_CERTAIN)
        by_density = self.marginals.log_density(rows).double() - given_others + torch.log1p(-certain)
        by_name = (self.replaced.log_posterior(rows).double() * share[..., None]).sum(0)
        return torch.where(rows.observed > 0, by_density + by_name, -torch.inf)


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
    # a point counts whole on either side
    below, above = (value + _AT_POINT - mean) / scale, (mean - value + _AT_POINT) / scale
    tail = 2 * min(float((weight * torch.special.ndtr(u)).sum()) for u in (below, above))
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
