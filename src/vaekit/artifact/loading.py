"""Reading an artifact: everything is checked before it is believed."""

import json
from pathlib import Path
from typing import Any

from vaekit.artifact.checked_files import checked, inside, read_document, read_tensors
from vaekit.artifact.contents import (
    DESCRIPTION,
    JOBS,
    METRICS,
    MODEL,
    Artifact,
    Description,
    build_model,
)
from vaekit.data import Schema
from vaekit.data.strict_json import from_document
from vaekit.errors import ArtifactError, UsageError
from vaekit.language.settings import TrainingSettings
from vaekit.networks import NetworkRecipe
from vaekit.runtime.surroundings import usual_surroundings
from vaekit.sentence import PARTS, Sentence
from vaekit.training import EpochMetrics, History
from vaekit.vae import VAE

__all__ = ["read_artifact"]


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
    found = _read_description(folder)
    settings = checked(folder, "training", lambda: TrainingSettings(**found.training))
    sentence = checked(folder, "sentence", lambda: _read_sentence(found))
    schema = checked(folder, "schema", lambda: Schema.from_json(found.schema))
    _check_network(folder, sentence, network)
    state = read_tensors(folder, found.weights_sha256)
    model = checked(folder, "sentence", lambda: _build(sentence, schema, found.latent, state, network))
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


def _read_description(folder: Path) -> Description:
    document = read_document(folder)
    if isinstance(job := document.get("job"), str):
        served = JOBS.get(job, "no verb of this version")
        raise ArtifactError(
            f"{folder} is no model but a fitted {job}, which serves {served}; fit a model with `vaekit fit`"
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
    path = inside(folder, METRICS)
    try:
        return [EpochMetrics(**json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}; delete it to go on without the curves"
        ) from error
