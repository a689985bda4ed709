"""``vaekit fit DATA``: fit a model, prove it, and leave an artifact."""

import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from vaekit.cli import common
from vaekit.cli.progress import Progress
from vaekit.cli.unfinished import (
    can_go_on,
    checkpoint_folder,
    prepare_destination,
    remove_unfinished,
    warnings_in_a_line,
    write_somewhere,
)

if TYPE_CHECKING:
    from vaekit.data import Parts
    from vaekit.errors import VaekitError
    from vaekit.estimator import VariationalAutoencoder
    from vaekit.evaluation import Evaluation

__all__ = ["Fit"]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fit a variational autoencoder to a file and leave one artifact, with a report."""

    data: common.DataArgument
    output: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["-o"], metavar="NAME.vae", help="The artifact to write; after DATA by default."
        ),
    ] = None
    latent: Annotated[int, tyro.conf.arg(help="Number of latent dimensions.")] = 10
    model: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME",
            help="A model of the literature (`vaekit models` lists them): its parts where none is given.",
        ),
    ] = None
    network: Annotated[
        str | None, tyro.conf.arg(metavar="SPEC", help="mlp:hidden=400, convolutional:channels=32x64, ...")
    ] = None
    posterior: Annotated[
        str | None, tyro.conf.arg(metavar="SPEC", help="q(z|x): diagonal, full, low-rank:rank=2, ...")
    ] = None
    prior: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="SPEC",
            help="p(z): standard, gaussian, vamp:components=500, ...; by default the posterior's natural one.",
        ),
    ] = None
    likelihood: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="SPEC",
            help="p(x|z): bernoulli, gaussian:scale=learned, negative-binomial, discretized-logistic, ...; auto, "
            "the default, looks at the data.",
        ),
    ] = None
    column: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            metavar="NAME=KIND",
            help="The likelihood of one column, where looking at the data would choose another: gaussian, laplace, "
            "student-t, bernoulli, categorical, poisson, negative-binomial, zero-inflated-negative-binomial. Several: "
            "again.",
        ),
    ] = ()
    objective: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="SPEC",
            help="What to maximise: elbo:beta=4, elbo:beta=linear:0..1/10, iwae:samples=50, tc:beta=6, ...",
        ),
    ] = None
    condition: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            metavar="COLUMN",
            help="A column that the model is told rather than describes; labels: the data's labels. Several: again, or "
            "with commas; COLUMN:categorical or COLUMN:continuous where it is not plain.",
        ),
    ] = ()
    epochs: Annotated[
        int | None,
        tyro.conf.arg(help="At most this many passes over the training rows; by default it depends on them."),
    ] = None
    batch_size: Annotated[int | None, tyro.conf.arg(help="Rows a step; by default it depends on them.")] = (
        None
    )
    learning_rate: Annotated[float, tyro.conf.arg(help="The optimiser's, before its schedule.")] = 3e-3
    schedule: Annotated[
        str,
        tyro.conf.arg(
            metavar="SPEC",
            help="Of the learning rate: constant, cosine (it falls to zero), one-cycle, plateau:patience=10, "
            "staircase.",
        ),
    ] = "cosine"
    optimizer: Annotated[
        str, tyro.conf.arg(metavar="SPEC", help="adam:epsilon=1e-8, rmsprop:centered=true, ...")
    ] = "adam"
    clip: Annotated[
        float | Literal["auto", "none"],
        tyro.conf.arg(
            help="Longest gradient, by its global norm; auto: out of reach of training that goes well."
        ),
    ] = "auto"
    averaging: Annotated[
        float | None, tyro.conf.arg(help="Decay of a moving average of the weights to keep, such as 0.999.")
    ] = None
    output_bias: Annotated[
        Literal["auto", "marginal", "none"],
        tyro.conf.arg(help="Begin the decoder at the data's means; auto: counts alone."),
    ] = "auto"
    compile: Annotated[
        Literal["auto", "on", "off"],
        tyro.conf.arg(
            help="Make native code of a training step, which takes 10 seconds; auto: where the run is long enough."
        ),
    ] = "auto"
    precision: Annotated[
        Literal["float32", "tf32", "bf16"],
        tyro.conf.arg(
            help="Of the networks' products in training; tf32: on NVIDIA cards. Evaluation is in float32."
        ),
    ] = "float32"
    patience: Annotated[
        int | Literal["none"],
        tyro.conf.arg(help="Stop after this many epochs without a better validation bound; none: never."),
    ] = 50
    validation: Annotated[
        float, tyro.conf.arg(help="Share of the rows held out for early stopping; 0: none.")
    ] = 0.1
    samples: Annotated[int, tyro.conf.arg(help="Importance samples for the held-out log-likelihood.")] = 200
    seed: Annotated[int, tyro.conf.arg(help="Of the split, initialisation, order and noise.")] = 0
    device: common.Device = "auto"
    label: common.LabelOption = None
    data_dir: common.DataDirOption = None
    memory_limit: common.MemoryOption = None
    checkpoint_minutes: Annotated[
        float,
        tyro.conf.arg(help="Time between checkpoints, in NAME.vae.training while the model is trained."),
    ] = 5.0
    resume: Annotated[bool, tyro.conf.arg(help="Go on with a training that was stopped or killed.")] = False
    shard: Annotated[
        bool,
        tyro.conf.arg(
            help="Under torchrun: spread the networks over the processes, for models too large for one device."
        ),
    ] = False
    tensorboard: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help="Log to TensorBoard there, while training.")
    ] = None
    force: Annotated[bool, tyro.conf.arg(help="Replace an artifact that is there.")] = False
    json: common.JsonFlag = False

    def run(self) -> int:
        """Fit, evaluate, report and save; where a launcher started several processes, with the others."""
        from vaekit.training.process_group import process_group

        with process_group() as rank:
            return self._run(is_writer=rank == 0)

    def _run(self, *, is_writer: bool) -> int:
        from vaekit.training.process_group import from_rank_zero, was_restarted

        started = time.perf_counter()
        destination = self._destination()
        if was_restarted() and from_rank_zero(lambda: can_go_on(destination)):
            return replace(self, resume=True, force=False)._fit(destination, started, is_writer=is_writer)
        from_rank_zero(lambda: prepare_destination(destination, force=self.force, resume=self.resume))
        return self._fit(destination, started, is_writer=is_writer)

    def _fit(self, destination: Path, started: float, *, is_writer: bool) -> int:
        from vaekit.training.process_group import from_rank_zero

        estimator, parts, origin = self._prepare()
        if from_rank_zero(lambda: self._is_finished(destination, origin)):
            return 0
        progress = Progress(shown=is_writer)
        stopped_by, diverged = self._train(estimator, parts, destination, progress)
        if not is_writer:
            return 128 + stopped_by if stopped_by else 0 if diverged is None else diverged.exit_code
        best = estimator.history_.best_epoch
        if best:
            results = {} if stopped_by or diverged else self._evaluate(estimator, parts)
            self._save(estimator, parts, origin, results, destination)
            if not diverged:
                self._print(estimator, results, destination, progress, time.perf_counter() - started)
        if not stopped_by:
            remove_unfinished(destination)
        if diverged:
            where = f"; the best weights so far (epoch {best}) are in {destination}" if best else ""
            raise type(diverged)(f"{diverged}{where}")
        return self._say_how_to_go_on(stopped_by, destination) if stopped_by else 0

    def _destination(self) -> Path:
        from vaekit.errors import UsageError

        if not 0 <= self.validation < 1:
            raise UsageError(f"--validation {self.validation:g}: give a share between 0 and 1, such as 0.1")
        if self.samples < 1:
            raise UsageError(f"--samples {self.samples}: give a whole number of at least 1")
        if not self.checkpoint_minutes > 0:
            raise UsageError(
                f"--checkpoint-minutes {self.checkpoint_minutes:g}: give a positive number, such as 5"
            )
        stem = Path(self.data.rstrip("/")).name.removesuffix(".gz")
        return self.output or Path(Path(stem).stem + ".vae")

    def _prepare(self) -> "tuple[VariationalAutoencoder, Parts, dict[str, Any]]":
        from vaekit.data import partition
        from vaekit.data.mapped import memory_limit
        from vaekit.errors import UsageError
        from vaekit.estimator import VariationalAutoencoder
        from vaekit.estimator.inputs import read_names

        estimator = VariationalAutoencoder(
            self.latent,
            **self._parts(),
            columns=self._columns(),
            condition=",".join(self.condition) or None,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=None if self.patience == "none" else self.patience,
            schedule=self.schedule,
            optimizer=self.optimizer,
            clip=self.clip if self.clip == "auto" or isinstance(self.clip, float) else None,
            averaging=self.averaging,
            output_bias=self.output_bias,
            compile=self.compile,
            precision=self.precision,
            device=self.device,
            memory_limit=self.memory_limit,
            random_state=self.seed,
        )
        estimator.check_parameters()
        memory = memory_limit(self.memory_limit)
        names = list(read_names(",".join(self.condition) or None))
        dataset = common.read_data(
            self.data, label=self.label, data_dir=self.data_dir, memory=memory, conditions=names
        )
        origin = {
            "source": self.data,
            "hash": dataset.hash(),
            "rows": len(dataset),
            "validation": self.validation,
            "own_test_split": dataset.test is not None,
            "label": self.label,
        }
        parts = partition(dataset, self.seed, validation=self.validation)
        if self.batch_size is not None and self.batch_size > len(parts.train):
            raise UsageError(
                f"--batch-size {self.batch_size}: there are {len(parts.train)} training rows; give at most as many, "
                "or none to let it follow from them"
            )
        return estimator, parts, origin

    def _parts(self) -> dict[str, Any]:
        """The specs that were given, on top of the named model's; all others are the estimator's defaults."""
        from vaekit.sentence import PARTS
        from vaekit.sentence.literature import resolve

        return resolve(self.model, {room: getattr(self, room) for room in PARTS})

    def _columns(self) -> dict[str, str] | None:
        """The kinds of columns by name; names may hold an equals sign, kinds do not."""
        from vaekit.errors import UsageError

        kinds: dict[str, str] = {}
        for text in self.column:
            name, equals, kind = text.rpartition("=")
            if not equals or not name or not kind:
                raise UsageError(
                    f"--column {text!r}: write NAME=KIND, such as --column age=negative-binomial"
                )
            if name in kinds:
                raise UsageError(f"--column: {name} is given twice")
            kinds[name] = kind
        return kinds or None

    def _is_finished(self, destination: Path, origin: dict[str, Any]) -> bool:
        """Whether there is nothing to resume, for the artifact is there: said, and refused where it is another's."""
        from vaekit.artifact import read_artifact
        from vaekit.errors import ArtifactError

        if not (self.resume and not self.force and destination.exists() and not can_go_on(destination)):
            return False
        there = read_artifact(destination)
        asked = {"data": origin["hash"], "seed": self.seed, "latent": self.latent}
        found = {"data": there.data.get("hash"), "seed": there.seed, "latent": there.latent}
        if asked != found:
            names = ", ".join(name for name in asked if asked[name] != found[name])
            raise ArtifactError(
                f"{destination} is finished, of another run ({names}); choose another --output"
            )
        print(f"vaekit: {destination} is finished: there is nothing to resume", file=sys.stderr)
        return True

    def _train(
        self,
        estimator: "VariationalAutoencoder",
        parts: "Parts",
        destination: Path,
        progress: Progress,
    ) -> "tuple[signal.Signals | None, VaekitError | None]":
        from vaekit.errors import TrainingDivergedError
        from vaekit.training import StopRequest, TensorBoardLogger, stopping_on

        loggers = []
        if self.tensorboard is not None and progress.shown:
            loggers = [TensorBoardLogger(self.tensorboard)]
        with progress, stopping_on(StopRequest(), signal.SIGTERM) as stop, warnings_in_a_line():
            try:
                estimator.fit(
                    parts.train,
                    validation=False if parts.validation is None else parts.validation,
                    on_epoch=progress.epoch,
                    on_step=progress.step,
                    loggers=loggers,
                    checkpoint=checkpoint_folder(destination),
                    checkpoint_minutes=self.checkpoint_minutes,
                    resume=self.resume,
                    stop=stop,
                    on_plan=progress.plan if progress.shown else None,
                    shard=self.shard,
                )
            except TrainingDivergedError as error:
                return None, error
        interrupted = estimator.history_.stopped == "interrupted"
        return (stop.signal or signal.SIGINT) if interrupted else None, None

    def _say_how_to_go_on(self, stopped_by: signal.Signals, destination: Path) -> int:
        how = (
            "to go on, give the same command with --resume" if can_go_on(destination) else "nothing was kept"
        )
        word = "interrupted" if stopped_by == signal.SIGINT else "terminated"
        print(f"vaekit: {word}; {how}", file=sys.stderr)
        return 128 + stopped_by

    def _evaluate(self, estimator: "VariationalAutoencoder", parts: "Parts") -> "dict[str, Evaluation]":
        if not estimator.model_.has_log_likelihood:
            return {}
        common.say("evaluating on held-out rows ...")
        results = {}
        if parts.validation is not None:
            results["validation"] = estimator.evaluate(
                parts.validation, samples=self.samples, split="validation"
            )
        if parts.test is not None:
            # The baselines stand beside the numbers that count: the validation rows chose the weights.
            results["test"] = estimator.evaluate(
                parts.test, samples=self.samples, split="test", train=parts.train
            )
        return results

    def _save(
        self,
        estimator: "VariationalAutoencoder",
        parts: "Parts",
        origin: dict[str, Any],
        results: "dict[str, Evaluation]",
        destination: Path,
    ) -> None:
        from vaekit.report import render_report

        artifact = estimator.to_artifact(origin)
        report = render_report(estimator, artifact, parts.test, results)
        write_somewhere(destination, artifact, report, force=self.force or self.resume)

    def _print(
        self,
        estimator: "VariationalAutoencoder",
        results: "dict[str, Evaluation]",
        destination: Path,
        progress: Progress,
        seconds: float,
    ) -> None:
        from vaekit.cli.text import NO_LOG_LIKELIHOOD, evaluation_lines

        history = estimator.history_
        constant = estimator.schema_.constant_columns
        if self.json:
            document: dict[str, Any] = {
                "artifact": str(destination),
                "report": str(destination / "report.html"),
                "epochs": len(history.epochs),
                "best_epoch": history.best_epoch,
                "stopped": history.stopped,
                "likelihood": str(estimator.sentence_.likelihood),
                "likelihood_reason": estimator.likelihood_reason_,
                "constant_columns": list(constant),
                "validation": results["validation"].to_json() if "validation" in results else None,
                "test": results["test"].to_json() if "test" in results else None,
                "plan": None if progress.planned is None else progress.planned.to_json(),
                "seconds": seconds,
            }
            common.print_json(document)
            return
        print(f"likelihood   {estimator.sentence_.likelihood} ({estimator.likelihood_reason_})")
        if constant:
            print(f"left out     constant columns: {', '.join(constant)}")
        print(
            f"training     {len(history.epochs)} epochs, best {history.best_epoch} "
            f"({_ENDINGS[history.stopped]}), {seconds:.1f} s in all"
        )
        if not estimator.model_.has_log_likelihood:
            print(NO_LOG_LIKELIHOOD)
        for result in results.values():
            print("\n".join(evaluation_lines(result)))
        print(f"artifact     {destination}")
        print(f"report       {destination / 'report.html'}")


_ENDINGS = {
    "epochs": "all done",
    "patience": "the validation bound got no better",
    "interrupted": "interrupted",
}
