r"""Filling holes: what networks expect, blended with other ways of each column, and calibrated on re-hidden cells.

The networks are members of a stack, each of which leaves out a part of the rows, and is asked about those. With a
column hidden from such rows, the other columns completed without it tell the ways of
:mod:`vaekit.jobs.imputation.column_filler`, whose blend is what is filled in. A second round begins at rows that the
first has completed. One factor a column widens or narrows what members draw around the blend, so that a 90 % interval
holds nine of ten re-hidden cells.
"""

from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from vaekit.jobs.imputation.bootstrap_fits import BootstrapFits
from vaekit.jobs.imputation.column_filler import ColumnFiller, stack_weights
from vaekit.jobs.imputation.conditional_networks import (
    ConditionalNetworks,
    ConditionalSettings,
    train_conditional,
)
from vaekit.jobs.imputation.gaussian_anchor import GaussianAnchors
from vaekit.jobs.imputation.rehidden_cells import (
    ColumnCheck,
    conformal_factor,
    error_of,
    measured_coverage,
    weigh_like_holes,
)
from vaekit.jobs.layers_and_optimiser import one_hot
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["DRAWS_OF_INTERVALS", "Completed", "Imputation"]

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Blocks = list[Floats]  # each column, (n, 1) numbers or (n, positions) probabilities

_FEW_ROWS = 1_000
_LATENTS = 20  # draws that means are taken over
DRAWS_OF_INTERVALS = 100  # that quantiles are taken of, in calibration as later on
_LEAST_CELLS = 20  # re-hidden cells below which a column takes the factor of the others
_MOST_CELLS = 500  # of a column that are hidden again
_ROUNDS = 2
_MOST_ROWS = 5_000  # that a column's ways are fitted to


@dataclass(frozen=True)
class Completed:
    """Completed rows, in the coordinates of the coding.

    Parameters
    ----------
    numbers
        ``(n, numeric columns)``: what is expected in every cell, of observed ones too.
    probabilities
        For each categorical column ``(n, positions)``.
    drawn_numbers
        ``(draws, n, numeric columns)``.
    drawn_codes
        ``(draws, n, categorical columns)``.
    """

    numbers: Floats
    probabilities: Blocks
    drawn_numbers: Floats
    drawn_codes: Positions


@dataclass(frozen=True)
class _Unseen:
    """Rows with one column hidden, and what the member says that has not seen them.

    Parameters
    ----------
    which
        ``(n,)``: the numbers of the rows in the table.
    rows
        The rows without the column.
    said
        What is expected in each column.
    linear
        ``(n, width)``: what the member's Gaussian expects of the column, of a category one for each position; without
        columns where categories take no part in the Gaussian.
    drawn
        ``(draws, n)``: draws of the column, where it is one of numbers.
    """

    which: Positions
    rows: CodedRows
    said: Blocks
    linear: Floats
    drawn: Floats


@dataclass
class Imputation:
    """Members, and the ways of each column with holes, fitted to a table.

    Parameters
    ----------
    coding
        How columns are seen.
    networks
        The members.
    settings
        How they were trained.
    trained_on
        The rows.
    seed
        Of the draws.
    rounds
        For each round the ways of each column that has holes.
    factor
        ``(numeric columns,)``: what draws are widened by, so that 90 % intervals hold.
    spread
        ``(numeric columns,)``: what draws are widened by, so that they vary as the networks err.
    checks
        How well each column with holes is filled in.
    """

    coding: TableCoding
    networks: ConditionalNetworks
    settings: ConditionalSettings
    trained_on: CodedRows
    seed: int
    rounds: list[dict[int, ColumnFiller]] = field(init=False, default_factory=list)
    factor: Floats = field(init=False)
    spread: Floats = field(init=False)
    checks: list[ColumnCheck] = field(init=False, default_factory=list)
    _fits: BootstrapFits | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.factor, self.spread = np.ones((2, len(self.coding.numeric)))

    @classmethod
    def fit(
        cls, coding: TableCoding, rows: CodedRows, *, with_trees: bool, steps: int | None, seed: int
    ) -> "Imputation":
        """Fit to rows with holes.

        Parameters
        ----------
        coding, rows
            The columns, and at least two rows.
        with_trees
            Whether trees may take part.
        steps
            Steps of training; None: by the number of rows.
        seed
            Of everything that is random.
        """
        n = len(rows)
        if n < _FEW_ROWS:  # smaller parts: a member can spare fewer rows
            members, settings = 8, ConditionalSettings(hidden=64, steps=steps or 1500, learning_rate=2e-3)
        else:
            members, settings = 4, ConditionalSettings(hidden=128, steps=steps or 2000, learning_rate=5e-3)
        parts = min(members, n)
        part = np.random.default_rng(seed).permutation(n) % parts
        generator = torch.Generator().manual_seed(seed)
        anchors = GaussianAnchors.fit(rows, coding.sizes, [np.flatnonzero(part != m) for m in range(parts)])
        networks = ConditionalNetworks(anchors, len(coding.numeric), coding.sizes, settings, generator)
        seen = torch.arange(parts)[:, None] != torch.from_numpy(part)
        train_conditional(networks, rows, seen.float(), settings, generator)
        found = cls(coding, networks, settings, rows, seed)
        if not bool((rows.observed > 0).all()):
            unseen = found._unseen_columns(rows, part)
            for _ in range(_ROUNDS):
                found._fit_round(rows, part, unseen, with_trees=with_trees)
            found._calibrate(rows, part)
        return found

    def complete(self, rows: CodedRows, *, draws: int) -> Completed:
        """Return what is expected in every cell given the observed ones, and draws of the rows.

        Parameters
        ----------
        rows
            Rows with holes.
        draws
            The number of completed rows that are drawn, at least 0.
        """
        generator = torch.Generator().manual_seed(self.seed)
        expected, drawn = self.networks.expect(
            rows, rows.observed, draws=max(_LATENTS, draws), generator=generator
        )
        own = expected.numbers.double().numpy()
        by_networks = [own.mean(0)[:, [j]] for j in range(own.shape[2])]
        by_networks += [table.double().numpy().mean(0) for table in expected.probabilities]
        filled = self._fill(rows, by_networks)
        d = own.shape[2]
        numbers = np.concatenate([*filled[:d], np.zeros((len(rows), 0))], 1)
        drawn_numbers = np.zeros((draws, *numbers.shape))
        drawn_codes = np.zeros((draws, len(rows), len(filled) - d), dtype=np.int64)
        random = np.random.default_rng(self.seed)
        for i, (values, codes) in zip(range(draws), drawn, strict=False):
            m = i % self.networks.members
            drawn_numbers[i] = numbers + self.factor * (values[m].double().numpy() - own[m])
            for k, code in enumerate(codes):
                drawn_codes[i, :, k] = self._redraw(code[m].numpy(), d + k, by_networks, filled, random)
        return Completed(numbers, filled[d:], drawn_numbers, drawn_codes)

    def _redraw(
        self, codes: Positions, j: int, by_networks: Blocks, filled: Blocks, random: np.random.Generator
    ) -> Positions:
        """Return draws of a category by the blend, which are the networks' as often as the two agree."""
        chosen = np.arange(len(codes)), codes
        wanted, had = filled[j], by_networks[j]
        keep = random.random(len(codes)) * had[chosen] < wanted[chosen]
        missing = np.maximum(wanted - had, 0)[~keep] + 1e-12
        cumulative = missing.cumsum(1)
        codes = codes.copy()
        codes[~keep] = (random.random((len(missing), 1)) * cumulative[:, -1:] > cumulative).sum(1)
        return codes

    def sample(self, rows: CodedRows, *, draws: int) -> Completed:
        """Return what :meth:`complete` does, but for the draws, which are proper ones: for multiple imputation.

        The first call fits to bootstrap samples (see :mod:`vaekit.jobs.imputation.bootstrap_fits`).

        Parameters
        ----------
        rows
            Rows with holes.
        draws
            The number of completed rows that are drawn, at least 1.
        """
        if self._fits is None:
            self._fits = BootstrapFits.fit(
                self.trained_on, self.networks, self.settings, self.spread, seed=self.seed
            )
        found = self.complete(rows, draws=0)
        drawn = list(islice(self._fits.draws(rows), draws))
        return replace(
            found,
            drawn_numbers=np.stack([numbers for numbers, _ in drawn]),
            drawn_codes=np.stack([codes for _, codes in drawn]),
        )

    def _fill(self, rows: CodedRows, by_networks: Blocks, but: int = -1) -> Blocks:
        """Return what all rounds so far fill in, column by column; ``but`` is a column that is of no interest."""
        known = rows.observed.numpy() > 0
        said = by_networks
        for fillers in self.rounds:
            completed, said = self._completed(rows, said), list(by_networks)
            for j, filler in fillers.items():
                holes = np.flatnonzero(~known[:, j])
                if j == but or len(holes) == 0:
                    continue
                said[j] = said[j].copy()
                ways = filler.ways(_others(completed, j)[holes], by_networks[j][holes])
                said[j][holes] = filler.blend(ways)
        return said

    def _completed(self, rows: CodedRows, said: Blocks) -> Blocks:
        """Return the columns of completed rows: numbers, and categories as zeros and ones."""
        known, d = rows.observed.numpy() > 0, rows.numbers.shape[1]
        own = [rows.numbers[:, [j]] for j in range(d)] + one_hot(rows, self.coding.sizes)
        return [np.where(known[:, [j]], own[j].numpy(), block) for j, block in enumerate(said)]

    def _unseen(self, rows: CodedRows, which: Positions, j: int, part: Positions, *, draws: int) -> _Unseen:
        """Hide a column from some rows, and ask of each the member that has left it out."""
        taken = rows.take(torch.from_numpy(which))
        observed, d = taken.observed.clone(), taken.numbers.shape[1]
        observed[:, j] = 0
        told = CodedRows(taken.numbers * observed[:, :d], taken.codes, observed)
        said = [np.zeros((len(which), width)) for width in (*[1] * d, *self.coding.sizes)]
        begin = j if j < d else d + sum(self.coding.sizes[: j - d])
        own_columns = slice(begin, begin + said[j].shape[1])
        linear = np.zeros((len(which), self.networks.anchors.width))[:, own_columns]
        drawn = np.zeros((draws, len(which)))
        for m in np.unique(part[which]):
            mine = np.flatnonzero(part[which] == m)
            own, member = told.take(torch.from_numpy(mine)), self.networks.only(int(m))
            generator = torch.Generator().manual_seed(self.seed + 1)
            expected, draw = member.expect(own, own.observed, draws=max(_LATENTS, draws), generator=generator)
            for k, block in enumerate(said):
                values = expected.numbers[0][:, [k]] if k < d else expected.probabilities[k - d][0]
                block[mine] = values.double().numpy()
            linear[mine] = expected.linear[0][:, own_columns].double().numpy()
            if j < d:
                for i, (values, _) in zip(range(draws), draw, strict=False):
                    drawn[i, mine] = values[0, :, j].double().numpy()
        return _Unseen(which, told, said, linear, drawn)

    def _unseen_columns(self, rows: CodedRows, part: Positions) -> dict[int, _Unseen]:
        """Return for each column with holes rows that have it, with the column hidden."""
        observed, found = rows.observed.numpy() > 0, dict[int, _Unseen]()
        for j in np.flatnonzero(~observed.all(0)).tolist():
            random = np.random.default_rng([self.seed, j])
            which = np.sort(random.permutation(np.flatnonzero(observed[:, j]))[:_MOST_ROWS])
            found[j] = self._unseen(rows, which, j, part, draws=0)
        return found

    def _fit_round(
        self, rows: CodedRows, part: Positions, columns: dict[int, _Unseen], *, with_trees: bool
    ) -> None:
        """Fit the ways of each column with holes, given rows that the rounds before have completed."""
        columns_of_numbers, fillers = range(len(self.coding.numeric)), dict[int, ColumnFiller]()
        for j, unseen in columns.items():
            completed = self._completed(unseen.rows, self._fill(unseen.rows, unseen.said, but=j))
            fillers[j] = ColumnFiller(
                unseen.which,
                _others(completed, j),
                self._target(rows, unseen.which, j),
                unseen.said[j],
                part[unseen.which],
                parts=self.networks.members,
                with_trees=with_trees,
                seed=self.seed,
            )
        for numeric in (True, False):
            stack_weights([filler for j, filler in fillers.items() if (j in columns_of_numbers) is numeric])
        self.rounds.append(fillers)

    def _target(self, rows: CodedRows, which: Positions, j: int) -> Floats:
        """Return a column of some rows, which have it, ``(n, 1)`` or as zeros and ones ``(n, positions)``."""
        d = rows.numbers.shape[1]
        if j < d:
            return rows.numbers[which][:, [j]].double().numpy()
        return np.eye(self.coding.sizes[j - d])[rows.codes[which, j - d].numpy()]

    def _calibrate(self, rows: CodedRows, part: Positions) -> None:
        """Measure what is filled in on cells that are hidden again, and choose what draws are widened by."""
        observed, d = rows.observed.numpy() > 0, len(self.coding.numeric)
        fillers = self.rounds[-1]
        generator = torch.Generator().manual_seed(self.seed + 2)
        expected, _ = self.networks.expect(rows, rows.observed, draws=_LATENTS, generator=generator)
        means = [expected.numbers.mean(0)[:, [j]] for j in range(d)]
        means += [table.mean(0) for table in expected.probabilities]
        completed = self._completed(rows, [each.double().numpy() for each in means])
        factors: dict[int, float] = {}
        spreads: dict[int, float] = {}
        for j, filler in fillers.items():
            random = np.random.default_rng([self.seed, j, 1])
            mine = np.sort(random.permutation(len(filler.rows))[:_MOST_CELLS])
            holes = random.permutation(np.flatnonzero(~observed[:, j]))[:_MOST_ROWS]
            elsewhere = np.delete(observed, j, 1).astype(np.float64)
            weight = weigh_like_holes(
                np.concatenate([filler.inputs, elsewhere[filler.rows]], 1),
                np.concatenate([_others(completed, j)[holes], elsewhere[holes]], 1),
            )[mine]
            unseen = self._unseen(rows, filler.rows[mine], j, part, draws=DRAWS_OF_INTERVALS)
            ways, truth = filler.held_out[:, mine], filler.target[mine]
            blend, coverage = filler.blend(ways), np.nan
            if j < d and len(mine) >= _LEAST_CELLS:
                residual = (truth - blend)[:, 0]
                low, high = np.quantile(unseen.drawn - unseen.said[j][:, 0], [0.05, 0.95], axis=0)
                factors[j] = conformal_factor(residual, low, high, weight)
                missed = np.square(truth - unseen.said[j])[:, 0]
                variance = np.average(unseen.drawn.var(0), weights=weight)
                spreads[j] = float(np.sqrt(np.average(missed, weights=weight) / variance))
                coverage = measured_coverage(residual, low, high, weight)
            guesses = {
                "error": blend,
                "of_mean": np.broadcast_to(filler.target.mean(0), truth.shape),
                "of_linear": unseen.linear,
                "of_neighbours": ways[1],
            }
            if len(ways) > 2:
                guesses["of_trees"] = ways[2]
            self.checks.append(
                ColumnCheck(
                    name=self.coding.coded[j].name,
                    missing=1 - float(observed[:, j].mean()),
                    cells=len(mine),
                    coverage=coverage,
                    share_of_trees=filler.share_of_trees,
                    **{way: error_of(guess, truth, weight) for way, guess in guesses.items()},
                )
            )
        for factor, found in ((self.factor, factors), (self.spread, spreads)):
            factor[:] = np.median([*found.values()]) if found else 1.0
            factor[[*found]] = [*found.values()]


def _others(columns: Blocks, j: int) -> Floats:
    others = [column for k, column in enumerate(columns) if k != j]
    return np.concatenate(others, 1) if others else np.zeros((len(columns[0]), 1))
