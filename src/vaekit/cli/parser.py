"""All verbs, and the parsing of arguments to one of them. Imports neither torch nor any room that does."""

import re
from collections.abc import Sequence
from dataclasses import replace
from types import NoneType
from typing import Any, Literal, Protocol, Union, cast, get_args, get_origin

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    UnsupportedTypeAnnotationError,
)

from vaekit.cli.check_verb import Check
from vaekit.cli.classify_verb import Classify
from vaekit.cli.conformance_verb import Conformance
from vaekit.cli.decode_verb import Decode
from vaekit.cli.detect_verb import Detect
from vaekit.cli.doctor_verb import Doctor
from vaekit.cli.encode_verb import Encode
from vaekit.cli.evaluate_verb import Evaluate
from vaekit.cli.explain_loss_verb import ExplainLoss
from vaekit.cli.explore_verb import Explore
from vaekit.cli.export_verb import Export
from vaekit.cli.fit_prior_verb import FitPrior
from vaekit.cli.fit_verb import Fit
from vaekit.cli.impute_verb import Impute
from vaekit.cli.info_verb import Info
from vaekit.cli.kl_verb import Kl
from vaekit.cli.models_verb import Models
from vaekit.cli.reconstruct_verb import Reconstruct
from vaekit.cli.report_verb import Report
from vaekit.cli.reproduce_verb import Reproduce
from vaekit.cli.sample_verb import Sample
from vaekit.cli.score_verb import Score
from vaekit.cli.synthesize_verb import Synthesize
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
    | Detect
    | Doctor
    | Impute
    | Synthesize
    | Report
    | Explore
    | Export
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
    with _NONE_IN_LOWER_CASE:
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


_NONE_IN_LOWER_CASE = ConstructorRegistry()


@_NONE_IN_LOWER_CASE.primitive_rule
def _number_or_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read ``none`` as None where a number or a word of a choice is expected, such as in ``--patience none``."""
    kinds = get_args(info.type)
    if NoneType not in kinds or any(
        kind not in (int, float, NoneType) and get_origin(kind) is not Literal for kind in kinds
    ):
        return None
    with_word = Union[tuple(Literal["none"] if kind is NoneType else kind for kind in kinds)]  # noqa: UP007
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(cast(type, with_word), info.markers))
    if isinstance(spec, UnsupportedTypeAnnotationError):
        return None

    def read(words: list[str]) -> Any:
        value = spec.instance_from_str(["none"] if words == ["None"] else words)
        return None if value == "none" else value

    def fits(value: Any) -> bool:
        return value is None or bool(spec.is_instance(value))

    def written(value: Any) -> list[str]:
        return ["none"] if value is None else spec.str_from_instance(value)

    return replace(spec, instance_from_str=read, is_instance=fits, str_from_instance=written)


def verb_names() -> list[str]:
    """Every verb as it is typed.

    >>> verb_names()[:2]
    ['fit', 'fit-prior']
    """
    return [re.sub(r"(?<!^)(?=[A-Z])", "-", verb.__name__).lower() for verb in get_args(_VERBS)]
