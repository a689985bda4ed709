"""``vaekit reconstruct NAME.vae DATA -o OUT``: rows to what the model makes of them."""

from dataclasses import dataclass

from vaekit.cli import common
from vaekit.cli.model_verb import ModelVerb

__all__ = ["Reconstruct"]


@dataclass(frozen=True, kw_only=True)
class Reconstruct(ModelVerb):
    """Encode and decode rows: write the model's version of each, in the units of the data."""

    output: common.OutputOption

    def run(self) -> int:
        """Reconstruct and write."""
        estimator, dataset = self.open()
        schema = estimator.schema_
        return common.map_to_file(
            self.output,
            dataset,
            estimator.reconstruct,
            schema=schema,
            as_json=self.json,
        )
