"""``vaekit encode NAME.vae DATA -o OUT``: rows to latents."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli import common
from vaekit.cli.model_verb import ModelVerb

__all__ = ["Encode"]


@dataclass(frozen=True, kw_only=True)
class Encode(ModelVerb):
    """Encode rows: write the posterior means, or with --codes the codes of a model that has them, one row each."""

    output: common.OutputOption
    codes: Annotated[
        bool,
        tyro.conf.arg(help="Write whole numbers, the code of each position, where the latents are codes."),
    ] = False

    def run(self) -> int:
        """Encode and write."""
        estimator, dataset = self.open()
        if self.codes:
            function, letter, count = estimator.transform_to_codes, "k", estimator.code_space().positions
        else:
            function, letter, count = estimator.transform, "z", estimator.model_.latent_shape[0]
        columns = tuple(f"{letter}{i}" for i in range(count))
        return common.map_to_file(self.output, dataset, function, columns=columns, as_json=self.json)
