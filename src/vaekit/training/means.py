"""Means of an epoch's results: kept per example on the device, summed in float64 at the end.

Every hundred steps theirs are put together: thousands of small tensors would stand between what a step needs for a
moment, and memory would grow with every step.
"""

import torch
from torch import Tensor

from vaekit.objectives import ObjectiveResult

__all__ = ["Means"]

_TOGETHER = 100  # steps
_PER_EXAMPLE = ("bound", "reconstruction", "kl", "kl_per_dimension")


class Means:
    """The results of an epoch's steps so far, and the norms of their gradients."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Tensor]] = {}
        self._fresh: dict[str, list[Tensor]] = {}
        self._steps = 0

    def add(self, result: ObjectiveResult, norm: Tensor | None) -> None:
        """Keep a batch: a few references, and once in a while some copies."""
        for name in _PER_EXAMPLE:
            if (term := getattr(result, name)) is not None:
                self._fresh.setdefault(name, []).append(term.detach())
        if norm is not None:
            self._fresh.setdefault("norm", []).append(norm.detach().reshape(1))
        self._steps += 1
        if self._steps % _TOGETHER == 0:
            for name, values in self._fresh.items():
                self._kept.setdefault(name, []).append(torch.cat(values))
            self._fresh = {}

    def _all(self) -> dict[str, list[Tensor]]:
        names = {**self._kept, **self._fresh}
        return {name: [*self._kept.get(name, ()), *self._fresh.get(name, ())] for name in names}

    def __getitem__(self, name: str) -> Tensor | None:
        """All of a term, ``(examples, ...)`` float64; None where there is none of it."""
        kept = self._all()
        return torch.cat(kept[name]).double() if name in kept else None

    def mean(self, name: str) -> Tensor:
        """Mean of a term over the examples, float64.

        >>> from vaekit.objectives import ObjectiveResult
        >>> means = Means()
        >>> means.add(ObjectiveResult(*4 * [torch.arange(3.0)], None), norm=None)
        >>> means.mean("kl"), means["kl_per_dimension"]
        (tensor(1., dtype=torch.float64), None)
        """
        return torch.cat(self._all()[name]).double().mean(0)

    def copy(self) -> "Means":
        """What is kept now, and nothing that is added later."""
        other = Means()
        other._kept = {name: list(values) for name, values in self._kept.items()}
        other._fresh = {name: list(values) for name, values in self._fresh.items()}
        other._steps = self._steps
        return other

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for a checkpoint."""
        return {name: torch.cat(values) for name, values in self._all().items()}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "Means":
        """Go on from :meth:`tensors`."""
        means = cls()
        means._kept = {name: [value] for name, value in tensors.items()}
        return means
