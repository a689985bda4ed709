"""The function that reads every source: a name, a file of any accepted format, or a folder."""

import os
import sys
import tempfile
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vaekit.data.condition_columns import take_conditions
from vaekit.data.dataset import Dataset
from vaekit.data.frame_files import FRAME_ENDINGS, read_frame_file
from vaekit.data.frames import keep_columns
from vaekit.data.image_folders import read_image_folder
from vaekit.data.missing_values import read_codes, without_codes
from vaekit.data.mnist import find_mnist_files, looks_like_idx, read_idx, read_idx_folder, read_mnist
from vaekit.data.numpy_files import read_npy, read_npz
from vaekit.data.parquet_files import read_parquet
from vaekit.data.picture_recipe import Convert, PictureRecipe
from vaekit.data.pictures import AS_FOUND
from vaekit.data.text_files import read_text
from vaekit.errors import DataError, MissingLabelError, UsageError
from vaekit.language.grammar import did_you_mean, nearest

__all__ = ["ACCEPTED", "NAMES", "TEXT_ENDINGS", "is_folder_of_pictures", "read", "standard_input_as_file"]

NAMES = ("digits", "mnist")
_BEGINNINGS = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"PAR1": ".parquet"}
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".data", ".dat")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff")
ACCEPTED = (
    "a .csv, .tsv, .npy, .npz, .parquet, .feather, .json, .xlsx or IDX file, a folder of images or of MNIST's "
    "four files, one of the names digits and mnist, or - for standard input"
)


def read(
    source: "str | os.PathLike[str]",
    *,
    label: str | None = None,
    data_dir: Path | None = None,
    memory_limit: int | None = None,
    conditions: Sequence[str] = (),
    thousands: str | None = None,
    decimal: str | None = None,
    convert: Convert | None = None,
    resize: tuple[int, int] | None = None,
    skip_unreadable: bool = False,
    categorical: Collection[str] = (),
    missing_values: str | float | Iterable[object] | None = None,
    keep: Sequence[str] = (),
    only: Mapping[str, bool] | None = None,
) -> Dataset:
    """Return the data set of a file, a folder, or a name.

    Parameters
    ----------
    source : str or path
        ``digits`` (scikit-learn's, always at hand), ``mnist`` (looked up, or downloaded), or the path of a
        ``.csv``, ``.tsv`` (or other table of text), ``.npy``, ``.npz``, ``.parquet``, ``.feather``,
        ``.json``, ``.xlsx`` or IDX file, of a folder of images, or of a folder of IDX files named like
        MNIST's. A name has precedence over a file of that name: write ``./mnist`` for a folder. ``-`` is the
        standard input: a table of text, or the bytes of an ``.npy``, ``.npz`` or ``.parquet``.
    label : str, optional
        The column (or the array of an ``.npz``) that is a label: kept for colouring, never trained on.
    data_dir : path, optional
        Where to look for ``mnist`` first.
    memory_limit : int, optional
        Bytes of memory that the data may take. An ``.npy``, ``.parquet`` or folder of images that needs more
        stays where it is, and is read block by block (:class:`vaekit.data.stored.StoredRows`); a larger table
        of text is refused. By default everything is read.
    conditions : sequence of str
        Columns to take out of the table as conditions; ``labels`` means the labels.
    thousands, decimal : str, optional
        The separators within the numbers of a table of text, where they are not what its values show: ``","``
        for thousands reads ``1,234`` as 1234, for decimals as 1.234.
    convert : {"rgb", "grey"}, optional
        The colours that all pictures of a folder are brought to: 8-bit RGB, or 8-bit grey.
    resize : (int, int), optional
        The height and width that all pictures of a folder are brought to.
    skip_unreadable : bool
        Leave out files of a folder that cannot be read as pictures, with a note that names them.
    keep : sequence of str
        Columns to keep as they stand in the source, whatever else becomes of them; ``labels`` are the labels, and
        ``file`` the names of a folder's pictures.
    only : mapping of str to bool, optional
        The columns that a model knows, and whether it needs them: where all that it needs are there, those that
        it does not know are left out without being read, with a note.
    categorical : collection of str
        Columns of text that are categories, however many there are.
    missing_values : str or iterable, optional
        Values that stand for missing ones in a table, such as ``"unknown,-999"``, beside NaN, empty fields, ``?``, and
        in text ``NA`` and the like.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        For a source that holds neither rows of numbers nor images of one size: one line with what was found,
        what was expected, and what to try.
    MissingExtraError
        For a format whose optional dependency is not installed.

    Examples
    --------
    >>> read("digits").labels[:4].tolist()
    [0, 1, 2, 3]
    """
    name = os.fsdecode(source)
    choice = _Choice(
        label,
        memory_limit,
        conditions,
        thousands,
        decimal,
        read_codes(missing_values),
        keep,
        only,
        categorical,
        PictureRecipe(convert, resize, skip_unreadable),
    )
    is_name = name in NAMES and isinstance(source, str)
    if choice.pictures != AS_FOUND and (is_name or not is_folder_of_pictures(name)):
        raise UsageError(
            f"{name}: convert, resize and skip_unreadable are for folders of pictures; leave them out"
        )
    if is_name:
        _refuse_label(label, name)
        return _chosen(_read_digits() if name == "digits" else read_mnist(data_dir), choice)
    if name == "-":
        return _read_standard_input(choice)
    path = Path(name).expanduser()
    try:
        if not name or not path.exists():
            raise DataError(_not_found(name, path))
        return _chosen(_reader(path, choice)(), choice)
    except PermissionError as error:
        raise DataError(
            f"{path}: not allowed to read it ({error.strerror}); change its permissions"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise DataError(f"{path}: too large for the memory of this machine") from error


class _Choice(NamedTuple):
    """The arguments of `read`."""

    label: str | None
    memory_limit: int | None
    conditions: Sequence[str]
    thousands: str | None
    decimal: str | None
    missing_values: tuple[str, ...]
    keep: Sequence[str]
    only: Mapping[str, bool] | None
    categorical: Collection[str]
    pictures: PictureRecipe = AS_FOUND


def _chosen(dataset: Dataset, choice: _Choice) -> Dataset:
    """Return a data set with its conditions and the columns to keep taken from it, where its reader has not."""
    if choice.keep and dataset.kept is None:
        dataset = replace(dataset, kept=keep_columns(dataset, choice.keep))
    return without_codes(take_conditions(dataset, choice.conditions), choice.missing_values)


def _reader(path: Path, choice: _Choice) -> Callable[[], Dataset]:
    """Return the function that reads an existing path."""
    name, label, memory_limit = path.name.lower(), choice.label, choice.memory_limit
    columns: dict[str, Any] = {
        "label": label,
        "conditions": choice.conditions,
        "memory_limit": memory_limit,
        "missing_values": choice.missing_values,
        "categorical": choice.categorical,
        "keep": choice.keep,
        "only": choice.only,
    }
    if path.is_dir():
        return _folder_reader(path, choice)
    if not path.is_file():
        raise DataError(f"{path}: neither a file nor a folder; expected {ACCEPTED}")
    if name.removesuffix(".gz").endswith(TEXT_ENDINGS):
        return lambda: read_text(path, thousands=choice.thousands, decimal=choice.decimal, **columns)
    if choice.thousands or choice.decimal:
        raise UsageError(f"{path}: thousands and decimal are for tables of text; leave them out")
    if name.endswith(FRAME_ENDINGS):
        return lambda: read_frame_file(path, **columns)
    if name.endswith(".npz"):
        return lambda: read_npz(path, label=label)
    if name.endswith((".parquet", ".pq")):
        return lambda: read_parquet(path, **columns)
    _refuse_label(label, str(path))
    if name.endswith(".npy"):
        return lambda: read_npy(path, memory_limit=memory_limit)
    if "ubyte" in name or ".idx" in name or looks_like_idx(path):
        return lambda: read_idx(path)
    if name.endswith(PICTURE_ENDINGS):
        raise DataError(
            f"{path}: a single picture; expected a folder of images: give the folder {str(path.parent)!r}"
        )
    if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".joblib")):
        raise DataError(
            f"{path}: a pickle, and reading one can run any code it contains; expected {ACCEPTED}"
        )
    raise DataError(f"{path}: unknown ending {path.suffix!r}; expected {ACCEPTED}")


def _read_standard_input(choice: _Choice) -> Dataset:
    with standard_input_as_file() as path:
        # everything is read at once, for the temporary file does not stay
        choice = choice if path.suffix == ".csv" else choice._replace(memory_limit=None)
        dataset = _chosen(_reader(path, choice)(), choice)
    test = None if dataset.test is None else replace(dataset.test, source="standard input (test)")
    return replace(dataset, source="standard input", test=test)


@contextmanager
def standard_input_as_file() -> Generator[Path]:
    """Put what comes on the standard input into a file, for as long as a block lasts.

    The first bytes show the format, and give the file its ending; otherwise it is a table of text. Errors name the
    standard input instead of the file.
    """
    content = sys.stdin.buffer.read()
    ending = next((end for start, end in _BEGINNINGS.items() if content.startswith(start)), ".csv")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"standard input{ending}"
        path.write_bytes(content)
        try:
            yield path
        except DataError as error:
            raise type(error)(str(error).replace(str(path), "standard input")) from error


def is_folder_of_pictures(name: str) -> bool:
    """Return whether a source is a folder, and none of MNIST's files or of a fitted model.

    >>> is_folder_of_pictures("digits")
    False
    """
    path = Path(name).expanduser()
    return path.is_dir() and not find_mnist_files(path) and not (path / "model.json").is_file()


def _folder_reader(path: Path, choice: _Choice) -> Callable[[], Dataset]:
    _refuse_label(choice.label, str(path))
    if (path / "model.json").is_file():
        raise DataError(f"{path}: a fitted model, not data; expected {ACCEPTED}")
    if find_mnist_files(path):
        return lambda: read_idx_folder(path)
    options: dict[str, Any] = {
        "memory_limit": choice.memory_limit,
        "recipe": choice.pictures,
        "keep": choice.keep,
    }
    return lambda: read_image_folder(path, **options)


def _refuse_label(label: str | None, what: str) -> None:
    if label is not None:
        raise MissingLabelError(
            f"{what}: no column {label!r} for the label: this source has no named columns; leave the label "
            "out"
        )


def _not_found(name: str, path: Path) -> str:
    folder = path.parent
    if path.is_symlink():
        return f"{name!r}: a link to {os.readlink(path)!r}, which is not there; expected {ACCEPTED}"
    if name and not folder.is_dir():
        return f"{name!r}: no such file, and no folder {str(folder)!r}; expected {ACCEPTED}"
    try:
        neighbours = sorted(str(folder / entry) for entry in os.listdir(folder))
    except OSError:
        neighbours = []
    hint = did_you_mean(name, NAMES) or _nearest_file(path, neighbours)
    return f"{name!r}: no such file, folder or name{hint or ';'} expected {ACCEPTED}"


def _nearest_file(path: Path, neighbours: Sequence[str]) -> str:
    """Return a hint at the file whose name is near, endings and folders aside; empty where none is."""
    stems: dict[str, str] = {}
    for neighbour in neighbours:
        stems.setdefault(Path(neighbour).stem.lower(), neighbour)
    near = nearest(path.stem, stems)
    return f"; did you mean {stems[near]!r}?" if near else ""


def _read_digits() -> Dataset:
    """Return scikit-learn's 1,797 digits of 8x8, grey levels 0 to 16 mapped to [0, 1]."""
    import numpy as np
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = (np.asarray(pixels) / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    return Dataset(images, "images", None, np.asarray(labels, dtype=np.int64), None, "digits")
