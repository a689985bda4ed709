"""The laws of variational autoencoders, held to vaekit's own parts or to the model of a Python file."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vaekit.conformance import LawResult, ThreeCallables, check, check_exact, check_sentence
from vaekit.conformance.verification import sentences as some_sentences
from vaekit.errors import DataError, UsageError
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence

__all__ = ["CheckedModel", "check_own_parts", "check_python_file"]

_NAMES = ("encode", "prior", "decode", "x")


class CheckedModel(NamedTuple):
    """The name of a model, and what was found of each law."""

    subject: str
    findings: list[LawResult]


def check_own_parts(sentences: int = 40, *, seed: int = 0) -> Iterator[CheckedModel]:
    """Check every posterior and every objective against exact answers, then the laws over sentences of parts.

    Parameters
    ----------
    sentences
        How many sentences of the grid to build and check.
    seed
        The seed of the choice of sentences, and of all noise.

    Raises
    ------
    UsageError
        For a number of sentences that makes no sense.

    Examples
    --------
    >>> from vaekit.application import check_own_parts
    >>> first = next(check_own_parts(1))
    >>> first.subject, {finding.outcome for finding in first.findings}
    ('linear-Gaussian model, diagonal, elbo', {'holds'})
    """
    if sentences < 1:
        raise UsageError(f"sentences={sentences}: give a whole number of at least 1")
    return _own_parts(sentences, seed)


def _own_parts(sentences: int, seed: int) -> Iterator[CheckedModel]:
    pairs = [(kind, "elbo") for kind in PARTS["posterior"]]
    pairs += [("diagonal", kind) for kind in PARTS["objective"] if kind != "elbo"]
    for posterior, objective in pairs:
        with seeded(seed):
            findings = check_exact(posterior, objective)
        yield CheckedModel(f"linear-Gaussian model, {posterior}, {objective}", findings)
    for parts in some_sentences(sentences, seed):
        yield CheckedModel(" ".join(parts.values()), check_sentence(Sentence.parse(**parts), seed=seed))


def check_python_file(file: Path, *, seed: int = 0) -> CheckedModel:
    """Run a Python file, and check the laws on the model that it defines.

    Parameters
    ----------
    file
        A file that defines ``encode(x)``, ``prior()`` and ``decode(z)``, which return distributions, ``x``, some
        examples, and perhaps ``loss(x)``.
    seed
        The seed of all noise.

    Raises
    ------
    DataError
        If the file is not there, or cannot be run.
    UsageError
        If it does not define what it has to.
    """
    names = _run(file)
    model = ThreeCallables(names["encode"], names["prior"], names["decode"])
    return CheckedModel(str(file), check(model, names["x"], loss=names.get("loss"), seed=seed))


def _run(file: Path) -> dict[str, Any]:
    """Run the file and return the names that it defines."""
    if not file.is_file():
        raise DataError(
            f"there is no file {file}; give a Python file that defines encode, prior, decode and x"
        )
    try:
        names = runpy.run_path(str(file))
    except Exception as error:
        raise DataError(f"{file} could not be run: {type(error).__name__}: {error}") from error
    missing = [name for name in _NAMES if name not in names]
    if missing:
        raise UsageError(
            f"{file} does not define {', '.join(missing)}; it must define encode(x), prior() and decode(z), which "
            "return distributions, and x, a tensor of some 16 to 200 examples"
        )
    x = names["x"]
    if not isinstance(x, torch.Tensor) or x.dim() < 2 or len(x) < 2:
        shown = f"of shape {tuple(x.shape)}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
        raise UsageError(f"{file}: x is {shown}; expected a tensor (examples, ...) of at least 2 examples")
    return names
