r"""Gaussians of a table with holes, and what they expect of hidden cells: where an imputing network begins.

With the visible cells v of a row and the others h,

.. math::

    \mathbb E[x_h \mid x_v] = \mu_h + \Sigma_{hv} \Sigma_{vv}^{-1} (x_v - \mu_v), \qquad
    \operatorname{Var}[x_j \mid x_v] = \Sigma_{jj} - \Sigma_{jv} \Sigma_{vv}^{-1} \Sigma_{vj},

which is exact where the columns are Gaussian. The Gaussian maximises the likelihood of the observed cells, with
correlations shrunk as if three more rows had been seen whose columns are independent. Categories take part as columns
of zeros and ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaekit.evaluation.missing_baselines import fit_gaussian
from vaekit.jobs.layers_and_optimiser import one_hot
from vaekit.jobs.table_coding import CodedRows

__all__ = ["GaussianAnchors"]

_INDEPENDENT_ROWS = 3.0
_LEAST_VARIANCE = 1e-3  # beside the variance 1 of a coded column
_MOST_COLUMNS = (
    60  # categories take part only in tables whose columns are at most so many, each category counted
)
_MOST_ROWS = 4096  # that a Gaussian is fitted to
_AT_ONCE = 1 << 22  # numbers


@dataclass(frozen=True)
class GaussianAnchors:
    """One Gaussian for each member, fitted to the rows that the member sees.

    Parameters
    ----------
    mean, covariance
        ``(members, width)`` and ``(members, width, width)``.
    sizes
        The number of positions of each categorical column that takes part.
    """

    mean: Tensor
    covariance: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def fit(cls, rows: CodedRows, sizes: tuple[int, ...], sees: Sequence[np.ndarray]) -> "GaussianAnchors":
        """Fit a Gaussian to the rows of each member.

        Parameters
        ----------
        rows
            Rows with holes.
        sizes
            The number of positions of each categorical column.
        sees
            The positions of the rows of each member.
        """
        taking_part = sizes if rows.numbers.shape[-1] + sum(sizes) <= _MOST_COLUMNS else ()
        values, known = _flat(rows, rows.observed, taking_part)
        table = np.where(known.numpy() > 0, values.numpy(), np.nan).astype(np.float64)
        means, covariances = [], []
        for mine in sees:
            part = table[mine[:_MOST_ROWS]]
            part[:, np.isnan(part).all(0)] = 0.0  # a column that none of these rows has
            weight = len(part) / (len(part) + _INDEPENDENT_ROWS)

            def shrink(covariance: np.ndarray, weight: float = weight) -> np.ndarray:
                variances = np.maximum(covariance.diagonal(), _LEAST_VARIANCE)
                return weight * covariance + np.diag(variances - weight * covariance.diagonal())

            found = fit_gaussian(part, project=shrink, steps=30, tolerance=1e-2) if part.size else None
            width = table.shape[1]
            means.append(np.zeros(width) if found is None else found.mean)
            covariances.append(np.eye(width) if found is None else found.covariance)
        return cls(
            torch.from_numpy(np.stack(means)),
            torch.from_numpy(np.stack(covariances)),
            taking_part,
        )

    def only(self, member: int) -> "GaussianAnchors":
        """Return the Gaussian of one member."""
        this = slice(member, member + 1)
        return GaussianAnchors(self.mean[this], self.covariance[this], self.sizes)

    @property
    def width(self) -> int:
        """The number of columns of the Gaussians, one for each position of a category."""
        return self.mean.shape[-1]

    def given(self, rows: CodedRows, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of every cell given the visible ones, each ``(members, n, width)``.

        Parameters
        ----------
        rows
            Rows, ``(n, ...)``.
        visible
            ``(n, columns)``: 1 for the cells that are told.
        """
        values, known = _flat(rows, visible, self.sizes)
        values, known = values.double(), known.double()
        step = max(1, _AT_ONCE // max(1, self.width**2))
        blocks = [
            self._of_block(values[start : start + step], known[start : start + step])
            for start in range(0, len(values), step)
        ]
        means, deviations = zip(*blocks, strict=True)
        return torch.cat(means, 1).float(), torch.cat(deviations, 1).float()

    def _of_block(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        means, deviations = [], []
        for mean, covariance in zip(self.mean, self.covariance, strict=True):
            # The rows and columns of hidden cells are those of the unit matrix, so that all rows have one shape.
            block = covariance * known[:, :, None] * known[:, None, :] + torch.diag_embed(1 - known)
            across = covariance * known[:, :, None]
            right = torch.cat([((values - mean) * known)[:, :, None], across], -1)
            solved = torch.cholesky_solve(right, torch.linalg.cholesky(block))
            expected = mean + (across * solved[..., :1]).sum(1)
            variance = covariance.diagonal() - (across * solved[..., 1:]).sum(1)
            means.append(torch.where(known > 0, values, expected))
            deviations.append(variance.clamp(min=_LEAST_VARIANCE / 10).sqrt())
        return torch.stack(means), torch.stack(deviations)


def _flat(rows: CodedRows, visible: Tensor, sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return rows with one column for each position of a category, and which of them are told."""
    d = rows.numbers.shape[-1]
    told = CodedRows(rows.numbers * visible[..., :d], rows.codes, visible)
    known = [visible[..., :d]]
    known += [visible[..., d + j, None].expand(*visible.shape[:-1], size) for j, size in enumerate(sizes)]
    return torch.cat([told.numbers, *one_hot(told, sizes)], -1), torch.cat(known, -1)
