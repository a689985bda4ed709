"""``vaekit export NAME.vae -o FOLDER``: encoder, decoder, reconstruction and score as programs of their own."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vaekit.cli.options import ArtifactArgument, JsonFlag
from vaekit.cli.printing import print_json

__all__ = ["Export"]


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a model for elsewhere: encoder, decoder, reconstruction and score, with the scaling inside.

    Each program takes and gives rows in the units of the data, and was compared with the model on rows that this
    generates. What a sentence of parts cannot be exported for is said.
    """

    artifact: ArtifactArgument
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER", help="The folder to write.")]
    format: Annotated[
        Literal["onnx", "torch"],
        tyro.conf.arg(help="onnx, for services, browsers and other languages; torch: .pt2 of torch.export."),
    ] = "onnx"
    draws: Annotated[
        int, tyro.conf.arg(help="Draws of a score, whose noise is an input: more make a tighter bound.")
    ] = 16
    force: Annotated[bool, tyro.conf.arg(help="Replace a folder that is there.")] = False
    json: JsonFlag = False

    def run(self) -> int:
        """Load, write, compare and print."""
        from vaekit.estimator import load
        from vaekit.export import export_model

        found = export_model(
            load(self.artifact), self.output, format=self.format, draws=self.draws, force=self.force
        )
        if self.json:
            print_json({**asdict(found), "folder": str(found.folder)})
            return 0
        for name, file in found.files.items():
            print(f"{name:<12} {found.folder / file}, within {found.differences[name]:.1g} of the model")
        for name, reason in found.refused.items():
            print(f"{name:<12} not exported: {reason}")
        return 0
