"""``vaekit score NAME.vae DATA -o OUT``: rows to log-likelihoods."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli import common
from vaekit.cli.model_verb import ModelVerb

__all__ = ["Score"]


@dataclass(frozen=True, kw_only=True)
class Score(ModelVerb):
    """Score rows: write log p(x) of each, in nats; low scores are outliers."""

    output: common.OutputOption
    samples: Annotated[int, tyro.conf.arg(help="Importance samples a row.")] = 100

    def run(self) -> int:
        """Score and write."""
        from vaekit.errors import UsageError

        if self.samples < 1:
            raise UsageError(f"--samples {self.samples}: give a whole number of at least 1")
        estimator, dataset = self.open()
        return common.map_to_file(
            self.output,
            dataset,
            lambda rows: estimator.score_samples(rows, samples=self.samples)[:, None],
            columns=("log_likelihood",),
            as_json=self.json,
        )
