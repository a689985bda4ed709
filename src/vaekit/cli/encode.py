"""``vaekit encode NAME.vae DATA -o OUT``: rows to latents."""

from dataclasses import dataclass

from vaekit.cli import common
from vaekit.cli.model_verb import ModelVerb

__all__ = ["Encode"]


@dataclass(frozen=True, kw_only=True)
class Encode(ModelVerb):
    """Encode rows: write the posterior means, one row each."""

    output: common.OutputOption

    def run(self) -> int:
        """Encode and write."""
        estimator, dataset = self.open()
        columns = tuple(f"z{i}" for i in range(estimator.model_.latent_shape[0]))
        return common.map_to_file(
            self.output, dataset, estimator.transform, columns=columns, as_json=self.json
        )
