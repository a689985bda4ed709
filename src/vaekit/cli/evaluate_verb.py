"""``vaekit evaluate NAME.vae DATA``: held-out numbers in nats, with error bars, beside baselines."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from vaekit.cli.options import ModelVerb
from vaekit.cli.printing import collapse_lines, evaluation_lines, print_json

__all__ = ["Evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluate(ModelVerb):
    """Evaluate an artifact: ELBO and log-likelihood in nats, with standard errors, beside baselines.

    On the data it was fitted on, the held-out test split is evaluated; on other data, all rows.
    """

    samples: Annotated[
        int | Literal["auto"],
        tyro.conf.arg(help="Importance samples an example; auto: as many as each needs, up to 6,400."),
    ] = 500
    method: Annotated[
        Literal["importance", "annealed", "exact"],
        tyro.conf.arg(
            help="How log p(x) is found: importance sampling; annealed importance sampling, tight where posteriors are "
            "not, with upper and lower bounds of simulated rows; exact, for linear-Gaussian models."
        ),
    ] = "importance"
    rows: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="Evaluate N rows of the part, chosen by the seed.")
    ] = None
    split: Annotated[
        Literal["auto", "test", "validation", "train", "all"],
        tyro.conf.arg(help="Which part; auto: test on the data it was fitted on, else all."),
    ] = "auto"
    seed: Annotated[int, tyro.conf.arg(help="Of the noise.")] = 0

    def run(self) -> int:
        """Evaluate and print."""
        from vaekit.application import evaluate_artifact

        result = evaluate_artifact(
            self.artifact,
            self.data,
            split=self.split,
            samples=self.samples,
            seed=self.seed,
            method=self.method,
            rows=self.rows,
            **self.opening(),
        )
        evaluation = result.evaluation
        if self.json:
            print_json(evaluation.to_json())
            return 0
        print("\n".join(evaluation_lines(evaluation)))
        if evaluation.code_usage is None and (warning := collapse_lines(evaluation.kl_per_dimension)):
            print("\n".join(warning))
        if not result.has_training_rows:
            print("  no baselines: they are fitted on the training rows, which are not in this data")
        elif not evaluation.baselines:
            print("  no baselines: the training rows are too many to be read for them")
        return 0
