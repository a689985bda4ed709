"""``vaekit sample NAME.vae -n N -o OUT``: new rows or images."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli import common

__all__ = ["Sample"]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Generate new rows or images from the prior."""

    artifact: common.ArtifactArgument
    output: common.OutputOption
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="N", help="How many.")]
    seed: Annotated[int, tyro.conf.arg(help="The same seed gives the same bytes.")] = 0
    mean: Annotated[
        bool,
        tyro.conf.arg(
            help="Write the mean of p(x|z), as pictures usually show it, rather than a draw from it."
        ),
    ] = False
    given: common.GivenOption = None
    device: common.Device = "auto"
    json: common.JsonFlag = False

    def run(self) -> int:
        """Generate and write."""
        from vaekit.data.writers import write_blocks
        from vaekit.errors import UsageError

        if self.n < 1:
            raise UsageError(f"-n {self.n}: give a whole number of at least 1")
        estimator = common.load_artifact(self.artifact, self.device)
        # A picture shows means unless noise was asked for by any other ending: rows must be draws of p(x).
        noise = not self.mean and self.output.suffix.lower() != ".png"
        blocks = estimator.sample_blocks(self.n, given=self.given, random_state=self.seed, noise=noise)
        schema = estimator.schema_
        shape = write_blocks(
            self.output,
            blocks,
            rows=self.n,
            schema=schema,
        )
        return common.tell(self.output, shape, self.json)
