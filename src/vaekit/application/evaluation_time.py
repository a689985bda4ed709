"""The time that evaluating a model will take, estimated before it is trained by evaluating a few rows."""

import copy
import time
import warnings

import numpy as np

from vaekit.data import Dataset, Parts
from vaekit.errors import VaekitError
from vaekit.estimator import VariationalAutoencoder
from vaekit.estimator.inference import evaluate_rows
from vaekit.evaluation.table_baselines import MOST_ROWS

__all__ = ["seconds_to_evaluate"]

_ROWS, _MORE_ROWS = 16, 80  # enough to tell the time of one
_TRAINING_ROWS, _MORE_TRAINING_ROWS = 200, 800


def seconds_to_evaluate(estimator: VariationalAutoencoder, parts: Parts, samples: int) -> float | None:
    """Estimate the time of evaluating the held-out rows, with the baselines of the test rows.

    A copy of the model, which is yet to be trained, evaluates 16 rows and 80: what the second takes longer is in
    proportion to the rows, the remainder is paid once for each part. Baselines are fitted to 200 and to 800 training
    rows in the same way. Proposals of their own for single rows are not counted: how many will need one, only a trained
    model shows (:mod:`vaekit.evaluation.judged_weights`).

    Parameters
    ----------
    estimator
        An estimator whose model is built.
    parts
        Its data.
    samples
        Importance samples an example.

    Returns
    -------
    float or None
        Seconds; None where nothing will be evaluated, or a model cannot be evaluated before it is trained.

    Examples
    --------
    >>> from vaekit.data import partition, read
    >>> parts = partition(read("digits"), 0, validation=0.1)
    >>> vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0).fit(parts.train)
    >>> 0 < seconds_to_evaluate(vae, parts, samples=10) < 60
    True
    """
    held_out = [part for part in (parts.validation, parts.test) if part is not None and len(part)]
    if not held_out or not estimator.model_.has_log_likelihood:
        return None
    trial = copy.deepcopy(estimator)
    few = _first(held_out[-1], _ROWS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _seconds(trial, few, samples)  # pays for what is paid once
            once = _seconds(trial, few, samples)
            more = _first(held_out[-1], _MORE_ROWS)
            each = 0.0
            if len(more) > len(few):
                each = max(0.0, _seconds(trial, more, samples) - once) / (len(more) - len(few))
            total = sum(once + each * (len(part) - len(few)) for part in held_out)
            if parts.test is not None and len(parts.test):
                total += _seconds_of_baselines(trial, few, parts.train, samples, alone=once)
    except (VaekitError, ValueError, RuntimeError):  # the evaluation itself will tell what is wrong
        return None
    return total


def _first(rows: Dataset, most: int) -> Dataset:
    return rows.take(np.arange(min(most, len(rows))))


def _seconds(
    trial: VariationalAutoencoder, rows: Dataset, samples: int, train: Dataset | None = None
) -> float:
    started = time.perf_counter()
    evaluate_rows(
        trial.fitted_model(), rows, samples=samples, split="trial", train=train, seed=0, most_mended=0
    )
    return time.perf_counter() - started


def _seconds_of_baselines(
    trial: VariationalAutoencoder, few: Dataset, train: Dataset, samples: int, *, alone: float
) -> float:
    learned = len(train) if train.kind == "images" else min(len(train), MOST_ROWS)
    some, more = _first(train, _TRAINING_ROWS), _first(train, _MORE_TRAINING_ROWS)
    # The first time also pays for imports.
    once = max(0.0, min(_seconds(trial, few, samples, some) for _ in range(2)) - alone)
    if len(more) == len(some):
        return once
    each = (max(0.0, _seconds(trial, few, samples, more) - alone) - once) / (len(more) - len(some))
    return once + max(0.0, each) * (learned - len(some))
