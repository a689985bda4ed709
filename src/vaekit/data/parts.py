"""A data set in its three parts, as one seed and the source's own test split decide."""

from typing import NamedTuple

from vaekit.data.dataset import Dataset
from vaekit.data.split import split_indices

__all__ = ["Parts", "partition"]


class Parts(NamedTuple):
    """Training, validation and test examples; None for a part that there is not."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None


def partition(dataset: Dataset, seed: int, *, validation: float = 0.1, test: float = 0.1) -> Parts:
    """Divide a data set by a hash of row and seed; the source's own test split, where it has one, is kept.

    Parameters
    ----------
    dataset : Dataset
    seed : int
        Another seed, another division.
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
