"""Means of an epoch's results: kept per example on the device, summed in float64 at the end."""

import torch
from torch import Tensor

from vaekit.objectives import ObjectiveResult

__all__ = ["Means"]

_PER_EXAMPLE = ("bound", "reconstruction", "kl", "kl_per_dimension")


class Means:
    """The results of an epoch's steps so far, and the norms of their gradients."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Tensor]] = {}

    def add(self, result: ObjectiveResult, norm: Tensor | None) -> None:
        """Keep a batch: a few references and no work."""
        for name in _PER_EXAMPLE:
            if (term := getattr(result, name)) is not None:
                self._kept.setdefault(name, []).append(term.detach())
        if norm is not None:
            self._kept.setdefault("norm", []).append(norm.detach().reshape(1))

    def __getitem__(self, name: str) -> Tensor | None:
        """All of a term, ``(examples, ...)`` float64; None where there is none of it."""
        return torch.cat(self._kept[name]).double() if name in self._kept else None

    def mean(self, name: str) -> Tensor:
        """Mean of a term over the examples, float64.

        >>> from vaekit.objectives import ObjectiveResult
        >>> means = Means()
        >>> means.add(ObjectiveResult(*4 * [torch.arange(3.0)], None), norm=None)
        >>> means.mean("kl"), means["kl_per_dimension"]
        (tensor(1., dtype=torch.float64), None)
        """
        return torch.cat(self._kept[name]).double().mean(0)

    def copy(self) -> "Means":
        """What is kept now, and nothing that is added later."""
        other = Means()
        other._kept = {name: list(values) for name, values in self._kept.items()}
        return other

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for a checkpoint."""
        return {name: torch.cat(values) for name, values in self._kept.items()}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "Means":
        """Go on from :meth:`tensors`."""
        means = cls()
        means._kept = {name: [value] for name, value in tensors.items()}
        return means
