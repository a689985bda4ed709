"""Rates of false alarms on rows that are good: asked for, and found.

A detector is fitted to half of the good rows of a table, and tests the other half. The rate that is found at a rate
alpha is the share of tested rows whose p-value is alpha or less. Its error counts the rows of the calibration, of which
there are n, and the tested ones, of which there are m: 1.96 sqrt(alpha (1 - alpha) (1 / n + 1 / m)).
"""

from functools import partial
from math import sqrt
from pathlib import Path

import numpy as np

from vaekit.jobs import OutlierDetector
from vaekit.reproductions.figures import Figure
from vaekit.reproductions.tables.ranked_outliers import OUTLIER_SETS
from vaekit.reproductions.tables.table_experiment import TableExperiment
from vaekit.reproductions.tables.table_files import FloatArray, first_rows, labelled_file, read_labelled

__all__ = ["FALSE_ALARMS", "RATES", "binomial_error", "fit_to_half", "found_rates", "good_rows"]

RATES = (0.01, 0.05, 0.1)
_ROWS = 3000
# Good rows of every table, at most 3,000: half of them are fitted.
_GOOD = {
    "Ionosphere": 225,
    "pendigits": 3000,
    "annthyroid": 3000,
    "satellite": 3000,
    "shuttle": 3000,
    "vowels": 1406,
    "wine": 119,
    "breastw": 444,
}


def good_rows(data_dir: Path | None, name: str) -> FloatArray:
    """Return the rows of one of ADBench's tables that are no outliers, by the name of its file: 3,000 at most."""
    x, y = read_labelled(data_dir, name)
    good = x[y == 0]
    return good[first_rows(len(good), _ROWS)]


def binomial_error(rate: float, rows: int) -> float:
    """Return how far a rate that holds may be from what is found, of so many good rows in all.

    >>> round(binomial_error(0.01, 3000), 4)
    0.0071
    """
    n = rows // 2
    return 1.96 * sqrt(rate * (1 - rate) * (1 / n + 1 / (rows - n)))


def fit_to_half(good: FloatArray, seed: int) -> tuple[OutlierDetector, FloatArray, FloatArray]:
    """Return a detector fitted to half of the rows, this half, and the other."""
    order, n = np.random.default_rng(seed).permutation(len(good)), len(good) // 2
    fitted, tested = good[order[:n]], good[order[n:]]
    return OutlierDetector(false_alarm_rate=0.1, random_state=seed).fit(fitted), fitted, tested


def found_rates(detector: OutlierDetector, tested: FloatArray) -> list[float]:
    """Return the shares of rows that are alarms at 1, 5 and 10 %."""
    p = detector.p_values(tested)
    return [float((p <= rate).mean()) for rate in RATES]


def _rates(data_dir: Path | None, seed: int, *, name: str) -> dict[str, float]:
    detector, _, tested = fit_to_half(good_rows(data_dir, name), seed)
    return {f"at {rate:g}": found for rate, found in zip(RATES, found_rates(detector, tested), strict=True)}


#: The second row of the table of jobs.
FALSE_ALARMS = TableExperiment(
    name="tables-false-alarms",
    title="False alarms of the detector on good rows of ADBench's eight sets, at 1, 5 and 10 %",
    source="conformal p-values (Vovk et al. 2005, Algorithmic Learning in a Random World) promise these rates",
    unit="rate of false alarms",
    files=tuple(map(labelled_file, OUTLIER_SETS.values())),
    cut="good rows alone, 3,000 at most, the first ones of default_rng(0).permutation; half are fitted, half tested",
    seeds="of the halves, and of the detector",
    steps={name: partial(_rates, name=file) for name, file in OUTLIER_SETS.items()},
    references={
        f"{name}, at {rate:g}": Figure(rate, binomial_error(rate, rows), "promised")
        for name, rows in _GOOD.items()
        for rate in RATES
    },
    spread="the rate that is asked for; the spread is 1.96 standard errors of a binomial, of the rows of the "
    "calibration and the tested ones together, so that about one in twenty rates that hold lies outside",
)
