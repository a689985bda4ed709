r"""Conditions: columns that a model is given beside the data, as the vector :math:`c` of :math:`p(x \mid c)`.

A categorical condition becomes a one-hot vector over the categories of the training rows; a continuous one is
standardised by their mean and standard deviation. Joined, they are :math:`c`. A missing label, where labels
may be missing, becomes a vector of zeros.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np

from vaekit.data.condition_columns import ConditionKind, as_text, parse_given, without_minus_one
from vaekit.data.messages import few, plural
from vaekit.data.strict_json import AboveZero, Finite, from_document, require_different, to_document
from vaekit.errors import ArtifactError, DataError, UsageError
from vaekit.grammar import did_you_mean

__all__ = ["Condition", "ConditionSchema"]

_MOST_CATEGORIES_OF_NUMBERS = 20
_REMEMBERED = 1000  # combinations of the training rows, to draw from
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
        text = as_text(values)
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
        text = as_text(values)
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

    def describe(self) -> str:
        """Return a description in one line."""
        if self.categories is None:
            return f"{self.name} (continuous, mean {self.mean:.4g}, standard deviation {self.standard_deviation:.4g})"
        return f"{self.name} ({len(self.categories)} categories: {few(self.categories, 12)})"


class ConditionSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All conditions of a model, in order, and their distribution in the training rows.

    Parameters
    ----------
    conditions : tuple of Condition
        At least one.
    missing : bool
        Whether a value may be missing.
    seen, counts : tuple
        The combinations of values in the training rows, each as the numbers the model is given, and the
        number of rows that had it. Where there are more than a thousand combinations, a thousand rows at even
        distances.

    Examples
    --------
    >>> schema = ConditionSchema.fit({"kind": np.array(["b", "a", "b"]), "age": np.array([30.5, 40.5, 50.5])})
    >>> schema.width, schema.names
    (3, ('kind', 'age'))
    >>> schema.encode({"kind": np.array(["a"]), "age": np.array([40.5])}, what="new data").tolist()
    [[1.0, 0.0, 0.0]]
    """

    conditions: Annotated[tuple[Condition, ...], msgspec.Meta(min_length=1)]
    missing: bool = False
    seen: tuple[tuple[Finite, ...], ...] = ()
    counts: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()

    @classmethod
    def fit(
        cls,
        columns: Mapping[str, np.ndarray],
        kinds: Mapping[str, ConditionKind] | None = None,
        *,
        missing: bool = False,
    ) -> "ConditionSchema":
        """Learn the conditions from the training rows: ``columns`` holds an array (n,) for each name."""
        chosen = {} if kinds is None else kinds
        if missing:
            columns = {name: without_minus_one(np.asarray(values)) for name, values in columns.items()}
        conditions = tuple(
            Condition.fit(name, np.asarray(values), chosen.get(name, "auto"), missing=missing)
            for name, values in columns.items()
        )
        encoded = cls(conditions, missing).encode(columns, what="the data")
        encoded = encoded[encoded.any(axis=1)]  # no example is generated under a missing label
        seen, counts = np.unique(encoded, axis=0, return_counts=True)
        if len(seen) > _REMEMBERED:
            seen = encoded[np.linspace(0, len(encoded) - 1, _REMEMBERED).round().astype(int)]
            counts = np.ones(len(seen), dtype=int)
        rows = tuple(tuple(float(v) for v in row) for row in seen)
        return cls(conditions, missing, rows, tuple(int(n) for n in counts))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return tuple(condition.name for condition in self.conditions)

    @property
    def width(self) -> int:
        """The length of :math:`c`."""
        return sum(condition.width for condition in self.conditions)

    def encode(
        self, columns: Mapping[str, np.ndarray] | None, *, what: str, rows: int | None = None
    ) -> np.ndarray:
        """Return :math:`c` for each row, of shape (n, width) and type float32.

        Parameters
        ----------
        columns : mapping of str to ndarray of shape (n,), or None
        what : str
            What to call the data in messages.
        rows : int, optional
            The number of rows. Where values may be missing, whole columns may then be missing too.

        Raises
        ------
        DataError
            If a condition is missing, or has a value that cannot be used.
        """
        columns = {} if columns is None else columns
        if self.missing and rows is not None:
            columns = {name: np.full(rows, "") for name in self.names} | dict(columns)
        if self.missing:
            columns = {
                c.name: np.asarray(columns[c.name])
                if "-1" in (c.categories or ())
                else without_minus_one(np.asarray(columns[c.name]))
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
        """Return :math:`c` for ``n`` examples to generate, of shape (n, width) and type float32.

        Parameters
        ----------
        given : mapping of str to value, str, or None
            For each name one value, or ``n`` of them; as text ``"label=3,age=40"``; or ``"data"``, to draw
            from the conditions of the training rows.
        n, seed : int

        Raises
        ------
        UsageError
            If a condition is not given, or is unknown.
        """
        wanted = "; ".join(condition.describe() for condition in self.conditions)
        if given is None:
            raise UsageError(
                f"the model is conditional: say under which condition, as in --given {self._example()} (in "
                "Python given=...), or --given data to draw conditions as the training rows had them; it has "
                f"{wanted}"
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
        """Return the most frequent combination of the training rows, in the units of the data."""
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

    def to_json(self) -> dict[str, Any]:
        """Return the conditions as plain dictionaries, lists, text and numbers."""
        return to_document(self)

    @classmethod
    def from_json(cls, document: Any) -> "ConditionSchema":
        """Return the conditions that `to_json` wrote.

        Raises
        ------
        ArtifactError
            Naming what is wrong, as in a file that was edited.
        """
        schema = from_document(document, cls, "schema.conditions")
        schema.require_sound("schema.conditions")
        return schema

    def require_sound(self, where: str) -> None:
        """Raise an ArtifactError where parts contradict one another: repeated names, or rows of another length."""
        require_different(self.names, where)
        for i, condition in enumerate(self.conditions):
            require_different(condition.categories or (), f"{where}.conditions[{i}].categories")
        if not len(self.seen) == len(self.counts) > 0:
            raise ArtifactError(
                f"{where}: {len(self.seen)} combinations in seen and {len(self.counts)} counts; expected as "
                "many of each, and at least one; was the file edited?"
            )
        for i, row in enumerate(self.seen):
            if len(row) != self.width:
                raise ArtifactError(
                    f"{where}.seen[{i}]: {plural(len(row), 'number')}; expected {self.width}; was the file edited?"
                )

    def _example(self) -> str:
        return ",".join(
            f"{c.name}={c.categories[0] if c.categories else format(c.mean, '.3g')}" for c in self.conditions
        )


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
