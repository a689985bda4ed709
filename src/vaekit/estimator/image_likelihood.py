"""The likelihood of images, where none is asked for: chosen by looking at their values.

Grey levels and colours of so many steps are whole numbers, and a probability of each level (a discretised logistic,
:mod:`vaekit.likelihoods.discretized_logistic`) compares with any other model of them in nats. A density does not: it
grows without limit as its noise shrinks to less than a step.
"""

import numpy as np

from vaekit.data.scaling import are_levels

__all__ = ["choose_for_images"]

_BLACK_OR_WHITE = 0.8  # share of pixels: 91 % in MNIST, 60 % in Fashion-MNIST, 65 % in scikit-learn's digits
_FEW_STEPS = 32


def choose_for_images(values: np.ndarray, *, levels: bool = True) -> tuple[str, str]:
    """Return a likelihood for images ``(n, channels, height, width)`` that are not all 0 and 1, and the reason.

    Parameters
    ----------
    values
        The images.
    levels
        Whether probabilities of levels may be chosen; otherwise grey levels are taken as probabilities where most
        pixels are nearly black or white, and all else as real numbers.

    Examples
    --------
    >>> tones = np.arange(17).reshape(1, 1, 1, 17) / 16
    >>> choose_for_images(tones)
    ('discretized-logistic:levels=17,mixture=1', 'grey images of 17 levels, multiples of 1/16')
    >>> choose_for_images(np.where(tones < 0.45, 0.0, 1 - 1e-3 * tones))[0], choose_for_images(-tones)[0]
    ('bernoulli', 'gaussian')
    """
    lowest, highest = float(values.min()), float(values.max())
    colours = "grey images" if values.shape[1] == 1 else "colour images"
    whole = values.dtype.kind in "ui" or bool((values == np.floor(values)).all())
    few = whole and 1 < highest <= _FEW_STEPS
    top = 255 if values.dtype == np.uint8 and highest > 1 else 1
    extreme = float(np.mean((values <= 0.1 * top) | (values >= 0.9 * top)))
    in_range = lowest >= 0 and highest <= top
    enough = _BLACK_OR_WHITE if levels else 0.5
    if in_range and extreme > enough and values.shape[1] == 1 and not few:
        return (
            "bernoulli",
            f"grey images of which {extreme:.0%} of the pixels are nearly black or white: grey levels are taken as "
            "probabilities",
        )
    count, step = _levels(values, lowest, highest, whole=whole) if levels else (0, "")
    if count:
        return f"discretized-logistic:levels={count},mixture=1", f"{colours} of {count} levels, {step}"
    tones = f" with many middle tones ({1 - extreme:.0%} of the pixels)" if in_range else ""
    return "gaussian", f"{colours}{tones}, from {lowest:.4g} to {highest:.4g}: real numbers"


def _levels(values: np.ndarray, lowest: float, highest: float, *, whole: bool) -> tuple[int, str]:
    """Return the number of levels of images, and what they are; 0 levels: they are real numbers."""
    if lowest < 0 or highest > 255:
        return 0, ""
    if whole:  # rows that come later may hold the next level: 14 of them are taken for 16
        powers = (2**k + more for k in range(1, 6) for more in (0, 1))
        return next((count for count in powers if count > highest), 256), "whole numbers"
    if highest <= 1:
        for steps in (*range(2, _FEW_STEPS + 1), 255):
            if are_levels(values[:1], steps + 1) and are_levels(values, steps + 1):
                return steps + 1, f"multiples of 1/{steps}"
    return 0, ""
