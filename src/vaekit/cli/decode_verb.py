"""``vaekit decode NAME.vae LATENTS -o OUT``: latents to rows or images."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli.options import ArtifactArgument, Device, GivenOption, JsonFlag, OutputOption, destination
from vaekit.cli.printing import print_written

__all__ = ["Decode"]


@dataclass(frozen=True, kw_only=True)
class Decode:
    """Decode latent points, such as `vaekit encode` writes: the mean of p(x|z), in the units of the data."""

    artifact: ArtifactArgument
    latents: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="LATENTS", help="A table, one latent point a row.")
    ]
    output: OutputOption
    codes: Annotated[
        bool, tyro.conf.arg(help="The table holds whole numbers, such as `vaekit encode --codes` writes.")
    ] = False
    given: GivenOption = None
    device: Device = "auto"
    json: JsonFlag = False

    def run(self) -> int:
        """Decode, write and print."""
        from vaekit.application import decode_to_file

        written = decode_to_file(
            self.artifact,
            self.latents,
            destination(self.output, as_json=self.json),
            codes=self.codes,
            given=self.given,
            device=self.device,
        )
        return print_written(written, as_json=self.json)
