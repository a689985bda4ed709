r"""Rows whose values decide themselves whether they are missing: a Gaussian and one logistic curve a column.

.. math:: x \sim N(\mu, \Sigma), \qquad p(x_j \text{ is missing} \mid x) = \frac 1 {1 + \exp(-a_j (x_j - b_j))}

This is the self-masking of Ipsen, Mattei and Frellsen (2021), "not-MIWAE: Deep Generative Modelling with Missing not
at Random Data", over a Gaussian. It is fitted by stochastic expectation maximisation (Celeux and Diebolt,
1985): holes are drawn given everything else by Gibbs steps, and parameters maximise the likelihood of completed rows. A
value is missing where :math:`x_j > t` for a logistic threshold t around :math:`b_j`: given x, t is a truncated
logistic, and given t, x is a truncated normal. Nothing in the observed cells can tell whether the curves are right.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, logit, ndtr, ndtri

from vaekit.errors import DataError
from vaekit.evaluation.missing_baselines import fit_gaussian
from vaekit.jobs.imputation.imputation import Completed
from vaekit.jobs.imputation.rehidden_cells import ColumnCheck
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["SelfMaskedGaussian", "SelfMaskedImputation", "self_masked_columns"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_STEPS, _AVERAGED = 80, 40  # of the fit; parameters are means over the last ones
_SWEEPS = 2  # of a step
_BURN_IN, _BETWEEN = 20, 3  # sweeps before the first draw, and from one to the next
_RIDGE = 0.01  # added to the variances of standardised columns
_SLOPE = 10.0  # standard deviation of a slope a priori
_TINY = 1e-300
_MEANS = 100  # draws that means are taken over
_LEAST_VALUES = 20
_STEEP, _LEAST_ROWS, _MOST_ROWS, _MOST_COLUMNS = 8.0, 200, 1_000, 60


@dataclass
class SelfMaskedGaussian:
    """A Gaussian with self-masked columns.

    Parameters
    ----------
    mean, covariance
        ``(d,)`` and ``(d, d)``, in standardised columns.
    slope, middle
        ``(d,)``: the curves; a slope of 0 where a value does not decide.
    """

    mean: Floats
    covariance: Floats
    slope: Floats
    middle: Floats

    @classmethod
    def fit(cls, x: Floats, seed: int) -> "SelfMaskedGaussian":
        """Fit to standardised rows ``(n, d)``, NaN in a hole; every column has some values."""
        random, holes = np.random.default_rng(seed), np.isnan(x)
        d, some = x.shape[1], np.flatnonzero(holes.any(0))
        start = fit_gaussian(
            x, project=lambda covariance: covariance + _RIDGE * np.eye(d), steps=30, tolerance=1e-2
        )
        found = cls(start.mean, start.covariance, np.zeros(d), np.zeros(d))
        whole = found._start(x)
        kept = []
        for step in range(_STEPS):
            found._estimate(whole)
            for _ in range(_SWEEPS):
                found._sweep(whole, holes, random)
            for j in some:
                found.slope[j], found.middle[j] = _logistic(
                    whole[:, j], holes[:, j], found.slope[j], found.middle[j]
                )
            if step >= _STEPS - _AVERAGED:
                kept.append((found.mean, found.covariance, found.slope.copy(), found.middle.copy()))
        return cls(*(np.mean(each, 0) for each in zip(*kept, strict=True)))

    def draw(self, x: Floats, draws: int, seed: int) -> Floats:
        """Return completed rows, ``(draws, n, d)``, by a Gibbs chain with some sweeps between draws."""
        random, holes = np.random.default_rng(seed), np.isnan(x)
        whole = self._start(x)
        found = np.empty((draws, *x.shape))
        for _ in range(_BURN_IN):
            self._sweep(whole, holes, random)
        for i in range(draws):
            for _ in range(_BETWEEN):
                self._sweep(whole, holes, random)
            found[i] = whole
        return found

    def _start(self, x: Floats) -> Floats:
        """Return rows with conditional means in their holes, or values beyond the curve where that excludes those."""
        whole = np.array(x)
        for i in np.flatnonzero(np.isnan(x).any(1)):
            hole = np.isnan(x[i])
            slopes = np.linalg.solve(self.covariance[~hole][:, ~hole], self.covariance[~hole][:, hole])
            whole[i, hole] = self.mean[hole] + (x[i, ~hole] - self.mean[~hole]) @ slopes
        beyond = self.middle + 0.3 * np.sign(self.slope)
        return np.where(np.isnan(x) & (self.slope * (whole - self.middle) < -2), beyond, whole)

    def _estimate(self, whole: Floats) -> None:
        self.mean = whole.mean(0)
        centred = whole - self.mean
        self.covariance = centred.T @ centred / len(whole) + _RIDGE * np.eye(len(self.mean))

    def _sweep(self, whole: Floats, holes: Flags, random: np.random.Generator) -> None:
        """Draw each column's holes given everything else, in place."""
        precision = np.linalg.inv(self.covariance)
        for j in np.flatnonzero(holes.any(0)):
            rows = holes[:, j]
            x = whole[rows]
            deviation = precision[j, j] ** -0.5
            others = (x - self.mean) @ precision[j] - precision[j, j] * (x[:, j] - self.mean[j])
            expected = self.mean[j] - others / precision[j, j]
            share, side = random.random(len(x)), 1.0 if self.slope[j] >= 0 else -1.0
            most = np.ones(len(x))
            if self.slope[j] != 0:
                below = random.random(len(x)) * expit(self.slope[j] * (x[:, j] - self.middle[j]))
                threshold = self.middle[j] + logit(np.clip(below, _TINY, 1 - 1e-15)) / self.slope[j]
                most = ndtr(-side * (threshold - expected) / deviation)
            drawn = -ndtri(np.clip(share * most, _TINY, 1 - 1e-15))
            whole[rows, j] = expected + side * deviation * drawn


@dataclass
class SelfMaskedImputation:
    """A self-masked Gaussian that fills in a table of numbers, as :class:`Imputation` does.

    Parameters
    ----------
    gaussian
        The Gaussian.
    seed
        Of the draws.
    checks
        None: cells that are hidden again are not missing for what they are, and say nothing.
    """

    gaussian: SelfMaskedGaussian
    seed: int
    checks: list[ColumnCheck] = field(default_factory=list)

    @classmethod
    def fit(cls, coding: TableCoding, rows: CodedRows, *, seed: int) -> "SelfMaskedImputation":
        """Fit to rows with holes.

        Raises
        ------
        DataError
            Where a column holds categories.
        """
        if coding.categorical:
            raise DataError(
                f"mnar='self' takes columns of numbers; column {coding.categorical[0].name!r} holds categories: leave "
                "it out, or leave mnar out"
            )
        return cls(SelfMaskedGaussian.fit(_with_nan(rows), seed), seed)

    def complete(self, rows: CodedRows, *, draws: int) -> Completed:
        """Return what is expected in every cell, and draws of the rows."""
        drawn = self.gaussian.draw(_with_nan(rows), max(draws, _MEANS), self.seed)
        return Completed(drawn.mean(0), [], drawn[:draws], np.zeros((draws, len(rows), 0), dtype=np.int64))

    def sample(self, rows: CodedRows, *, draws: int) -> Completed:
        """Return the same: all draws come from one fit."""
        return self.complete(rows, draws=draws)


def self_masked_columns(coding: TableCoding, rows: CodedRows, seed: int) -> list[str]:
    """Return the names of columns that look as if a value's own size decided whether it is missing.

    They are those with a slope above 8 beside the column's standard deviation: nine in ten values half a standard
    deviation on one side of the curve's middle are there, and as many on the other are missing. A column of fewer than
    20 values is not judged, since no Gaussian has steps. It looks at 1,000 rows, and returns none below 200 rows or
    above 60 columns.
    """
    if len(rows) < _LEAST_ROWS or len(coding.numeric) > _MOST_COLUMNS:
        return []
    x = _with_nan(
        rows.take(torch.from_numpy(np.random.default_rng(seed).permutation(len(rows))[:_MOST_ROWS]))
    )
    known = ~np.isnan(x)
    taking_part = np.flatnonzero(
        (known.sum(0) > _LEAST_ROWS // 10) & (np.nanstd(np.where(known, x, 0.0), 0) > 0)
    )
    if known[:, taking_part].all():
        return []
    found = SelfMaskedGaussian.fit(x[:, taking_part], seed)
    return [
        coding.numeric[j].name
        for j, slope in zip(taking_part, found.slope, strict=True)
        if abs(slope) > _STEEP and len(np.unique(x[known[:, j], j])) >= _LEAST_VALUES
    ]


def _with_nan(rows: CodedRows) -> Floats:
    """Return the numbers, NaN in a hole."""
    known = rows.observed[:, : rows.numbers.shape[1]] > 0
    return np.where(known.numpy(), rows.numbers.double().numpy(), np.nan)


def _logistic(x: Floats, missing: Flags, slope: float, middle: float) -> tuple[float, float]:
    """Return slope and middle after three of Newton's steps towards the likeliest curve."""
    told, weight = np.stack([x, np.ones_like(x)], 1), np.array([slope, -slope * middle])
    precision = np.diag([_SLOPE**-2, 1e-3])
    for _ in range(3):
        chance = expit(told @ weight)
        curvature = (told * (chance * (1 - chance))[:, None]).T @ told + precision
        weight = weight + np.linalg.solve(curvature, told.T @ (missing - chance) - precision @ weight)
    return float(weight[0]), float(-weight[1] / weight[0]) if abs(weight[0]) > 1e-6 else 0.0
