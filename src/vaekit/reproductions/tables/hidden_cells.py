"""Cells that are hidden: completely at random, depending on other columns, or because of their own values."""

import numpy as np

from vaekit.reproductions.tables.table_files import FloatArray

__all__ = ["SHARE", "above_the_mean", "hide"]

SHARE, _SLOPE = 0.3, 2.0
_Holes = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def hide(x: FloatArray, kind: str, seed: int) -> _Holes:
    """Return which cells are hidden, 30 % of them on average.

    Parameters
    ----------
    x : array, shape (n, d)
        The whole table.
    kind
        ``MCAR``: each cell with a chance of 30 %. ``MAR``: half of the columns are always seen, and each other one is
        missing with 30 % on average, by a logistic of slope 2 in a random direction of the seen ones.
    seed
        Of the cells, and of the columns and directions.

    Returns
    -------
    array of bool, shape (n, d)

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(1000, 4))
    >>> int(hide(x, "MAR", 0).any(0).sum()), bool(0.28 < hide(x, "MCAR", 0).mean() < 0.32)
    (2, True)
    """
    random, columns = np.random.default_rng(seed), x.shape[1]
    if kind == "MCAR":
        return random.random(x.shape) < SHARE
    seen = random.permutation(columns)[: columns // 2]
    z = (x - x.mean(0)) / (x.std(0) + 1e-9)
    holes = np.zeros(x.shape, dtype=bool)
    for j in np.setdiff1d(np.arange(columns), seen):
        score = z[:, seen] @ random.normal(size=len(seen))
        score *= _SLOPE / score.std()
        low, high = -20.0, 20.0
        for _ in range(60):  # the intercept that makes the mean chance what is asked
            middle = (low + high) / 2
            low, high = (
                (low, middle) if (1 / (1 + np.exp(-score - middle))).mean() > SHARE else (middle, high)
            )
        holes[:, j] = random.random(len(x)) < 1 / (1 + np.exp(-score - low))
    return holes


def above_the_mean(x: FloatArray) -> _Holes:
    """Return the cells above the mean of their columns, in the first half of the columns.

    This is the mask of Ipsen, Mattei and Frellsen (2021), not-MIWAE.

    >>> above_the_mean(np.array([[1.0, 5.0], [3.0, 9.0]])).tolist()
    [[False, False], [True, False]]
    """
    holes = np.zeros(x.shape, dtype=bool)
    half = x.shape[1] // 2
    holes[:, :half] = x[:, :half] > x[:, :half].mean(0)
    return holes
