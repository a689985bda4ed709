"""``vaekit decode NAME.vae LATENTS -o OUT``: latents to rows or images."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli import common

__all__ = ["Decode"]


@dataclass(frozen=True, kw_only=True)
class Decode:
    """Decode latent points, such as `vaekit encode` writes: the mean of p(x|z), in the units of the data."""

    artifact: common.ArtifactArgument
    latents: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="LATENTS", help="A table, one latent point a row.")
    ]
    output: common.OutputOption
    codes: Annotated[
        bool, tyro.conf.arg(help="The table holds whole numbers, such as `vaekit encode --codes` writes.")
    ] = False
    given: common.GivenOption = None
    device: common.Device = "auto"
    json: common.JsonFlag = False

    def run(self) -> int:
        """Decode and write."""
        estimator = common.load_artifact(self.artifact, self.device)
        latents = common.read_data(self.latents).values
        decode = estimator.inverse_transform_codes if self.codes else estimator.inverse_transform
        return common.finish_data(
            estimator, self.output, decode(latents, given=self.given), as_json=self.json
        )
