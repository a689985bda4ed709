"""``vaekit classify NAME.vae DATA -o OUT``: rows to labels and their probabilities."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaekit.cli import common
from vaekit.cli.model_verb import ModelVerb

if TYPE_CHECKING:
    import numpy as np

    from vaekit.data import Dataset

__all__ = ["Classify"]


@dataclass(frozen=True, kw_only=True)
class Classify(ModelVerb):
    """Classify rows: write the most probable label of each, and the probability of every label."""

    output: common.OutputOption

    def run(self) -> int:
        """Classify and write."""
        import numpy as np

        estimator, dataset = self.open()
        names = estimator.label_names()

        def classify(rows: "Dataset") -> "np.ndarray":
            probabilities = estimator.predict_label_probabilities(rows)
            return np.column_stack([probabilities.argmax(1), probabilities])

        return common.map_to_file(
            self.output,
            dataset,
            classify,
            columns=("label", *(f"probability_{name}" for name in names)),
            categories=(names, *(None for _ in names)),
            as_json=self.json,
        )
