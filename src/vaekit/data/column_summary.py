"""Range, mean and standard deviation of every column, in passes over blocks of rows.

Rows in memory, or mapped into it, are read three times. Rows that must be decoded are read once: the means
and sums of squares of blocks are then merged as in Chan, Golub & LeVeque, "Algorithms for computing the
sample variance" (1983), eq. 2.1.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import msgspec
import numpy as np

from vaekit.data.dataset import Dataset, StoredAs, row_blocks
from vaekit.data.stored import StoredRows
from vaekit.data.strict_json import Finite
from vaekit.errors import DataError

__all__ = ["Column", "summarise"]

_MOST_DECIMALS = 6


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Summary of one column of a table, or of all pixels of images.

    Parameters
    ----------
    name : str
    minimum, maximum, mean : float
    standard_deviation : float
        Of the population (divided by n, not n - 1).
    constant : bool
        Every row that has a value has the same one; or none has any.
    integer : bool
        Every value is a whole number, and not a date.
    missing_rate : float
        Share of rows in which the value is missing. Where it is 1 the other numbers are 0.
    categories : tuple of str, or None
        Names of the categories, where the column holds text: its values are their positions here.
    stored_as : {"real", "integer", "boolean", "date", "time"}
        The type in the source.
    decimals : int or None
        The most decimals that a value has, for a column of real numbers with at most 6; otherwise None.
    """

    name: str
    minimum: Finite
    maximum: Finite
    mean: Finite
    standard_deviation: Finite
    constant: bool
    integer: bool
    missing_rate: Finite
    categories: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    stored_as: StoredAs = "real"
    decimals: Annotated[int, msgspec.Meta(ge=0)] | None = None


Seen = Callable[[np.ndarray], np.ndarray]


def summarise(dataset: Dataset, seen: Seen | None = None) -> tuple[Column, ...]:
    """Return a summary of each column of a table; of images, one summary named ``pixels``.

    Parameters
    ----------
    dataset : Dataset
    seen : function, optional
        Of a block of images, the values that count; by default all.

    Raises
    ------
    DataError
        If a column spans more than float64 can hold.

    Examples
    --------
    >>> column, = summarise(Dataset(np.array([[1.0], [3.0]]), "table", ("a",)))
    >>> column.mean, column.standard_deviation, column.integer, column.constant
    (2.0, 1.0, True, False)
    """
    names = dataset.columns if dataset.columns is not None else ("pixels",)
    decoded = isinstance(dataset.values, StoredRows) and dataset.values.decoded
    merged = _Moments(len(names)) if decoded else None
    types: list[StoredAs] = [(dataset.stored_as or {}).get(name, "real") for name in names]
    texts = dataset.categories or (None,) * len(names)
    counted = [
        dataset.kind == "table" and kind == "real" and text is None
        for kind, text in zip(types, texts, strict=True)
    ]
    decimals = _Decimals(counted)
    count, low, high, whole = _count_and_range(dataset, seen, len(names), merged, decimals)
    low, high = np.where(count == 0, 0.0, low), np.where(count == 0, 0.0, high)
    with np.errstate(over="ignore"):
        span = high - low
    for j in np.flatnonzero(~np.isfinite(span)):
        raise DataError(
            f"{dataset.source}: column {names[j]!r} runs from {low[j]:g} to {high[j]:g}, more than 64-bit "
            "floats can hold; rescale it or take its logarithm"
        )
    if merged is not None and merged.are_sound(span):
        mean, deviation = merged.mean, np.where(span > 0, np.sqrt(merged.squares / np.maximum(count, 1)), 0.0)
    else:
        mean, deviation = _mean_and_deviation(dataset, seen, low, span, count)
    total = dataset.values.size // len(names)
    return tuple(
        Column(
            name=name,
            minimum=float(low[j]),
            maximum=float(high[j]),
            mean=float(mean[j]),
            standard_deviation=float(deviation[j]),
            constant=bool(deviation[j] == 0),
            integer=bool(whole[j]) and types[j] not in ("date", "time"),
            missing_rate=float(1 - count[j] / total) if seen is None else 0.0,
            categories=texts[j],
            stored_as=types[j],
            decimals=decimals.most(j),
        )
        for j, name in enumerate(names)
    )


def _blocks(dataset: Dataset, seen: Seen | None, width: int) -> Iterator[np.ndarray]:
    """Yield (rows, width) blocks of float64 with the missing values as NaN; width 1 for images."""
    for rows in row_blocks(dataset.values):
        block = dataset.values[rows]
        yield (block if seen is None else seen(block)).reshape(-1, width).astype(np.float64)


class _Moments:
    """Means and sums of squared deviations, merged block by block."""

    def __init__(self, width: int) -> None:
        self.count, self.mean, self.squares = np.zeros(width), np.zeros(width), np.zeros(width)

    def add(self, block: np.ndarray, missing: np.ndarray) -> None:
        """Merge a block; ``missing`` marks its missing values."""
        count = len(block) - missing.sum(axis=0).astype(float)
        total = np.maximum(self.count + count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.nansum(block, axis=0) / np.maximum(count, 1)
            squares = np.nansum(np.square(block - mean), axis=0)
            between = np.square(mean - self.mean) * (self.count * count / total)
            self.mean = self.mean + (mean - self.mean) * (count / total)
            self.squares = self.squares + squares + np.where(count * self.count > 0, between, 0.0)
        self.count = self.count + count

    def are_sound(self, span: np.ndarray) -> bool:
        """Return whether squares neither overflowed nor underflowed nor lost their digits in any column."""
        squares = np.where(span > 0, self.squares, 1.0)
        narrow = (span > 0) & (span < 1e-6 * np.abs(self.mean))
        return bool(np.isfinite(squares).all() and (squares > 1e-280).all() and not narrow.any())


class _Decimals:
    """The most decimals of a value in each column, counted up to 6; other columns than those ``counted`` have none."""

    def __init__(self, counted: Sequence[bool]) -> None:
        self._places = [0 if count else _MOST_DECIMALS + 1 for count in counted]

    def add(self, block: np.ndarray) -> None:
        """Count the decimals of a block."""
        for j, places in enumerate(self._places):
            values = block[:, j]
            while places <= _MOST_DECIMALS and not _is_rounded(values, places):
                places += 1
            self._places[j] = places

    def most(self, column: int) -> int | None:
        """Return the most decimals of a column; None where they are not counted, or more than 6."""
        return self._places[column] if self._places[column] <= _MOST_DECIMALS else None


def _is_rounded(values: np.ndarray, places: int) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(((np.round(values, places) == values) | np.isnan(values)).all())


def _count_and_range(
    dataset: Dataset, seen: Seen | None, width: int, moments: _Moments | None, decimals: _Decimals
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count = np.zeros(width, dtype=np.int64)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    whole = np.ones(width, dtype=bool)
    for block in _blocks(dataset, seen, width):
        missing = np.isnan(block)
        count += len(block) - missing.sum(axis=0)
        low = np.fmin(low, np.fmin.reduce(block, axis=0))
        high = np.fmax(high, np.fmax.reduce(block, axis=0))
        whole &= ((block == np.floor(block)) | missing).all(axis=0)
        decimals.add(block)
        if moments is not None:
            moments.add(block, missing)
    return count, low, high, whole


def _mean_and_deviation(
    dataset: Dataset, seen: Seen | None, low: np.ndarray, span: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both, computed on (value - minimum) / span in [0, 1], where nothing overflows, underflows or cancels."""
    width = len(low)
    divisor = np.where(span > 0, span, 1.0)
    total = np.zeros(width)
    for block in _blocks(dataset, seen, width):
        total += np.nansum((block - low) / divisor, axis=0)
    count = np.maximum(count, 1)
    mean = total / count
    squares = np.zeros(width)
    for block in _blocks(dataset, seen, width):
        squares += np.nansum(np.square((block - low) / divisor - mean), axis=0)
    deviation = np.sqrt(squares / count)
    return low + mean * span, np.where(span > 0, deviation * span, 0.0)
