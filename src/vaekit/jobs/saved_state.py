"""Fitted objects as JSON and arrays, and back, strictly by the types that their classes declare.

A dataclass is written as its name and its fields, an array or a tensor as the name of one that is kept beside, and a
number that is not finite as a word. Reading goes by the annotations: a field gets what its class declares, and nothing
else is made. So there is no code in a file, and none runs but the constructors of the classes that were asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    Protocol,
    Self,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import numpy as np
import torch
from torch import Tensor

from vaekit.data import Schema
from vaekit.errors import ArtifactError, UsageError

__all__ = ["InParts", "pack", "unpack"]

_KIND, _ARRAY, _TRANSPOSED, _NUMBER = "is", "array", "transposed", "number"
_PLAIN = (bool, int, float, str, NoneType)


@runtime_checkable
class InParts(Protocol):
    """An object that is no dataclass, and says what it is made of."""

    def to_parts(self) -> Any:
        """Return its parts; the annotation of what is returned says how they are read again."""
        ...

    @classmethod
    def from_parts(cls, parts: Any) -> Self:
        """Return the object that has these parts."""
        ...


def pack(value: Any, where: str, arrays: dict[str, Tensor]) -> Any:
    """Return what JSON can hold of a value.

    Parameters
    ----------
    value
        Numbers, text, arrays, tensors, sequences, mappings with keys of text or whole numbers, dataclasses of
        all these, schemas, and objects :class:`InParts`.
    where
        The name of the value, for messages and for the names of its arrays.
    arrays
        Gets the arrays.

    Raises
    ------
    UsageError
        For a value of another kind, with its name.

    Examples
    --------
    >>> arrays = {}
    >>> pack({"a": (1, float("nan")), "b": np.ones(2)}, "x", arrays)
    {'a': [1, {'number': 'nan'}], 'b': {'array': 'x.b'}}
    >>> arrays["x.b"].tolist()
    [1.0, 1.0]
    """
    match value:
        case None | bool() | str():
            return value
        case np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if np.isfinite(value) else {_NUMBER: repr(float(value))}
        case Tensor():
            arrays[where] = value
            return {_ARRAY: where}
        case np.ndarray() if value.dtype.kind in "biuf":
            # an array that lies column by column is read so again: the order of a sum is part of its last digits
            transposed = value.flags.f_contiguous and not value.flags.c_contiguous
            arrays[where] = torch.from_numpy(np.array(value.T if transposed else value, order="C"))
            return {_ARRAY: where} | ({_TRANSPOSED: True} if transposed else {})
        case Mapping():
            return {str(key): pack(item, f"{where}.{key}".lstrip("."), arrays) for key, item in value.items()}
        case list() | tuple():
            return [pack(item, f"{where}.{i}", arrays) for i, item in enumerate(value)]
        case Schema():
            return value.to_json()
        case InParts():
            return {_KIND: type(value).__name__, "parts": pack(value.to_parts(), where, arrays)}
        case _ if is_dataclass(value):
            own = {field.name: getattr(value, field.name) for field in fields(value)}
            return {_KIND: type(value).__name__} | pack(own, where, arrays)
        case _:
            raise UsageError(
                f"{where}: {value!r:.60} is a {type(value).__name__}, which an artifact cannot hold; give numbers, "
                "text or lists of these"
            )


def unpack(document: Any, kind: Any, where: str, arrays: Mapping[str, Tensor]) -> Any:
    """Return the value that :func:`pack` has written.

    Parameters
    ----------
    document
        What JSON holds of it.
    kind
        Its type, as an annotation writes it: ``Any`` for numbers, text, lists and dictionaries of these.
    where
        The name of the value, for messages.
    arrays
        The arrays by name.

    Raises
    ------
    ArtifactError
        For a value of another type, or an array that is not there.

    Examples
    --------
    >>> unpack([1, {"number": "nan"}], tuple[int, float], "x", {})
    (1, nan)
    >>> unpack([1, "2"], list[int], "x", {})
    Traceback (most recent call last):
    vaekit.errors.ArtifactError: x.1: '2'; expected int; was the file edited?
    """
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if kind is Any:
        return _without_words(document)
    if origin in (Union, UnionType):
        return _of_union(document, arguments, where, arrays)
    if origin is Literal:
        return document if document in arguments else _refuse(document, kind, where)
    if kind in _PLAIN:
        return _plain(document, kind, where)
    if origin in (np.ndarray, Tensor):
        return _array(document, origin, where, arrays)
    if origin in (tuple, list, Sequence) and isinstance(document, list):
        fixed = origin is tuple and arguments[-1] is not Ellipsis
        kinds = arguments if fixed else arguments[:1] * len(document)
        if len(kinds) != len(document):
            _refuse(document, kind, where)
        items = (
            unpack(item, each, f"{where}.{i}", arrays)
            for i, (item, each) in enumerate(zip(document, kinds, strict=True))
        )
        return tuple(items) if origin is tuple else list(items)
    if origin in (dict, Mapping) and isinstance(document, dict):
        return {
            arguments[0](key): unpack(item, arguments[1], f"{where}.{key}", arrays)
            for key, item in document.items()
        }
    if kind is Schema:
        return Schema.from_json(document)
    return _object(document, kind, where, arrays)


def _of_union(document: Any, kinds: Sequence[Any], where: str, arrays: Mapping[str, Tensor]) -> Any:
    tag = document.get(_KIND) if isinstance(document, dict) else None
    for kind in kinds:
        if tag is not None and isinstance(kind, type) and tag in [each.__name__ for each in _kinds_of(kind)]:
            return unpack(document, kind, where, arrays)
    for kind in kinds:
        try:
            return unpack(document, kind, where, arrays)
        except ArtifactError as error:
            if kind is kinds[-1]:
                raise error
    return None


def _plain(document: Any, kind: type, where: str) -> Any:
    value = _without_words(document)
    same = type(value) is kind or (kind is float and type(value) is int)
    return value if same else _refuse(document, kind, where)


def _array(document: Any, kind: Any, where: str, arrays: Mapping[str, Tensor]) -> Any:
    name = document.get(_ARRAY) if isinstance(document, dict) else None
    if name is None:
        return _refuse(document, kind, where)
    if name not in arrays:
        raise ArtifactError(f"{where}: there is no array {name!r:.60} in the file; was it edited?")
    found = arrays[name].clone()  # its memory is then aligned as that of any other
    if kind is Tensor:
        return found
    return np.asfortranarray(found.numpy().T) if document.get(_TRANSPOSED) else found.numpy()


def _object(document: Any, kind: Any, where: str, arrays: Mapping[str, Tensor]) -> Any:
    """Return an object of a class, or of one of its kinds."""
    named = {each.__name__: each for each in _kinds_of(kind)} if isinstance(kind, type) else {}
    if not isinstance(document, dict) or document.get(_KIND) not in named:
        return _refuse(document, kind, where)
    found = cast("Any", named[document[_KIND]])
    if issubclass(found, InParts):
        return found.from_parts(
            unpack(document.get("parts"), _hints(found.to_parts)["return"], where, arrays)
        )
    hints, own = _hints(found), list(fields(found))
    if {*document} != {_KIND, *(field.name for field in own)}:
        _refuse(sorted(document), kind, where)
    values = {
        field.name: unpack(document[field.name], hints[field.name], f"{where}.{field.name}", arrays)
        for field in own
    }
    if all(field.init for field in own):
        return found(**values)
    restored = found.__new__(found)  # fields that the constructor would fit again are as they were
    vars(restored).update(values)
    return restored


def _kinds_of(kind: type) -> list[type]:
    return [kind, *(each for sub in kind.__subclasses__() for each in _kinds_of(sub))]


@cache
def _hints(thing: Any) -> dict[str, Any]:
    return get_type_hints(thing)


def _without_words(document: Any) -> Any:
    """Return plain values with numbers in the place of their words."""
    if isinstance(document, list):
        return [_without_words(item) for item in document]
    if not isinstance(document, dict):
        return document
    if {*document} == {_NUMBER} and document[_NUMBER] in ("nan", "inf", "-inf"):
        return float(document[_NUMBER])
    return {key: _without_words(item) for key, item in document.items()}


def _refuse(document: Any, kind: Any, where: str) -> Any:
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    raise ArtifactError(f"{where}: {document!r:.60}; expected {name}; was the file edited?")
