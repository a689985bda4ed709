"""The outcome of a law that was tested on a model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Literal, NamedTuple, ParamSpec

__all__ = ["LawResult", "Outcome", "broken", "holds", "law", "unseen"]

P = ParamSpec("P")


@dataclass(frozen=True)
class LawResult:
    """The outcome of one law.

    Parameters
    ----------
    law
        The law, in words.
    outcome
        ``holds``, ``broken``, or ``not checked``.
    detail
        The evidence; for a broken law, its usual cause too.

    Examples
    --------
    >>> print(LawResult("encode is deterministic", "holds", "two calls, the same bytes"))
    holds        encode is deterministic: two calls, the same bytes
    """

    law: str
    outcome: Literal["holds", "broken", "not checked"]
    detail: str

    def __str__(self) -> str:
        return f"{self.outcome:<12} {self.law}: {self.detail}"


class Outcome(NamedTuple):
    """An outcome and its details, before the name of the law is added."""

    outcome: Literal["holds", "broken", "not checked"]
    detail: str


def holds(detail: str) -> Outcome:
    """Return the outcome of a law that holds."""
    return Outcome("holds", detail)


def broken(detail: str) -> Outcome:
    """Return the outcome of a law that is broken."""
    return Outcome("broken", detail)


def unseen(detail: str) -> Outcome:
    """Return the outcome of a law that could not be checked."""
    return Outcome("not checked", detail)


def law(name: str) -> Callable[[Callable[P, Outcome]], Callable[P, LawResult]]:
    """Name the law that a function tests; an exception that the model raises counts as a broken law."""

    def named(function: Callable[P, Outcome]) -> Callable[P, LawResult]:
        @wraps(function)
        def applied(*arguments: P.args, **options: P.kwargs) -> LawResult:
            try:
                return LawResult(name, *function(*arguments, **options))
            except Exception as error:
                return LawResult(name, *broken(f"{type(error).__name__}: {error}"))

        return applied

    return named
