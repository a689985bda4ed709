"""``name:option=value,...``: a choice among a few dataclasses, as settings write it."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from vaekit.errors import UsageError

__all__ = ["parse_choice"]

Choice = TypeVar("Choice")

_TRUTHS = {"true": True, "false": False}


def parse_choice(what: str, text: str, choices: Mapping[str, type[Choice]]) -> Choice:
    """Read a choice and its options, each a number or a truth value by the dataclass's own types.

    Parameters
    ----------
    what
        The name of the setting, for messages.
    text
        Such as ``one-cycle`` or ``one-cycle:warmup=0.2``.
    choices
        Dataclasses by name; their fields are the options, but for those whose metadata say ``option=False``.

    Raises
    ------
    UsageError
        For an unknown name or option, or a value of the wrong type; the message lists what there is.

    Examples
    --------
    >>> from vaekit.training.optimizers import OPTIMIZERS
    >>> parse_choice("optimizer", "adam:epsilon=1e-4", OPTIMIZERS)
    Adam(beta1=0.9, beta2=0.999, epsilon=0.0001)
    >>> parse_choice("optimizer", "adm", OPTIMIZERS)
    Traceback (most recent call last):
    vaekit.errors.UsageError: optimizer='adm': did you mean 'adam'? There are: adam, rmsprop
    """
    name, _, written = text.partition(":")
    if name not in choices:
        raise UsageError(f"{what}={text!r}: {_suggest(name, choices)}There are: {', '.join(choices)}")
    kind = choices[name]
    options_of = [option for option in fields(kind) if option.metadata.get("option", True)]  # type: ignore[arg-type]
    types = {option.name: type(option.default) for option in options_of}
    options: dict[str, Any] = {}
    for item in filter(None, written.split(",")):
        key, equals, value = item.partition("=")
        if key not in types or not equals:
            known = f"the options of {name}: {', '.join(types)}" if types else f"{name} has no options"
            raise UsageError(f"{what}={text!r}: {item!r} is not understood; {_suggest(key, types)}{known}")
        options[key] = _read(what, text, key, value, types[key])
    return kind(**options)


def _read(what: str, text: str, key: str, value: str, kind: type) -> Any:
    try:
        return _TRUTHS[value] if kind is bool else kind(value)
    except (ValueError, KeyError):
        expected = {bool: "true or false", int: "a whole number"}.get(kind, "a number")
        raise UsageError(f"{what}={text!r}: {key}={value!r} should be {expected}") from None


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""
