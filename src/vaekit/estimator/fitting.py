"""Fitting an estimator to data, or one epoch more."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from vaekit.data import Dataset, Schema
from vaekit.data.stored import found_bytes
from vaekit.errors import UsageError
from vaekit.estimator.automatic import choose_columns, choose_likelihood
from vaekit.estimator.column_kinds import read_column_kinds
from vaekit.estimator.fitting_schema import fit_schema
from vaekit.estimator.inputs import fit_conditions, model_columns, read_names
from vaekit.estimator.labels import check_labels, learns_labels
from vaekit.estimator.rows import Fitted, hold_out
from vaekit.networks.own import own_network
from vaekit.runtime.randomness import seeded
from vaekit.sentence import build_vae
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
from vaekit.vae import VAE

__all__ = ["Fitting"]


class Fitting(Fitted):
    """What trains."""

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        conditions: Any = None,
        validation: Any = None,
        validation_conditions: Any = None,
        on_epoch: Callable[[EpochMetrics, bool], None] | None = None,
        on_step: Callable[[float], None] | None = None,
        loggers: Sequence[Logger] = (),
        checkpoint: str | Path | None = None,
        checkpoint_minutes: float = 5.0,
        resume: bool = False,
        stop: StopRequest | None = None,
        on_plan: Callable[[TrainingPlan], None] | None = None,
        shard: bool = False,
    ) -> Self:
        """Fit to data.

        Parameters
        ----------
        X
            Array, tensor, data frame or :class:`vaekit.data.Dataset` of ``(n, columns)`` or
            ``(n, channels, height, width)``; or a ``torch.utils.data.Dataset``, a ``DataLoader``, any iterable that can
            be iterated over again, or a function that gives an iterator: see :func:`vaekit.data.stream`.
        y
            Ignored, but for a condition called ``labels``: those, where ``conditions`` does not say.
        conditions
            Values of the conditions: a dictionary of one array each, a data frame, or one array where there is one
            condition. None: columns of ``X``, or what the data set has.
        validation
            Held-out data for early stopping and the choice of the best weights. None: a tenth of ``X``, by
            a hash of row and seed, where patience is given and there are rows enough. False: none at all.
        validation_conditions
            As ``conditions``, of the held-out data.
        on_epoch
            Called after every epoch with its metrics and whether it is the best so far.
        on_step
            Called with the epochs done, a fraction, some times a second.
        loggers
            Their ``log`` is called after every epoch with its metrics.
        checkpoint
            A folder to keep the run in while it runs: made where missing, to be removed when it is needed no more.
        checkpoint_minutes
            Between two checkpoints.
        resume
            Go on from the newest checkpoint, to the same bytes (on the CPU) as if nothing had happened.
        stop
            To stop before the next step from elsewhere, see :class:`vaekit.training.StopRequest`.
        on_plan
            Called once before training with an estimate of memory and time, and where the rows are read from and how
            they are shuffled: see :class:`vaekit.training.TrainingPlan`; ``on_plan=print`` prints it.
        shard
            Where several processes train, spread the networks' weights, gradients and optimiser state over them; see
            :mod:`vaekit.training.sharding`.

        Returns
        -------
        VariationalAutoencoder
            Itself.

        Raises
        ------
        UsageError
            For parameters that cannot be understood.
        DataError
            For data that cannot be used.
        TrainingDivergedError
            If the loss is not finite; the estimator then holds the best weights so far.
        CheckpointError
            If the folder's checkpoints are another run's, or none can be read.
        """
        self.check_parameters()
        dataset, held_out = self._dataset(X, self._or_labels(conditions, y), reset=True), None
        seed = self._draw_seed()
        if validation is None and self.patience is not None:
            dataset, held_out = hold_out(dataset, seed)
        settings = self._settings(len(dataset))
        self._start(dataset, seed)
        if validation is not None and validation is not False:
            held_out = self._dataset(validation, validation_conditions, reset=False)
        if held_out is None:
            settings = replace(settings, patience=None)
        self.history_, self.settings_ = History(), settings
        setup = RunSetup(
            model=self.model_,
            objective=self.sentence_.objective.build(),
            data=Examples(*self._tensors(dataset)),
            held_out=None if held_out is None else Examples(*self._tensors(held_out)),
            settings=settings,
            seed=seed,
            column_names=model_columns(self.schema_),
            progress=Progress(self.history_),
        )
        if on_plan is not None:
            on_plan(plan_training(setup, found_bytes=found_bytes(dataset, held_out)))
        carry_out(
            setup,
            callbacks=Callbacks(
                on_epoch=self._reporter(on_epoch), on_step=on_step, loggers=loggers, stop=stop
            ),
            checkpoints=self._checkpoints(checkpoint, checkpoint_minutes, resume),
            launch=Launch(shard=shard),
        )
        return self

    def partial_fit(self, X: Any, y: Any = None, *, conditions: Any = None) -> Self:
        """Train one more epoch on the rows of ``X``; the first call fixes the schema, scaling included."""
        self.check_parameters()
        first = not hasattr(self, "model_")
        dataset = self._dataset(X, self._or_labels(conditions, y), reset=first)
        settings = replace(self._settings(len(dataset)), epochs=1, patience=None, schedule="constant")
        if first:
            self._start(dataset, self._draw_seed())
            self.history_, self.settings_ = History(), settings
        progress: Progress = getattr(self, "_progress", None) or Progress(self.history_)
        setup = RunSetup(
            model=self.model_,
            objective=progress.objective or self.sentence_.objective.build(),
            data=Examples(*self._tensors(dataset)),
            settings=settings,
            seed=self.seed_ + len(self.history_.epochs),
            progress=progress,
        )
        self._progress = carry_out(setup, callbacks=Callbacks(on_epoch=self._reporter(None)))
        return self

    def _start(self, dataset: Dataset, seed: int) -> None:
        """Choose the sentence, fix the schema, and build the model."""
        if asked := read_column_kinds(self.columns):
            if dataset.kind != "table":
                raise UsageError(
                    f"columns={asked}: kinds of column are for tables, and the data are {dataset.kind}; leave them out"
                )
            chosen, self.likelihood_reason_ = choose_columns(dataset, asked)
        elif self.likelihood == "auto":
            chosen, self.likelihood_reason_ = choose_likelihood(dataset)
        elif self.likelihood == "mixed":
            chosen, self.likelihood_reason_ = choose_columns(dataset)
        else:
            chosen, self.likelihood_reason_ = self.likelihood, "asked for"
        self.sentence_ = self._parse(chosen)
        device = self._torch_device()
        self.schema_: Schema = fit_schema(dataset, self.sentence_.likelihood)
        if kinds := read_names(self.condition):
            self.schema_ = replace(
                self.schema_,
                conditions=fit_conditions(dataset, kinds, missing=learns_labels(self.sentence_)),
            )
        if learns_labels(self.sentence_):
            check_labels(self.sentence_, self.schema_.conditions)
        self.seed_, self.origin_ = seed, {}
        self._progress = None
        with seeded(seed):
            self.model_: VAE = build_vae(
                self.sentence_,
                self.schema_.model_event_shape,
                int(self.latent),
                log_jacobian=self.schema_.log_jacobian,
                network=own_network(self.network, self.encoder, self.decoder),
                condition=self._width(),
            ).to(device)

    def _checkpoints(self, folder: str | Path | None, minutes: float, resume: bool) -> Checkpoints | None:
        """Where to keep the run, with what must be the same for it to go on."""
        if folder is None:
            if resume:
                raise UsageError("resume=True needs the folder of the run's checkpoints: checkpoint=PATH")
            return None
        identity = {"latent": str(self.latent), **self.sentence_.to_json()}
        return Checkpoints(folder=Path(folder), minutes=minutes, resume=resume, identity=identity)

    def _reporter(
        self, on_epoch: Callable[[EpochMetrics, bool], None] | None
    ) -> Callable[[EpochMetrics, bool], None] | None:
        if not self.verbose:
            return on_epoch

        def report(metrics: EpochMetrics, is_best: bool) -> None:
            shown = metrics.train_bound if metrics.validation_bound is None else metrics.validation_bound
            mark = " *" if is_best else ""
            print(f"epoch {metrics.epoch}: bound {shown:.3f} nats{mark}", file=sys.stderr)
            if on_epoch is not None:
                on_epoch(metrics, is_best)

        return report
