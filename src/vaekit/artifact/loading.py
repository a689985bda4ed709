"""Reading an artifact: everything is checked before it is believed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vaekit.artifact.contents import (
    DESCRIPTION,
    FORMAT_VERSION,
    METRICS,
    MODEL,
    Artifact,
    Description,
    build_model,
)
from vaekit.data import Schema
from vaekit.data.strict_json import from_document
from vaekit.errors import ArtifactError, UsageError
from vaekit.language.grammar import nearest
from vaekit.language.settings import TrainingSettings
from vaekit.networks import NetworkRecipe
from vaekit.runtime.surroundings import usual_surroundings
from vaekit.sentence import PARTS, Sentence
from vaekit.training import EpochMetrics, History
from vaekit.vae import VAE

__all__ = ["read_artifact"]

T = TypeVar("T")


@usual_surroundings()
def read_artifact(folder: Path, *, network: NetworkRecipe | None = None) -> Artifact:
    """Read an artifact, checking everything before it is believed.

    Parameters
    ----------
    folder
        A ``NAME.vae`` folder.
    network
        The recipe of the encoder and the decoder, of a model whose networks are its maker's own: their code is in no
        artifact.

    Raises
    ------
    UsageError
        If the networks are its maker's own, and are not given; or given where they are not.
    ArtifactError
        If it is missing, damaged, or from a newer format, or has a part that is not known here; the message says
        which and what to do.
    """
    from safetensors.torch import load

    if not folder.is_dir():
        raise ArtifactError(_no_artifact(folder))
    found = _read_description(folder)
    settings = _checked(folder, "training", lambda: TrainingSettings(**found.training))
    sentence = _checked(folder, "sentence", lambda: _read_sentence(found))
    schema = _checked(folder, "schema", lambda: Schema.from_json(found.schema))
    _check_network(folder, sentence, network)
    weights = _inside(folder, MODEL).read_bytes()
    if hashlib.sha256(weights).hexdigest() != found.weights_sha256:
        raise ArtifactError(
            f"{folder}: {MODEL} is not the file that {DESCRIPTION} describes (its hash differs): it was "
            "truncated, altered or exchanged; restore it from a copy or fit again"
        )
    try:
        state = load(weights)
    except Exception as error:  # whatever the library raises on bytes that it cannot read
        raise ArtifactError(f"{folder}: {MODEL} cannot be read: {error}") from error
    model = _checked(folder, "sentence", lambda: _build(sentence, schema, found.latent, state, network))
    return Artifact(
        model=model.eval(),
        sentence=sentence,
        latent=found.latent,
        schema=schema,
        settings=settings,
        seed=found.seed,
        history=History(_read_metrics(folder), found.best_epoch, found.stopped),
        data=found.data,
        versions=found.versions,
    )


def _no_artifact(folder: Path) -> str:
    if folder.is_file():
        return (
            f"{folder} is a file; an artifact is a folder made by `vaekit fit`, and is named before the data"
        )
    beside = {path.stem: path.name for path in folder.absolute().parent.glob("*.vae")}
    near = nearest(folder.stem, beside)
    hint = f"; did you mean {beside[near]!r}?" if near else ";"
    return f"there is no artifact {folder}{hint} expected a folder made by `vaekit fit`"


def _inside(folder: Path, name: str) -> Path:
    """Return the path of a file of the artifact; refuse one that is missing, or a link that leaves the folder."""
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {name}; expected a folder made by `vaekit fit`")
    if path.resolve().parent != folder.resolve():
        raise ArtifactError(f"{folder}: {name} is a link that leaves the folder; it will not be followed")
    return path


def _read_description(folder: Path) -> Description:
    path = _inside(folder, DESCRIPTION)
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactError(
            f"{path} is no valid JSON: {error}; restore it from a copy or fit again"
        ) from error
    if not isinstance(document, dict) or document.get("format") != "vaekit":
        raise ArtifactError(f'{path} does not describe a vaekit artifact (no "format": "vaekit" in it)')
    version, writer = document.get("format_version"), document.get("versions")
    if isinstance(version, int) and version > FORMAT_VERSION:
        by = writer.get("vaekit", "?") if isinstance(writer, dict) else "?"
        raise ArtifactError(
            f"{folder} has format {version}, made by vaekit {by}; this version reads up to format {FORMAT_VERSION}: "
            "upgrade vaekit"
        )
    try:
        return from_document(document, Description, DESCRIPTION)
    except ArtifactError as error:
        raise ArtifactError(f"{folder}: {error} Restore it from a copy or fit again") from error


def _read_sentence(found: Description) -> Sentence:
    rooms = sorted(Sentence.__dataclass_fields__)
    if sorted(found.sentence) != rooms:
        raise UsageError(f"expected {rooms}, found {sorted(found.sentence)}")
    kinds = {str(room): known for room, known in PARTS.items()}
    missing = [part for part in found.imports if part["kind"] not in kinds.get(part["room"], ())]
    if missing:
        names = ", ".join(f"{part['room']} {part['kind']}" for part in missing)
        remedies = dict.fromkeys(
            f"install the package {part['package']}"
            if part.get("package")
            else f"import {part['module']} first"
            for part in missing
        )
        raise UsageError(f"{names}: not a part of vaekit; {', and '.join(remedies)}")
    return Sentence.parse(**found.sentence)


def _checked(folder: Path, key: str, make: Callable[[], T]) -> T:
    """Run a constructor on what the description says; its complaints become an ArtifactError."""
    try:
        return make()
    except ArtifactError as error:
        raise ArtifactError(f"{folder}: {error}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder / DESCRIPTION}: {key} cannot be used: {error}") from error


def _check_network(folder: Path, sentence: Sentence, network: NetworkRecipe | None) -> None:
    own = sentence.network.build() if sentence.network.kind == "own" else None
    if own is not None and network is None:
        raise UsageError(f"{folder}: {own.what_is_missing}")
    if own is None and network is not None:
        raise UsageError(
            f"{folder} says what its networks are ({sentence.network.kind}); leave encoder, decoder and network out"
        )


def _build(
    sentence: Sentence, schema: Schema, latent: int, state: dict[str, Any], network: NetworkRecipe | None
) -> VAE:
    """Build the model after its tensors are known to fit: an edited size costs no memory."""
    import torch

    from vaekit.runtime.randomness import seeded

    with torch.device("meta"):
        planned = build_model(sentence, schema, latent, network).state_dict()
    expected = {name: tuple(value.shape) for name, value in planned.items()}
    for name in sorted(set(expected) | set(state)):
        if name not in state:
            raise ArtifactError(f"{MODEL} lacks the tensor {name} that the sentence asks for")
        if name not in expected:
            raise ArtifactError(f"{MODEL} has a tensor {name} that the sentence does not ask for")
        found = tuple(state[name].shape)
        if found != expected[name]:
            raise ArtifactError(
                f"{MODEL}: the tensor {name} has shape {found}, but the sentence asks for {expected[name]}"
            )
        if not bool(state[name].isfinite().all()):
            raise ArtifactError(f"{MODEL}: the tensor {name} holds numbers that are not finite")
    with seeded(0):
        model = build_model(sentence, schema, latent, network)
    model.load_state_dict(state)
    return model


def _read_metrics(folder: Path) -> list[EpochMetrics]:
    if not (folder / METRICS).exists():
        return []
    path = _inside(folder, METRICS)
    try:
        return [EpochMetrics(**json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}; delete it to go on without the curves"
        ) from error
