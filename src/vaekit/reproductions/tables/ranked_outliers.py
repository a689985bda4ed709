"""Outliers in ADBench's eight tables: how well the detector ranks them, with the same settings for every table.

The rows of a table are scored by a detector that was fitted to all of them, outliers included and without labels; the
area under the ROC curve compares the scores with the labels.
"""

from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from vaekit.jobs import OutlierDetector
from vaekit.reproductions.figures import Figure
from vaekit.reproductions.tables.table_experiment import TableExperiment, means_over_steps
from vaekit.reproductions.tables.table_files import FloatArray, first_rows, labelled_file, read_labelled

__all__ = ["OUTLIERS", "OUTLIER_SETS", "outlier_scores", "read_outliers"]

_ROWS = 3000
#: The names of ADBench's files, by the names of their tables.
OUTLIER_SETS = {
    "Ionosphere": "18_Ionosphere",
    "pendigits": "28_pendigits",
    "annthyroid": "2_annthyroid",
    "satellite": "30_satellite",
    "shuttle": "32_shuttle",
    "vowels": "40_vowels",
    "wine": "45_wine",
    "breastw": "4_breastw",
}


def read_outliers(data_dir: Path | None, name: str) -> tuple[FloatArray, np.ndarray]:
    """Return one of ADBench's tables, by the name of its file; of a large one 3,000 rows."""
    x, y = read_labelled(data_dir, name)
    rows = first_rows(len(x), _ROWS)
    return x[rows], y[rows]


def outlier_scores(x: FloatArray, seed: int) -> FloatArray:
    """Return negative log-densities of rows, in nats, by members of a detector that have not seen them."""
    return -OutlierDetector(false_alarm_rate=0.05, random_state=seed).fit(x).score_samples(x)


def _auroc(data_dir: Path | None, seed: int, *, name: str) -> dict[str, float]:
    x, y = read_outliers(data_dir, name)
    return {"AUROC": float(roc_auc_score(y, outlier_scores(x, seed)))}


# By name the mean of three seeds, and their range.
_BEFORE = {
    "Ionosphere": (0.8538, 0.0056),
    "pendigits": (0.9304, 0.0086),
    "annthyroid": (0.9254, 0.0035),
    "satellite": (0.8048, 0.0020),
    "shuttle": (0.9983, 0.0001),
    "vowels": (0.9411, 0.0052),
    "wine": (0.9104, 0.0177),
    "breastw": (0.9812, 0.0004),
}

#: The first row of the table of jobs.
OUTLIERS = TableExperiment(
    name="tables-outliers",
    title="Outliers in ADBench's eight sets: how well the detector ranks them, nothing changed between sets",
    source="Han et al. (2022), ADBench: Anomaly Detection Benchmark, whose files these are; the cut is this project's",
    unit="area under the ROC curve",
    files=tuple(map(labelled_file, OUTLIER_SETS.values())),
    cut="all columns; larger tables are cut to 3,000 rows, the first ones of default_rng(0).permutation; the detector "
    "is fitted to all rows, outliers included, and sees no label",
    seeds="of the detector: halves, initialisation and order",
    steps={name: partial(_auroc, name=file) for name, file in OUTLIER_SETS.items()},
    summary=means_over_steps("AUROC"),
    references={
        f"{name}, AUROC": Figure(value, spread, "measured_before")
        for name, (value, spread) in _BEFORE.items()
    }
    | {"mean AUROC": Figure(0.9182, 0.0035, "measured_before")},
    spread="means of three seeds, as in benchmarks/tables/outliers.json, where isolation forest has .856; the spread "
    "is the range of the three",
)
