"""Fitting: from the parameters of an estimator and rows to a trained model, one epoch more, or another prior."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_random_state

from vaekit.aggregate import PriorFit, fit_prior
from vaekit.artifact import build_model
from vaekit.data import ConditionSchema, Dataset, Schema
from vaekit.data.conditions import ConditionKind
from vaekit.data.mapped import memory_limit
from vaekit.data.missing_values import read_codes
from vaekit.data.stored import found_bytes
from vaekit.errors import DataError, DataWarning, TrainingWarning, UsageError
from vaekit.estimator.automatic_parts import choose_network, choose_objective
from vaekit.estimator.given_rows import asked_categories, read_names
from vaekit.estimator.likelihood_choice import choose, fit_schema, learn_rows, read_column_kinds
from vaekit.estimator.model_rows import FittedModel
from vaekit.language.settings import LaunchOptions, TrainingOptions, TrainingSettings
from vaekit.networks import NetworkRecipe
from vaekit.networks.own_networks import own_network, sentence_of
from vaekit.runtime.device import choose_device
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, Spec, parse
from vaekit.training import (
    Callbacks,
    Checkpoints,
    EpochMetrics,
    Examples,
    History,
    Launch,
    Logger,
    Progress,
    RunSetup,
    StopRequest,
    TrainingPlan,
    carry_out,
    plan_training,
)
from vaekit.training.process_group import from_rank_zero

__all__ = [
    "Beginning",
    "OnEpoch",
    "Recipe",
    "RunOptions",
    "begin",
    "draw_seed",
    "replace_prior",
    "train_model",
    "train_more",
]

OnEpoch = Callable[[EpochMetrics, bool], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The parameters of an estimator, read and checked.

    Parameters
    ----------
    latent
        Number of latent dimensions.
    parts
        Network, posterior, prior and objective, as :meth:`vaekit.sentence.Sentence.parse` takes them.
    likelihood
        A likelihood, or ``auto`` or ``mixed``, which look at the data.
    columns
        Kinds of single columns by name.
    conditions
        Kinds of the conditions by name.
    network
        The networks, where they are the user's own.
    options
        How to train.
    device
        Where to compute.
    missing_values
        Values that stand for missing ones.
    """

    latent: int
    parts: Mapping[str, Any]
    likelihood: Any
    columns: Mapping[str, str]
    conditions: Mapping[str, ConditionKind]
    network: NetworkRecipe | None
    options: TrainingOptions
    device: torch.device
    missing_values: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Recipe":
        """Read the parameters of an estimator.

        Raises
        ------
        UsageError
            For parameters that no data could make right.
        """
        latent, likelihood = parameters["latent"], parameters["likelihood"]
        if not isinstance(latent, (int, np.integer)) or latent < 1:
            raise UsageError(f"latent={latent!r}: give a whole number of at least 1")
        options = TrainingOptions(**{field.name: parameters[field.name] for field in fields(TrainingOptions)})
        memory_limit(parameters["memory_limit"])
        conditions, columns = read_names(parameters["condition"]), read_column_kinds(parameters["columns"])
        if columns and likelihood not in ("auto", "mixed"):
            raise UsageError(
                f"columns={parameters['columns']!r} with likelihood={likelihood!r}: kinds of single columns go with "
                "likelihood auto or mixed"
            )
        device = choose_device(parameters["device"])
        network = own_network(parameters["network"], parameters["encoder"], parameters["decoder"])
        parts = {room: parameters[room] for room in ("posterior", "prior", "objective")}
        parts["network"] = parameters["network"] if network is None else sentence_of(network)
        recipe = cls(
            latent=int(latent),
            parts=parts,
            likelihood=likelihood,
            columns=columns,
            conditions=conditions,
            network=network,
            options=options,
            device=device,
            missing_values=read_codes(parameters["missing_values"]),
        )
        recipe.sentence("gaussian" if likelihood == "auto" else likelihood)
        return recipe

    def sentence(self, likelihood: Any, rows: Dataset | None = None) -> Sentence:
        """Return the sentence of parts with a likelihood; of parts that are ``auto``, those for the rows."""
        parts = dict(self.parts)
        if parts["network"] == "auto":
            parts["network"] = "mlp" if rows is None else choose_network(rows)
        if parts["objective"] == "auto":
            parts["objective"] = "elbo"
            if rows is not None:
                posterior = parse("posterior", parts["posterior"]).part.traits
                epochs = self.settings(rows, parse("network", parts["network"])).epochs
                parts["objective"] = choose_objective(rows, posterior, epochs)
        return Sentence.parse(likelihood=likelihood, **parts)

    def settings(self, rows: Dataset, network: Spec) -> TrainingSettings:
        """Return the settings of a training on the rows, those that were left open filled in."""
        convolutions = self.network is None and network.part.traits.needs_images
        return self.options.filled_in(len(rows), convolutions=convolutions)


class Beginning(NamedTuple):
    """A model that is ready to be trained, and the reason for its likelihood."""

    model: FittedModel
    likelihood_reason: str


def draw_seed(random_state: Any) -> int:
    """Return a whole number as it is; otherwise draw a seed from it, the same in all processes."""
    if isinstance(random_state, (int, np.integer)):
        if not -(2**63) <= random_state < 2**64:
            raise UsageError(f"seed {random_state}: give a whole number of at most 64 bits")
        return int(random_state)
    return from_rank_zero(lambda: int(check_random_state(random_state).randint(2**31 - 1)))


def begin(recipe: Recipe, rows: Dataset, seed: int) -> Beginning:
    """Choose the sentence, learn the schema of the rows, and build the model.

    Raises
    ------
    UsageError
        For parts that do not fit together, or do not fit the data.
    DataError
        For data that the likelihood does not accept.
    """
    asked = recipe.sentence("bernoulli", rows).objective.part.traits
    likelihood, reason = choose(rows, recipe.likelihood, recipe.columns, levels=not asked.compares_whole_rows)
    sentence = recipe.sentence(likelihood, rows)
    learns_labels = _learns_labels(sentence)
    flat = recipe.network is None and not sentence.network.part.traits.needs_images
    asked_for = asked_categories(recipe.columns)
    schema = fit_schema(rows, sentence.likelihood, flat=flat, categorical=asked_for)
    schema = replace(schema, missing_values=recipe.missing_values)
    if schema.empty_columns:
        warnings.warn(
            f"{rows.source}: no value at all in {', '.join(schema.empty_columns)[:200]}: left out of the model",
            DataWarning,
            stacklevel=4,
        )
    if recipe.conditions:
        schema = replace(schema, conditions=_fit_conditions(rows, recipe.conditions, missing=learns_labels))
    if learns_labels:
        _check_labels(sentence, schema.conditions)
    with seeded(seed):
        model = build_model(sentence, schema, recipe.latent, recipe.network)
    learn_rows(model, rows, schema)
    return Beginning(FittedModel(model.to(recipe.device), sentence, schema, seed, recipe.device), reason)


def _learns_labels(sentence: Sentence) -> bool:
    return sentence.objective.part.traits.needs_classifier


def _fit_conditions(rows: Dataset, kinds: Mapping[str, ConditionKind], *, missing: bool) -> ConditionSchema:
    """Learn the schema of the conditions of the training rows; ``missing`` says whether values may be missing."""
    found = rows.conditions or {}
    for name in kinds:
        if name not in found:
            raise DataError(
                f"{rows.source}: no values for the condition {name!r}; give them as a column, or beside the data in "
                "conditions={...}"
            )
    return ConditionSchema.fit({name: found[name] for name in kinds}, kinds, missing=missing)


def _check_labels(sentence: Sentence, conditions: ConditionSchema | None) -> None:
    """Refuse to learn the labels of anything but one categorical condition."""
    told = () if conditions is None else conditions.conditions
    if len(told) == 1 and told[0].categories is not None:
        return
    found = "; ".join(condition.describe() for condition in told) or "none"
    raise UsageError(
        f"objective {sentence.objective.kind} learns the labels of one categorical condition, and the model has "
        f"{found}; give one, such as condition=labels or NAME:categorical"
    )


class RunOptions(LaunchOptions, total=False):
    """Keyword arguments of ``fit``: how a training is watched, kept on disk and stopped.

    The fields of :class:`vaekit.training.Launch` are among them: how several processes share the work.

    Parameters
    ----------
    on_epoch
        Called after every epoch with its metrics and whether it is the best so far.
    on_step
        Called with the epochs done, a fraction, some times a second.
    on_plan
        Called once before training with an estimate of memory and time, and where the rows are read from and how they
        are shuffled: see :class:`vaekit.training.TrainingPlan`; ``on_plan=print`` prints it.
    loggers
        Their ``log`` is called after every epoch with its metrics.
    checkpoint
        A folder to keep the run in while it runs: made where missing, to be removed when it is needed no more.
    checkpoint_minutes
        Time between two checkpoints; 5 by default.
    resume
        Go on from the newest checkpoint, to the same bytes (on the CPU) as if nothing had happened.
    stop
        To stop before the next step from elsewhere, see :class:`vaekit.training.StopRequest`.
    """

    on_epoch: OnEpoch | None
    on_step: Callable[[float], None] | None
    on_plan: Callable[[TrainingPlan], None] | None
    loggers: Sequence[Logger]
    checkpoint: str | Path | None
    checkpoint_minutes: float
    resume: bool
    stop: StopRequest | None


def train_model(
    fitted: FittedModel,
    rows: Dataset,
    held_out: Dataset | None,
    settings: TrainingSettings,
    history: History,
    *,
    recipe: Recipe,
    verbose: bool,
    run: RunOptions,
) -> None:
    """Train a model in place, and append to its history; see ``VariationalAutoencoder.fit``."""
    asked = recipe.options.batch_size
    if asked is not None and asked > len(rows):
        message = f"batch_size={asked}: there are {len(rows)} training rows, and one batch is all of them"
        warnings.warn(message, TrainingWarning, stacklevel=3)
    fitted = fitted.taking(rows, held_out)
    data = Examples(*fitted.tensors(rows))
    if held_out is not None and recipe.likelihood in (
        "auto",
        "mixed",
    ):  # families that training rows have chosen
        held_out = fitted.with_probability(held_out, what="the validation rows")
    setup = RunSetup(
        model=fitted.model,
        objective=fitted.sentence.objective.build(),
        data=data,
        held_out=None if held_out is None else Examples(*fitted.tensors(held_out)),
        settings=settings,
        seed=fitted.seed,
        column_names=_model_columns(fitted.schema),
        progress=Progress(history),
    )
    if on_plan := run.get("on_plan"):
        on_plan(plan_training(setup, found_bytes=found_bytes(rows, held_out)))
    on_epoch = run.get("on_epoch")
    callbacks = Callbacks(
        on_epoch=_printing(on_epoch) if verbose else on_epoch,
        on_step=run.get("on_step"),
        loggers=run.get("loggers", ()),
        stop=run.get("stop"),
    )
    carry_out(
        setup,
        callbacks=callbacks,
        checkpoints=_checkpoints(fitted, recipe, run),
        launch=Launch.taken_from(run),
    )


def _checkpoints(fitted: FittedModel, recipe: Recipe, run: RunOptions) -> Checkpoints | None:
    """Return where the run is kept, with all that must be the same for it to go on."""
    folder, resume = run.get("checkpoint"), run.get("resume", False)
    if folder is None:
        if resume:
            raise UsageError("resume=True needs the folder of the run's checkpoints: checkpoint=PATH")
        return None
    identity = {"latent": str(recipe.latent), **fitted.sentence.to_json()}
    minutes = run.get("checkpoint_minutes", 5.0)
    return Checkpoints(folder=Path(folder), minutes=minutes, resume=resume, identity=identity)


def train_more(
    fitted: FittedModel,
    rows: Dataset,
    progress: Progress,
    settings: TrainingSettings,
    *,
    verbose: bool,
) -> Progress:
    """Train one epoch more, from where the last one ended; see ``VariationalAutoencoder.partial_fit``."""
    fitted = fitted.taking(rows)
    setup = RunSetup(
        model=fitted.model,
        objective=progress.objective or fitted.sentence.objective.build(),
        data=Examples(*fitted.tensors(rows)),
        settings=settings,
        seed=fitted.seed + len(progress.history.epochs),
        progress=progress,
    )
    return carry_out(setup, callbacks=Callbacks(on_epoch=_printing(None) if verbose else None))


def replace_prior(
    fitted: FittedModel, prior: Any, rows: Dataset, held_out: Dataset | None, *, recipe: Recipe, seed: int
) -> tuple[Sentence, PriorFit]:
    """Fit a prior to the codes of the rows and put it into the model; see ``VariationalAutoencoder.fit_prior``.

    Returns
    -------
    Sentence
        The sentence of the model with the new prior.
    PriorFit
        How well it went.
    """
    taking = fitted.taking(rows, held_out)
    x, c = fitted.tensors(rows)
    held_out_x, held_out_c = (None, None) if held_out is None else fitted.tensors(held_out)
    sentence = replace(fitted.sentence, prior=parse("prior", prior))
    with seeded(seed):  # a whole model is built, so that everything a sentence is refused for is checked
        fresh = build_model(sentence, fitted.schema, recipe.latent, recipe.network).parts["prior"]
    if c is not None:
        c = taking.with_labels(x, c)
    if held_out_x is not None and held_out_c is not None:
        held_out_c = taking.with_labels(held_out_x, held_out_c)
    fit = fit_prior(taking.model, fresh, x, held_out_x, seed=seed, c=c, held_out_c=held_out_c)
    fitted.model.parts["prior"] = taking.model.parts["prior"]
    return sentence, fit


def _printing(on_epoch: OnEpoch | None) -> OnEpoch:
    """Return a callback that prints a line an epoch on standard error before it calls another."""

    def report(metrics: EpochMetrics, is_best: bool) -> None:
        mark = " *" if is_best else ""
        print(f"epoch {metrics.epoch}: bound {metrics.bound:.3f} nats{mark}", file=sys.stderr)
        if on_epoch is not None:
            on_epoch(metrics, is_best)

    return report


def _model_columns(schema: Schema) -> list[str] | None:
    """Return the names of the columns that the model sees; None for images."""
    names = schema.column_names
    return None if names is None else [n for n, kept in zip(names, schema.kept, strict=True) if kept]
