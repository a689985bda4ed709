"""One condition, and the column it is read from: of a table, labels, or an array given beside the data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from vaekit.data.dataset import Dataset, in_memory
from vaekit.data.messages import few, plural
from vaekit.data.strict_json import AboveZero, Finite
from vaekit.errors import DataError
from vaekit.language.grammar import did_you_mean

__all__ = [
    "LABELS",
    "Condition",
    "ConditionKind",
    "named_conditions",
    "take_conditions",
    "without_minus_one",
]

LABELS = "labels"
"""The name of the condition that is a data set's labels."""

ConditionKind = Literal["auto", "categorical", "continuous"]

_MOST_CATEGORIES_OF_NUMBERS = 20
_Categories = Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=2)]


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition, as learned from the training rows.

    Parameters
    ----------
    name : str
        Name of the column; ``labels`` for the labels of a data set.
    categories : tuple of str, or None
        The categories in order, as text; None for a continuous condition.
    mean, standard_deviation : float
        Of a continuous condition, in its own units.
    """

    name: str
    categories: _Categories | None = None
    mean: Finite = 0.0
    standard_deviation: AboveZero = 1.0

    @property
    def width(self) -> int:
        """The number of entries of :math:`c` that the condition takes."""
        return 1 if self.categories is None else len(self.categories)

    @classmethod
    def fit(cls, name: str, values: np.ndarray, kind: ConditionKind, *, missing: bool) -> "Condition":
        """Learn a condition from the training rows.

        Parameters
        ----------
        name : str
        values : ndarray of shape (n,)
        kind : {"auto", "categorical", "continuous"}
            ``auto``: text, and whole numbers of at most 20 different values, are categorical.
        missing : bool
            Whether values may be missing.

        Raises
        ------
        DataError
            For a missing value where none may be, a single category, or text in a continuous condition.
        """
        text = _as_text(values)
        known = text[text != ""]
        if len(known) < len(text) and not missing:
            _refuse_missing(name, text)
        if len(known) == 0:
            raise DataError(f"condition {name!r}: every value is missing")
        if kind == "auto":
            kind = "categorical" if _looks_categorical(values, known) else "continuous"
        if kind == "categorical":
            categories = sorted(set(known.tolist()), key=_order)
            if len(categories) < 2:
                raise DataError(
                    f"condition {name!r}: every row has {categories[0]!r}; expected at least 2 categories"
                )
            return cls(name, tuple(categories))
        numbers = _as_numbers(name, text)
        numbers = numbers[np.isfinite(numbers)]
        deviation = float(numbers.std())
        if not deviation > 0:
            raise DataError(f"condition {name!r}: every row has {numbers[0]:g}; expected values that vary")
        return cls(name, None, float(numbers.mean()), deviation)

    def encode(self, values: np.ndarray, *, missing: bool, what: str) -> np.ndarray:
        """Return values as the model's numbers, of shape (n, width) and type float32.

        Raises
        ------
        DataError
            For a category that the training rows did not have, naming those they had; for a missing value.
        """
        text = _as_text(values)
        if not missing and (text == "").any():
            _refuse_missing(self.name, text)
        if self.categories is None:
            numbers = (_as_numbers(self.name, text) - self.mean) / self.standard_deviation
            if missing:
                numbers = np.nan_to_num(numbers, nan=0.0)
            return numbers[:, None].astype(np.float32)
        different, inverse = np.unique(text, return_inverse=True)
        unknown = [value for value in different.tolist() if value and value not in self.categories]
        if unknown:
            rows = int(np.isin(text, unknown).sum())
            raise DataError(
                f"{what}: condition {self.name!r} has the unknown "
                f"{'category' if len(unknown) == 1 else 'categories'} {few(unknown)} in "
                f"{plural(rows, 'row')}; the model knows {few(self.categories, 30)}"
            )
        table = np.zeros((len(different), self.width), dtype=np.float32)
        for i, value in enumerate(different.tolist()):
            if value:
                table[i, self.categories.index(value)] = 1
        return table[inverse.reshape(-1)]

    def decode(self, c: np.ndarray) -> np.ndarray:
        """Return the values of :math:`c`, (n, width): text, whole numbers or numbers, as they were given.

        >>> Condition("label", ("3", "7")).decode(np.array([[0.0, 1.0]])).tolist()
        [7]
        """
        if self.categories is None:
            # rounded to what float32 holds of them
            places = 6 - math.ceil(math.log10(self.standard_deviation))
            return np.round(c[:, 0].astype(np.float64) * self.standard_deviation + self.mean, places)
        names = np.array(self.categories, dtype=object)
        for number in (int, float):
            try:
                names = np.array([number(name) for name in self.categories])
                break
            except ValueError:
                continue
        return names[c.argmax(1)]

    def describe(self) -> str:
        """Return a description in one line."""
        if self.categories is None:
            return f"{self.name} (continuous, mean {self.mean:.4g}, standard deviation {self.standard_deviation:.4g})"
        return f"{self.name} ({len(self.categories)} categories: {few(self.categories, 12)})"


def take_conditions(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """Return a data set with columns of its table moved to its conditions; ``labels`` are the data set's labels.

    Raises
    ------
    DataError
        If there is no such column.

    Examples
    --------
    >>> data = Dataset(np.eye(3), "table", ("a", "b", "c"))
    >>> data = take_conditions(data, ["b"])
    >>> data.columns, data.conditions["b"].tolist()
    (('a', 'c'), [0.0, 1.0, 0.0])
    """
    if not names:
        return dataset
    if not in_memory(dataset.values) and set(names) & set(dataset.columns or ()):
        raise DataError(
            f"{dataset.source}: rows that are left in their file cannot have conditions among their columns; "
            "raise the memory limit"
        )
    found = {name: values for name, values in (dataset.conditions or {}).items() if name in names}
    columns = dataset.columns or ()
    for name in names:
        if name in columns:
            found[name] = dataset.values[:, columns.index(name)]
        elif name == LABELS and dataset.labels is not None and name not in found:
            found[name] = dataset.labels
    absent = [name for name in names if name not in found]
    if absent:
        has = [*columns, *(() if dataset.labels is None else (LABELS,))]
        hint = did_you_mean(absent[0], has)
        raise DataError(
            f"{dataset.source}: no column {few(absent)} for the condition{hint or ';'} there "
            f"{'are ' + few(has, 9) if has else 'are no columns with names, and no labels'}"
        )
    values = dataset.values
    if any(name in columns for name in names):
        kept = [i for i, name in enumerate(columns) if name not in names]
        if not kept:
            raise DataError(
                f"{dataset.source}: every column is a condition; at least one must be left to model"
            )
        values, columns = np.ascontiguousarray(values[:, kept]), tuple(columns[i] for i in kept)
    test = None if dataset.test is None else take_conditions(dataset.test, names)
    ordered = {name: found[name] for name in names}
    return replace(
        dataset,
        values=values,
        columns=columns if dataset.columns is not None else None,
        conditions=ordered,
        test=test,
    )


def named_conditions(given: Any, names: Sequence[str], n: int) -> Mapping[str, np.ndarray]:
    """Return the conditions that are given beside the data, as an array for each name.

    Parameters
    ----------
    given : mapping, data frame or array
        By name; or an array of one column per name, (n,) where there is one name.
    names : sequence of str
        The conditions to return; others are left out.
    n : int
        The number of rows.

    Raises
    ------
    DataError
        For values that cannot be assigned to the names, or another number of rows.
    """
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    if isinstance(given, Mapping) or hasattr(given, "columns"):
        columns = {str(name): np.asarray(given[name]) for name in given}
    else:
        values = np.asarray(given)
        if values.ndim == 2 and values.shape[1] == len(names):
            columns = dict(zip(names, values.T, strict=True))
        elif len(names) == 1 and values.ndim == 1:
            columns = {names[0]: values}
        else:
            raise DataError(
                f"conditions of shape {values.shape} for {few(names)}; give a dictionary of one array for each"
            )
    for name, values in columns.items():
        if values.shape != (n,):
            raise DataError(f"condition {name!r} has shape {values.shape}; expected one value a row, ({n},)")
    return {name: values for name, values in columns.items() if name in names}


def _as_text(values: np.ndarray) -> np.ndarray:
    """Return values as text: whole numbers without a point; missing values (NaN, None, and -1 among integers) empty.

    >>> _as_text(np.array([1.0, 2.5, np.nan])).tolist()
    ['1', '2.5', '']
    """
    values = np.asarray(values).reshape(-1)
    if values.dtype.kind in "bui":
        text = values.astype(np.int64).astype(str).astype(object)
        if values.dtype.kind == "i" and values.size and values.min() == -1:
            text[values == -1] = ""
        return text.astype(str)
    if values.dtype.kind == "f":
        return np.array([_number_as_text(value) for value in values.tolist()])
    return np.array(["" if v is None or v != v else _any_as_text(v) for v in values.tolist()], dtype=str)


def without_minus_one(values: np.ndarray) -> np.ndarray:
    """Return whole-number labels as text, with -1 (a missing label) empty; other numbers as they are.

    >>> without_minus_one(np.array(["3", "-1"])).tolist()
    ['3', '']
    """
    text = _as_text(values)
    known = text[text != ""]
    try:
        whole = all(float(value).is_integer() for value in set(known.tolist()))
    except (ValueError, OverflowError):
        return text
    return np.where(text == "-1", "", text) if whole else values


def _number_as_text(value: float) -> str:
    if value != value:
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def _any_as_text(value: Any) -> str:
    return _number_as_text(value) if isinstance(value, float) else str(value).strip()


def _as_numbers(name: str, text: np.ndarray) -> np.ndarray:
    try:
        numbers = np.array([float(value) if value else np.nan for value in text.tolist()])
    except ValueError as error:
        raise DataError(f"condition {name!r} is continuous: expected numbers ({error})") from None
    if np.isinf(numbers).any():
        raise DataError(f"condition {name!r}: an infinite value; expected finite numbers")
    return numbers


def _looks_categorical(values: np.ndarray, known: np.ndarray) -> bool:
    different = set(known.tolist())
    if values.dtype.kind in "bui":
        return len(different) <= _MOST_CATEGORIES_OF_NUMBERS
    try:
        whole = all(float(value).is_integer() for value in different)
    except (ValueError, OverflowError):
        return True
    return whole and len(different) <= _MOST_CATEGORIES_OF_NUMBERS


def _order(category: str) -> tuple[int, float, str]:
    try:
        return (0, float(category), category)
    except ValueError:
        return (1, 0.0, category)


def _refuse_missing(name: str, text: np.ndarray) -> None:
    first = int(np.flatnonzero(text == "")[0])
    raise DataError(
        f"condition {name!r} is missing in {plural(int((text == '').sum()), 'row')}, the first of them row "
        f"{first} (counted from 0); fill it in or remove the rows"
    )
