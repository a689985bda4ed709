"""``vaekit fit DATA``: fit a model, prove it, and leave an artifact."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from vaekit.cli import common

if TYPE_CHECKING:
    from vaekit.data import Parts
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
    objective: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="SPEC",
            help="What to maximise: elbo:beta=4, elbo:beta=linear:0..1/10, iwae:samples=50, tc:beta=6, ...",
        ),
    ] = None
    epochs: Annotated[
        int | None,
        tyro.conf.arg(help="At most this many passes over the training rows; by default it depends on them."),
    ] = None
    batch_size: Annotated[int | None, tyro.conf.arg(help="Rows a step; by default it depends on them.")] = (
        None
    )
    learning_rate: Annotated[float, tyro.conf.arg(help="Adam's.")] = 3e-3
    schedule: Annotated[
        Literal["constant", "cosine"], tyro.conf.arg(help="Of the learning rate; cosine: it falls to zero.")
    ] = "cosine"
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
    force: Annotated[bool, tyro.conf.arg(help="Replace an artifact that is there.")] = False
    json: common.JsonFlag = False

    def run(self) -> int:
        """Fit, evaluate, report and save."""
        started = time.perf_counter()
        destination = self._destination()
        estimator, parts, origin = self._prepare()
        interrupted, diverged = self._train(estimator, parts)
        if estimator.history_.best_epoch == 0:
            raise diverged or KeyboardInterrupt
        results = {} if interrupted or diverged else self._evaluate(estimator, parts)
        self._save(estimator, parts, origin, results, destination)
        if diverged:
            print_path = (
                f"the best weights so far (epoch {estimator.history_.best_epoch}) are in {destination}"
            )
            raise type(diverged)(f"{diverged}; {print_path}")
        self._print(estimator, results, destination, time.perf_counter() - started)
        return 130 if interrupted else 0

    def _destination(self) -> Path:
        from vaekit.artifact import check_destination
        from vaekit.errors import UsageError

        if not 0 <= self.validation < 1:
            raise UsageError(f"--validation {self.validation:g}: give a share between 0 and 1, such as 0.1")
        if self.samples < 1:
            raise UsageError(f"--samples {self.samples}: give a whole number of at least 1")
        stem = Path(self.data.rstrip("/")).name.removesuffix(".gz")
        folder = self.output or Path(Path(stem).stem + ".vae")
        check_destination(folder, force=self.force)
        return folder

    def _prepare(self) -> "tuple[VariationalAutoencoder, Parts, dict[str, Any]]":
        from vaekit.data import partition
        from vaekit.estimator import VariationalAutoencoder

        estimator = VariationalAutoencoder(
            self.latent,
            **self._parts(),
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=None if self.patience == "none" else self.patience,
            schedule=self.schedule,
            device=self.device,
            random_state=self.seed,
        )
        estimator.check_parameters()
        dataset = common.read_data(self.data, label=self.label, data_dir=self.data_dir)
        origin = {
            "source": self.data,
            "hash": dataset.hash(),
            "rows": len(dataset),
            "validation": self.validation,
            "own_test_split": dataset.test is not None,
            "label": self.label,
        }
        return estimator, partition(dataset, self.seed, validation=self.validation), origin

    def _parts(self) -> dict[str, Any]:
        """The specs that were given, on top of the named model's; all others are the estimator's defaults."""
        from vaekit.literature import resolve
        from vaekit.spec import PARTS

        return resolve(self.model, {room: getattr(self, room) for room in PARTS})

    def _train(self, estimator: "VariationalAutoencoder", parts: "Parts") -> "tuple[bool, Exception | None]":
        from vaekit.cli.progress import Progress
        from vaekit.errors import TrainingDivergedError

        held_out = False if parts.validation is None else parts.validation
        with Progress() as progress:
            try:
                estimator.fit(parts.train, validation=held_out, on_epoch=progress.epoch)
            except TrainingDivergedError as error:
                return False, error
        return estimator.history_.stopped == "interrupted", None

    def _evaluate(self, estimator: "VariationalAutoencoder", parts: "Parts") -> "dict[str, Evaluation]":
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
        from vaekit.artifact import write_artifact
        from vaekit.report import render_report

        artifact = estimator.to_artifact(origin)
        report = render_report(estimator, artifact, parts.test, results)
        write_artifact(destination, artifact, force=self.force, files={"report.html": report})

    def _print(
        self,
        estimator: "VariationalAutoencoder",
        results: "dict[str, Evaluation]",
        destination: Path,
        seconds: float,
    ) -> None:
        from vaekit.cli.text import evaluation_lines

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
        for result in results.values():
            print("\n".join(evaluation_lines(result)))
        print(f"artifact     {destination}")
        print(f"report       {destination / 'report.html'}")


_ENDINGS = {
    "epochs": "all done",
    "patience": "the validation bound got no better",
    "interrupted": "interrupted",
}
