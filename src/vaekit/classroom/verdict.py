"""What the examination of one function gives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vaekit.classroom.calling import UncallableError
from vaekit.classroom.report import Finding

__all__ = ["Verdict", "best_verdict"]

Way = TypeVar("Way")
VAGUE = ("wrong-value", "wrong-shape", "kl-below-zero", "raised")


@dataclass
class Verdict:
    """The style that a function follows, by aspect, and the findings about it."""

    style: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def cost(self) -> int:
        """How far it is from right: a note counts least, a mistake that no known one explains most."""
        costs = [1 if f.severity == "note" else 9 if f.code in VAGUE else 3 for f in self.findings]
        return sum(costs) + ("weight" in self.style)


def best_verdict(ways: Iterable[Way], examine: Callable[[Way], Verdict]) -> Verdict:
    """Examine a function as if its arguments came in each of these ways; the kindest reading wins.

    Raises
    ------
    UncallableError
        If the function accepts none of them; what it said to the first.
    """
    best: Verdict | None = None
    refused: UncallableError | None = None
    for way in ways:
        try:
            verdict = examine(way)
        except UncallableError as error:
            refused = refused or error
            continue
        if best is None or verdict.cost < best.cost:
            best = verdict
        if best.cost <= 1:
            break
    if best is None:
        raise refused or UncallableError("there is no way to call it")
    return best
