"""Parts of ``model.json`` to objects, read strictly by msgspec, with messages for a person who edited the file.

A key that is unknown, or missing, or holds a value of another type, raises an
:class:`~vaekit.errors.ArtifactError` that names the place in the document, what stands there, and what was
expected.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import inspect

from vaekit.data.messages import few
from vaekit.errors import ArtifactError
from vaekit.language.grammar import did_you_mean

__all__ = ["AboveZero", "Finite", "from_document", "require_different", "to_document"]

_LARGEST = 1.7976931348623157e308  # of 64-bit floats

Finite = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
"""A number that is neither NaN nor infinite."""

AboveZero = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]
"""A finite number above 0."""

T = TypeVar("T")


def to_document(value: Any) -> Any:
    """Return dataclasses and structs as dictionaries, lists, text and numbers; floats survive JSON exactly.

    >>> to_document({"shape": (2, 3), "name": "a"})
    {'shape': [2, 3], 'name': 'a'}
    """
    if isinstance(value, dict):
        return {key: to_document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(item) for item in value]
    return value if isinstance(value, str | int | float | None) else to_document(msgspec.to_builtins(value))


def from_document(document: Any, kind: type[T], where: str) -> T:
    """Return the object that a document describes.

    Parameters
    ----------
    document
        What `to_document` returned, written as JSON and read again.
    kind : type
        A dataclass, or a struct of msgspec that forbids unknown fields. Its fields name the keys.
    where : str
        The place of the document in its file, for messages.

    Raises
    ------
    ArtifactError
        Naming the place that differs, what stands there, and what was expected.

    Examples
    --------
    >>> class Point(msgspec.Struct, forbid_unknown_fields=True):
    ...     x: Finite
    >>> from_document({"x": 2}, Point, "point").x
    2.0
    >>> from_document({"x": "2"}, Point, "point")
    Traceback (most recent call last):
        ...
    vaekit.errors.ArtifactError: point.x: '2'; expected a finite number; was the file edited?
    """
    if is_dataclass(kind) and isinstance(document, dict):  # msgspec ignores unknown keys of a dataclass
        names = [field.name for field in fields(kind)]
        for key in document:
            if key not in names:
                raise ArtifactError(_unknown_key(where, str(key), names))
    try:
        return msgspec.convert(document, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ArtifactError(_in_words(str(error), document, inspect.type_info(kind), where)) from error


def require_different(names: Sequence[str], where: str) -> None:
    """Raise an ArtifactError where a name stands more than once.

    >>> require_different(["a", "b"], "names")
    """
    if len(set(names)) < len(names):
        raise ArtifactError(
            f"{where}: names that stand more than once among {few(names)}; was the file edited?"
        )


def _in_words(problem: str, document: Any, expected: inspect.Type, where: str) -> str:
    """Return the message for a problem that msgspec found: its own message names neither value nor choices."""
    message, _, path = problem.partition(" - at `$")
    path = path.rstrip("`")
    found = document
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        found, expected = (
            (found[name], _field(expected, name)) if name else (found[int(index)], _item(expected))
        )
    place = f"{where}{path}"
    keys = [field.name for field in _object_fields(expected)]
    if unknown := re.match(r"Object contains unknown field `(.*)`", message):
        return _unknown_key(place, unknown[1], keys)
    if missing := re.match(r"Object missing required field `(.*)`", message):
        return f"{place}: missing key {missing[1]!r}; was the file edited?"
    shown = type(found).__name__ if keys else f"{found!r:.60}"
    return f"{place}: {shown}; expected {_type_in_words(expected)}; was the file edited?"


def _unknown_key(where: str, key: str, keys: Sequence[str]) -> str:
    return f"{where}: unknown key {key!r}{did_you_mean(key, keys) or '; was the file edited?'}"


def _field(kind: inspect.Type, name: str) -> inspect.Type:
    """Return the type of a field of an object."""
    return next(field.type for field in _object_fields(kind) if field.name == name)


def _item(kind: inspect.Type) -> inspect.Type:
    """Return the type of the items of a list."""
    alternatives = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return next(found.item_type for found in alternatives if isinstance(found, inspect.VarTupleType))


def _object_fields(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    """Return the fields of the type of an object; none for the types of other values."""
    alternatives = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    objects = (t for t in alternatives if isinstance(t, inspect.StructType | inspect.DataclassType))
    return next((found.fields for found in objects), ())


def _type_in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.UnionType():
            return " or ".join(map(_type_in_words, kind.types))
        case inspect.LiteralType():
            return f"one of {few(kind.values, 20)}"
        case inspect.StructType() | inspect.DataclassType():
            return f"an object with the keys {few([field.name for field in kind.fields], 9)}"
        case inspect.DictType():
            return "an object"
        case inspect.VarTupleType():
            least = f" of at least {kind.min_length}" if kind.min_length else ""
            return f"a list{least}"
        case inspect.FloatType():
            return "a finite number above 0" if kind.gt == 0 else "a finite number"
        case inspect.IntType():
            return "a whole number" + ("" if kind.ge is None else f" of at least {kind.ge}")
        case inspect.StrType():
            return "text"
        case inspect.BoolType():
            return "true or false"
        case _:
            return "null"
