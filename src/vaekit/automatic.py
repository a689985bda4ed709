"""What ``likelihood="auto"`` does: look at the data, choose, and say why."""

from typing import NamedTuple

import numpy as np

from vaekit.data import Dataset
from vaekit.likelihoods.support import LARGEST_COUNT

__all__ = ["Choice", "choose_likelihood"]

_LOOK_AT = 2_000_000  # numbers; more would not change the answer


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
