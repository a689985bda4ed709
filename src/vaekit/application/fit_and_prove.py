"""Fit a model, prove it on held-out rows, and leave one artifact with a report."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from sklearn.base import clone

from vaekit import report
from vaekit.application.sources import Source, read_source, source_name
from vaekit.application.unfinished import (
    can_resume,
    checkpoint_folder,
    prepare_destination,
    remove_unfinished,
    write_somewhere,
)
from vaekit.artifact import read_artifact
from vaekit.data import Dataset, Parts, partition
from vaekit.errors import ArtifactError, TrainingDivergedError, UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.estimator.fitting import OnEpoch, draw_seed
from vaekit.estimator.model_rows import read_names
from vaekit.evaluation import Evaluation
from vaekit.networks.own_networks import own_network
from vaekit.training import Logger, StopRequest, stopping_on
from vaekit.training.joining import from_rank_zero
from vaekit.training.plan import Plan
from vaekit.training.process_group import process_group, was_restarted

__all__ = ["FitResult", "OnStage", "Stage", "fit_and_prove"]

Stage = Literal["training", "evaluating", "saving"]
OnStage = Callable[[Stage], None]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """A fitted model, its proof, and where both are kept.

    Parameters
    ----------
    estimator
        The fitted model.
    artifact
        The folder ``NAME.vae`` that holds it.
    evaluations
        What was measured on held-out rows, by the name of the split: ``validation`` and ``test``. Empty where training
        was interrupted, and where the likelihood has no log-likelihood.
    plan
        What the training was expected to take.
    seconds
        Time that all of it took.
    stopped_by
        The signal that ended the training early (``SIGINT`` for Ctrl-C); None where it came to its own end.
    can_resume
        Whether an interrupted training can go on, with ``resume=True``.
    was_finished
        Whether the artifact was there already, finished, so that there was nothing to resume.
    """

    estimator: VariationalAutoencoder
    artifact: Path
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    plan: Plan | None = None
    seconds: float = 0.0
    stopped_by: signal.Signals | None = None
    can_resume: bool = False
    was_finished: bool = False

    @property
    def report(self) -> Path:
        """The page that shows the model and its numbers."""
        return self.artifact / "report.html"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a document for JSON."""
        estimator, history = self.estimator, self.estimator.history_
        splits = {name: self.evaluations.get(name) for name in ("validation", "test")}
        return {
            "artifact": str(self.artifact),
            "report": str(self.report),
            "epochs": len(history.epochs),
            "best_epoch": history.best_epoch,
            "stopped": history.stopped,
            "likelihood": str(estimator.sentence_.likelihood),
            "likelihood_reason": estimator.likelihood_reason_,
            "constant_columns": list(estimator.schema_.constant_columns),
            **{name: None if found is None else found.to_json() for name, found in splits.items()},
            "plan": None if self.plan is None else self.plan.to_json(),
            "seconds": self.seconds,
        }


def fit_and_prove(
    data: Source,
    output: str | Path | None = None,
    *,
    estimator: VariationalAutoencoder | None = None,
    validation: float = 0.1,
    samples: int = 200,
    label: str | None = None,
    data_dir: Path | None = None,
    checkpoint_minutes: float = 5.0,
    resume: bool = False,
    force: bool = False,
    shard: bool = False,
    loggers: Sequence[Logger] = (),
    stop: StopRequest | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: Callable[[float], None] | None = None,
    on_stage: OnStage | None = None,
) -> FitResult:
    """Fit a model to data, evaluate it on held-out rows beside baselines, and write an artifact with a report.

    The rows are divided by a hash of row and seed into training, validation and test rows. Checkpoints lie in
    ``NAME.vae.training`` while the model is trained. Ctrl-C and SIGTERM end the training before its next step: the best
    weights so far are saved, and ``stopped_by`` tells. Where a launcher such as torchrun started several processes,
    they train one model together, and the first one evaluates and writes.

    Parameters
    ----------
    data
        A path, the name of a data set such as ``digits``, or data in memory.
    output
        The artifact to write, a folder; ``NAME.vae`` after the path or name of the data by default.
    estimator
        What to fit; a copy of it is fitted. By default ``VariationalAutoencoder(random_state=0)``.
    validation
        Share of the rows held out for early stopping; 0: none.
    samples
        Importance samples an example for the held-out log-likelihood.
    label
        A column that is a label: kept for colouring, never trained on.
    data_dir
        Where the named data sets lie, such as ``mnist``.
    checkpoint_minutes
        Time between two checkpoints.
    resume
        Go on with a training that was stopped or killed.
    force
        Replace an artifact that is there, and begin again where a training is unfinished.
    shard
        Where several processes train, spread the networks over them.
    loggers
        Their ``log`` is called after every epoch with its metrics.
    stop
        To stop the training before its next step from elsewhere.
    on_plan
        Called once before training with an estimate of memory and time.
    on_epoch, on_step
        Called after every epoch, and some times a second: see :meth:`VariationalAutoencoder.fit`.
    on_stage
        Called when ``training``, ``evaluating`` and ``saving`` begin.

    Returns
    -------
    FitResult

    Raises
    ------
    UsageError
        For arguments that make no sense.
    DataError
        For data that cannot be used; :class:`~vaekit.errors.ArtifactError` for an artifact that cannot be written,
        :class:`~vaekit.errors.CheckpointError` for checkpoints of another run.
    TrainingDivergedError
        If the loss is not finite; the best weights so far are then saved, and the message says where.

    Examples
    --------
    >>> import tempfile
    >>> from vaekit import VariationalAutoencoder, fit_and_prove
    >>> vae = VariationalAutoencoder(latent=2, network="mlp:hidden=8", epochs=2, random_state=0)
    >>> result = fit_and_prove("digits", tempfile.mkdtemp() + "/digits.vae", estimator=vae, samples=5)
    >>> result.artifact.name, result.report.name, result.estimator.history_.stopped
    ('digits.vae', 'report.html', 'epochs')
    >>> test = result.evaluations["test"]
    >>> test.examples, test.log_likelihood.standard_error > 0, len(test.baselines)
    (167, True, 2)
    """
    run = _Run(
        data=data,
        destination=_destination(data, output),
        estimator=VariationalAutoencoder(random_state=0) if estimator is None else _copy(estimator),
        validation=validation,
        samples=samples,
        label=label,
        data_dir=data_dir,
        resume=resume,
        force=force,
        on_stage=on_stage or (lambda stage: None),
    )
    if not checkpoint_minutes > 0:
        raise UsageError(f"checkpoint_minutes={checkpoint_minutes:g}: give a positive number, such as 5")
    started = time.perf_counter()
    with process_group() as rank:
        run = run.prepared()
        parts, origin = run.divide()
        if from_rank_zero(lambda: run.is_finished(origin)):
            return FitResult(estimator=run.load(), artifact=run.destination, was_finished=True)
        plans: list[Plan] = []

        def planned(plan: Plan) -> None:
            plans.append(plan)
            if on_plan is not None:
                on_plan(plan)

        stop, diverged = StopRequest() if stop is None else stop, None
        run.on_stage("training")
        with stopping_on(stop, signal.SIGTERM):
            try:
                run.estimator.fit(
                    parts.train,
                    validation=False if parts.validation is None else parts.validation,
                    on_epoch=on_epoch,
                    on_step=on_step,
                    on_plan=planned if rank == 0 else None,
                    loggers=loggers,
                    checkpoint=checkpoint_folder(run.destination),
                    checkpoint_minutes=checkpoint_minutes,
                    resume=run.resume,
                    stop=stop,
                    shard=shard,
                )
            except TrainingDivergedError as error:
                diverged = error
        history = run.estimator.history_
        stopped_by = (stop.signal or signal.SIGINT) if history.stopped == "interrupted" else None
        results: dict[str, Evaluation] = {}
        if rank == 0:
            if history.best_epoch:
                results = {} if stopped_by or diverged else run.evaluate(parts)
                run.save(parts, origin, results)
            if not stopped_by:
                remove_unfinished(run.destination)
        if diverged is not None:
            best, where = history.best_epoch, ""
            if best and rank == 0:
                where = f"; the best weights so far (epoch {best}) are in {run.destination}"
            raise type(diverged)(f"{diverged}{where}")
        return FitResult(
            estimator=run.estimator,
            artifact=run.destination,
            evaluations=results,
            plan=plans[0] if plans else None,
            seconds=time.perf_counter() - started,
            stopped_by=stopped_by,
            can_resume=rank == 0 and stopped_by is not None and can_resume(run.destination),
        )


def _destination(data: Source, output: str | Path | None) -> Path:
    """Return the artifact to write; by default its name follows from that of the data."""
    if output is not None:
        return Path(output)
    name = source_name(data)
    if name is None:
        raise UsageError("data in memory have no name for the artifact to follow; give output='NAME.vae'")
    return Path(Path(Path(name.rstrip("/")).name.removesuffix(".gz")).stem + ".vae")


def _copy(estimator: VariationalAutoencoder) -> VariationalAutoencoder:
    """Return an estimator with the same parameters that is not fitted."""
    return cast(VariationalAutoencoder, clone(estimator))


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The arguments of a fit that its steps share, and the steps."""

    data: Source
    destination: Path
    estimator: VariationalAutoencoder
    validation: float
    samples: int
    label: str | None
    data_dir: Path | None
    resume: bool
    force: bool
    on_stage: OnStage

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise UsageError(f"validation={self.validation:g}: give a share between 0 and 1, such as 0.1")
        if self.samples < 1:
            raise UsageError(f"samples={self.samples}: give a whole number of at least 1")

    def prepared(self) -> "_Run":
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
        )
        parts = partition(dataset, draw_seed(estimator.random_state), validation=self.validation)
        if estimator.batch_size is not None and estimator.batch_size > len(parts.train):
            raise UsageError(
                f"batch_size={estimator.batch_size}: there are {len(parts.train)} training rows; give at most as many, "
                "or none to let it follow from them"
            )
        return parts, self._origin(dataset)

    def _origin(self, dataset: Dataset) -> dict[str, Any]:
        return {
            "source": source_name(self.data) or dataset.source,
            "hash": dataset.hash(),
            "rows": len(dataset),
            "validation": self.validation,
            "own_test_split": dataset.test is not None,
            "label": self.label,
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

    def evaluate(self, parts: Parts) -> dict[str, Evaluation]:
        """Evaluate the held-out rows; baselines stand beside the test rows, for validation rows chose the weights."""
        estimator, samples, results = self.estimator, self.samples, {}
        if not estimator.model_.has_log_likelihood:
            return {}
        self.on_stage("evaluating")
        if parts.validation is not None:
            results["validation"] = estimator.evaluate(parts.validation, samples=samples, split="validation")
        if parts.test is not None:
            results["test"] = estimator.evaluate(parts.test, samples=samples, split="test", train=parts.train)
        return results

    def save(self, parts: Parts, origin: dict[str, Any], results: dict[str, Evaluation]) -> None:
        """Write the artifact and its report."""
        self.on_stage("saving")
        artifact = self.estimator.to_artifact(origin)
        page = report.render_report(self.estimator, artifact, parts.test, results)
        write_somewhere(self.destination, artifact, {"report.html": page}, force=self.force or self.resume)
