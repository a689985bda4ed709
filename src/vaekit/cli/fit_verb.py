"""``vaekit fit DATA``: fit a model, prove it, and leave an artifact."""

import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vaekit.cli.options import (
    DataArgument,
    DataDirOption,
    DecimalOption,
    Device,
    ForceFlag,
    JsonFlag,
    LabelOption,
    MemoryOption,
    MissingValuesOption,
    ThousandsOption,
)
from vaekit.cli.printing import (
    NO_LOG_LIKELIHOOD,
    collapse_lines,
    column_lines,
    evaluation_lines,
    print_json,
)
from vaekit.cli.progress import Progress
from vaekit.language.settings import Launch, TrainingOptions

if TYPE_CHECKING:
    from vaekit.application import FitResult
    from vaekit.estimator import VariationalAutoencoder

__all__ = ["Fit", "TrainingFlags"]

_ENDINGS = {
    "epochs": "all done",
    "patience": "the validation bound got no better",
    "interrupted": "interrupted",
}


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(TrainingOptions):
    """Options of the training; epochs and batch size that are left open follow from the number of rows."""

    def __post_init__(self) -> None:
        """Leave the check to the estimator, whose mistakes are printed in one line."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fit a variational autoencoder to a file and leave one artifact, with a report."""

    data: DataArgument
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
        str | None,
        tyro.conf.arg(
            metavar="SPEC",
            help="mlp:hidden=400, convolutional:channels=32x64, ...; auto, the default: convolutional for images from "
            "8 x 8 pixels, otherwise mlp:shortcut=true.",
        ),
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
    reconstruction: Annotated[
        Literal["mse", "bce"] | None,
        tyro.conf.arg(
            help="The likelihood by its classic loss, summed over the inputs: mse, the squared error of the scaled "
            "data, is gaussian with a variance of 1/2; bce, the binary cross-entropy, is bernoulli. In the place of "
            "--likelihood.",
        ),
    ] = None
    column: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(
            metavar="NAME=KIND",
            help="The likelihood of one column, where looking at the data would choose another: gaussian, laplace, "
            "student-t, log-normal, asinh-normal, histogram, bernoulli, categorical, poisson, negative-binomial, "
            "zero-inflated-negative-binomial. Several: again.",
        ),
    ] = ()
    columns: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME,...", help="The columns to model; all others are left out."),
    ] = None
    drop: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME,...",
            help="Columns to leave out. Numbers of rows, ids and text of very many values are left out by themselves, "
            "with a note; --columns keeps them.",
        ),
    ] = None
    objective: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="SPEC",
            help="What to maximise: elbo:beta=4, elbo:beta=linear:0..1/10, iwae:samples=50, tc:beta=6, ...; auto, the "
            "default: elbo; of images, with free bits in the first third of the epochs.",
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
    training: TrainingFlags = field(default_factory=TrainingFlags)
    validation: Annotated[
        float, tyro.conf.arg(help="Share of the rows held out for early stopping; 0: none.")
    ] = 0.1
    samples: Annotated[int, tyro.conf.arg(help="Importance samples for the held-out log-likelihood.")] = 200
    seed: Annotated[int, tyro.conf.arg(help="Of the split, initialisation, order and noise.")] = 0
    device: Device = "auto"
    label: LabelOption = None
    missing_values: MissingValuesOption = None
    data_dir: DataDirOption = None
    memory_limit: MemoryOption = None
    convert: Annotated[
        Literal["rgb", "grey"] | None,
        tyro.conf.arg(
            help="Bring all pictures of a folder to these colours; the artifact keeps it for later ones."
        ),
    ] = None
    resize: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="HEIGHTxWIDTH",
            help="Bring all pictures of a folder to this size, such as 32x32; the artifact keeps it for later ones.",
        ),
    ] = None
    skip_unreadable: Annotated[
        bool,
        tyro.conf.arg(help="Leave out files of a folder that cannot be read as pictures, and name them."),
    ] = False
    thousands: ThousandsOption = None
    decimal: DecimalOption = None
    checkpoint_minutes: Annotated[
        float,
        tyro.conf.arg(help="Time between checkpoints, in NAME.vae.training while the model is trained."),
    ] = 5.0
    resume: Annotated[bool, tyro.conf.arg(help="Go on with a training that was stopped or killed.")] = False
    launch: Launch = field(default_factory=Launch)
    tensorboard: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help="Log to TensorBoard there, while training.")
    ] = None
    force: ForceFlag = False
    json: JsonFlag = False

    def run(self) -> int:
        """Fit, evaluate, report, save and print; where a launcher started several processes, with the others."""
        from vaekit.application import fit_and_prove
        from vaekit.data.picture_recipe import read_size
        from vaekit.errors import TrainingDivergedError
        from vaekit.training import TensorBoardLogger
        from vaekit.training.process_group import process_group

        with process_group() as rank, Progress(shown=rank == 0) as progress:
            is_writer, loggers = rank == 0, []
            if self.tensorboard is not None and is_writer:
                loggers = [TensorBoardLogger(self.tensorboard)]
            try:
                result = fit_and_prove(
                    self.data,
                    self.output,
                    estimator=self._estimator(),
                    validation=self.validation,
                    samples=self.samples,
                    label=self.label,
                    data_dir=self.data_dir,
                    thousands=self.thousands,
                    decimal=self.decimal,
                    checkpoint_minutes=self.checkpoint_minutes,
                    resume=self.resume,
                    force=self.force,
                    convert=self.convert,
                    resize=read_size(self.resize),
                    skip_unreadable=self.skip_unreadable,
                    **asdict(self.launch),
                    loggers=loggers,
                    on_rows=progress.rows,
                    on_plan=progress.plan,
                    on_epoch=progress.epoch,
                    on_step=progress.step,
                    on_stage=progress.stage,
                )
            except TrainingDivergedError as error:
                if is_writer:
                    raise
                return error.exit_code
        if is_writer:
            self._print(result)
        return 0 if result.stopped_by is None else 128 + result.stopped_by

    def _estimator(self) -> "VariationalAutoencoder":
        """Return the estimator that was asked for: the given parts, on top of those of the named model."""
        from vaekit.estimator import VariationalAutoencoder
        from vaekit.sentence.literature import resolve

        given = {
            "network": self.network,
            "posterior": self.posterior,
            "prior": self.prior,
            "likelihood": self._likelihood(),
            "objective": self.objective,
        }
        return VariationalAutoencoder(
            self.latent,
            **resolve(self.model, given),
            **asdict(self.training),
            columns=self._columns(),
            only=self.columns,
            drop=self.drop,
            condition=",".join(self.condition) or None,
            device=self.device,
            memory_limit=self.memory_limit,
            missing_values=self.missing_values,
            random_state=self.seed,
        )

    def _likelihood(self) -> str | None:
        """Return the likelihood that was asked for, by its name or by its loss."""
        from vaekit.errors import UsageError
        from vaekit.sentence.literature import RECONSTRUCTIONS

        if self.reconstruction is None:
            return self.likelihood
        meant = RECONSTRUCTIONS[self.reconstruction]
        if self.likelihood is not None:
            raise UsageError(
                f"--reconstruction {self.reconstruction} with --likelihood {self.likelihood}: both name the "
                f"likelihood, and {self.reconstruction} means {meant}; give one of them"
            )
        return meant

    def _columns(self) -> dict[str, str] | None:
        """Return the kinds of columns by name; names may hold an equals sign, kinds do not."""
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

    def _print(self, result: "FitResult") -> None:
        if result.was_finished:
            print(f"vaekit: {result.artifact} is finished: there is nothing to resume", file=sys.stderr)
            return
        if result.estimator.history_.best_epoch:
            if self.json:
                print_json(result.to_json())
            else:
                self._print_text(result)
        if result.stopped_by is not None:
            how = "to go on, give the same command with --resume" if result.can_resume else "nothing was kept"
            word = "interrupted" if result.stopped_by == signal.SIGINT else "terminated"
            print(f"vaekit: {word}; {how}", file=sys.stderr)

    def _print_text(self, result: "FitResult") -> None:
        from vaekit.data.missing_values import rates_in_words

        estimator, history = result.estimator, result.estimator.history_
        likelihood = estimator.sentence_.likelihood
        print(f"likelihood   {likelihood.in_short} ({estimator.likelihood_reason_})")
        if table := column_lines(likelihood, estimator.schema_, most=50):
            print("\n".join(table))
        schema = estimator.schema_
        if estimator.left_out_:
            print(f"left out     columns that are not modelled: {', '.join(estimator.left_out_)}")
        if schema.constant is not None:
            print(f"left out     {schema.constant.describe()}")
        elif constant := schema.constant_columns:
            print(f"left out     constant columns: {', '.join(constant)}")
        if empty := estimator.schema_.empty_columns:
            print(f"left out     columns without any value: {', '.join(empty)}")
        if rates := estimator.schema_.missing_rates:
            print(
                f"missing      {rates_in_words(rates)}: log-likelihoods are those of the values that are there"
            )
        print(
            f"training     {len(history.epochs)} epochs, best {history.best_epoch} "
            f"({_ENDINGS[history.stopped]}), {result.seconds:.1f} s in all"
        )
        if not estimator.model_.has_log_likelihood:
            print(NO_LOG_LIKELIHOOD)
        for evaluation in result.evaluations.values():
            print("\n".join(evaluation_lines(evaluation)))
        if warning := collapse_lines(_kl_per_dimension(result)):
            print("\n".join(warning))
        print(f"artifact     {result.artifact}")
        print(f"report       {result.report}")


def _kl_per_dimension(result: "FitResult") -> list[float] | None:
    """Return the mean KL of each latent dimension on held-out rows, or after the best epoch; None for codes."""
    evaluated = [evaluation for evaluation in result.evaluations.values() if evaluation.code_usage is None]
    if result.evaluations:
        return evaluated[-1].kl_per_dimension if evaluated else None
    history = result.estimator.history_
    return next((m.kl_per_dimension for m in history.epochs if m.epoch == history.best_epoch), None)
