"""``vaekit evaluate NAME.vae DATA``: held-out numbers in nats, with error bars, beside baselines."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from vaekit.cli import common
from vaekit.cli.model_verb import ModelVerb

__all__ = ["Evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluate(ModelVerb):
    """Evaluate an artifact: ELBO and log-likelihood in nats, with standard errors, beside baselines.

    On the data it was fitted on, the held-out test split is evaluated; on other data, all rows.
    """

    samples: Annotated[int, tyro.conf.arg(help="Importance samples an example.")] = 500
    split: Annotated[
        Literal["auto", "test", "validation", "train", "all"],
        tyro.conf.arg(help="Which part; auto: test on the data it was fitted on, else all."),
    ] = "auto"
    seed: Annotated[int, tyro.conf.arg(help="Of the noise.")] = 0

    def run(self) -> int:
        """Evaluate and print."""
        from vaekit.cli.text import evaluation_lines
        from vaekit.data import partition
        from vaekit.errors import DataError, UsageError

        if self.samples < 1:
            raise UsageError(f"--samples {self.samples}: give a whole number of at least 1")
        estimator, dataset = self.open()
        origin = estimator.origin_
        same = dataset.hash() == origin.get("hash")
        split = self.split if self.split != "auto" else ("test" if same else "all")
        train = None
        if split == "all":
            part = dataset
        elif not same:
            raise DataError(
                f"--split {split}: {self.data} is not the data that {self.artifact} was fitted on "
                f"({origin.get('source', 'unknown')}), so it has no such part; leave --split out to use all rows"
            )
        else:
            parts = partition(dataset, estimator.seed_, validation=origin["validation"])
            part, train = getattr(parts, split), parts.train
            if part is None:
                raise DataError(f"--split {split}: the model was fitted without such a part; try --split all")
        result = estimator.evaluate(part, samples=self.samples, split=split, train=train, seed=self.seed)
        if self.json:
            common.print_json(result.to_json())
            return 0
        print("\n".join(evaluation_lines(result)))
        if train is None:
            print("  no baselines: they are fitted on the training rows, which are not in this data")
        elif not result.baselines:
            print("  no baselines: the training rows are too many to be read for them")
        return 0
