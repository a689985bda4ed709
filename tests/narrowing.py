"""What a test knows of a value and a type checker does not."""

from typing import Any, TypeVar

T = TypeVar("T")


def known(value: T | None) -> T:
    """Return a value that must be there."""
    assert value is not None
    return value


def untyped(value: object) -> Any:
    """Return a value without its type: an attribute of a module, say, or an argument that is wrong on purpose."""
    return value
