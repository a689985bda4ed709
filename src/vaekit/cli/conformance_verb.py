"""``vaekit conformance``: the laws of variational autoencoders, held to vaekit's own parts or to anybody's model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
        from vaekit.conformance import summarise

        if self.sentences < 1:
            from vaekit.errors import UsageError

            raise UsageError(f"--sentences {self.sentences}: give a whole number of at least 1")
        everything: list[tuple[str, LawResult]] = []
        for subject, findings in self._own() if self.file is None else self._foreign(self.file):
            everything += [(subject, finding) for finding in findings]
            if not self.json:
                self._show(subject, findings)
        counts = summarise(finding for _, finding in everything)
        if self.json:
            rows = [{"subject": subject, **vars(finding)} for subject, finding in everything]
            print_json({"findings": rows, **counts})
        else:
            print(", ".join(f"{number} {outcome}" for outcome, number in counts.items()))
        return 1 if counts["broken"] else 0

    def _show(self, subject: str, findings: "list[LawResult]") -> None:
        shown = [f for f in findings if self.verbose or f.outcome != "holds"]
        refused = len(findings) == 1 and findings[0].outcome == "not checked" and self.file is None
        if shown and (self.verbose or not refused):
            print(subject)
            for finding in shown:
                print(f"  {finding}")

    def _own(self) -> "Iterator[tuple[str, list[LawResult]]]":
        """Exact answers for every posterior and every objective, then the laws over sentences."""
        from vaekit.conformance import check_exact, check_sentence
        from vaekit.conformance.verification import sentences
        from vaekit.runtime.randomness import seeded
        from vaekit.sentence import PARTS, Sentence

        pairs = [(kind, "elbo") for kind in PARTS["posterior"]]
        pairs += [("diagonal", kind) for kind in PARTS["objective"] if kind != "elbo"]
        for posterior, objective in pairs:
            with seeded(self.seed):
                yield f"linear-Gaussian model, {posterior}, {objective}", check_exact(posterior, objective)
        for parts in sentences(self.sentences, self.seed):
            yield " ".join(parts.values()), check_sentence(Sentence.parse(**parts), seed=self.seed)

    def _foreign(self, file: Path) -> "Iterator[tuple[str, list[LawResult]]]":
        from vaekit.conformance import ThreeCallables, check

        names = self._names(file)
        model = ThreeCallables(names["encode"], names["prior"], names["decode"])
        yield str(file), check(model, names["x"], loss=names.get("loss"), seed=self.seed)

    @staticmethod
    def _names(file: Path) -> dict[str, Any]:
        """Run the file and take the names it has to define."""
        import runpy

        import torch

        from vaekit.errors import DataError, UsageError

        if not file.is_file():
            raise DataError(
                f"there is no file {file}; give a Python file that defines encode, prior, decode and x"
            )
        try:
            names = runpy.run_path(str(file))
        except Exception as error:
            raise DataError(f"{file} could not be run: {type(error).__name__}: {error}") from error
        missing = [name for name in ("encode", "prior", "decode", "x") if name not in names]
        if missing:
            raise UsageError(
                f"{file} does not define {', '.join(missing)}; it must define encode(x), prior() and decode(z), which "
                "return distributions, and x, a tensor of some 16 to 200 examples"
            )
        x = names["x"]
        if not isinstance(x, torch.Tensor) or x.dim() < 2 or len(x) < 2:
            shown = f"of shape {tuple(x.shape)}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
            raise UsageError(
                f"{file}: x is {shown}; expected a tensor (examples, ...) of at least 2 examples"
            )
        return names
