"""The artifact of a fitted job on tables: an outlier detector, an imputer, a synthesizer.

It is a folder like that of a model, with the same two files: ``model.json`` says what it is and holds its state as
numbers, text and lists, with the names of arrays; ``model.safetensors`` holds these arrays. Both have a hash in it, so
that a damaged one is told from a whole one. The state is the job's own affair: :mod:`vaekit.jobs.saved_job`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from vaekit.artifact.checked_files import checked, read_document, read_tensors
from vaekit.artifact.contents import DESCRIPTION, JOBS, JOBS_FORMAT_VERSION, MODEL
from vaekit.artifact.saving import check_destination, versions_here, write_files
from vaekit.data.messages import few
from vaekit.data.strict_json import from_document
from vaekit.errors import ArtifactError

__all__ = ["FittedJob", "job_of", "read_job", "write_job"]


@dataclass(frozen=True)
class FittedJob:
    """Everything that the artifact of a job holds.

    Parameters
    ----------
    job
        The kind of job, such as ``outlier detector``.
    state
        What JSON can hold: dictionaries with keys of text, lists, text, numbers that are finite, true, false and null.
    arrays
        The arrays that the state names.
    summary
        What ``vaekit info`` says of it: the number of rows and columns of the fit, and where they came from.
    versions
        Versions of the software that wrote it.
    """

    job: str
    state: dict[str, Any] = field(repr=False)
    arrays: Mapping[str, Tensor] = field(repr=False)
    summary: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def format_version(self) -> int:
        """The version of the format that it is written in."""
        return JOBS_FORMAT_VERSION

    @property
    def serves(self) -> str:
        """Return what opens it, in words."""
        return JOBS[self.job]


@dataclass(frozen=True, kw_only=True)
class _Description:
    """The document ``model.json`` of a job: its keys, in order, and their types."""

    format: Literal["vaekit"] = "vaekit"
    format_version: int
    job: str
    summary: dict[str, Any]
    versions: dict[str, str]
    weights_sha256: str
    content_sha256: str
    state: dict[str, Any]


def job_of(folder: Path) -> str | None:
    """Return the kind of job that an artifact is of; None where it is a model.

    Raises
    ------
    ArtifactError
        If it is no artifact, or of a job that is not known here.
    """
    document = read_document(folder)
    if "job" not in document:
        return None
    job = document["job"]
    if not isinstance(job, str) or job not in JOBS:
        raise ArtifactError(
            f"{folder / DESCRIPTION}: job {job!r:.60} is not known here; expected one of {few(list(JOBS))}"
        )
    return job


def write_job(folder: Path, fitted: FittedJob, *, force: bool = False) -> None:
    """Write the artifact of a job atomically.

    Parameters
    ----------
    folder
        Where; by custom it ends in ``.vae``.
    fitted
        What to write.
    force
        Whether to replace an artifact that is there.

    Raises
    ------
    ArtifactError
        If the destination is refused (see :func:`check_destination`) or the disk gives out; nothing that was there
        before is harmed.
    """
    from safetensors.torch import save

    check_destination(folder, force=force)
    # a copy of each: arrays that share memory are no file
    weights = save({name: value.detach().cpu().clone().contiguous() for name, value in fitted.arrays.items()})
    description = _Description(
        format_version=fitted.format_version,
        job=fitted.job,
        summary=fitted.summary,
        versions=fitted.versions or versions_here(),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        content_sha256=_hash(fitted.state, fitted.summary),
        state=fitted.state,
    )
    document = json.dumps(vars(description), indent=1, allow_nan=False) + "\n"
    write_files(folder, {MODEL: weights, DESCRIPTION: document.encode()})


def read_job(folder: Path, *, expected: str | None = None) -> FittedJob:
    """Read the artifact of a job, checking everything before it is believed.

    Parameters
    ----------
    folder
        A folder that :func:`write_job` made.
    expected
        The kind of job that is asked for; None: any.

    Raises
    ------
    ArtifactError
        If it is missing, damaged, of another kind, or from a newer format; the message says which and what to do.
    """
    job = job_of(folder)
    if job is None:
        wanted = "a fitted job" if expected is None else _in_words(expected)
        raise ArtifactError(
            f"{folder} is a model, and no job; expected {wanted}: vaekit.load opens models too"
        )
    if expected is not None and job != expected:
        raise ArtifactError(
            f"{folder} is {_in_words(job)}, which serves {JOBS[job]}; expected {_in_words(expected)}"
        )
    found = checked(
        folder, "description", lambda: from_document(read_document(folder), _Description, DESCRIPTION)
    )
    if _hash(found.state, found.summary) != found.content_sha256:
        raise ArtifactError(
            f"{folder / DESCRIPTION}: it does not say what was written (its hash differs): it was altered; "
            "restore it from a copy or fit again"
        )
    arrays = read_tensors(folder, found.weights_sha256)
    return FittedJob(found.job, found.state, arrays, found.summary, found.versions)


def _in_words(job: str) -> str:
    """Return a kind of job with its article.

    >>> _in_words("outlier detector"), _in_words("synthesizer")
    ('an outlier detector', 'a synthesizer')
    """
    return f"{'an' if job[0] in 'aeiou' else 'a'} {job}"


def _hash(*contents: Any) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
