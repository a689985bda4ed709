"""``vaekit explain-loss``: what VAE a weighted loss really trains."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from vaekit.cli.options import JsonFlag
from vaekit.cli.printing import print_json

__all__ = ["ExplainLoss"]


@dataclass(frozen=True, kw_only=True)
class ExplainLoss:
    """Say what Gaussian or Bernoulli VAE a loss `reconstruction + weight * KL` really is: its noise and beta."""

    reconstruction: Annotated[
        str, tyro.conf.arg(help="mean-squared-error, sum-squared-error, binary-cross-entropy, ...")
    ]
    dimensions: Annotated[int, tyro.conf.arg(help="Inputs an example: 12288 for images of 64 x 64 x 3.")]
    kl_weight: Annotated[float, tyro.conf.arg(help="The weight of the KL.")] = 1.0
    reduction: Annotated[
        Literal["mean", "sum"] | None,
        tyro.conf.arg(help="Over the inputs of an example, where the name does not say it."),
    ] = None
    json: JsonFlag = False

    def run(self) -> int:
        """Explain and print."""
        from vaekit.classroom import explain_loss

        explanation = explain_loss(
            self.reconstruction, self.reduction, kl_weight=self.kl_weight, dimensions=self.dimensions
        )
        if self.json:
            print_json(explanation.to_dict())
        else:
            print(explanation)
        return 0
