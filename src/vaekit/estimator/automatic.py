"""What ``likelihood="auto"`` does: look at the data, choose, and say why."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vaekit.data import Dataset
from vaekit.data.stored import StoredRows
from vaekit.estimator.column_kinds import check_column_names, resolve_kind
from vaekit.likelihoods.support import LARGEST_COUNT

__all__ = ["Choice", "choose_columns", "choose_likelihood"]

_LOOK_AT = 2_000_000  # numbers; more would not change the answer
_FEW_LEVELS, _SMALL_COUNTS, _HEAVY_TAILS = 32, 255, 9  # the last: a fourth moment thrice that of a Gaussian


class Choice(NamedTuple):
    """A spec and the reason it was chosen."""

    spec: str
    reason: str


def choose_likelihood(dataset: Dataset) -> Choice:
    """Choose a likelihood that fits the data, and a sentence that says why.

    Examples
    --------
    >>> from vaekit.data import from_object
    >>> choose_likelihood(from_object([[0, 1], [1, 1], [1, 0]]))
    Choice(spec='bernoulli', reason='every value is 0 or 1')
    """
    dataset = _some(dataset)
    if _has_types(dataset):
        return choose_columns(dataset)
    values = dataset.values
    if values.size > _LOOK_AT:
        values = values[:: -(-values.size // _LOOK_AT)]
    lowest, highest = float(values.min()), float(values.max())
    if lowest >= 0 and highest <= 1 and np.isin(values, (0, 1)).all():
        return Choice("bernoulli", "every value is 0 or 1")
    if dataset.kind == "images":
        top = 255 if values.dtype == np.uint8 else 1
        if lowest >= 0 and highest <= top and values.shape[1] == 1:
            extreme = float(np.mean((values <= 0.1 * top) | (values >= 0.9 * top)))
            if extreme > 0.5:
                return Choice(
                    "bernoulli",
                    f"grey images of which {extreme:.0%} of the pixels are nearly black or white: "
                    "grey levels are taken as probabilities",
                )
            return Choice(
                "gaussian",
                f"grey images with many middle tones ({1 - extreme:.0%} of the pixels): real numbers",
            )
        return Choice("gaussian", "images with colours or any range of values: real numbers")
    if _are_overdispersed_counts(values):
        zeros = float(np.mean(values == 0))
        return Choice(
            "negative-binomial",
            f"a table of counts from 0 to {highest:.4g}: whole numbers, {zeros:.0%} of them zero, in most columns "
            "with a variance well above the mean and a long tail",
        )
    return Choice("gaussian", f"a table of numbers from {lowest:.4g} to {highest:.4g}: real numbers")


def choose_columns(dataset: Dataset, asked: Mapping[str, str] | None = None) -> Choice:
    """Choose a likelihood for each column of a table that varies: its spec, and why.

    Text is categories. Whole numbers that are not negative are probabilities, lest a density collapse onto them:
    categories below 32, counts up to 255 or where most are zero. All others are real numbers. What is ``asked`` for by
    name of column goes before.

    Raises
    ------
    UsageError
        For a kind asked of a column that is not there, does not vary, or cannot have it.

    Examples
    --------
    >>> import pandas as pd
    >>> from vaekit.data import from_object
    >>> table = pd.DataFrame({"size": [0.1, 2.5, 3.0], "kind": ["a", "b", "c"], "on": [0, 1, 1]})
    >>> choose_columns(from_object(table)).spec
    'mixed:columns=gaussianxcategorical3xbernoulli'
    >>> choose_columns(from_object(table), {"size": "student-t", "on": "categorical"}).spec
    'mixed:columns=student-txcategorical3xcategorical2'
    """
    asked = asked or {}
    dataset = _some(dataset)
    names = dataset.columns or ()
    texts = dataset.categories or (None,) * len(names)
    kinds = {
        name: _kind(dataset.values[:, j], texts[j])
        for j, name in enumerate(names)
        if dataset.values[:, j].min() != dataset.values[:, j].max()
    }
    check_column_names(asked, names, kinds)
    for name, kind in asked.items():
        j = names.index(name)
        kinds[name] = resolve_kind(name, kind, dataset.values[:, j], texts[j])
    families = [re.sub(r"\d+$", "", kind) for kind in kinds.values()]
    told = ", ".join(f"{families.count(family)} {family}" for family in dict.fromkeys(families))
    if not kinds:
        return Choice("gaussian", "no column varies")
    mixed = len(set(families)) > 1
    reason = (
        f"a table whose columns are of different types: {told}" if mixed else f"a table of {told} columns"
    )
    if asked:
        reason += f"; {', '.join(asked)} as asked for"
    return Choice(f"mixed:columns={'x'.join(kinds.values())}", reason)


def _some(dataset: Dataset) -> Dataset:
    """As many rows as are looked at, where they are left in their file."""
    if not isinstance(dataset.values, StoredRows):
        return dataset
    return replace(dataset, values=dataset.values[:: -(-dataset.values.size // _LOOK_AT)])


def _has_types(dataset: Dataset) -> bool:
    """Whether a table has columns of text, or of zeros and ones beside columns of fractions."""
    if dataset.kind != "table":
        return False
    if dataset.categories is not None:
        return True
    values = dataset.values
    varying = values[:, values.min(0) != values.max(0)]
    binary = ((varying == 0) | (varying == 1)).all(0)
    return bool(binary.any() and (varying != np.floor(varying)).any())


def _kind(values: np.ndarray, categories: tuple[str, ...] | None) -> str:
    lowest, highest = values.min(), values.max()
    if categories is not None:
        return "bernoulli" if len(categories) == 2 else f"categorical{len(categories)}"
    if lowest < 0 or not (values == np.floor(values)).all():
        spread = values - values.mean()
        heavy = np.mean(spread**4) > _HEAVY_TAILS * np.mean(spread**2) ** 2
        return "student-t" if heavy else "gaussian"
    if highest <= 1:
        return "bernoulli"
    if highest < _FEW_LEVELS:
        return f"categorical{int(highest) + 1}"
    if highest <= LARGEST_COUNT and np.mean(values == 0) > 0.5:
        return "zero-inflated-negative-binomial"
    return "negative-binomial" if highest <= _SMALL_COUNTS else "gaussian"


def _are_overdispersed_counts(values: np.ndarray) -> bool:
    """Whether a table holds counts beyond doubt: codes, ages, years and marks are whole numbers too."""
    if values.min() < 0 or values.max() > LARGEST_COUNT or not (values == np.floor(values)).all():
        return False
    mean, variance, highest = values.mean(0), values.var(0), values.max(0)
    varying = variance > 0
    if not varying.any() or np.mean(values[:, varying] == 0) < 0.1:
        return False
    mean, variance, highest = mean[varying], variance[varying], highest[varying]
    overdispersed = float(np.median(variance / mean)) > 1.5
    return overdispersed and float(np.median(highest / mean)) > 5 and float(np.median(highest)) > 5
