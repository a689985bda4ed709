"""The findings of the checker, its verdict on each function, and its report on a file."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from vaekit.classroom.calling import UncallableError

__all__ = ["MISTAKES", "CheckReport", "Finding", "FunctionReport", "Verdict", "best_verdict", "render"]

Way = TypeVar("Way")

Severity = Literal["mistake", "stopped", "unfinished", "note"]

MISTAKES: dict[str, str] = {
    # sample_z
    "noise-shared-by-batch": "one noise vector is shared by the whole batch",
    "noise-shared-by-dimensions": "one noise number is shared by all latent dimensions",
    "noise-absent": "there is no noise: the result is not random",
    "noise-repeated": "the noise is the same in every call",
    "noise-not-standard-normal": "the noise is not standard normal",
    "noise-without-gradient": "no gradient passes through the noise's scale or the mean",
    # several
    "spread-mixed-up": "standard deviation, variance and log-variance are mixed up",
    "missing-half": "a factor 1/2 is missing",
    "missing-k": "the -k (the -1 of each dimension) is missing",
    "missing-term": "a term is missing",
    "mean-not-squared": "the mean enters without its square",
    "mean-for-sum": "a mean is taken where a sum belongs",
    "batch-reductions-differ": "one term is summed over the batch, the other averaged",
    "sign": "a sign is wrong",
    "kl-below-zero": "the divergence comes out below zero",
    "wrong-value": "the value is wrong",
    "wrong-shape": "the shape is wrong",
    "no-gradient": "the result has no gradient",
    # reconstruction
    "logits-as-probabilities": "a cross-entropy for probabilities is given logits",
    "probabilities-as-logits": "a cross-entropy for logits is given probabilities (two sigmoids)",
    "arguments-exchanged": "the reconstruction and the data are exchanged",
    # kl_gaussians
    "covariances-exchanged": "S1 and S2 are exchanged",
    "covariance-not-inverted": "S stands where its inverse belongs",
    "determinant-overflow": "a determinant overflows",
    # running
    "missing-function": "a function that was asked for is not in the file",
    "nothing-to-check": "the file has none of the functions",
    "raised": "the function raised an error",
    "syntax-error": "the file is not valid Python",
    "time-limit": "it ran past the time limit and was stopped",
    "memory-limit": "it ran past the memory limit and was stopped",
    "wrote-file": "it tried to change files and was stopped",
    "opened-socket": "it tried to use the network and was stopped",
    "started-process": "it tried to start or signal a process and was stopped",
    "ended-process": "it ended the process that checked it",
    # an exercise that is not filled in
    "not-done": "not done yet",
    # notes
    "weighted": "a term is weighted",
    "scaled": "the whole loss is scaled",
    "decoder-variance": "the decoder's variance is not 1",
    "rounding": "digits are lost",
    "not-checked": "not checked",
    "definitions-only": "only definitions were run",
}


@dataclass(frozen=True)
class Finding:
    """One mistake, or another thing to report about a file.

    Parameters
    ----------
    code
        A key of ``MISTAKES``. These do not change, so programs can rely on them.
    message
        What is wrong, what was seen, what was expected, and what to write instead.
    severity
        "mistake"; "stopped" for code that had to be stopped; "unfinished" for an exercise that is not filled in; or
        "note", which does not fail the check.
    function
        The role of the function, such as "kl_loss"; None if it concerns the whole file.
    where
        "line 12" or "cell 3, line 5", or None.
    """

    code: str
    message: str
    severity: Severity = "mistake"
    function: str | None = None
    where: str | None = None

    @property
    def title(self) -> str:
        """The mistake in a few words."""
        return MISTAKES[self.code]


VAGUE = ("wrong-value", "wrong-shape", "kl-below-zero", "raised")


@dataclass
class Verdict:
    """The conventions that a function follows, by aspect, and the findings about it."""

    style: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def cost(self) -> int:
        """The distance of the function from a right one: notes cost least, mistakes without a known cause most."""
        costs = [1 if f.severity == "note" else 9 if f.code in VAGUE else 3 for f in self.findings]
        return sum(costs) + ("weight" in self.style)


def best_verdict(ways: Iterable[Way], examine: Callable[[Way], Verdict]) -> Verdict:
    """Examine a function once for each way to pass its arguments, and return the most favourable verdict.

    Raises
    ------
    UncallableError
        If the function accepts none of the ways; with its error for the first.
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


@dataclass(frozen=True)
class FunctionReport:
    """The result for one function: its role, its name in the file, and the conventions that it follows."""

    role: str
    name: str
    where: str
    status: Literal["right", "wrong", "not checked", "not done yet"]
    style: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckReport:
    """The result for one file.

    Parameters
    ----------
    path
        The file.
    functions
        The functions that were found and checked.
    missing
        The roles for which the file has no function.
    found_names
        The names of all functions in the file.
    findings
        Mistakes, code that was stopped, and notes.
    """

    path: str
    functions: tuple[FunctionReport, ...]
    missing: tuple[str, ...]
    found_names: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no findings except notes."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The codes of mistakes and of code that was stopped, each once, in order."""
        wrong = ("mistake", "stopped")
        return tuple(dict.fromkeys(finding.code for finding in self.findings if finding.severity in wrong))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that can be written as JSON."""
        document = asdict(self)
        for entry, finding in zip(document["findings"], self.findings, strict=True):
            entry["title"] = finding.title
        return {"ok": self.ok, "mistakes": list(self.mistakes), **document}


def render(report: CheckReport) -> str:
    """Return the report as text.

    >>> found = Finding("missing-k", "write -1 for each dimension", function="kl_loss", where="line 3")
    >>> print(render(CheckReport("vae.py", (), ("sample_z",), ("kl_loss",), (found,))))
    vae.py: 1 mistake
    <BLANKLINE>
    mistake  kl_loss, line 3: the -k (the -1 of each dimension) is missing
             write -1 for each dimension
    <BLANKLINE>
    not in the file: sample_z (functions found: kl_loss)
    """
    severities = [finding.severity for finding in report.findings]
    undone = severities.count("unfinished")
    count = len(severities) - severities.count("note") - undone
    verdict = f"{count} mistake{'s' if count != 1 else ''}" if count else "no mistakes found"
    if undone:
        verdict += f", {undone} function{'s' if undone != 1 else ''} not done yet"
    lines = [f"{report.path}: {verdict}"]
    for function in report.functions:
        style = ", ".join(str(value) for value in function.style.values() if value != "")
        name = function.role if function.name == function.role else f"{function.role} ({function.name})"
        lines.append(f"  {name}, {function.where}: {function.status}" + (f"; {style}" if style else ""))
    for finding in report.findings:
        place = ", ".join(part for part in (finding.function, finding.where) if part)
        indent = "\n" + 9 * " "
        label = "to do" if finding.severity == "unfinished" else finding.severity
        lines += ["", f"{label:7s}  {place + ': ' if place else ''}{finding.title}"]
        lines[-1] += indent + finding.message.replace("\n", indent)
    if report.missing:
        found = ", ".join(report.found_names) or "none"
        lines += ["", f"not in the file: {', '.join(report.missing)} (functions found: {found})"]
    return "\n".join(lines)
