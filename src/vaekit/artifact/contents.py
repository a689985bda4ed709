"""The contents of an artifact: what is kept of a fitted model, and the document that describes it."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from vaekit.data import Schema
from vaekit.language.settings import TrainingSettings
from vaekit.networks import NetworkRecipe
from vaekit.sentence import MissingCells, Sentence, build_vae, imports_of
from vaekit.training import History
from vaekit.vae import VAE

__all__ = [
    "DESCRIPTION",
    "FORMAT_VERSION",
    "JOBS",
    "JOBS_FORMAT_VERSION",
    "METRICS",
    "MODEL",
    "Artifact",
    "Description",
    "build_model",
]

# 1; 2: schema.conditions; 3: imports; 4: missing values; 5: fitted jobs. The oldest that will do is written.
FORMAT_VERSION = 5
MISSING_FORMAT_VERSION, JOBS_FORMAT_VERSION = 4, 5

MODEL, DESCRIPTION, METRICS = "model.safetensors", "model.json", "metrics.jsonl"

# The fitted jobs that have an artifact too, and what each serves.
JOBS = {
    "imputer": "`vaekit impute` as its model, and Imputer.load",
    "synthesizer": "`vaekit synthesize` as its model, and Synthesizer.load",
    "outlier detector": "`vaekit detect` as its model, and OutlierDetector.load",
}


@dataclass(frozen=True)
class Artifact:
    """Everything a ``NAME.vae`` folder holds.

    Parameters
    ----------
    model
        The model, with its weights.
    sentence, latent
        The parts and the number of latent dimensions, to build it again.
    schema
        What it expects of data.
    settings, seed, history
        How it was trained.
    data
        Where the data came from: ``source``, ``hash``, ``rows``, ``validation`` and ``test`` fractions.
    versions
        Versions of the software that wrote it.
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

    @property
    def imports(self) -> tuple[dict[str, str], ...]:
        """The parts that are not vaekit's own, those of single columns included: room, kind, module and package."""
        columns = dict.fromkeys(self.model.likelihood_part.columns or ())
        parts = imports_of((room, spec.kind) for room, spec in self.sentence.specs.items())
        return (*parts, *imports_of(("likelihood", kind) for kind in columns))

    @property
    def format_version(self) -> int:
        """The version of the format that it is written in."""
        if self.schema.missing_values or self.schema.missing_rates:
            return MISSING_FORMAT_VERSION
        if self.imports:
            return 3
        return 1 if self.schema.conditions is None else 2


@dataclass(frozen=True, kw_only=True)
class Description:
    """The document ``model.json``: its keys, in order, and their types."""

    format: Literal["vaekit"] = "vaekit"
    format_version: int
    sentence: dict[str, str]
    latent: int
    schema: dict[str, Any]
    training: dict[str, Any]
    seed: int
    data: dict[str, Any]
    best_epoch: int
    stopped: str
    versions: dict[str, str]
    weights_sha256: str
    imports: tuple[dict[str, str], ...] = ()


def build_model(sentence: Sentence, schema: Schema, latent: int, network: NetworkRecipe | None = None) -> VAE:
    """Build the model of a sentence for the data of a schema, in float32 whatever torch's default type is."""
    model = build_vae(
        sentence,
        schema.model_event_shape,
        latent,
        log_jacobian=schema.log_jacobian,
        condition=0 if schema.conditions is None else schema.conditions.width,
        network=network,
        missing=None if schema.masked is None else MissingCells(schema.masked, schema.column_log_jacobians),
    )
    return model.to(torch.float32)
