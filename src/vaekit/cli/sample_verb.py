"""``vaekit sample NAME.vae -n N -o OUT``: new rows or images."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli.options import (
    ArtifactArgument,
    Device,
    GivenOption,
    JsonFlag,
    OutputOption,
    SeedOption,
    destination,
)
from vaekit.cli.printing import print_written

__all__ = ["Sample"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Generate new rows or images from the prior."""

    artifact: ArtifactArgument
    output: OutputOption
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="N", help="How many.")]
    seed: SeedOption = 0
    mean: Annotated[
        bool,
        tyro.conf.arg(
            help="Write the mean of p(x|z) at each latent, as pictures in papers usually show it, rather than a draw "
            "of p(x|z), which has the noise of the likelihood; the same for every kind of file."
        ),
    ] = False
    given: GivenOption = None
    device: Device = "auto"
    json: JsonFlag = False

    def run(self) -> int:
        """Generate, write and print."""
        from vaekit.application import sample_to_file

        written = sample_to_file(
            self.artifact,
            destination(self.output, as_json=self.json),
            self.n,
            seed=self.seed,
            mean=self.mean,
            given=self.given,
            device=self.device,
        )
        return print_written(written, as_json=self.json)
