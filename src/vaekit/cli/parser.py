"""All verbs, and the parsing of arguments to one of them. Imports neither torch nor any room that does."""

import re
from collections.abc import Sequence
from typing import Protocol, get_args

import tyro

from vaekit.cli.check import Check
from vaekit.cli.classify import Classify
from vaekit.cli.conformance import Conformance
from vaekit.cli.decode import Decode
from vaekit.cli.encode import Encode
from vaekit.cli.evaluate import Evaluate
from vaekit.cli.explain_loss import ExplainLoss
from vaekit.cli.fit import Fit
from vaekit.cli.fit_prior import FitPrior
from vaekit.cli.info import Info
from vaekit.cli.kl import Kl
from vaekit.cli.models import Models
from vaekit.cli.reconstruct import Reconstruct
from vaekit.cli.report import Report
from vaekit.cli.reproduce import Reproduce
from vaekit.cli.sample import Sample
from vaekit.cli.score import Score
from vaekit.errors import UsageError
from vaekit.language.grammar import there_are

__all__ = ["Verb", "parse_arguments", "verb_names"]


class Verb(Protocol):
    """A parsed command line, ready to run."""

    def run(self) -> int:
        """Do it, and return the exit status."""
        ...


_VERBS = (
    Fit
    | FitPrior
    | Evaluate
    | Encode
    | Reconstruct
    | Score
    | Classify
    | Sample
    | Decode
    | Report
    | Info
    | Models
    | Reproduce
    | Kl
    | Check
    | Conformance
    | ExplainLoss
)


def parse_arguments(arguments: Sequence[str]) -> Verb:
    """Parse arguments; mistakes and ``--help`` end the process with status 2 and 0.

    Raises
    ------
    UsageError
        For an unknown verb.
    """
    import vaekit

    if list(arguments) == ["--version"]:
        print(f"vaekit {vaekit.__version__}")
        raise SystemExit(0)
    first = next(iter(arguments), "-")
    if not first.startswith("-") and first not in verb_names():
        raise UsageError(f"unknown verb {first!r}{there_are(first, verb_names())}")
    return tyro.cli(
        _VERBS,  # type: ignore[arg-type]
        prog="vaekit",
        description=(
            "Variational autoencoders that are correct the first time: `vaekit fit DATA` fits one to a file of "
            "rows or images, proves it with held-out numbers, and leaves one artifact for every other verb."
        ),
        args=list(arguments),
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
    )


def verb_names() -> list[str]:
    """Every verb as it is typed.

    >>> verb_names()[:2]
    ['fit', 'fit-prior']
    """
    return [re.sub(r"(?<!^)(?=[A-Z])", "-", verb.__name__).lower() for verb in get_args(_VERBS)]
