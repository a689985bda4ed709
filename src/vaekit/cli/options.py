"""Arguments that several verbs share. Imports neither torch nor any room that does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

__all__ = [
    "ArtifactArgument",
    "DataArgument",
    "DataDirOption",
    "Device",
    "GivenOption",
    "JsonFlag",
    "LabelOption",
    "MemoryOption",
    "MissingValuesOption",
    "ModelVerb",
    "OutputOption",
]

ArtifactArgument = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(metavar="NAME.vae", help="The artifact.")
]
DataArgument = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="DATA",
        help="A file (.csv .tsv .npy .npz .parquet, IDX), a folder of images or of MNIST's files, digits, or mnist.",
    ),
]
OutputOption = Annotated[
    Path,
    tyro.conf.arg(
        aliases=["-o"], metavar="OUT", help="Where to: .csv .tsv .npy .npz .parquet, or .png for images."
    ),
]
JsonFlag = Annotated[bool, tyro.conf.arg(help="Print one JSON document instead of text.")]
LabelOption = Annotated[
    str | None,
    tyro.conf.arg(metavar="COLUMN", help="A column that is a label: kept for colouring, never trained on."),
]
GivenOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="NAME=VALUE,...",
        help="Under which condition, of a conditional model: label=3,age=40; data: as the training rows had them.",
    ),
]
DataDirOption = Annotated[
    Path | None, tyro.conf.arg(metavar="DIR", help="Where the named data sets lie, such as mnist.")
]
MemoryOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="SIZE",
        help="Memory for data, such as 2GB, by default a quarter of the machine's: an .npy, a .parquet or a folder of "
        "images that needs more is read block by block.",
    ),
]
MissingValuesOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="VALUE,...",
        help="Values of a table that stand for missing ones, such as unknown,-999, beside empty fields, ?, NA and NaN.",
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="Where to compute.")]


@dataclass(frozen=True, kw_only=True)
class ModelVerb:
    """The arguments of every verb that takes a model to data; not a verb by itself."""

    artifact: ArtifactArgument
    data: DataArgument
    device: Device = "auto"
    label: LabelOption = None
    data_dir: DataDirOption = None
    memory_limit: MemoryOption = None
    json: JsonFlag = False

    def opening(self) -> dict[str, Any]:
        """Return the arguments that say how model and data are opened, as the application layer takes them."""
        return {
            "device": self.device,
            "label": self.label,
            "data_dir": self.data_dir,
            "memory_limit": self.memory_limit,
        }
