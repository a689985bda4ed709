"""Missing values: what stands for one in a source, and columns of numbers in which some are missing (NaN)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from vaekit.data.dataset import Dataset, row_blocks
from vaekit.data.stored import StoredRows

if TYPE_CHECKING:
    import pandas

__all__ = [
    "MARKS",
    "filled_in_turn",
    "frame_without_marks",
    "missing_rates",
    "rates_in_words",
    "read_codes",
    "without_codes",
]

MARKS = frozenset({"", "?"})
"""Text that stands for a missing value in every source, beside None and NaN."""


def read_codes(given: "str | float | Iterable[object] | None") -> tuple[str, ...]:
    """Return the values that stand for missing ones, as text, each once.

    Parameters
    ----------
    given : str, number, iterable, or None
        Text with commas between the values, or the value or values. NaN, None, ``""`` and ``?`` need not be given.

    Examples
    --------
    >>> read_codes("unknown, -999"), read_codes([-999.0, None]), read_codes(-1), read_codes(None)
    (('unknown', '-999'), ('-999',), ('-1',), ())
    """
    if given is None:
        return ()
    if isinstance(given, int | float):
        given = [given]
    values = given.split(",") if isinstance(given, str) else given
    texts = (_as_text(value) for value in values if value is not None and value == value)
    return tuple(dict.fromkeys(text for text in texts if text not in MARKS))


def _as_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value).strip()


def _numbers(codes: Sequence[str]) -> np.ndarray:
    """Return the codes that are numbers, also as a column of 32-bit floats would hold them."""
    found = []
    for code in codes:
        try:
            found += [float(code), float(np.float32(code))]
        except ValueError:
            continue
    return np.array(found)


def without_codes(dataset: Dataset, codes: Sequence[str]) -> Dataset:
    """Return a data set with codes replaced by missing values: numbers, categories, and conditions; not labels.

    Examples
    --------
    >>> data = Dataset(np.array([[1.0, -999.0]]), "table", ("a", "b"))
    >>> without_codes(data, ("-999",)).values.tolist()
    [[1.0, nan]]
    """
    if not codes or dataset.kind != "table":
        return dataset
    numbers = _numbers(codes)
    texts = dataset.categories or (None,) * dataset.event_shape[0]
    numeric = np.array([names is None for names in texts])
    recoded = {
        j: _positions(names, codes)
        for j, names in enumerate(texts)
        if names is not None and set(names) & set(codes)
    }

    def change(block: np.ndarray) -> np.ndarray:
        block = block.copy()
        block[np.isin(block, numbers) & numeric] = np.nan
        for j, positions in recoded.items():
            known = ~np.isnan(block[:, j])
            block[known, j] = positions[block[known, j].astype(np.int64)]
        return block

    values = dataset.values
    if isinstance(values, StoredRows):
        changed = values.changed(change)
        changed.known_finite = False
    else:
        changed = change(values)
    categories = tuple(
        None if names is None else tuple(name for name in names if name not in codes) or None
        for names in texts
    )
    return replace(
        dataset,
        values=cast(np.ndarray, changed),
        categories=categories if any(categories) else None,
        conditions=_conditions_without(dataset.conditions, codes, numbers),
        test=None if dataset.test is None else without_codes(dataset.test, codes),
    )


def _positions(names: Sequence[str], codes: Sequence[str]) -> np.ndarray:
    """Return for each category its position among those that are no code; NaN for a code."""
    kept = [name for name in names if name not in codes]
    return np.array([np.nan if name in codes else kept.index(name) for name in names], dtype=np.float64)


def _conditions_without(
    conditions: "Mapping[str, np.ndarray] | None", codes: Sequence[str], numbers: np.ndarray
) -> "dict[str, np.ndarray] | None":
    if conditions is None:
        return None
    found: dict[str, np.ndarray] = {}
    for name, values in conditions.items():
        values = np.asarray(values)
        if values.dtype.kind in "iuf":
            coded = np.isin(values, numbers)
            found[name] = np.where(coded, np.nan, values) if coded.any() else values
        else:
            coded = np.array([str(value).strip() in codes for value in values.tolist()], dtype=bool)
            found[name] = _without(values, coded) if coded.any() else values
    return found


def missing_rates(dataset: Dataset) -> dict[str, float]:
    """Return the share of rows in which each column of a table is missing, for those where any is.

    >>> missing_rates(Dataset(np.array([[1.0, np.nan], [2.0, 0.5]]), "table", ("a", "b")))
    {'b': 0.5}
    """
    if dataset.kind != "table" or dataset.columns is None or dataset.values.dtype.kind != "f":
        return {}
    counts = sum(np.isnan(dataset.values[rows]).sum(0) for rows in row_blocks(dataset.values))
    shares = np.asarray(counts) / len(dataset)
    return {name: float(share) for name, share in zip(dataset.columns, shares, strict=True) if share}


def rates_in_words(rates: Mapping[str, float], most: int = 8) -> str:
    """Return the shares of missing values in a line, the largest first.

    >>> rates_in_words({"age": 0.0004, "income": 0.251})
    'income 25.1 %, age 0.04 %'
    """
    ordered = sorted(rates.items(), key=lambda entry: -entry[1])
    told = ", ".join(f"{name} {100 * rate:.3g} %" for name, rate in ordered[:most])
    return told + (f" and {len(ordered) - most} more columns" if len(ordered) > most else "")


def _without(values: np.ndarray, coded: np.ndarray) -> np.ndarray:
    found = values.astype(object)
    found[coded] = None
    return found


def frame_without_marks(frame: "pandas.DataFrame", codes: Sequence[str] = ()) -> "pandas.DataFrame":
    """Return a data frame with None in the place of text that stands for a missing value.

    Examples
    --------
    >>> import pandas as pd
    >>> frame_without_marks(pd.DataFrame({"a": ["1", " ? ", ""]}))["a"].isna().tolist()
    [False, True, True]
    """
    import pandas as pd

    marks, changed = MARKS.union(codes), {}
    for name in frame.columns:
        column = cast("pandas.Series", frame[name])
        kind = column.dtype
        if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind):
            continue
        positions, different = pd.factorize(column)
        marked = [isinstance(value, str) and value.strip() in marks for value in different]
        if any(marked):
            changed[name] = column.mask(np.append(marked, False)[np.asarray(positions)])
    return frame.assign(**changed) if changed else frame


def filled_in_turn(values: np.ndarray) -> np.ndarray:
    """Return rows with missing cells replaced by the observed values of their column, one after another.

    A column's mean and frequencies hardly change, which is enough to choose a likelihood or a start by. A column
    without any value becomes 0. Rows without missing cells are returned as they are.

    Examples
    --------
    >>> filled_in_turn(np.array([[1.0], [np.nan], [2.0], [np.nan]])).ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    if values.dtype.kind != "f":
        return values
    missing = np.isnan(values)
    if not missing.any():
        return values
    filled = values.copy()
    flat, holes = filled.reshape(len(values), -1), missing.reshape(len(values), -1)
    for j in np.flatnonzero(holes.any(0)):
        observed = flat[~holes[:, j], j]
        count = int(holes[:, j].sum())
        flat[holes[:, j], j] = observed[np.arange(count) * len(observed) // count] if len(observed) else 0.0
    return flat.reshape(values.shape)
