r"""Filling holes: members of a stack, trees beside them, weighed and calibrated on cells that were hidden again.

What is filled in is :math:`m = w\, m_\text{trees} + (1 - w)\, m_\text{members}`, where each column's weight w has the
least squared error for numbers, and the highest log-probability for categories, on re-hidden cells. One factor a column
widens or narrows what members draw around m, so that a 90 % interval holds nine of ten re-hidden cells.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vaekit.jobs.bagged_trees import BaggedTrees
from vaekit.jobs.conditional_networks import (
    ConditionalNetworks,
    ConditionalSettings,
    Expected,
    train_conditional,
)
from vaekit.jobs.gaussian_anchor import GaussianAnchors
from vaekit.jobs.member_networks import one_hot
from vaekit.jobs.rehidden_cells import (
    ColumnCheck,
    RehiddenCells,
    choose_weights,
    conformal_factor,
    error_of,
    hide_again,
    mean_of_nearest,
    measured_coverage,
)
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["DRAWS_OF_INTERVALS", "Completed", "Imputation"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MEMBERS = 4  # each leaves out one part of the rows
_LATENTS = 20  # draws that means are taken over
DRAWS_OF_INTERVALS = 100  # that quantiles are taken of, in calibration as later on
_LEAST_CELLS = 20  # re-hidden cells below which a column takes the factor of the others
_GRID = np.linspace(0, 1, 21)


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
    probabilities: list[Floats]
    drawn_numbers: Floats
    drawn_codes: "npt.NDArray[np.int64]"


@dataclass
class Imputation:
    """Members and trees, fitted to a table with holes.

    Parameters
    ----------
    coding
        How columns are seen.
    networks
        The members.
    seed
        Of the draws.
    trees
        For each column the trees, or None where there are none.
    weight
        ``(columns,)``: the weight of the trees.
    factor
        ``(numeric columns,)``: what draws are widened by.
    checks
        How well each column with holes is filled in.
    """

    coding: TableCoding
    networks: ConditionalNetworks
    seed: int
    trees: list[BaggedTrees | None] = field(init=False)
    weight: Floats = field(init=False)
    factor: Floats = field(init=False)
    checks: list[ColumnCheck] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        columns = len(self.coding.coded)
        self.trees, self.weight = [None] * columns, np.zeros(columns)
        self.factor = np.ones(len(self.coding.numeric))

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
        parts = min(_MEMBERS, n)
        part = np.random.default_rng(seed).permutation(n) % parts
        left_out = np.arange(parts)[:, None] == part
        settings = ConditionalSettings(
            hidden=64 if n < 1000 else 128, steps=steps or (1500 if n < 1000 else 3000)
        )
        generator = torch.Generator().manual_seed(seed)
        anchors = GaussianAnchors.fit(rows, coding.sizes, [np.flatnonzero(~mine) for mine in left_out])
        networks = ConditionalNetworks(anchors, len(coding.numeric), coding.sizes, settings, generator)
        train_conditional(networks, rows, torch.from_numpy(left_out).float(), settings, generator)
        found = cls(coding, networks, seed)
        if not bool((rows.observed > 0).all()):
            found._weigh(rows, left_out, with_trees=with_trees)
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
        members = _mean(expected, None)
        by_trees = self._by_trees(rows, members, None)
        numbers, tables = self._blend(members, by_trees)
        d = numbers.shape[1]
        drawn_numbers = np.zeros((draws, *numbers.shape))
        drawn_codes = np.zeros((draws, len(rows), len(tables)), dtype=np.int64)
        random = np.random.default_rng(self.seed)
        for i, (values, codes) in zip(range(draws), drawn, strict=False):
            m = i % self.networks.members
            drawn_numbers[i] = numbers + self.factor * (values[m].double().numpy() - members[0])
            for j, code in enumerate(codes):
                drawn_codes[i, :, j] = code[m].numpy()
                if self.weight[d + j] > 0:
                    others = random.random(len(rows)) < self.weight[d + j]
                    drawn_codes[i, others, j] = _draw(by_trees[d + j][others], random)
        return Completed(numbers, tables, drawn_numbers, drawn_codes)

    def _blend(
        self, members: tuple[Floats, list[Floats]], by_trees: list[Floats]
    ) -> tuple[Floats, list[Floats]]:
        """Return what members and trees say together."""
        numbers, tables = members[0].copy(), list(members[1])
        for j in np.flatnonzero(self.weight):
            if j < numbers.shape[1]:
                numbers[:, j] += self.weight[j] * (by_trees[j] - numbers[:, j])
            else:
                k = int(j) - numbers.shape[1]
                tables[k] = tables[k] + self.weight[j] * (by_trees[j] - tables[k])
        return numbers, tables

    def _by_trees(
        self, rows: CodedRows, members: tuple[Floats, list[Floats]], counts: Flags | None
    ) -> list[Floats]:
        """Return what the trees of each column say; an empty array where there are none."""
        columns = self._completed(rows, members)
        return [
            np.zeros(0) if trees is None else trees.predict(_others(columns, j), counts)
            for j, trees in enumerate(self.trees)
        ]

    def _completed(self, rows: CodedRows, members: tuple[Floats, list[Floats]]) -> list[Floats]:
        """Return the columns of completed rows as trees take them: numbers, and categories as zeros and ones."""
        numbers, tables = members
        d, known = numbers.shape[1], rows.observed.numpy() > 0
        own = one_hot(rows, self.coding.sizes)
        return [
            np.where(known[:, j], rows.numbers[:, j].numpy(), numbers[:, j])[:, None] for j in range(d)
        ] + [np.where(known[:, d + j, None], own[j].numpy(), table) for j, table in enumerate(tables)]

    def _weigh(self, rows: CodedRows, left_out: Flags, *, with_trees: bool) -> None:
        """Fit the trees, and choose weights and factors on cells that are hidden again."""
        d, sizes = len(self.coding.numeric), self.coding.sizes
        generator = torch.Generator().manual_seed(self.seed + 1)
        expected, _ = self.networks.expect(rows, rows.observed, draws=_LATENTS, generator=generator)
        completed = self._completed(rows, _mean(expected, None))
        observed = rows.observed.numpy() > 0
        target = np.concatenate([rows.numbers.numpy(), rows.codes.numpy()], 1).astype(np.float64)
        target[~observed] = np.nan
        with_holes = np.flatnonzero(~observed.all(0)).tolist()
        for j in with_holes if with_trees else []:
            positions = sizes[j - d] if j >= d else 0
            self.trees[j] = BaggedTrees(
                _others(completed, j), target[:, j], left_out, positions=positions, seed=self.seed
            )
        cells = hide_again(completed, observed, self.seed)
        if len(cells.rows) == 0:
            return
        told = _without(rows, cells)
        unseen = left_out[:, cells.rows]
        expected, drawn = self.networks.expect(
            told, told.observed, draws=DRAWS_OF_INTERVALS, generator=generator
        )
        members = _mean(expected, torch.from_numpy(unseen))
        by_trees = self._by_trees(told, members, unseen)
        self._choose_weights(cells, target, members, by_trees)
        blended = self._blend(members, by_trees)
        member = unseen.argmax(0)
        each_cell = np.arange(len(member))
        place = np.minimum(cells.columns, max(d - 1, 0))  # there are no intervals of categories
        spread = np.stack([each.numpy()[member, each_cell, place] for each, _ in drawn]) if d else None
        linear = self.networks.anchors.given(told, told.observed)[0].numpy()[member, each_cell]
        again = self._completed(told, members)
        factors: dict[int, float] = {}
        for j in with_holes:
            mine = cells.of_column(j)
            if len(mine) == 0:
                continue
            truth = target[cells.rows[mine], j]
            coverage = np.nan
            if spread is not None and j < d and len(mine) >= _LEAST_CELLS:
                residual = truth - blended[0][mine, j]
                low, high = np.quantile(spread[:, mine] - members[0][mine, j], [0.05, 0.95], axis=0)
                factors[j] = conformal_factor(residual, low, high)
                coverage = measured_coverage(residual, low, high)
            guesses = self._guesses(j, cells, target, blended, by_trees, linear, (completed, again))
            self.checks.append(
                ColumnCheck(
                    name=self.coding.coded[j].name,
                    missing=1 - float(observed[:, j].mean()),
                    cells=len(mine),
                    coverage=coverage,
                    share_of_trees=float(self.weight[j]),
                    **{way: error_of(guess, truth) for way, guess in guesses.items()},
                )
            )
        self.factor[:] = np.median([*factors.values()]) if factors else 1.0
        for j, factor in factors.items():
            self.factor[j] = factor

    def _choose_weights(
        self,
        cells: RehiddenCells,
        target: Floats,
        members: tuple[Floats, list[Floats]],
        by_trees: list[Floats],
    ) -> None:
        """Choose each column's weight of trees."""
        d = members[0].shape[1]
        for group in (range(d), range(d, len(self.trees))):
            losses: dict[int, Floats] = {}
            for j in group:
                mine = cells.of_column(j)
                if self.trees[j] is None or len(mine) == 0:
                    continue
                truth = target[cells.rows[mine], j]
                of_members, of_trees = (
                    members[0][mine, j] if j < d else members[1][j - d][mine],
                    by_trees[j][mine],
                )
                if j >= d:
                    at = np.arange(len(mine)), truth.astype(np.int64)
                    of_members, of_trees = of_members[at], of_trees[at]
                mixed = of_members + _GRID[:, None] * (of_trees - of_members)
                loss = np.square(truth - mixed) if j < d else -np.log(np.maximum(mixed, 1e-4))
                losses[j] = loss.sum(1)
            self.weight += choose_weights(
                losses, {j: len(cells.of_column(j)) for j in losses}, len(self.trees)
            )

    def _guesses(
        self,
        j: int,
        cells: RehiddenCells,
        target: Floats,
        blended: tuple[Floats, list[Floats]],
        by_trees: list[Floats],
        linear: Floats,
        completed: tuple[list[Floats], list[Floats]],
    ) -> dict[str, Floats]:
        """Return what is filled in at the re-hidden cells of a column, and what simpler ways would."""
        mine, d = cells.of_column(j), blended[0].shape[1]
        if j < d:
            own, said, begin, size = target[:, [j]], blended[0][:, [j]], j, 1
        else:
            size = self.coding.sizes[j - d]
            own = np.eye(size)[np.nan_to_num(target[:, j]).astype(np.int64)]
            own[np.isnan(target[:, j])] = np.nan
            said, begin = blended[1][j - d], d + sum(self.coding.sizes[: j - d])
        guesses = {
            "error": said[mine],
            "of_mean": np.broadcast_to(np.nanmean(own, 0), (len(mine), size)),
            "of_linear": linear[mine, begin : begin + size],
            "of_neighbours": mean_of_nearest(
                _others(completed[0], j), own, _others(completed[1], j)[mine], cells.rows[mine]
            ),
        }
        if self.trees[j] is not None:
            guesses["of_trees"] = by_trees[j][mine].reshape(len(mine), size)
        return guesses


def _mean(expected: Expected, counts: Tensor | None) -> tuple[Floats, list[Floats]]:
    """Return the mean over members, or over those that count for a row, ``(members, n)``."""
    weight = torch.ones(expected.numbers.shape[:2]) if counts is None else counts.float()
    weight = (weight / weight.sum(0).clamp(min=1e-6))[..., None]
    return (
        (weight * expected.numbers).sum(0).double().numpy(),
        [(weight * table).sum(0).double().numpy() for table in expected.probabilities],
    )


def _without(rows: CodedRows, cells: RehiddenCells) -> CodedRows:
    """Return the rows of re-hidden cells, with those cells hidden."""
    taken = rows.take(torch.from_numpy(cells.rows))
    observed = taken.observed.clone()
    observed[torch.arange(len(observed)), torch.from_numpy(cells.columns)] = 0
    return CodedRows(taken.numbers * observed[:, : taken.numbers.shape[1]], taken.codes, observed)


def _others(columns: list[Floats], j: int) -> Floats:
    others = [column for k, column in enumerate(columns) if k != j]
    return np.concatenate(others, 1) if others else np.zeros((len(columns[0]), 1))


def _draw(table: Floats, random: np.random.Generator) -> "npt.NDArray[np.int64]":
    """Draw a position from each row of probabilities."""
    cumulative = table.cumsum(1)
    return (random.random((len(table), 1)) * cumulative[:, -1:] > cumulative).sum(1)
