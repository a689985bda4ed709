"""An experiment on tables, as ``vaekit reproduce`` lists it and runs it: named steps, and figures to compare with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from vaekit.reproductions.figures import Figure

__all__ = ["Step", "TableExperiment", "means_over_steps"]

#: Measures one part of an experiment from the folder of the data and a seed, and returns its figures by name.
Step = Callable[[Path | None, int], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class TableExperiment:
    """An experiment on tables.

    Parameters
    ----------
    name
        The name that ``vaekit reproduce`` takes.
    title
        A short description.
    source
        Where the protocol comes from, and who says so.
    unit
        The unit of its figures.
    files
        The files of data that it needs, each with its sub-folder, as ``outliers/45_wine.npz``.
    cut
        Which rows and columns are taken, and what is hidden or changed in them.
    seeds
        What the seed decides.
    steps
        Its parts by name, in their order: each is measured in one go, and noted. A figure ``F`` of the part ``P`` is
        named ``P, F``.
    summary
        Figures over all parts, from the figures by name.
    references
        Numbers to compare with, by the names of the figures.
    spread
        In words, where these numbers come from and what their spread is.
    deviations
        Differences from the source, in words.
    """

    name: str
    title: str
    source: str
    unit: str
    files: tuple[str, ...]
    cut: str
    seeds: str
    steps: Mapping[str, Step]
    summary: Callable[[Mapping[str, float]], dict[str, float]] = field(default=lambda figures: {})
    references: Mapping[str, Figure] = field(default_factory=dict)
    spread: str
    deviations: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return everything that makes its numbers comparable, as a dictionary for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "unit": self.unit,
            "files": list(self.files),
            "cut": self.cut,
            "seeds": self.seeds,
            "steps": list(self.steps),
            "references": self.spread,
            "deviations": self.deviations or "none known",
        }


def means_over_steps(*endings: str) -> Callable[[Mapping[str, float]], dict[str, float]]:
    """Return a summary: the mean of each figure over the steps that have it.

    >>> figures = {"wine, AUROC": 0.9, "wine, seconds": 3.0, "vowels, AUROC": 0.8}
    >>> round(means_over_steps("AUROC")(figures)["mean AUROC"], 2)
    0.85
    """

    def summary(figures: Mapping[str, float]) -> dict[str, float]:
        return {
            f"mean {ending}": fmean(value for name, value in figures.items() if name.endswith(f", {ending}"))
            for ending in endings
        }

    return summary
