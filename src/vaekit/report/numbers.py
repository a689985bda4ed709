"""The table of numbers, and numbers as text with as many digits as their standard error supports."""

from dataclasses import dataclass, field
from math import exp, floor, hypot, isfinite, log, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaekit.evaluation import Estimate, Evaluation

__all__ = [
    "Advantage",
    "Row",
    "advantage",
    "count",
    "estimate",
    "main_result",
    "number",
    "number_rows",
    "times",
]


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Advantage:
    """The difference between a model's log-likelihood and that of its best baseline, in nats per example.

    Parameters
    ----------
    baseline
        The name of the best baseline.
    mean
        The mean difference, positive where the model is better.
    standard_error
        The standard error of the mean difference row by row. Where that was not measured, the two means count as
        independent, which makes it too large: rows that are hard for one are hard for the other.
    """

    baseline: str
    mean: float
    standard_error: float

    @property
    def outcome(self) -> str:
        """``above``, ``below``, or ``level`` if the difference is within two standard errors."""
        if abs(self.mean) <= 2 * self.standard_error or not isfinite(self.mean):
            return "level"
        return "above" if self.mean > 0 else "below"


@dataclass(frozen=True)
class Row:
    """A row of the table of numbers, with one cell and at most one remark for each split."""

    name: str
    cells: list[str]
    hint: str = ""
    remarks: list[str] = field(default_factory=list)
    kind: str = "model"


def number(value: float | None, decimals: int = 2) -> str:
    """Return a number as text, with a true minus sign.

    >>> number(-17.256), number(None), number(1234.5, 0)
    ('−17.26', '–', '1,234')
    """
    if value is None or not isfinite(value):
        return "\N{EN DASH}"
    return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def count(value: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{value:,} {singular if value == 1 else plural or singular + 's'}"


def estimate(value: "Estimate | tuple[float, float]") -> str:
    """Return a mean with its standard error as text, the error to two digits.

    >>> estimate((-17.2567, 0.1234)), estimate((-17.2567, 12.0)), estimate((3.0, float("nan")))
    ('−17.26 ± 0.12', '−17 ± 12', '3.00')
    """
    mean, error = value
    if not isfinite(error):
        return number(mean)
    decimals = 2 if error <= 0 else min(max(1 - floor(log10(error)), 0), 6)
    return f"{number(mean, decimals)} ± {number(error, decimals)}"


def times(nats: float) -> str:
    """Return in words how many times as probable something is, by a difference in nats.

    >>> times(0.05), times(1.0), times(10.0), times(100.0)
    ('1.05 times', '2.7 times', '22,000 times', '10⁴³ times')
    """
    if nats > log(1e6):
        return "10" + str(round(nats / log(10))).translate(_SUPERSCRIPTS) + " times"
    factor = exp(nats)
    digits = max(0, 1 - floor(log10(factor))) if factor >= 1.095 else 2
    if factor >= 10:
        factor = round(factor, 1 - floor(log10(factor)))
    return f"{factor:,.{digits}f} times"


def main_result(results: "dict[str, Evaluation]") -> "Evaluation | None":
    """Return the evaluation to judge by: test if there is one, else validation, else the first."""
    for name in ("test", "validation"):
        if name in results:
            return results[name]
    return next(iter(results.values()), None)


def advantage(result: "Evaluation") -> Advantage | None:
    """Return the advantage over the best baseline, or None if there is none."""
    finite = [b for b in result.baselines if isfinite(b.log_likelihood.mean)]
    if not finite:
        return None
    best = max(finite, key=lambda baseline: baseline.log_likelihood.mean)
    if best.advantage is not None:
        return Advantage(best.name, *best.advantage)
    ours, theirs = result.log_likelihood, best.log_likelihood
    error = hypot(*(e for e in (ours.standard_error, theirs.standard_error) if isfinite(e)))
    return Advantage(best.name, ours.mean - theirs.mean, error)


def number_rows(results: "dict[str, Evaluation]", *, noun: str = "row") -> list[Row]:
    """Return the table of numbers, with one row for each quantity and one column for each split."""
    splits = list(results.values())
    rows = [
        Row(
            "log-likelihood, log p(x)",
            [estimate(r.log_likelihood) for r in splits],
            "the measure that the model is judged by; higher is better",
        ),
        Row(
            "ELBO", [estimate(r.elbo) for r in splits], "the bound that training maximises: at most log p(x)"
        ),
        Row("reconstruction", [number(r.reconstruction) for r in splits], "expected log p(x|z)"),
        Row("KL", [number(r.kl) for r in splits], "cost of the latent code; ELBO = reconstruction − KL"),
        Row(
            "bits per dimension",
            [number(r.bits_per_dimension, 4) for r in splits],
            f"−log p(x) in bits, per number in each {noun}; lower is better",
        ),
        Row(
            "effective sample size",
            [number(r.effective_sample_size, 1) for r in splits],
            f"of {_samples(splits)} importance samples, on average; with a few dozen, log p(x) is reliable",
        ),
        Row(
            "its smallest value",
            [number(r.smallest_effective_sample_size, 1) for r in splits],
            f"for the {noun} whose estimate is least certain",
        ),
    ]
    names = list(dict.fromkeys(b.name for r in splits for b in r.baselines))
    for name in names:
        found = [{b.name: b for b in r.baselines}.get(name) for r in splits]
        cells = ["\N{EN DASH}" if b is None else estimate(b.log_likelihood) for b in found]
        remarks = ["" if b is None or b.advantage is None else _ahead(b.advantage) for b in found]
        rows.append(Row(name, cells, remarks=remarks, kind="baseline"))
    return rows


def _ahead(advantage: "Estimate") -> str:
    sign = "+" if advantage.mean > 0 else ""
    return f"model {sign}{estimate(advantage)}"


def _samples(splits: "list[Evaluation]") -> str:
    return " / ".join(f"{k:,}" for k in dict.fromkeys(r.samples for r in splits))
