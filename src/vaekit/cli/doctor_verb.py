"""``vaekit doctor NAME.vae DATA``: whether to trust a model, and what is wrong with it, the worst first."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vaekit.cli.options import ModelVerb
from vaekit.cli.printing import print_json

if TYPE_CHECKING:
    from vaekit.application import ArtifactDiagnosis

__all__ = ["Doctor"]

_WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class Doctor(ModelVerb):
    """Say what is wrong with a model: findings with numbers, their errors, and what to try, the worst first.

    On the data it was fitted on, its held-out rows are looked at, beside the training rows; on other data, all rows.
    Exit status 0: healthy, 1: there are findings.
    """

    report: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="OUT.html", help="Write a page as well, with a picture of the calibration of each column."
        ),
    ] = None
    seed: Annotated[int, tyro.conf.arg(help="Of the noise.")] = 0
    seeds: Annotated[
        int,
        tyro.conf.arg(
            metavar="N",
            help="Fit the model N times more, on few rows, and say which findings hang on the seed.",
        ),
    ] = 0

    def run(self) -> int:
        """Diagnose and print."""
        from vaekit.application import diagnose_artifact, write_diagnosis

        result = diagnose_artifact(
            self.artifact, self.data, seed=self.seed, seeds=self.seeds, **self.opening()
        )
        page = None if self.report is None else str(write_diagnosis(result, self.report))
        if self.json:
            print_json(result.to_json() | ({} if page is None else {"report": page}))
        else:
            end = [] if page is None else ["", f"{page}: the same with pictures"]
            print("\n".join([*_lines(result), *end]))
        return 0 if result.diagnosis.healthy else 1


def _lines(result: "ArtifactDiagnosis") -> list[str]:
    found = result.diagnosis
    count = len(found.findings)
    verdict = "healthy" if found.healthy else f"{count} finding{'s' * (count > 1)}, the worst first"
    lines = [f"{result.artifact}: {verdict} ({result.split}: {found.rows:,} rows of {result.source})"]
    for i, finding in enumerate(found.findings, 1):
        lines += ["", *_wrapped(f"{i}. ", finding.title), *_wrapped("   ", finding.text)]
        lines += [line for advice in finding.advice for line in _wrapped("   try  ", advice.replace("`", ""))]
    if found.passed:
        lines += ["", "in order"]
        lines += [line for text in found.passed for line in _wrapped("   ", text)]
    if found.not_checked:
        lines += ["", "not checked"]
        lines += [line for text in found.not_checked for line in _wrapped("   ", text)]
    return lines


def _wrapped(first: str, text: str) -> list[str]:
    """Cut a text into lines, but no command in two.

    >>> _wrapped("1. ", "a word")
    ['1. a word']
    """
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
