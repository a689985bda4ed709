"""Arguments that several verbs share. Imports neither torch nor any room that does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

__all__ = [
    "ArtifactArgument",
    "DataArgument",
    "DataDirOption",
    "DecimalOption",
    "Device",
    "ForceFlag",
    "GivenOption",
    "JsonFlag",
    "LabelOption",
    "MemoryOption",
    "MissingValuesOption",
    "ModelVerb",
    "OutputOption",
    "RowVerb",
    "SaveOption",
    "SeedOption",
    "ThousandsOption",
    "destination",
]

ArtifactArgument = Annotated[
    Path, tyro.conf.Positional, tyro.conf.arg(metavar="NAME.vae", help="The artifact.")
]
DataArgument = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="DATA",
        help="A file (.csv .tsv .npy .npz .parquet, IDX), a folder of images or of MNIST's files, digits, mnist, "
        "or - for standard input.",
    ),
]
OutputOption = Annotated[
    Path,
    tyro.conf.arg(
        aliases=["-o"],
        metavar="OUT",
        help="Where to: .csv .tsv .npy .npz .parquet .json, or .png for images; - for standard output, as CSV, or with "
        "--json as a list of objects.",
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
ThousandsOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="SIGN",
        help="What separates thousands in a table of text, where its values do not show it: , for 1,234.",
    ),
]
DecimalOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="SIGN",
        help="What separates decimals in a table of text, where its values do not show it: , for 0,5.",
    ),
]
MissingValuesOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="VALUE,...",
        help="Values of a table that stand for missing ones, such as unknown,-999, beside empty fields, ?, NA and NaN.",
    ),
]
SaveOption = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="NAME.vae", help="Save what was fitted, which --model then takes in the place of another fit."
    ),
]
ForceFlag = Annotated[bool, tyro.conf.arg(help="Replace an artifact that is there.")]
SeedOption = Annotated[int, tyro.conf.arg(help="The same seed writes the same bytes.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="Where to compute.")]


def destination(output: Path, *, as_json: bool) -> Path:
    """Return where rows go: with ``--json`` the standard output gets them as JSON.

    >>> str(destination(Path("-"), as_json=True)), str(destination(Path("out.csv"), as_json=True))
    ('-.json', 'out.csv')
    """
    return Path("-.json") if as_json and output == Path("-") else output


@dataclass(frozen=True, kw_only=True)
class ModelVerb:
    """The arguments of every verb that takes a model to data; not a verb by itself."""

    artifact: ArtifactArgument
    data: DataArgument
    device: Device = "auto"
    label: LabelOption = None
    data_dir: DataDirOption = None
    memory_limit: MemoryOption = None
    thousands: ThousandsOption = None
    decimal: DecimalOption = None
    json: JsonFlag = False

    def opening(self) -> dict[str, Any]:
        """Return the arguments that say how model and data are opened, as the application layer takes them."""
        return {
            "device": self.device,
            "label": self.label,
            "data_dir": self.data_dir,
            "memory_limit": self.memory_limit,
            "thousands": self.thousands,
            "decimal": self.decimal,
        }


@dataclass(frozen=True, kw_only=True)
class RowVerb(ModelVerb):
    """The arguments of every verb that writes something of each row; not a verb by itself."""

    output: OutputOption
    keep: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN,...",
            help="Columns of the data to write first, as they stand there: --keep id,label. Of a folder of pictures: "
            "--keep file,labels, the names of the files and of their subfolders.",
        ),
    ] = None

    def opening(self) -> dict[str, Any]:
        """Return the arguments that say how model and data are opened, with the columns to keep."""
        keep = [] if self.keep is None else [name.strip() for name in self.keep.split(",")]
        return {**super().opening(), "keep": keep}

    def destination(self) -> Path:
        """Return where the rows go: with ``--json`` the standard output gets them as JSON."""
        return destination(self.output, as_json=self.json)
