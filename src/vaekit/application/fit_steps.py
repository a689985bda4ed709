"""The steps of a fit: prepare its place, divide the data, train, evaluate, save."""

import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vaekit import report
from vaekit.application.evaluation_time import seconds_to_evaluate
from vaekit.application.sources import Source, read_source, source_name
from vaekit.application.unfinished import (
    can_resume,
    checkpoint_folder,
    prepare_destination,
    remove_unfinished,
    write_somewhere,
)
from vaekit.artifact import Artifact, read_artifact
from vaekit.data import Dataset, Parts, partition
from vaekit.data.column_selection import read_column_names, take_columns
from vaekit.data.picture_recipe import PictureRecipe
from vaekit.errors import ArtifactError, TrainingDivergedError, TrainingWarning, UsageError
from vaekit.estimator import RunOptions, VariationalAutoencoder
from vaekit.estimator.fitting import draw_seed
from vaekit.estimator.given_rows import asked_categories, read_names, select_columns
from vaekit.evaluation import Evaluation
from vaekit.networks.own_networks import own_network
from vaekit.training import StopRequest, TrainingPlan, stopping_on
from vaekit.training.process_group import from_rank_zero, was_restarted

__all__ = ["Ending", "FitSteps", "OnStage", "Stage"]

Stage = Literal["training", "evaluating", "saving"]
OnStage = Callable[[Stage], None]


class Ending(NamedTuple):
    """The end of a training: its plan, the signal that stopped it, and the error of a loss that is not finite."""

    plan: TrainingPlan | None
    stopped_by: signal.Signals | None
    diverged: TrainingDivergedError | None


@dataclass(frozen=True, kw_only=True)
class FitSteps:
    """The arguments of a fit that its steps share, and the steps."""

    data: Source
    destination: Path
    estimator: VariationalAutoencoder
    validation: float
    samples: int
    label: str | None
    data_dir: Path | None
    thousands: str | None
    decimal: str | None
    resume: bool
    force: bool
    on_stage: OnStage
    pictures: PictureRecipe | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise UsageError(f"validation={self.validation:g}: give a share between 0 and 1, such as 0.1")
        if self.samples < 1:
            raise UsageError(f"samples={self.samples}: give a whole number of at least 1")

    def prepared(self) -> "FitSteps":
        """Make the destination ready; go on where a launcher started the processes again after one was lost."""
        if was_restarted() and from_rank_zero(lambda: can_resume(self.destination)):
            return replace(self, resume=True, force=False)
        from_rank_zero(lambda: prepare_destination(self.destination, force=self.force, resume=self.resume))
        return self

    def divide(self) -> tuple[Parts, dict[str, Any]]:
        """Read the data and divide them; return the parts, and where they came from."""
        estimator = self.estimator
        estimator.check_parameters()
        estimator.set_params(random_state=draw_seed(estimator.random_state))
        dataset = read_source(
            self.data,
            label=self.label,
            data_dir=self.data_dir,
            memory_limit=estimator.memory_limit,
            conditions=list(read_names(estimator.condition)),
            pictures=self.pictures,
            thousands=self.thousands,
            decimal=self.decimal,
            categorical=asked_categories(estimator.columns),
            missing_values=estimator.missing_values,
            alone=read_column_names(estimator.only),
            drop=read_column_names(estimator.drop),
        )
        parts = partition(dataset, draw_seed(estimator.random_state), validation=self.validation)
        keep = (*read_column_names(estimator.only), *(estimator.columns or ()))
        if out := select_columns(parts.train, keep=keep, note_values=False).left_out:
            dataset = take_columns(dataset, out)
            parts = partition(dataset, draw_seed(estimator.random_state), validation=self.validation)
        return parts, self._origin(dataset)

    def _origin(self, dataset: Dataset) -> dict[str, Any]:
        return {
            "source": source_name(self.data) or dataset.source,
            "hash": dataset.hash(),
            "rows": len(dataset),
            "validation": self.validation,
            "own_test_split": dataset.test is not None,
            "label": self.label,
            **({} if self.thousands is None else {"thousands": self.thousands}),
            **({} if self.decimal is None else {"decimal": self.decimal}),
        }

    def is_finished(self, origin: dict[str, Any]) -> bool:
        """Whether the artifact is there and there is nothing to resume; raise an error where it is of another run."""
        has_checkpoint = can_resume(self.destination)
        if not self.resume or self.force or has_checkpoint or not self.destination.exists():
            return False
        there, estimator = read_artifact(self.destination, network=self._own_network()), self.estimator
        asked = {"data": origin["hash"], "seed": estimator.random_state, "latent": estimator.latent}
        found = {"data": there.data.get("hash"), "seed": there.seed, "latent": there.latent}
        if asked != found:
            names = ", ".join(name for name in asked if asked[name] != found[name])
            raise ArtifactError(
                f"{self.destination} is finished, of another run ({names}); choose another path"
            )
        return True

    def load(self) -> VariationalAutoencoder:
        """Return the model of an artifact that was there."""
        network, device = self._own_network(), self.estimator.device
        artifact = read_artifact(self.destination, network=network)
        return VariationalAutoencoder.from_artifact(artifact, device=device, network=network)

    def _own_network(self) -> Any:
        return own_network(self.estimator.network, self.estimator.encoder, self.estimator.decoder)

    def train(self, parts: Parts, options: RunOptions, *, is_writer: bool) -> Ending:
        """Train the estimator, keeping checkpoints; Ctrl-C, SIGTERM and a loss that is not finite end it early."""
        plans: list[TrainingPlan] = []
        on_plan, stop = options.get("on_plan"), options.get("stop")
        if self.resume and is_writer and not can_resume(self.destination):
            folder = checkpoint_folder(self.destination)
            message = (
                f"resume=True: there is nothing to go on from in {folder}, so the training starts afresh"
            )
            warnings.warn(message, TrainingWarning, stacklevel=2)
        if stop is None:
            stop = StopRequest()

        def planned(plan: TrainingPlan) -> None:
            seconds = seconds_to_evaluate(self.estimator, parts, self.samples)
            plan = replace(plan, evaluation_seconds=seconds)
            plans.append(plan)
            if on_plan is not None:
                on_plan(plan)

        options = {
            **options,
            "on_plan": planned if is_writer else None,
            "checkpoint": checkpoint_folder(self.destination),
            "resume": self.resume,
            "stop": stop,
        }
        held_out, diverged = False if parts.validation is None else parts.validation, None
        self.on_stage("training")
        with stopping_on(stop, signal.SIGTERM):
            try:
                self.estimator.fit(parts.train, validation=held_out, **options)
            except TrainingDivergedError as error:
                diverged = error
        history = self.estimator.history_
        if diverged is not None and history.best_epoch and is_writer:
            where = f"the best weights so far (epoch {history.best_epoch}) are in {self.destination}"
            diverged = type(diverged)(f"{diverged}; {where}")
        stopped_by = (stop.signal or signal.SIGINT) if history.stopped == "interrupted" else None
        return Ending(plans[0] if plans else None, stopped_by, diverged)

    def prove(self, parts: Parts, origin: dict[str, Any], ending: Ending) -> dict[str, Evaluation]:
        """Evaluate what was trained to its end, write the artifact, and remove checkpoints that nobody needs."""
        results: dict[str, Evaluation] = {}
        if self.estimator.history_.best_epoch:
            try:
                if ending.stopped_by is None and ending.diverged is None:
                    results = self.evaluate(parts)
                self.save(parts, origin, results)
            except ArtifactError:
                raise
            except Exception as error:  # whatever fails after training, the model is not lost
                self._write(self.estimator.to_artifact(origin), {})
                error.add_note(f"the fitted model is in {self.destination}, without numbers and report")
                raise
        if ending.stopped_by is None:
            remove_unfinished(self.destination)
        return results

    def evaluate(self, parts: Parts) -> dict[str, Evaluation]:
        """Evaluate the held-out rows; baselines stand beside the test rows, for validation rows chose the weights."""
        estimator, samples, results = self.estimator, self.samples, {}
        if not estimator.model_.has_log_likelihood:
            return {}
        self.on_stage("evaluating")
        if parts.validation is not None:
            results["validation"] = estimator.evaluate(
                parts.validation, samples=samples, split="validation", outside="leave out"
            )
        if parts.test is not None:
            results["test"] = estimator.evaluate(
                parts.test, samples=samples, split="test", train=parts.train, outside="leave out"
            )
        return results

    def save(self, parts: Parts, origin: dict[str, Any], results: dict[str, Evaluation]) -> None:
        """Write the artifact and its report."""
        self.on_stage("saving")
        artifact = self.estimator.to_artifact(origin)
        page = report.render_report(self.estimator, artifact, parts.test, results)
        self._write(artifact, {"report.html": page})

    def _write(self, artifact: Artifact, files: dict[str, str]) -> None:
        write_somewhere(self.destination, artifact, files, force=self.force or self.resume)
