r"""Training, validation and test rows, by a hash of the row number and the seed.

Row :math:`i` draws :math:`u_i = h(i, \text{seed}) \in [0, 1)` and goes to the test part where :math:`u_i <
t`, to the validation part where :math:`t \le u_i < t + v`, and to the training part otherwise. So rows
appended to a file move none of the earlier ones to another part, unlike with shuffling. The hash is the
output function of SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vaekit.data.dataset import Dataset
from vaekit.errors import DataError, UsageError

__all__ = ["Parts", "Split", "partition", "split_indices"]


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts: sorted arrays of int64; every row is in exactly one of them."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_indices(n: int, seed: int, *, validation: float = 0.1, test: float = 0.1) -> Split:
    """Return the numbers of the training, validation and test rows among ``n``.

    Parameters
    ----------
    n : int
        Number of rows.
    seed : int
        Each seed gives another division.
    validation, test : float
        Expected share of the rows in each part; 0 for a part that is not wanted.

    Returns
    -------
    Split
        A part with a share above 0, and the training part, has at least one row. Where the hash leaves one
        empty (a handful of rows), the row whose hash is nearest to it is moved there from the largest part.

    Raises
    ------
    UsageError
        If a share is negative, or both leave nothing to train on.
    DataError
        If there are fewer rows than parts.

    Examples
    --------
    >>> split = split_indices(20, seed=0)
    >>> len(split.train) + len(split.validation) + len(split.test)
    20
    >>> longer = split_indices(30, seed=0)
    >>> bool((longer.test[longer.test < 20] == split.test).all())
    True
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise UsageError(
            f"shares of validation={validation} and test={test}; expected two shares of at least 0 whose sum "
            "is below 1"
        )
    wanted = [True, validation > 0, test > 0]
    if n < sum(wanted):
        count = "1 sample (one row)" if n == 1 else f"{n} samples"
        raise DataError(
            f"{count}: cannot be divided into {sum(wanted)} parts; at least {sum(wanted)} rows are needed"
        )
    uniform = _hash_to_unit_interval(n, seed)
    part = np.where(uniform < test, 2, np.where(uniform < test + validation, 1, 0))
    _fill_empty_parts(part, uniform, wanted)
    train, held_out, tested = (np.flatnonzero(part == k).astype(np.int64) for k in range(3))
    return Split(train, held_out, tested)


def _fill_empty_parts(part: np.ndarray, uniform: np.ndarray, wanted: list[bool]) -> None:
    """Move one row of the largest part to every wanted part that is empty, in place."""
    for k in (2, 1, 0):
        sizes = np.bincount(part, minlength=3)
        if wanted[k] and sizes[k] == 0:
            donors = np.flatnonzero(part == sizes.argmax())
            ranked = donors[np.argsort(uniform[donors], kind="stable")]
            # test lies at the low end of the unit interval, training at the high end
            part[ranked[-1] if k < sizes.argmax() else ranked[0]] = k


def _hash_to_unit_interval(n: int, seed: int) -> np.ndarray:
    """Return a hash of (row, seed) for every row, as 53 bits in [0, 1)."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    key = _splitmix64(np.array([int(seed) % 2**64], dtype=np.uint64) + golden)
    mixed = _splitmix64(key + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * golden)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _splitmix64(z: np.ndarray) -> np.ndarray:
    """Return the output function of SplitMix64 of each number; arithmetic is modulo 2**64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Parts(NamedTuple):
    """Training, validation and test examples; None for a part that was not asked for."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None


def partition(dataset: Dataset, seed: int, *, validation: float = 0.1, test: float = 0.1) -> Parts:
    """Return a data set in three parts, by a hash of row and seed; a source's own test split stays the test part.

    Parameters
    ----------
    dataset : Dataset
    seed : int
        Each seed gives another division.
    validation, test : float
        Expected shares; ``test`` is not used where the source has its own test split.

    Raises
    ------
    UsageError, DataError
        As `split_indices` does.

    Examples
    --------
    >>> from vaekit.data import read
    >>> [len(part) for part in partition(read("digits"), seed=0)]
    [1451, 179, 167]
    """
    share = 0.0 if dataset.test is not None else test
    split = split_indices(len(dataset), seed, validation=validation, test=share)
    return Parts(
        dataset.take(split.train),
        dataset.take(split.validation) if validation > 0 else None,
        dataset.test if dataset.test is not None else dataset.take(split.test),
    )
