"""``vaekit fit-prior NAME.vae DATA --prior SPEC -o OUT``: a prior fitted after training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vaekit.cli import common
from vaekit.cli.model_verb import ModelVerb

__all__ = ["FitPrior"]


@dataclass(frozen=True, kw_only=True)
class FitPrior(ModelVerb):
    """Fit a prior to where a trained model puts its data, and write the artifact with it.

    Encoder and decoder stay as they are. On the data it was fitted on, the test rows are kept out of it.
    """

    prior: Annotated[
        str, tyro.conf.arg(metavar="SPEC", help="gmm:components=10, flow, two-stage, gaussian, mixture, ...")
    ]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT.vae", help="The artifact to write.")]
    samples: Annotated[int, tyro.conf.arg(help="Importance samples for the held-out log-likelihood.")] = 200
    seed: Annotated[int, tyro.conf.arg(help="Of the draws and the fit.")] = 0
    force: Annotated[bool, tyro.conf.arg(help="Replace an artifact that is there.")] = False

    def run(self) -> int:
        """Fit, write and print."""
        from vaekit.artifact import check_destination, write_artifact
        from vaekit.cli.text import NO_LOG_LIKELIHOOD, evaluation_lines
        from vaekit.data import partition
        from vaekit.errors import UsageError
        from vaekit.report import render_report

        if self.samples < 1:
            raise UsageError(f"--samples {self.samples}: give a whole number of at least 1")
        check_destination(self.output, force=self.force)
        estimator, dataset = self.open()
        origin = estimator.origin_
        test, results = None, {}
        if dataset.hash() == origin.get("hash"):
            train, validation, test = partition(dataset, estimator.seed_, validation=origin["validation"])
            estimator.fit_prior(self.prior, train, validation=validation, random_state=self.seed)
            if estimator.model_.has_log_likelihood:
                results["test"] = estimator.evaluate(test, samples=self.samples, split="test", train=train)
        else:
            estimator.fit_prior(self.prior, dataset, random_state=self.seed)
        artifact = estimator.to_artifact({**origin, "fitted_prior": {"source": self.data, "seed": self.seed}})
        report = render_report(estimator, artifact, test, results)
        write_artifact(self.output, artifact, force=self.force, files={"report.html": report})
        fit = estimator.prior_fit_
        if self.json:
            document = {
                "artifact": str(self.output),
                "prior": str(estimator.sentence_.prior),
                "draws": fit.draws,
                "epochs": fit.epochs,
                "log_density": fit.log_density._asdict(),
                "advantage": fit.advantage._asdict(),
                "bound_samples": fit.bound_samples,
                "test": results["test"].to_json() if results else None,
            }
            common.print_json(document)
            return 0
        print(f"prior        {estimator.sentence_.prior}, fitted to draws of q(z|x), {fit.draws:,} at a time")
        gain, error = fit.advantage
        bound = fit.bound_samples
        print(
            f"gain         {gain:+.3f} ± {error:.3f} nats of ELBO per held-out example over the prior before"
            + (f"; at least: log p(z) is a lower bound, by {bound} importance samples" if bound else "")
        )
        if not estimator.model_.has_log_likelihood:
            print(NO_LOG_LIKELIHOOD)
        for result in results.values():
            print("\n".join(evaluation_lines(result)))
        print(f"artifact     {self.output}")
        return 0
