r"""Draws for multiple imputation that know what their own fit does not know, and how the holes of a row hang together.

Draw i is *proper* (Rubin, 1987, "Multiple Imputation for Nonresponse in Surveys", chapter 4) if it is of a distribution
whose parameters are drawn as well, once for all rows. Here they come from a fit i of their own, to n rows taken with
replacement from the n rows of the table, the approximate Bayesian bootstrap (Rubin and Schenker, 1986, "Multiple
Imputation for Interval Estimation from Simple Random Samples with Ignorable Nonresponse"; Efron, 1994, "Missing Data,
Imputation, and the Bootstrap", section 4). The holes of a row depend on each other, so they are drawn one after
another, in an order that is random in each draw: with visible cells v,

.. math:: y_{j_1} \sim p_i(x_{j_1} \mid x_v), \qquad y_{j_2} \sim p_i(x_{j_2} \mid x_v, y_{j_1}), \qquad \dots

for a fit gives any columns given any others. A number is then

.. math:: x_j^{(i)} = m_j^{(i)} + c_j \bigl(y_j - m_j^{(i)}\bigr), \qquad m_j^{(i)} = \mathbb E_i[x_j \mid x_v],

where c makes its variance that of the errors on cells hidden again: the variance of m over the fits is one part of it,
which all rows of a draw share, and the noise has the rest. The nearest rows and trees take no part: their means are
drawn towards the middle of the table, which makes a good guess, and bends what is regressed on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.jobs.imputation.conditional_networks import (
    ConditionalNetworks,
    ConditionalSettings,
    train_conditional,
)
from vaekit.jobs.imputation.gaussian_anchor import GaussianAnchors
from vaekit.jobs.table_coding import CodedRows

__all__ = ["BootstrapFits"]

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

_FITS = 10  # further draws share them
_SHARE_OF_STEPS = 1 / 3  # beside those of the networks whose weights training begins with
_COPIES = 8  # of the rows, with different hidden cells
_LATENTS = 20  # draws that means are taken over
_GROUPS = 16  # of columns that are drawn one after another
_MOST_ROWS = 500  # that the spread of draws is measured on
_LEAST_NOISE = 0.5  # beside the deviation of the errors


@dataclass
class BootstrapFits:
    """Networks that were each fitted to a bootstrap sample of the rows.

    Parameters
    ----------
    networks
        The fits, as members of one stack.
    low, high
        ``(numeric columns,)``: ends between which a drawn number is told to the draws that follow.
    seed
        Of the draws.
    noise
        ``(numeric columns,)``: the factor c.
    """

    networks: ConditionalNetworks
    low: Tensor
    high: Tensor
    seed: int
    noise: Floats = field(init=False)

    @classmethod
    def fit(
        cls,
        rows: CodedRows,
        start: ConditionalNetworks,
        settings: ConditionalSettings,
        spread: Floats,
        *,
        seed: int,
    ) -> "BootstrapFits":
        """Fit to bootstrap samples of rows with holes, all in one program.

        Parameters
        ----------
        rows
            The rows.
        start
            Networks that were fitted to all of them: training begins with their weights.
        settings
            How those were trained.
        spread
            ``(numeric columns,)``: what their draws are widened by to vary as much as their errors.
        seed
            Of everything that is random.
        """
        n, random = len(rows), np.random.default_rng([seed, 2])
        samples = [random.integers(n, size=n) for _ in range(_FITS)]
        networks = start.begin_again(GaussianAnchors.fit(rows, start.sizes, samples))
        counts = torch.from_numpy(np.stack([np.bincount(sample, minlength=n) for sample in samples]))
        shorter = replace(
            settings, steps=max(1, round(settings.steps * _SHARE_OF_STEPS)), copies=_COPIES, warm_up=0.0
        )
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        train_conditional(networks, rows, counts.float(), shorter, generator)
        found = cls(networks, rows.numbers.amin(0), rows.numbers.amax(0), seed)
        found.noise = found._factors(rows, spread, random)
        return found

    def draws(self, rows: CodedRows) -> Iterator[tuple[Floats, Positions]]:
        """Yield numbers and codes of the rows, holes drawn, without an end: by each fit in turn.

        Parameters
        ----------
        rows
            Rows with holes.
        """
        for i in count():
            own = self._expected(rows, i)
            numbers, codes = self._draw(rows, i)
            yield own + self.noise * (numbers - own), codes

    def _fit_of(self, i: int) -> ConditionalNetworks:
        return self.networks.only(i % self.networks.members)

    def _expected(self, rows: CodedRows, i: int) -> Floats:
        """Return what the fit of draw i expects in each numeric column, ``(n, numeric columns)``."""
        generator = torch.Generator().manual_seed(self.seed)
        found, _ = self._fit_of(i).expect(rows, rows.observed, draws=_LATENTS, generator=generator)
        return found.numbers[0].double().numpy()

    def _draw(self, rows: CodedRows, i: int) -> tuple[Floats, Positions]:
        """Return numbers and codes of the rows, holes drawn column after column given all that is there by then."""
        random = np.random.default_rng([self.seed, 3, i])
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        fit, d = self._fit_of(i), self.networks.numbers
        told = CodedRows(rows.numbers.clone(), rows.codes.clone(), rows.observed.clone())
        drawn, holes = rows.numbers.clone(), rows.observed == 0
        columns = random.permutation(np.flatnonzero(holes.any(0).numpy()))
        for group in np.array_split(columns, min(_GROUPS, len(columns))) if len(columns) else []:
            which = torch.nonzero(holes[:, group].any(1))[:, 0]
            asked = told.take(which)
            _, found = fit.expect(asked, asked.observed, draws=1, generator=generator)
            values, codes = next(found)
            for j in group.tolist():
                mine = holes[which, j]
                at = which[mine]
                if j < d:
                    drawn[at, j] = values[0, mine, j]
                    told.numbers[at, j] = drawn[at, j].clamp(self.low[j], self.high[j])
                else:
                    told.codes[at, j - d] = codes[j - d][0, mine]
                told.observed[at, j] = 1
        return drawn.double().numpy(), told.codes.numpy()

    def _factors(self, rows: CodedRows, spread: Floats, random: np.random.Generator) -> Floats:
        """Return what is left for the noise of each numeric column once the fits differ, the factor c."""
        d, holes = self.networks.numbers, (rows.observed == 0).numpy()
        which = random.permutation(np.flatnonzero(holes.any(1)))[:_MOST_ROWS]
        factors = spread.copy()
        if len(which) == 0:
            return factors
        some, holes = rows.take(torch.from_numpy(which)), holes[which, :d]
        fits = range(self.networks.members)
        expected = np.stack([self._expected(some, i) for i in fits])
        noise = np.stack([self._draw(some, i)[0] for i in fits]) - expected
        for j in np.flatnonzero(holes.any(0)):
            own = np.square(noise[:, holes[:, j], j]).mean()
            shared = expected[:, holes[:, j], j].var(0, ddof=1).mean()
            whole = spread[j] ** 2 * own
            factors[j] = np.sqrt(max(whole - shared, _LEAST_NOISE**2 * whole) / own)
        return factors
