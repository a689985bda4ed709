"""Ids that are new: whole numbers beyond the largest, or text of the same pattern, none of them an id of the source.

Text with a number in one place (``C00017``, ``2024-3``) goes on counting. Any other text gets, in each place, a
character of the kind that stands there in the source: a digit for a digit, a letter of the same case for a letter
(from a to f where no other stands in any), and the character itself where it is always the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vaekit.data.messages import few
from vaekit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FreshIds", "with_new_ids"]

_PARTS = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_ALPHABETS = ("0123456789", "abcdef", "ABCDEF", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TRIES = 20


@dataclass(frozen=True)
class FreshIds:
    """A column of ids.

    Parameters
    ----------
    name
        Its name.
    known
        The ids of the source, without holes.

    Raises
    ------
    DataError
        Where an id stands in several rows, is no whole number and no text, or there is none.

    Examples
    --------
    >>> FreshIds("id", [7, 12, 9]).draw(2, np.random.default_rng(0))
    [13, 14]
    >>> FreshIds("code", ["C007-x", "C012-x"]).draw(2, np.random.default_rng(0))
    ['C013-x', 'C014-x']
    >>> FreshIds("key", ["9a-K", "0f-M"]).draw(2, np.random.default_rng(0))
    ['6d-H', '0a-A']
    """

    name: str
    known: Sequence[Any] = field(repr=False)

    dtype: str | None = (
        None  #: The type of the column in the source, as pandas writes it; None: what the values make.
    )

    @classmethod
    def of(cls, column: "pd.Series") -> "FreshIds":
        """Take the ids from a column of a data frame; holes are left out."""
        return cls(str(column.name), column.dropna().tolist(), str(column.dtype))

    def __post_init__(self) -> None:
        if len(self.known) == 0:
            raise DataError(
                f"unique column {self.name!r}: it has no value, so that nothing tells what an id is"
            )
        if not self._are_numbers and not all(isinstance(value, str) for value in self.known):
            raise DataError(
                f"unique column {self.name!r}: {self.known[0]!r:.60} is neither a whole number nor text; expected ids"
            )
        different, counts = np.unique(np.array([str(value) for value in self.known]), return_counts=True)
        if (counts > 1).any():
            raise DataError(
                f"unique column {self.name!r}: {few([different[counts.argmax()]])} stands in {counts.max():,} rows; "
                "expected another value in every row"
            )

    def draw(self, n: int, generator: np.random.Generator) -> list[Any]:
        """Return n ids that are different from each other and from those of the source.

        Raises
        ------
        DataError
            Where the pattern has not so many.
        """
        if self._are_numbers:
            largest = max(int(value) for value in self.known)
            return list(range(largest + 1, largest + 1 + n))
        counted = self._counted(n)
        return self._by_pattern(n, generator) if counted is None else counted

    @property
    def _are_numbers(self) -> bool:
        return all(
            isinstance(value, int | np.integer)
            or (isinstance(value, float | np.floating) and float(value).is_integer())
            for value in self.known
        )

    def _counted(self, n: int) -> list[str] | None:
        """Return the texts with the next numbers, where all are one text around a number."""
        found = [_PARTS.fullmatch(text) for text in self.known]
        parts = [each.groups() for each in found if each is not None]
        if len(parts) < len(self.known) or len({(before, after) for before, _, after in parts}) > 1:
            return None
        digits = [number for _, number, _ in parts]
        width = len(digits[0]) if len({len(number) for number in digits}) == 1 else 0
        largest = max(map(int, digits))
        if any(len(number) > 1 and number[0] == "0" for number in digits) and len(str(largest + n)) > width:
            return None  # no place for further zeros
        before, _, after = parts[0]
        return [f"{before}{number:0{width}d}{after}" for number in range(largest + 1, largest + 1 + n)]

    def _by_pattern(self, n: int, generator: np.random.Generator) -> list[str]:
        """Return random texts, each with the kinds of characters of one of the source."""
        alphabets = self._alphabets()
        taken, found = set(self.known), list[str]()
        for _ in range(_TRIES * n):
            if len(found) == n:
                break
            model = self.known[int(generator.integers(len(self.known)))]
            text = "".join(
                letters[int(generator.integers(len(letters)))] if letters else character
                for character, letters in (
                    (c, alphabets.get((len(model), i, _kind(c)), "")) for i, c in enumerate(model)
                )
            )
            if text not in taken:
                taken.add(text)
                found.append(text)
        if len(found) < n:
            raise DataError(
                f"unique column {self.name!r}: {n:,} new ids were asked for, and only {len(found):,} others of the "
                f"pattern of {self.known[0]!r:.60} were found in {_TRIES * n:,} tries"
            )
        return found

    def _alphabets(self) -> dict[tuple[int, int, str], str]:
        """Return the characters for each place of texts of each length, and each kind that stands there."""
        there: dict[tuple[int, int, str], set[str]] = {}
        for text in self.known:
            for i, character in enumerate(text):
                there.setdefault((len(text), i, _kind(character)), set()).add(character)
        seen = {character for characters in there.values() for character in characters}
        kinds: dict[str, str] = {}
        for letters in _ALPHABETS:
            mine = {character for character in seen if _kind(character) == _kind(letters[0])}
            if mine <= set(letters):
                kinds.setdefault(_kind(letters[0]), letters)
        return {
            place: kinds.get(place[2], "") if len(characters) > 1 else ""
            for place, characters in there.items()
        }


def with_new_ids(
    frame: "pd.DataFrame", ids: Sequence[FreshIds], order: Sequence[str], random: np.random.Generator
) -> "pd.DataFrame":
    """Return rows with new values in columns of ids, and all columns in their order.

    Parameters
    ----------
    frame
        Rows without those columns.
    ids
        The columns.
    order
        The names of all columns of the source; those that are in neither are passed over.
    random
        Of the ids.
    """
    import pandas as pd

    new = {column.name: pd.Series(column.draw(len(frame), random), dtype=column.dtype) for column in ids}
    own = {str(name): name for name in frame.columns}
    columns = {name: frame[label] for name, label in own.items()} | new
    names = [*(name for name in columns if name not in order), *(name for name in order if name in columns)]
    return pd.DataFrame({own.get(name, name): columns[name] for name in names}, index=frame.index)


def _kind(character: str) -> str:
    """Return the kind of a character: a digit, a small or a capital letter of English, or itself."""
    for kind, first, last in (("digit", "0", "9"), ("small", "a", "z"), ("capital", "A", "Z")):
        if first <= character <= last:
            return kind
    return character
