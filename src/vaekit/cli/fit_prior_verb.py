"""``vaekit fit-prior NAME.vae DATA --prior SPEC -o OUT``: a prior fitted after training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vaekit.cli.options import ForceFlag, ModelVerb
from vaekit.cli.printing import NO_LOG_LIKELIHOOD, evaluation_lines, print_json

__all__ = ["FitPrior"]


@dataclass(frozen=True, kw_only=True)
class FitPrior(ModelVerb):
    """Fit a prior to where a trained model puts its data, and write the artifact with it.

    Encoder and decoder stay as they are. On the data it was fitted on, the test rows are kept out of it.
    """

    prior: Annotated[
        str, tyro.conf.arg(metavar="SPEC", help="gmm:components=10, flow, gaussian, mixture, ...")
    ]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT.vae", help="The artifact to write.")]
    samples: Annotated[int, tyro.conf.arg(help="Importance samples for the held-out log-likelihood.")] = 200
    seed: Annotated[int, tyro.conf.arg(help="Of the draws and the fit.")] = 0
    force: ForceFlag = False

    def run(self) -> int:
        """Fit, write and print."""
        from vaekit.application import fit_prior_to_artifact

        result = fit_prior_to_artifact(
            self.artifact,
            self.data,
            self.prior,
            self.output,
            samples=self.samples,
            seed=self.seed,
            force=self.force,
            **self.opening(),
        )
        if self.json:
            print_json(result.to_json())
            return 0
        estimator, fit = result.estimator, result.fit
        print(f"prior        {estimator.sentence_.prior}, fitted to draws of q(z|x), {fit.draws:,} at a time")
        gain, error = fit.advantage
        bound = fit.bound_samples
        print(
            f"gain         {gain:+.3f} ± {error:.3f} nats of ELBO per held-out example over the prior before"
            + (f"; at least: log p(z) is a lower bound, by {bound} importance samples" if bound else "")
        )
        if not estimator.model_.has_log_likelihood:
            print(NO_LOG_LIKELIHOOD)
        if result.evaluation is not None:
            print("\n".join(evaluation_lines(result.evaluation)))
        print(f"artifact     {result.artifact}")
        return 0
