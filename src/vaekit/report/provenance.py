"""How a model was made, with everything that is needed to make it again."""

import re
import shlex
from math import prod
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from vaekit.data.missing_values import rates_in_words
from vaekit.report.numbers import count

if TYPE_CHECKING:
    from vaekit.artifact import Artifact
    from vaekit.data import Dataset
    from vaekit.estimator import VariationalAutoencoder
    from vaekit.sentence import Spec

__all__ = ["Fact", "Part", "command", "data_name", "facts", "in_words", "parts"]

Fact = tuple[str, str]
Part = tuple[str, str, str]


def data_name(artifact: "Artifact", shown: "Dataset | None") -> str:
    """Return a name for the data: the last part of its path, or its name."""
    source = artifact.data.get("source") or (None if shown is None else shown.source) or "your data"
    return PurePath(str(source)).name or str(source)


def parts(artifact: "Artifact") -> list[Part]:
    """Return the kind, the specification and a description of each part of the model."""
    symbols = {
        "network": "encoder and decoder",
        "posterior": "posterior q(z|x)",
        "prior": "prior p(z)",
        "likelihood": "likelihood p(x|z)",
        "objective": "objective",
    }
    return [(symbols[room], spec.in_short, in_words(spec)) for room, spec in artifact.sentence.specs.items()]


def in_words(spec: "Spec") -> str:
    """Return a description of a part: the first line of its documentation, without its name."""
    first = (spec.part.__doc__ or "").strip().partition("\n")[0]
    return _plain(first.rpartition("``: ")[2]).rstrip(".")


_SYMBOLS = {r"\mathbb R": "R", r"\beta": "β", r"\mid": "|", r"\log": "log"}


def _plain(text: str) -> str:
    r"""Return a line of documentation without mark-up.

    >>> _plain(r"on the sphere of :math:`\mathbb R^k`, with ``uniform-sphere``; see :mod:`vaekit.priors`.")
    'on the sphere of R^k, with uniform-sphere'
    """
    text = re.sub(r":math:`([^`]*)`", r"\1", text.partition("; see :")[0]).replace("`", "")
    for written, symbol in _SYMBOLS.items():
        text = text.replace(written, symbol)
    return text


def facts(
    estimator: "VariationalAutoencoder", artifact: "Artifact", shown: "Dataset | None"
) -> dict[str, list[Fact]]:
    """Return all facts about the model as names and values, by group."""
    kinds = artifact.sentence.likelihood.many_columns
    kept = [artifact.schema.columns[j].name for j in artifact.schema.kept.nonzero()[0]]
    columns = {"Likelihoods of the columns": list(zip(kept, kinds, strict=True))} if kinds else {}
    return {
        "Data": _data_facts(estimator, artifact, shown),
        "Model": _model_facts(estimator, artifact),
        **columns,
        "Training": _training_facts(artifact),
        "Software": [(name, version) for name, version in _versions(artifact).items()],
    }


def command(artifact: "Artifact") -> str | None:
    """Return the command line that fits this model again, or None if the source of the data is unknown."""
    source, settings = artifact.data.get("source"), artifact.settings
    if not source:
        return None
    words = ["vaekit", "fit", str(source), "--latent", str(artifact.latent)]
    for room, spec in artifact.sentence.to_json().items():
        words += [f"--{room}", spec]
    words += ["--epochs", str(settings.epochs), "--batch-size", str(settings.batch_size)]
    words += ["--learning-rate", repr(settings.learning_rate)]
    words += ["--schedule", settings.schedule]
    words += ["--patience", "none" if settings.patience is None else str(settings.patience)]
    if artifact.data.get("validation") is not None:
        words += ["--validation", str(artifact.data["validation"])]
    if artifact.data.get("label"):
        words += ["--label", str(artifact.data["label"])]
    if artifact.schema.missing_values:
        words += ["--missing-values", ",".join(artifact.schema.missing_values)]
    if artifact.schema.conditions is not None:
        for condition in artifact.schema.conditions.conditions:
            kind = "continuous" if condition.categories is None else "categorical"
            words += ["--condition", f"{condition.name}:{kind}"]
    return shlex.join([*words, "--seed", str(artifact.seed)])


def _data_facts(
    estimator: "VariationalAutoencoder", artifact: "Artifact", shown: "Dataset | None"
) -> list[Fact]:
    data, schema = artifact.data, estimator.schema_
    source = data.get("source") or (None if shown is None else shown.source)
    found: list[tuple[str, Any]] = [("source", source), ("rows", data.get("rows"))]
    if schema.kind == "images":
        channels, height, width = schema.event_shape
        channel = count(channels, "channel")
        found.append(("each row", f"an image of {height} × {width} pixels, {channel}, {schema.dtype}"))
    else:
        found.append(("each row", count(prod(schema.event_shape), "column")))
    found.append(("scaling", schema.scaling))
    if schema.constant is not None:
        found.append(("left out of the model", schema.constant.describe()))
    empty, kept = schema.empty_columns, zip(schema.columns, schema.kept, strict=False)
    left_out = [column.name for column, keep in kept if not keep and column.name not in empty]
    if left_out:
        found.append(("constant columns, left out of the model", ", ".join(left_out)))
    if empty:
        found.append(("columns without any value, left out of the model", ", ".join(empty)))
    if schema.missing_rates:
        found.append(("missing in training rows", rates_in_words(schema.missing_rates, most=50)))
    if schema.missing_values:
        found.append(("values that stand for missing ones", ", ".join(schema.missing_values)))
    if data.get("own_test_split"):
        found.append(("test rows", "the source's own test split"))
    if data.get("label"):
        found.append(("label, for colouring only", data["label"]))
    found.append(("SHA-256 of the values", data.get("hash")))
    return [
        (name, f"{value:,}" if isinstance(value, int) else str(value))
        for name, value in found
        if value is not None
    ]


def _model_facts(estimator: "VariationalAutoencoder", artifact: "Artifact") -> list[Fact]:
    parameters = sum(parameter.numel() for parameter in estimator.model_.parameters())
    return [
        ("latent dimensions", str(artifact.latent)),
        ("parameters", f"{parameters:,}"),
        ("why this likelihood", estimator.likelihood_reason_),
    ]


def _training_facts(artifact: "Artifact") -> list[Fact]:
    settings, history = artifact.settings, artifact.history
    seconds = sum(metrics.seconds or 0 for metrics in history.epochs)
    endings = {
        "epochs": "all epochs were done",
        "patience": "the validation bound stopped improving",
        "interrupted": "it was interrupted",
    }
    return [
        ("epochs", f"{len(history.epochs)} of at most {settings.epochs}; best {history.best_epoch}"),
        ("ended because", endings.get(history.stopped, history.stopped)),
        ("patience", "none" if settings.patience is None else count(settings.patience, "epoch")),
        ("batch size", f"{settings.batch_size:,}"),
        ("learning rate", f"{settings.learning_rate:g}, {settings.schedule} (Adam)"),
        ("seed", str(artifact.seed)),
        ("training time", f"{seconds:.1f} s"),
    ]


def _versions(artifact: "Artifact") -> dict[str, str]:
    """Return the versions that wrote the artifact, or the current ones if it has not been written yet."""
    if artifact.versions:
        return artifact.versions
    import platform

    import numpy
    import torch

    import vaekit

    return {
        "vaekit": vaekit.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
