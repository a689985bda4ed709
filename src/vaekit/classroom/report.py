"""What the checker has to say: findings, one report per function, one per file, and their text."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["MISTAKES", "CheckReport", "Finding", "FunctionReport", "render"]

Severity = Literal["mistake", "stopped", "note"]

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
    """One thing to say about a file.

    Parameters
    ----------
    code
        A key of ``MISTAKES``: stable, for programs.
    message
        What is wrong, what was seen and what was expected, and what to write instead.
    severity
        "mistake"; "stopped" for code that had to be stopped; or "note", which does not fail the check.
    function
        The role it concerns, such as "kl_loss", or None for the file.
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
        return MISTAKES[self.code]


@dataclass(frozen=True)
class FunctionReport:
    """One function: its role, its name in the file, and the style it was found to follow."""

    role: str
    name: str
    where: str
    status: Literal["right", "wrong", "not checked"]
    style: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckReport:
    """All about one file.

    Parameters
    ----------
    path
        The file.
    functions
        The functions that were found and checked.
    missing
        The roles for which the file has no function.
    found_names
        All functions of the file, by name.
    findings
        Mistakes, stops and notes.
    """

    path: str
    functions: tuple[FunctionReport, ...]
    missing: tuple[str, ...]
    found_names: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing but notes was found."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def mistakes(self) -> tuple[str, ...]:
        """The codes of what is not a note, each once, in order."""
        return tuple(dict.fromkeys(finding.code for finding in self.findings if finding.severity != "note"))

    def to_dict(self) -> dict[str, Any]:
        """Give a dictionary of JSON's types."""
        document = asdict(self)
        for entry, finding in zip(document["findings"], self.findings, strict=True):
            entry["title"] = finding.title
        return {"ok": self.ok, "mistakes": list(self.mistakes), **document}


def render(report: CheckReport) -> str:
    """Set a report as text.

    >>> found = Finding("missing-k", "write -1 for each dimension", function="kl_loss", where="line 3")
    >>> print(render(CheckReport("vae.py", (), ("sample_z",), ("kl_loss",), (found,))))
    vae.py: 1 mistake
    <BLANKLINE>
    mistake  kl_loss, line 3: the -k (the -1 of each dimension) is missing
             write -1 for each dimension
    <BLANKLINE>
    not in the file: sample_z (functions found: kl_loss)
    """
    count = sum(finding.severity != "note" for finding in report.findings)
    verdict = f"{count} mistake{'s' if count != 1 else ''}" if count else "no mistakes found"
    lines = [f"{report.path}: {verdict}"]
    for function in report.functions:
        style = ", ".join(str(value) for value in function.style.values() if value != "")
        name = function.role if function.name == function.role else f"{function.role} ({function.name})"
        lines.append(f"  {name}, {function.where}: {function.status}" + (f"; {style}" if style else ""))
    for finding in report.findings:
        place = ", ".join(part for part in (finding.function, finding.where) if part)
        indent = "\n" + 9 * " "
        lines += ["", f"{finding.severity:7s}  {place + ': ' if place else ''}{finding.title}"]
        lines[-1] += indent + finding.message.replace("\n", indent)
    if report.missing:
        found = ", ".join(report.found_names) or "none"
        lines += ["", f"not in the file: {', '.join(report.missing)} (functions found: {found})"]
    return "\n".join(lines)
