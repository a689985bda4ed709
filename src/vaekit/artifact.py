"""The portable artifact: a folder ``NAME.vae/`` with weights and description, no pickle, no code.

* ``model.safetensors``: the weights.
* ``model.json``: format version, sentence of parts, schema of the data, training settings, versions, seed,
  hash of the data, hash of the weights.
* ``metrics.jsonl``: one line an epoch.
* ``report.html``: for people; never read back.

The folder is written under a temporary name, synced, and renamed: it is there whole or not at all. Loading
runs no code from it, follows no link out of it, and believes nothing it has not checked.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vaekit.data import Schema
from vaekit.errors import ArtifactError, UsageError
from vaekit.language.grammar import did_you_mean
from vaekit.language.settings import TrainingSettings
from vaekit.networks import NetworkRecipe
from vaekit.sentence import Sentence, build_vae
from vaekit.training import EpochMetrics, History
from vaekit.vae import VAE

__all__ = [
    "FORMAT_VERSION",
    "Artifact",
    "build_model",
    "check_destination",
    "read_artifact",
    "write_artifact",
]

FORMAT_VERSION = 2  # 2: schema.conditions; a model without conditions is still written as 1

_MODEL, _DESCRIPTION, _METRICS = "model.safetensors", "model.json", "metrics.jsonl"
_KEYS = {
    "format": str,
    "format_version": int,
    "sentence": dict,
    "latent": int,
    "schema": dict,
    "training": dict,
    "seed": int,
    "data": dict,
    "best_epoch": int,
    "stopped": str,
    "versions": dict,
    "weights_sha256": str,
}


@dataclass(frozen=True)
class Artifact:
    """Everything a ``NAME.vae`` folder holds.

    Parameters
    ----------
    model
        With its weights.
    sentence, latent
        How to build it again.
    schema
        What it expects of data.
    settings, seed, history
        How it was trained.
    data
        Where the data came from: ``source``, ``hash``, ``rows``, ``validation`` and ``test`` fractions.
    versions
        Of the software that wrote it.
    """

    model: VAE
    sentence: Sentence
    latent: int
    schema: Schema
    settings: TrainingSettings
    seed: int
    history: History
    data: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)


def build_model(sentence: Sentence, schema: Schema, latent: int, network: NetworkRecipe | None = None) -> VAE:
    """Build the model of a sentence for the data of a schema, with fresh weights."""
    return build_vae(
        sentence,
        schema.model_event_shape,
        latent,
        log_jacobian=schema.log_jacobian,
        condition=0 if schema.conditions is None else schema.conditions.width,
        network=network,
    )


def check_destination(folder: Path, *, force: bool) -> None:
    """Refuse, before any work is done, a destination that could not be written at the end.

    Raises
    ------
    ArtifactError
        If something is there and ``force`` is not given, or it is no artifact, or the place is not writable.
    """
    if folder.exists() or folder.is_symlink():
        if not (folder / _DESCRIPTION).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
            raise ArtifactError(
                f"{folder} exists and is no vaekit artifact: it will not be replaced; choose another path"
            )
        if not force:
            raise ArtifactError(f"{folder} exists; choose another path, or give force=True to replace it")
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise ArtifactError(f"the folder {parent} does not exist; make it first, or choose another path")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ArtifactError(f"the folder {parent} cannot be written to; choose another path")


def write_artifact(
    folder: Path, artifact: Artifact, *, force: bool = False, files: Mapping[str, str] | None = None
) -> None:
    """Write an artifact atomically.

    Parameters
    ----------
    folder
        Where; by custom it ends in ``.vae``.
    artifact
        What.
    force
        Whether to replace an artifact that is there.
    files
        More text files by name, such as ``report.html``.

    Raises
    ------
    ArtifactError
        If the destination is refused (see :func:`check_destination`) or the disk gives out; nothing that was
        there before is harmed.
    """
    from safetensors.torch import save

    check_destination(folder, force=force)
    state = {name: value.detach().cpu().contiguous() for name, value in artifact.model.state_dict().items()}
    weights = save(state)
    lines = [json.dumps(_finite(epoch.to_json())) for epoch in artifact.history.epochs]
    contents: dict[str, bytes] = {
        _MODEL: weights,
        _DESCRIPTION: (json.dumps(_describe(artifact, weights), indent=2) + "\n").encode(),
        _METRICS: "".join(line + "\n" for line in lines).encode(),
        **{name: text.encode() for name, text in (files or {}).items()},
    }
    folder = folder.absolute()
    try:
        _write_atomically(folder, contents)
    except OSError as error:
        raise ArtifactError(
            f"could not write {folder}: {error.strerror or error}; free some space or choose another path"
        ) from error


def read_artifact(folder: Path, *, network: NetworkRecipe | None = None) -> Artifact:
    """Read an artifact, checking everything before it is believed.

    Parameters
    ----------
    folder
        A ``NAME.vae`` folder.
    network
        What makes the encoder and the decoder, of a model whose networks are its maker's own: their code is in no
        artifact.

    Raises
    ------
    UsageError
        If the networks are its maker's own, and are not given; or given where they are not.
    ArtifactError
        If it is missing, damaged, or from a newer format; the message says which and what to do.
    """
    from safetensors.torch import load

    if not folder.is_dir():
        raise ArtifactError(_no_artifact(folder))
    description = _read_description(folder)
    settings = _checked(folder, "training", lambda: TrainingSettings(**description["training"]))
    sentence = _checked(folder, "sentence", lambda: _read_sentence(description["sentence"]))
    schema = _checked(folder, "schema", lambda: Schema.from_json(description["schema"]))
    _check_network(folder, sentence, network)
    weights = _inside(folder, _MODEL).read_bytes()
    if hashlib.sha256(weights).hexdigest() != description["weights_sha256"]:
        raise ArtifactError(
            f"{folder}: {_MODEL} is not the file that {_DESCRIPTION} describes (its hash differs): it was "
            "truncated, altered or exchanged; restore it from a copy or fit again"
        )
    try:
        state = load(weights)
    except Exception as error:  # whatever the library raises on bytes that it cannot read
        raise ArtifactError(f"{folder}: {_MODEL} cannot be read: {error}") from error
    latent = description["latent"]
    model = _checked(folder, "sentence", lambda: _build(folder, sentence, schema, latent, state, network))
    return Artifact(
        model=model.eval(),
        sentence=sentence,
        latent=latent,
        schema=schema,
        settings=settings,
        seed=description["seed"],
        history=History(_read_metrics(folder), description["best_epoch"], description["stopped"]),
        data=description["data"],
        versions=description["versions"],
    )


def _describe(artifact: Artifact, weights: bytes) -> dict[str, Any]:
    return {
        "format": "vaekit",
        "format_version": 1 if artifact.schema.conditions is None else FORMAT_VERSION,
        "sentence": artifact.sentence.to_json(),
        "latent": artifact.latent,
        "schema": artifact.schema.to_json(),
        "training": asdict(artifact.settings),
        "seed": artifact.seed,
        "data": artifact.data,
        "best_epoch": artifact.history.best_epoch,
        "stopped": artifact.history.stopped,
        "versions": artifact.versions or _versions(),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }


def _versions() -> dict[str, str]:
    import numpy
    import torch

    import vaekit

    return {
        "vaekit": vaekit.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _write_atomically(folder: Path, contents: dict[str, bytes]) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        aside.chmod(0o755)
        for name, content in contents.items():
            with (aside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        old = None
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
            folder.rename(old / folder.name)
        try:
            aside.rename(folder)
        except OSError:
            if old is not None:
                (old / folder.name).rename(folder)
            raise
        finally:
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _no_artifact(folder: Path) -> str:
    if folder.is_file():
        return (
            f"{folder} is a file; an artifact is a folder made by `vaekit fit`, and is named before the data"
        )
    beside = did_you_mean(folder.name, [path.name for path in folder.absolute().parent.glob("*.vae")])
    return f"there is no artifact {folder}{beside or ';'} expected a folder made by `vaekit fit`"


def _inside(folder: Path, name: str) -> Path:
    """The path of a file of the artifact; refuses one that is missing, or a link that leaves the folder."""
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {name}; expected a folder made by `vaekit fit`")
    if path.resolve().parent != folder.resolve():
        raise ArtifactError(f"{folder}: {name} is a link that leaves the folder; it will not be followed")
    return path


def _read_description(folder: Path) -> dict[str, Any]:
    path = _inside(folder, _DESCRIPTION)
    try:
        description = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactError(
            f"{path} is no valid JSON: {error}; restore it from a copy or fit again"
        ) from error
    if not isinstance(description, dict) or description.get("format") != "vaekit":
        raise ArtifactError(f'{path} does not describe a vaekit artifact (no "format": "vaekit" in it)')
    version = description.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactError(
            f"{folder} has format {version}, made by vaekit {description.get('versions', {}).get('vaekit', '?')}; "
            f"this version reads up to format {FORMAT_VERSION}: upgrade vaekit"
        )
    for key in sorted(set(_KEYS) | set(description)):
        if key not in _KEYS:
            raise ArtifactError(f"{path} has an unknown key {key!r}: it was edited; restore it or fit again")
        if key not in description:
            raise ArtifactError(f"{path} lacks the key {key!r}: it was edited; restore it or fit again")
        value = description[key]
        if not isinstance(value, _KEYS[key]) or isinstance(value, bool):
            raise ArtifactError(
                f"{path}: {key} should be of type {_KEYS[key].__name__}, but is {json.dumps(value)[:60]}"
            )
    return description


def _read_sentence(specs: dict[str, str]) -> Sentence:
    if set(specs) != set(Sentence.__dataclass_fields__):
        raise UsageError(f"expected {sorted(Sentence.__dataclass_fields__)}, found {sorted(specs)}")
    return Sentence.parse(**specs)


def _checked(folder: Path, key: str, make: Any) -> Any:
    """Run a constructor on what the description says; its complaints become an ArtifactError."""
    try:
        return make()
    except ArtifactError as error:
        raise ArtifactError(f"{folder}: {error}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise ArtifactError(f"{folder / _DESCRIPTION}: {key} cannot be used: {error}") from error


def _check_network(folder: Path, sentence: Sentence, network: NetworkRecipe | None) -> None:
    own = sentence.network.build() if sentence.network.kind == "own" else None
    if own is not None and network is None:
        raise UsageError(f"{folder}: {own.what_is_missing}")
    if own is None and network is not None:
        raise UsageError(
            f"{folder} says what its networks are ({sentence.network.kind}); leave encoder, decoder and network out"
        )


def _build(
    folder: Path,
    sentence: Sentence,
    schema: Schema,
    latent: int,
    state: dict[str, Any],
    network: NetworkRecipe | None,
) -> VAE:
    """Build the model after its tensors are known to fit: an edited size costs no memory."""
    import torch

    from vaekit.runtime.randomness import seeded

    with torch.device("meta"):
        expected = {
            name: tuple(value.shape)
            for name, value in build_model(sentence, schema, latent, network).state_dict().items()
        }
    for name in sorted(set(expected) | set(state)):
        if name not in state:
            raise ArtifactError(f"{_MODEL} lacks the tensor {name} that the sentence asks for")
        if name not in expected:
            raise ArtifactError(f"{_MODEL} has a tensor {name} that the sentence does not ask for")
        if tuple(state[name].shape) != expected[name]:
            raise ArtifactError(
                f"{_MODEL}: the tensor {name} has shape {tuple(state[name].shape)}, but the sentence asks for "
                f"{expected[name]}"
            )
        if not bool(state[name].isfinite().all()):
            raise ArtifactError(f"{_MODEL}: the tensor {name} holds numbers that are not finite")
    with seeded(0):
        model = build_model(sentence, schema, latent, network)
    model.load_state_dict(state)
    return model


def _read_metrics(folder: Path) -> list[EpochMetrics]:
    if not (folder / _METRICS).exists():
        return []
    path = _inside(folder, _METRICS)
    try:
        return [EpochMetrics(**json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}; delete it to go on without the curves"
        ) from error


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and value != value else value for key, value in values.items()
    }
