"""Findings about a model, and all of them together: what a diagnosis returns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from torch import Tensor

from vaekit.contracts import Model
from vaekit.evaluation import Estimate

__all__ = ["Chart", "ColumnCalibration", "Diagnosis", "Finding", "Patient", "SeedRun", "matters"]

_ERRORS = 4.0  # standard errors that an effect is to be beyond: over some hundred tests, hardly a false alarm


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a model.

    Parameters
    ----------
    name
        A short name of the kind of finding, such as ``prior-hole``.
    title
        The finding in a sentence, with its number.
    text
        Its meaning, and how it was measured.
    nats
        The effect, in nats per row, with its standard error: what would be gained without it.
    advice
        Things to try; a command stands between back quotes.
    """

    name: str
    title: str
    text: str
    nats: Estimate
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        tries = "".join(f"\n    try: {advice}" for advice in self.advice)
        return f"{self.title} [{self.name}]\n    {self.text}{tries}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {**vars(self), "nats": self.nats._asdict(), "advice": list(self.advice)}


@dataclass(frozen=True)
class ColumnCalibration:
    """The place of the values of a column in the model's own distribution of it: even, where the model is right.

    Parameters
    ----------
    column
        Its name.
    rows
        The number of its values that were looked at.
    shares
        The share of them in each of ten equal bins of the probability integral transform, 0.1 where all is well.
    coverage
        The share of them in the central intervals that should hold 50, 90 and 99 %, and its standard error.
    gain
        The nats a value that these bins would gain, on rows not used for them.
    """

    column: str
    rows: int
    shares: tuple[float, ...]
    coverage: dict[str, Estimate]
    gain: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        covered = {share: estimate._asdict() for share, estimate in self.coverage.items()}
        return {**vars(self), "shares": list(self.shares), "coverage": covered, "gain": self.gain._asdict()}


@dataclass(frozen=True)
class SeedRun:
    """A fit of the same model with another seed.

    Parameters
    ----------
    seed
        The seed.
    bound
        The evidence lower bound of held-out rows in nats; NaN where training diverged.
    active
        The number of latent dimensions with a mean KL above 0.01 nats; None where the KL is no sum over dimensions.
    findings
        The names of what the doctor found.
    """

    seed: int
    bound: Estimate
    active: int | None
    findings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {**vars(self), "bound": self.bound._asdict(), "findings": list(self.findings)}


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a model, the worst first.

    Parameters
    ----------
    findings
        By the size of their effect, in nats.
    passed
        What was looked at and found in order, each in a sentence with its number.
    not_checked
        What could not be looked at, each with the reason.
    rows
        The number of rows that it was looked at with.
    calibration
        Of each column of a table, in their order.
    seeds
        Fits with other seeds, where they were asked for.

    Examples
    --------
    >>> hole = Finding("prior-hole", "The prior has holes", "Measured.", Estimate(0.5, 0.1), ("`vaekit fit-prior`",))
    >>> found = Diagnosis([hole], ["the code is used"], [], 100)
    >>> found.healthy, str(found).splitlines()[0]
    (False, '1. The prior has holes [prior-hole]')
    """

    findings: Sequence[Finding]
    passed: Sequence[str] = ()
    not_checked: Sequence[str] = ()
    rows: int = 0
    calibration: Sequence[ColumnCalibration] = ()
    seeds: Sequence[SeedRun] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def names(self) -> list[str]:
        """The names of the findings."""
        return [finding.name for finding in self.findings]

    def __str__(self) -> str:
        found = [f"{i}. {finding}" for i, finding in enumerate(self.findings, 1)]
        found += [f"in order: {text}" for text in self.passed]
        return "\n".join([*found, *(f"not checked: {text}" for text in self.not_checked)])

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a document for JSON."""
        return {
            "healthy": self.healthy,
            "rows": self.rows,
            "findings": [finding.to_json() for finding in self.findings],
            "in_order": list(self.passed),
            "not_checked": list(self.not_checked),
            "calibration": [each.to_json() for each in self.calibration],
            "seeds": [each.to_json() for each in self.seeds],
        }


@dataclass(frozen=True)
class Patient:
    """A model with the rows that it is examined with.

    Parameters
    ----------
    model
        Anything with ``encode``, ``prior`` and ``decode``.
    x, c
        Held-out rows ``(n, *event)`` in the coordinates of the model, and their conditions.
    train, train_c
        Training rows, or None where they are not known.
    columns
        The names of the columns that the model sees, of a table; None for images.
    kinds
        The kind of each column, as :class:`vaekit.likelihoods.MixedLikelihood` names them; empty where not known.
    artifact, data
        How the command line names both, for advice.
    """

    model: Model
    x: Tensor
    c: Tensor | None = None
    train: Tensor | None = None
    train_c: Tensor | None = None
    columns: tuple[str, ...] | None = None
    kinds: tuple[str, ...] = ()
    artifact: str = "NAME.vae"
    data: str = "DATA"


@dataclass
class Chart:
    """The findings of an examination so far."""

    findings: list[Finding] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    calibration: list[ColumnCalibration] = field(default_factory=list)

    def closed(self, rows: int) -> Diagnosis:
        """Return the diagnosis, with the worst finding first."""
        ordered = sorted(self.findings, key=lambda finding: -finding.nats.mean)
        return Diagnosis(ordered, self.passed, self.not_checked, rows, self.calibration)


def matters(effect: Estimate, least: float) -> bool:
    """Return whether an effect is above a least size in nats, and beyond its error.

    >>> matters(Estimate(0.5, 0.1), 0.2), matters(Estimate(0.5, 0.2), 0.2), matters(Estimate(0.1, 0.001), 0.2)
    (True, False, False)
    """
    mean, error = effect
    return isfinite(mean) and mean > least and mean > _ERRORS * (error if isfinite(error) else 0.0)
