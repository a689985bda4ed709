"""The one little grammar: ``name:key=value,key=value`` <-> a name and typed options; and the nearest name.

Sentences of parts, optimisers, schedules and conditions are all written so::

    mlp:hidden=200x200,activation=tanh      lists are written with an x
    mlp:hidden=none                         the empty list, or no value
    rmsprop:centered=true
    elbo:beta=linear:0..1/10                a type that reads itself: it has a classmethod ``parse`` and a ``form``

The options of a name are the keyword-only parameters of the function or class behind it, with the types they are
annotated with: there is no second list of them anywhere.
"""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from vaekit.errors import UsageError

__all__ = [
    "did_you_mean",
    "nearest",
    "option_parameters",
    "read_choice",
    "read_pairs",
    "there_are",
    "write_choice",
]


def read_choice(
    what: str, text: str, choices: Mapping[str, Callable[..., Any]]
) -> tuple[str, dict[str, Any]]:
    """Read a name and its options, every one of them: those that are not written have their default.

    Parameters
    ----------
    what
        What is chosen, for messages.
    text
        ``name`` or ``name:key=value,key=value``.
    choices
        What there is, by name.

    Raises
    ------
    UsageError
        For an unknown name or key (the nearest is suggested), a key given twice, or a value of the wrong type.

    Examples
    --------
    >>> def adam(*, epsilon: float = 1e-8, fused: bool = True): ...
    >>> read_choice("optimizer", "adam:epsilon=1e-4", {"adam": adam})
    ('adam', {'epsilon': 0.0001, 'fused': True})
    >>> read_choice("optimizer", "adan", {"adam": adam})
    Traceback (most recent call last):
    vaekit.errors.UsageError: unknown optimizer 'adan'; did you mean 'adam'? There are: adam
    """
    name, colon, rest = text.strip().partition(":")
    if name not in choices:
        raise UsageError(f"unknown {what} {name!r}{there_are(name, choices)}")
    if colon and not rest:
        raise UsageError(f"{what} {text!r} ends in a colon; write {name!r}, or {name}:key=value")
    parameters = option_parameters(choices[name])
    options = {key: parameter.default for key, parameter in parameters.items()}
    for key, value in read_pairs(rest.split(",") if rest else (), f"{what} {text!r}").items():
        if key not in parameters:
            raise UsageError(f"{name} has no option {key!r}{there_are(key, parameters)}")
        options[key] = _read(value, parameters[key].annotation, f"{name}: {key}={value}")
    return name, options


def write_choice(name: str, options: Mapping[str, Any]) -> str:
    """Write a name and its options so that :func:`read_choice` reads them.

    >>> write_choice("mlp", {"hidden": (200, 100), "dropout": 0.0, "limit": None})
    'mlp:hidden=200x100,dropout=0.0,limit=none'
    """
    written = ",".join(f"{key}={_write(value)}" for key, value in options.items())
    return f"{name}:{written}" if written else name


def read_pairs(pieces: Iterable[str], what: str, *, example: str = "key=value") -> dict[str, str]:
    """Read ``key=value`` from each piece, every key once.

    Raises
    ------
    UsageError
        For a piece that is not of that form, or a key that is there twice; the message begins with ``what``.

    Examples
    --------
    >>> read_pairs(["label=3", "age = 40"], "given")
    {'label': '3', 'age': '40'}
    """
    pairs: dict[str, str] = {}
    for piece in pieces:
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not (key and equals and value):
            raise UsageError(f"{what}: {piece!r} is not of the form {example}")
        if key in pairs:
            raise UsageError(f"{what} gives {key!r} twice")
        pairs[key] = value
    return pairs


def option_parameters(part: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of a function or class: its keyword-only parameters, by name."""
    signature = inspect.signature(part, eval_str=True)
    return {p.name: p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that is near to a name, or None.

    Near is a name with most of its letters in the same order or all of them in another, or that begins as the other one
    does. Upper and lower case are not told apart.

    >>> nearest("conv", ["mlp", "convolutional"]), nearest("fti", ["info", "fit"]), nearest("nofile", ["people"])
    ('convolutional', 'fit', None)
    """
    by_lower_case, wanted = {candidate.lower(): candidate for candidate in candidates}, name.lower()
    near = difflib.get_close_matches(wanted, by_lower_case, n=1, cutoff=0.75)
    near = near or [other for other in by_lower_case if sorted(other) == sorted(wanted)]
    near = near or [
        other
        for other in by_lower_case
        if min(len(other), len(wanted)) > 2 and (other.startswith(wanted) or wanted.startswith(other))
    ]
    return by_lower_case[near[0]] if near else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``"; did you mean 'NAME'?"`` with the nearest of the candidates, or an empty string.

    >>> did_you_mean("digit", ["digits", "mnist"]), did_you_mean("zebra", ["digits", "mnist"])
    ("; did you mean 'digits'?", '')
    """
    near = nearest(name, candidates)
    return f"; did you mean {near!r}?" if near else ""


def there_are(name: str, known: Iterable[str]) -> str:
    """Say which names there are instead of an unknown one, the nearest first.

    >>> there_are("gm", ["gmm", "flow"])
    "; did you mean 'gmm'? There are: gmm, flow"
    """
    names = list(known)
    return (did_you_mean(name, names) or ";") + (
        f" There are: {', '.join(names)}" if names else " it takes no options"
    )


def _read(value: str, annotation: Any, where: str) -> Any:
    """Read a value of an annotated type; raises a UsageError that says what was expected."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        choices = typing.get_args(annotation)
        if value not in choices:
            raise UsageError(where + there_are(value, choices))
        return value
    if origin in (types.UnionType, typing.Union):
        return _read_union(value, typing.get_args(annotation), where)
    if origin is tuple:
        item = typing.get_args(annotation)[0]
        return () if value == "none" else tuple(_read(token, item, where) for token in value.split("x"))
    if annotation is bool:
        if value not in ("true", "false"):
            raise UsageError(f"{where}: expected true or false")
        return value == "true"
    if annotation is str:
        return value
    try:
        return annotation(value)
    except ValueError:
        expected = {int: "a whole number", float: "a number"}[annotation]
        raise UsageError(f"{where}: {value!r} is not {expected}") from None


def _read_union(value: str, members: tuple[Any, ...], where: str) -> Any:
    """Read ``none``, a plain value, or a value of a type that reads itself, of which there is at most one."""
    if value == "none" and type(None) in members:
        return None
    plain, *others = (member for member in members if member is not type(None))
    if not others:
        return _read(value, plain, where)
    (reads_itself,) = others
    try:
        return reads_itself.parse(value) if ":" in value else _read(value, plain, where)
    except UsageError as error:
        message = f"{where}: {error}" if ":" in value else f"{error}, nor {reads_itself.form}"
        raise UsageError(message) from None


def _write(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return "x".join(map(_write, value))
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
