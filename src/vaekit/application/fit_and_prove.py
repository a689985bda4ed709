"""Fit a model, prove it on held-out rows, and leave one artifact with a report."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack, cast

from sklearn.base import clone

from vaekit.application.fit_steps import FitSteps, OnStage
from vaekit.application.sources import Source, source_name
from vaekit.application.unfinished import can_resume
from vaekit.data import Dataset
from vaekit.data.picture_recipe import Convert, PictureRecipe
from vaekit.errors import UsageError
from vaekit.estimator import RunOptions, VariationalAutoencoder
from vaekit.estimator.fitting import OnEpoch
from vaekit.evaluation import Evaluation
from vaekit.language.settings import LaunchOptions
from vaekit.training import Logger, StopRequest, TrainingPlan
from vaekit.training.process_group import from_rank_zero, process_group

__all__ = ["FitResult", "fit_and_prove"]


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
    plan: TrainingPlan | None = None
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
            "missing_rates": estimator.schema_.missing_rates,
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
    thousands: str | None = None,
    decimal: str | None = None,
    checkpoint_minutes: float = 5.0,
    resume: bool = False,
    force: bool = False,
    convert: Convert | None = None,
    resize: tuple[int, int] | None = None,
    skip_unreadable: bool = False,
    loggers: Sequence[Logger] = (),
    stop: StopRequest | None = None,
    on_rows: Callable[[Dataset], None] | None = None,
    on_plan: Callable[[TrainingPlan], None] | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: Callable[[float], None] | None = None,
    on_stage: OnStage | None = None,
    **launch: Unpack[LaunchOptions],
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
    convert, resize, skip_unreadable
        The colours (``rgb`` or ``grey``) and the size (height, width) that the pictures of a folder are brought to, and
        whether files that cannot be read are left out: see :func:`vaekit.data.read`. The artifact keeps them, so that
        later pictures go the same way.
    loggers
        Their ``log`` is called after every epoch with its metrics.
    stop
        To stop the training before its next step from elsewhere.
    on_rows
        Called with the training rows before the model is made.
    on_plan
        Called once before training with an estimate of memory and time.
    on_epoch, on_step
        Called after every epoch, and some times a second: see :meth:`VariationalAutoencoder.fit`.
    on_stage
        Called when ``training``, ``evaluating`` and ``saving`` begin.
    launch
        How several processes share the work: the fields of :class:`vaekit.training.Launch`.

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
    (167, True, 4)
    """
    if not checkpoint_minutes > 0:
        raise UsageError(f"checkpoint_minutes={checkpoint_minutes:g}: give a positive number, such as 5")
    pictures = PictureRecipe(convert, resize, skip_unreadable)
    fit = FitSteps(
        data=data,
        destination=_destination(data, output),
        estimator=VariationalAutoencoder(random_state=0) if estimator is None else _copy(estimator),
        validation=validation,
        samples=samples,
        label=label,
        data_dir=data_dir,
        thousands=thousands,
        decimal=decimal,
        resume=resume,
        force=force,
        on_stage=on_stage or (lambda stage: None),
        pictures=None if pictures == PictureRecipe() else pictures,
    )
    options: RunOptions = {
        "on_epoch": on_epoch,
        "on_step": on_step,
        "on_plan": on_plan,
        "loggers": loggers,
        "checkpoint_minutes": checkpoint_minutes,
        "stop": stop,
        **launch,
    }
    started = time.perf_counter()
    with process_group() as rank:
        fit = fit.prepared()
        parts, origin = fit.divide()
        if from_rank_zero(lambda: fit.is_finished(origin)):
            return FitResult(estimator=fit.load(), artifact=fit.destination, was_finished=True)
        if on_rows is not None and rank == 0:
            on_rows(parts.train)
        ending = fit.train(parts, options, is_writer=rank == 0)
        results = fit.prove(parts, origin, ending) if rank == 0 else {}
        if ending.diverged is not None:
            raise ending.diverged
        return FitResult(
            estimator=fit.estimator,
            artifact=fit.destination,
            evaluations=results,
            plan=ending.plan,
            seconds=time.perf_counter() - started,
            stopped_by=ending.stopped_by,
            can_resume=rank == 0 and ending.stopped_by is not None and can_resume(fit.destination),
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
