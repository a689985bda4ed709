"""Coverage of pooled 95 % intervals of a regression on a table with holes.

The 569 rows of scikit-learn's breast cancer table are the population, in six of its columns of means, standardised:
radius, texture, smoothness, compactness, concavity and symmetry. A repeat takes 190 of them without replacement, hides
30 % (MAR), fills the holes ten times, regresses concavity on radius, texture and smoothness in each, and pools. The
truth is the regression of all 569 rows. Standard errors are those of MacKinnon and White (HC3), times the root of
1 - 190/569, for the rows are a third of a finite population.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vaekit.jobs import Imputer, pool
from vaekit.reproductions.figures import Figure
from vaekit.reproductions.tables.filled_holes import read_whole
from vaekit.reproductions.tables.hidden_cells import hide
from vaekit.reproductions.tables.table_experiment import TableExperiment, means_over_steps
from vaekit.reproductions.tables.table_files import FloatArray

__all__ = [
    "DRAWS",
    "FINITE",
    "INPUTS",
    "LEVEL",
    "POOLING",
    "PooledSample",
    "draws_of_imputer",
    "pooled_intervals",
    "read_population",
    "regression",
    "take_sample",
]

_ROWS, DRAWS, _STEPS, LEVEL = 190, 10, 300, 0.95
_COLUMNS = [0, 1, 4, 5, 6, 8]
_RESPONSE, INPUTS = 4, [0, 1, 2]
_REPEATS, _TOGETHER = 40, 10
#: The share of the population that a sample leaves: the correction of variances for a finite population.
FINITE = 1 - _ROWS / 569


class PooledSample(NamedTuple):
    """Rows of the population: whole, and with holes where ``holes`` is true."""

    whole: FloatArray
    holes: np.ndarray

    @property
    def given(self) -> FloatArray:
        """The rows with holes."""
        return np.where(self.holes, np.nan, self.whole)


def read_population() -> FloatArray:
    """Return all 569 rows, standardised."""
    population = read_whole(None, "breast cancer")[:, _COLUMNS]
    return (population - population.mean(0)) / population.std(0)


def take_sample(population: FloatArray, seed: int) -> PooledSample:
    """Return 190 rows and their holes."""
    random = np.random.default_rng(seed)
    whole = population[random.permutation(len(population))[:_ROWS]]
    return PooledSample(whole, hide(whole, "MAR", seed))


def regression(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return coefficients and their variances (HC3), the intercept first."""
    x = np.column_stack([np.ones(len(table)), table[:, INPUTS]])
    inverse = np.linalg.inv(x.T @ x)
    coefficients = inverse @ x.T @ table[:, _RESPONSE]
    residual = table[:, _RESPONSE] - x @ coefficients
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    middle = (x * np.square(residual / (1 - leverage))[:, None]).T @ x
    return coefficients, np.diag(inverse @ middle @ inverse)


def draws_of_imputer(table: FloatArray, seed: int) -> list[FloatArray]:
    """Return draws of vaekit's imputer, each by a fit to a bootstrap sample of the rows."""
    return Imputer(steps=_STEPS, random_state=seed).fit(table).sample(table, draws=DRAWS)


def pooled_intervals(draws: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper ends of the pooled intervals of the coefficients."""
    estimates, variances = (
        np.array(each) for each in zip(*(regression(filled) for filled in draws), strict=True)
    )
    freedom = _ROWS - len(INPUTS) - 1
    return pool(estimates, FINITE * variances, degrees_of_freedom=freedom).interval(LEVEL)


def _covered(data_dir: Path | None, seed: int, *, first: int) -> dict[str, float]:
    population = read_population()
    truth = regression(population)[0]
    inside = list[float]()
    for repeat in range(seed * _REPEATS + first, seed * _REPEATS + first + _TOGETHER):
        low, high = pooled_intervals(draws_of_imputer(take_sample(population, repeat).given, repeat))
        inside.append(float(((low <= truth) & (truth <= high)).mean()))
    return {"coverage": float(np.mean(inside))}


#: Pooled intervals.
POOLING = TableExperiment(
    name="tables-pooling",
    title="Pooled 95 % intervals of a regression on breast cancer with 30 % of holes (MAR): do they cover the truth?",
    source="Rubin (1987), Multiple Imputation for Nonresponse in Surveys; Barnard and Rubin (1999) for the degrees of "
    "freedom; the protocol is this project's",
    unit="share of intervals that cover the truth",
    files=(),
    cut="190 of 569 rows in six columns, drawn anew for every repeat; ten draws; 300 training steps, a fifth of "
    "the default",
    seeds="of repeats: seed s takes 40 s to 40 s + 39, each with its own rows, holes and imputer",
    steps={
        f"repeats {first + 1} to {first + _TOGETHER}": partial(_covered, first=first)
        for first in range(0, _REPEATS, _TOGETHER)
    },
    summary=means_over_steps("coverage"),
    references={"mean coverage": Figure(0.9313, 0.0466, "measured_before")},
    spread="200 repeats, as in benchmarks/tables/pooling.json, where chained equations have .833; the spread is 1.96 "
    "standard errors of the difference, from the scatter of the repeats",
    deviations=f"{_REPEATS} repeats in the place of 200",
)
