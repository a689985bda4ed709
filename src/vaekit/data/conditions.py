r"""Conditions: columns that a model is told, beside the data it describes.

A categorical condition becomes a one-hot vector over the categories of the training rows, a continuous one is
standardised by their mean and standard deviation; put beside one another they are the :math:`c` of
:math:`p(x \mid c)`. A label that is missing, where that is allowed, is a vector of zeros.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vaekit.data.hints import few, plural
from vaekit.errors import DataError, UsageError
from vaekit.language.grammar import did_you_mean, read_pairs

__all__ = ["Condition", "ConditionKind", "ConditionSchema", "parse_condition", "parse_given"]

ConditionKind = Literal["auto", "categorical", "continuous"]

MOST_CATEGORIES_OF_NUMBERS = 20
_REMEMBERED = 1000  # combinations, to draw from


@dataclass(frozen=True)
class Condition:
    """One condition, as the training rows had it.

    Parameters
    ----------
    name
        Of the column; ``labels`` for the labels of a data set.
    categories
        In order, as text; None for a continuous one.
    mean, standard_deviation
        Of a continuous one, in its own units.
    """

    name: str
    categories: tuple[str, ...] | None = None
    mean: float = 0.0
    standard_deviation: float = 1.0

    @property
    def width(self) -> int:
        """How many numbers it becomes."""
        return 1 if self.categories is None else len(self.categories)

    @classmethod
    def fit(cls, name: str, values: np.ndarray, kind: ConditionKind, *, missing: bool) -> "Condition":
        """Learn a condition from the training rows; ``missing`` says whether values may be missing.

        Raises
        ------
        DataError
            For a value that is missing and may not be, one category alone, or text in a continuous condition.
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
        """Give ``(n, width)`` float32, or say why not.

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
                f"{what}: condition {self.name!r} has the unknown {'category' if len(unknown) == 1 else 'categories'} "
                f"{few(unknown)} in {plural(rows, 'row')}; the model knows {few(self.categories, 30)}"
            )
        table = np.zeros((len(different), self.width), dtype=np.float32)
        for i, value in enumerate(different.tolist()):
            if value:
                table[i, self.categories.index(value)] = 1
        return table[inverse.reshape(-1)]

    def describe(self) -> str:
        """Say what it is in a line."""
        if self.categories is None:
            return f"{self.name} (continuous, mean {self.mean:.4g}, standard deviation {self.standard_deviation:.4g})"
        return f"{self.name} ({len(self.categories)} categories: {few(self.categories, 12)})"


@dataclass(frozen=True)
class ConditionSchema:
    """All conditions of a model, in order, and how they were distributed in the training rows.

    Parameters
    ----------
    conditions
        At least one.
    missing
        Whether a value may be missing.
    seen, counts
        Combinations of the training rows, each as the numbers the model is given, and how often each was there:
        all of them, or a thousand at even distances where there were more.

    Examples
    --------
    >>> schema = ConditionSchema.fit({"kind": np.array(["b", "a", "b"]), "age": np.array([30.5, 40.5, 50.5])})
    >>> schema.width, schema.names
    (3, ('kind', 'age'))
    >>> schema.encode({"kind": np.array(["a"]), "age": np.array([40.5])}, what="new data").tolist()
    [[1.0, 0.0, 0.0]]
    """

    conditions: tuple[Condition, ...]
    missing: bool = False
    seen: tuple[tuple[float, ...], ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def fit(
        cls,
        columns: Mapping[str, np.ndarray],
        kinds: Mapping[str, ConditionKind] | None = None,
        *,
        missing: bool = False,
    ) -> "ConditionSchema":
        """Learn it from the training rows."""
        chosen = {} if kinds is None else kinds
        if missing:
            columns = {name: _without_minus_one(np.asarray(values)) for name, values in columns.items()}
        conditions = tuple(
            Condition.fit(name, np.asarray(values), chosen.get(name, "auto"), missing=missing)
            for name, values in columns.items()
        )
        encoded = cls(conditions, missing).encode(columns, what="the data")
        encoded = encoded[encoded.any(axis=1)]  # nothing is ever generated under a label that is missing
        seen, counts = np.unique(encoded, axis=0, return_counts=True)
        if len(seen) > _REMEMBERED:
            seen = encoded[np.linspace(0, len(encoded) - 1, _REMEMBERED).round().astype(int)]
            counts = np.ones(len(seen), dtype=int)
        rows = tuple(tuple(float(v) for v in row) for row in seen)
        return cls(conditions, missing, rows, tuple(int(n) for n in counts))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the conditions."""
        return tuple(condition.name for condition in self.conditions)

    @property
    def width(self) -> int:
        """How many numbers the model is given for an example."""
        return sum(condition.width for condition in self.conditions)

    def encode(
        self, columns: Mapping[str, np.ndarray] | None, *, what: str, rows: int | None = None
    ) -> np.ndarray:
        """Give the model's conditions, ``(n, width)`` float32.

        Where values may be missing and the number of ``rows`` is said, whole columns may be.

        Raises
        ------
        DataError
            If one is missing, or has a value that cannot be used.
        """
        columns = {} if columns is None else columns
        if self.missing and rows is not None:
            columns = {name: np.full(rows, "") for name in self.names} | dict(columns)
        if self.missing:
            columns = {
                c.name: np.asarray(columns[c.name])
                if "-1" in (c.categories or ())
                else _without_minus_one(np.asarray(columns[c.name]))
                for c in self.conditions
                if c.name in columns
            }
        absent = [name for name in self.names if name not in columns]
        if absent:
            hint = did_you_mean(absent[0], columns)
            raise DataError(
                f"{what}: no condition {few(absent)}{hint or ';'} the model was fitted with "
                f"{'; '.join(condition.describe() for condition in self.conditions)}"
            )
        return np.concatenate(
            [
                condition.encode(np.asarray(columns[condition.name]), missing=self.missing, what=what)
                for condition in self.conditions
            ],
            axis=1,
        )

    def given(self, given: Mapping[str, Any] | str | None, n: int, seed: int) -> np.ndarray:
        """Give ``n`` conditions to generate under: one value for each name, or ``n``; ``data``: drawn from training.

        Raises
        ------
        UsageError
            If something is not given, or is not known.
        """
        wanted = "; ".join(condition.describe() for condition in self.conditions)
        if given is None:
            raise UsageError(
                f"the model is conditional: say under which condition, as in --given {self._example()} (in Python "
                f"given=...), or --given data to draw conditions as the training rows had them; it has {wanted}"
            )
        if given == "data":
            shares = np.array(self.counts, dtype=float)
            chosen = np.random.default_rng(seed).choice(len(shares), size=n, p=shares / shares.sum())
            return np.array(self.seen, dtype=np.float32)[chosen]
        if isinstance(given, str):
            given = parse_given(given)
        unknown = [name for name in given if name not in self.names]
        absent = [name for name in self.names if name not in given]
        if unknown or absent:
            said = f"no condition {few(unknown)}" if unknown else f"no value for {few(absent)}"
            raise UsageError(f"given: {said}; the model has {wanted}; write {self._example()}")
        columns = {}
        for name, value in given.items():
            values = np.asarray(value)
            if values.ndim and len(values) != n:
                raise UsageError(
                    f"given: {len(values)} values of {name!r} for {n} examples; give one, or {n}"
                )
            columns[name] = values if values.ndim else np.repeat(values[None], n)
        try:
            return ConditionSchema(self.conditions).encode(columns, what="given")
        except DataError as error:
            raise UsageError(str(error)) from error

    def most_frequent(self) -> dict[str, Any]:
        """Give the most frequent combination of the training rows, in the units of the data."""
        row = self.seen[self.counts.index(max(self.counts))]
        found, start = {}, 0
        for condition in self.conditions:
            part = row[start : start + condition.width]
            start += condition.width
            if condition.categories is None:
                found[condition.name] = part[0] * condition.standard_deviation + condition.mean
            else:
                found[condition.name] = condition.categories[part.index(max(part))]
        return found

    def _example(self) -> str:
        return ",".join(
            f"{c.name}={c.categories[0] if c.categories else format(c.mean, '.3g')}" for c in self.conditions
        )


def parse_condition(text: str) -> tuple[str, ConditionKind]:
    """Read ``COLUMN`` or ``COLUMN:categorical`` or ``COLUMN:continuous``.

    >>> parse_condition("age:continuous"), parse_condition("labels")
    (('age', 'continuous'), ('labels', 'auto'))
    """
    name, colon, kind = text.rpartition(":")
    if colon and kind in ("categorical", "continuous"):
        return name, kind  # type: ignore[return-value]
    if not text.strip():
        raise UsageError("a condition without a name; give the name of a column, or labels")
    return text, "auto"


def parse_given(text: str) -> dict[str, str]:
    """Read ``label=3,age=40``.

    >>> parse_given("label=3,age=40")
    {'label': '3', 'age': '40'}
    """
    return read_pairs(text.split(","), f"given {text!r}", example="name=value; write label=3,age=40")


def _as_text(values: np.ndarray) -> np.ndarray:
    """Values as text, whole numbers without a point; empty where missing: NaN, None, empty, or -1 among labels."""
    values = np.asarray(values).reshape(-1)
    if values.dtype.kind in "bui":
        text = values.astype(np.int64).astype(str).astype(object)
        if values.dtype.kind == "i" and values.size and values.min() == -1:
            text[values == -1] = ""
        return text.astype(str)
    if values.dtype.kind == "f":
        return np.array([_number_as_text(value) for value in values.tolist()])
    return np.array(["" if v is None or v != v else _any_as_text(v) for v in values.tolist()], dtype=str)


def _without_minus_one(values: np.ndarray) -> np.ndarray:
    """Labels as text, with -1 for a missing one where all are whole numbers, and left as they are otherwise."""
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
        return len(different) <= MOST_CATEGORIES_OF_NUMBERS
    try:
        whole = all(float(value).is_integer() for value in different)
    except (ValueError, OverflowError):
        return True
    return whole and len(different) <= MOST_CATEGORIES_OF_NUMBERS


def _order(category: str) -> tuple[int, float, str]:
    try:
        return (0, float(category), category)
    except ValueError:
        return (1, 0.0, category)


def _refuse_missing(name: str, text: np.ndarray) -> None:
    first = int(np.flatnonzero(text == "")[0])
    raise DataError(
        f"condition {name!r} is missing in {plural(int((text == '').sum()), 'row')}, the first of them row {first} "
        "(counted from 0); fill it in or remove the rows"
    )
