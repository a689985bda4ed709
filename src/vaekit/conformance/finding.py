"""What a law found."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Literal, NamedTuple, ParamSpec

__all__ = ["Finding", "Outcome", "broken", "holds", "law", "unseen"]

P = ParamSpec("P")


@dataclass(frozen=True)
class Finding:
    """The outcome of one law.

    Parameters
    ----------
    law
        What is held to be true, in words.
    outcome
        ``holds``, ``broken``, or ``not checked``.
    detail
        What was seen; with a broken law, what usually causes it.

    Examples
    --------
    >>> print(Finding("encode is deterministic", "holds", "two calls, the same bytes"))
    holds        encode is deterministic: two calls, the same bytes
    """

    law: str
    outcome: Literal["holds", "broken", "not checked"]
    detail: str

    def __str__(self) -> str:
        return f"{self.outcome:<12} {self.law}: {self.detail}"


class Outcome(NamedTuple):
    """What a law says of a model, before its name is put to it."""

    outcome: Literal["holds", "broken", "not checked"]
    detail: str


def holds(detail: str) -> Outcome:
    """Say that the law holds."""
    return Outcome("holds", detail)


def broken(detail: str) -> Outcome:
    """Say that the law is broken."""
    return Outcome("broken", detail)


def unseen(detail: str) -> Outcome:
    """Say that the law could not be looked at."""
    return Outcome("not checked", detail)


def law(name: str) -> Callable[[Callable[P, Outcome]], Callable[P, Finding]]:
    """Give a law its name; whatever a model under it raises breaks the law, and does not end the run."""

    def named(function: Callable[P, Outcome]) -> Callable[P, Finding]:
        @wraps(function)
        def applied(*arguments: P.args, **options: P.kwargs) -> Finding:
            try:
                return Finding(name, *function(*arguments, **options))
            except Exception as error:
                return Finding(name, *broken(f"{type(error).__name__}: {error}"))

        return applied

    return named
