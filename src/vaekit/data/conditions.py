r"""Conditions: columns that a model is given beside the data, as the vector :math:`c` of :math:`p(x \mid c)`.

A categorical condition becomes a one-hot vector over the categories of the training rows; a continuous one is
standardised by their mean and standard deviation. Joined, they are :math:`c`. A missing label, where labels
may be missing, becomes a vector of zeros.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np

from vaekit.data.condition_columns import Condition, ConditionKind, without_minus_one
from vaekit.data.messages import few, plural
from vaekit.data.strict_json import Finite, from_document, require_different, to_document
from vaekit.errors import ArtifactError, DataError, UsageError
from vaekit.language.grammar import did_you_mean, read_pairs

__all__ = ["ConditionSchema", "parse_condition", "parse_given"]

_REMEMBERED = 1000  # combinations of the training rows, to draw from


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
                f"the model is conditional: say under which condition, as in given={self._example()!r}, or "
                "given='data' to draw conditions as the training rows had them; it has "
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

    def decode(self, c: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of each condition, by name, of :math:`c` for each row, (n, width)."""
        ends = np.cumsum([condition.width for condition in self.conditions])
        parts = np.split(np.asarray(c), ends[:-1], axis=1)
        return {
            condition.name: condition.decode(part)
            for condition, part in zip(self.conditions, parts, strict=True)
        }

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


def parse_given(text: str) -> dict[str, str]:
    """Read ``label=3,age=40``.

    >>> parse_given("label=3,age=40")
    {'label': '3', 'age': '40'}
    """
    return read_pairs(text.split(","), f"given {text!r}", example="name=value; write label=3,age=40")


def parse_condition(text: str) -> tuple[str, ConditionKind]:
    """Read ``COLUMN`` or ``COLUMN:categorical`` or ``COLUMN:continuous``.

    >>> parse_condition("age:continuous"), parse_condition("labels")
    (('age', 'continuous'), ('labels', 'auto'))
    """
    name, colon, kind = text.rpartition(":")
    if colon and kind in ("categorical", "continuous"):
        return name, "categorical" if kind == "categorical" else "continuous"
    if not text.strip():
        raise UsageError("a condition without a name; give the name of a column, or labels")
    return text, "auto"
