"""What several verbs share: option types, messages on stderr, results on stdout, and data for a model."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from vaekit.data import Dataset, Schema
    from vaekit.estimator import VariationalAutoencoder

__all__ = [
    "ArtifactArgument",
    "DataArgument",
    "DataDirOption",
    "Device",
    "GivenOption",
    "JsonFlag",
    "LabelOption",
    "MemoryOption",
    "OutputOption",
    "load_artifact",
    "map_to_file",
    "print_json",
    "read_data",
    "say",
    "tell",
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
Device = Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="Where to compute.")]


def say(message: str) -> None:
    """A message for a person at a terminal: on stderr, and only there."""
    if sys.stderr.isatty():
        print(message, file=sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document: floats in full, ``null`` for NaN and infinity."""
    print(json.dumps(_strict(document), indent=2, allow_nan=False))


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def load_artifact(folder: Path, device: str = "auto") -> "VariationalAutoencoder":
    """Load an artifact as an estimator."""
    from vaekit.estimator import load

    return load(folder, device=device)


def read_data(
    source: str,
    *,
    label: str | None = None,
    data_dir: Path | None = None,
    memory: int | None = None,
    conditions: Sequence[str] = (),
) -> "Dataset":
    """Read data whose every value must be there."""
    from vaekit.data import read

    dataset = read(source, label=label, data_dir=data_dir, memory_limit=memory, conditions=conditions)
    dataset.require_finite()
    if dataset.test is not None:
        dataset.test.require_finite()
    return dataset


def read_model_data(
    estimator: "VariationalAutoencoder",
    source: str,
    *,
    label: str | None,
    data_dir: Path | None,
    memory: int | None = None,
) -> "Dataset":
    """Read data for a model and check it against the schema; the label column of the fit is known."""
    from vaekit.data import read
    from vaekit.errors import DataError, MissingLabelError

    told = estimator.schema_.conditions
    names = () if told is None else told.names

    def read_under(names: Sequence[str]) -> "Dataset":
        known = label or estimator.origin_.get("label")
        try:
            return read(source, label=known, data_dir=data_dir, memory_limit=memory, conditions=names)
        except MissingLabelError:
            if label is not None:
                raise
            # new rows need no label
            return read(source, data_dir=data_dir, memory_limit=memory, conditions=names)

    try:
        dataset = read_under(names)
    except DataError:
        if told is None or not told.missing:
            raise
        dataset = read_under(())  # the column may be missing as a whole; any other mistake is met again
    dataset = estimator.schema_.align(dataset, what=source)
    if told is not None:
        told.encode(dataset.conditions, what=source, rows=len(dataset))
    for column, rows in estimator.schema_.constant_changes(dataset.values).items():
        print(
            f"vaekit: warning: column {column!r} was constant when the model was fitted, and differs in {rows} "
            f"rows of {source}: it plays no part in the results",
            file=sys.stderr,
        )
    return dataset


def map_to_file(
    output: Path,
    dataset: "Dataset",
    function: "Callable[[Dataset], np.ndarray]",
    *,
    columns: tuple[str, ...] | None = None,
    categories: tuple[tuple[str, ...] | None, ...] | None = None,
    images: bool | None = None,
    schema: "Schema | None" = None,
    as_json: bool,
) -> int:
    """Write what a function makes of each row and say so; of rows that were left in their file, block by block."""
    from vaekit.data import write
    from vaekit.data.stored import StoredRows, few_rows
    from vaekit.data.writers import write_blocks

    if not isinstance(dataset.values, StoredRows):
        rows = function(dataset)
        shape = write(output, rows, columns=columns, categories=categories, images=images, schema=schema)
        return tell(output, shape, as_json)
    blocks = (function(dataset.take(rows)) for rows in few_rows(dataset.values))
    shape = write_blocks(
        output,
        blocks,
        rows=len(dataset),
        columns=columns,
        categories=categories,
        images=images,
        schema=schema,
    )
    return tell(output, shape, as_json)


def finish(output: Path, rows: Any, *, columns: tuple[str, ...] | None, as_json: bool) -> int:
    """Write a table and say so."""
    from vaekit.data import write

    write(output, rows, columns=columns)
    return tell(output, rows.shape, as_json)


def finish_data(estimator: "VariationalAutoencoder", output: Path, rows: Any, *, as_json: bool) -> int:
    """Write rows or images in the units of the data and say so."""
    from vaekit.data import write

    shape = write(output, rows, schema=estimator.schema_)
    return tell(output, shape, as_json)


def tell(output: Path, shape: tuple[int, ...], as_json: bool) -> int:
    """Say what was written where."""
    if as_json:
        print_json({"output": str(output), "rows": shape[0], "shape": list(shape)})
    else:
        print(f"{output}: {' x '.join(map(str, shape))}")
    return 0
