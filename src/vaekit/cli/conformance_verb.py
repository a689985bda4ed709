"""``vaekit conformance``: the laws of variational autoencoders, held to vaekit's own parts or to anybody's model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from vaekit.cli.options import JsonFlag
from vaekit.cli.printing import print_json

if TYPE_CHECKING:
    from vaekit.conformance import LawResult

__all__ = ["Conformance"]


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """Hold a VAE to the laws: yours from a Python file, or vaekit's own sentences and exact answers."""

    file: Annotated[
        Path | None,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="FILE.py",
            help="A file that defines encode(x), prior() and decode(z), which return distributions, x, some examples, "
            "and perhaps loss(x). It is run. Without one, sentences of vaekit's own parts are checked.",
        ),
    ] = None
    sentences: Annotated[int, tyro.conf.arg(help="How many sentences of the grid to build and check.")] = 40
    seed: Annotated[int, tyro.conf.arg(help="Of the choice of sentences, and of all noise.")] = 0
    verbose: Annotated[bool, tyro.conf.arg(help="Show what holds, too.")] = False
    json: JsonFlag = False

    def run(self) -> int:
        """Check, print, and return 0 if nothing is broken."""
        from vaekit.application import check_own_parts, check_python_file
        from vaekit.conformance import summarise

        everything: list[tuple[str, LawResult]] = []
        own = self.file is None
        checked = check_own_parts(self.sentences, seed=self.seed)
        for subject, findings in (
            checked if self.file is None else [check_python_file(self.file, seed=self.seed)]
        ):
            everything += [(subject, finding) for finding in findings]
            if not self.json:
                self._show(subject, findings, own=own)
        counts = summarise(finding for _, finding in everything)
        if self.json:
            rows = [{"subject": subject, **vars(finding)} for subject, finding in everything]
            print_json({"findings": rows, **counts})
        else:
            print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
        return 1 if counts["broken"] else 0

    def _show(self, subject: str, findings: "list[LawResult]", *, own: bool) -> None:
        shown = [f for f in findings if self.verbose or f.outcome != "holds"]
        refused = own and len(findings) == 1 and findings[0].outcome == "not checked"
        if shown and (self.verbose or not refused):
            print(subject)
            for finding in shown:
                print(f"  {finding}")
