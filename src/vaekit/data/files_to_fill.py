"""A file that was read as a table, written again with its holes filled and everything else as it stands there.

Text keeps every byte of its other cells (:mod:`vaekit.data.text_cells`); Parquet, Feather, JSON and NumPy's files keep
the values and types of theirs.
"""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vaekit.data.arrow_to_fill import fill_arrow
from vaekit.data.cells_to_fill import CellsToFill, Values
from vaekit.data.dataset import Dataset, made_up_names
from vaekit.data.json_to_fill import fill_json
from vaekit.data.numpy_files import COLUMN_KEYS, data_key_of
from vaekit.data.reading import TEXT_ENDINGS
from vaekit.data.text_cells import TextCells
from vaekit.errors import DataError

__all__ = ["FileToFill"]

_SAME_READER = {".pq": ".parquet", **dict.fromkeys(TEXT_ENDINGS, ".csv"), ".tsv": ".tsv"}
_FILLED = (".csv", ".tsv", ".parquet", ".feather", ".json", ".jsonl", ".npy", ".npz")


class FileToFill:
    """A file with a table in it, of which the holes of some columns can be filled.

    Parameters
    ----------
    path
        The file.
    dataset
        What was read of it.
    columns
        Names of the columns to fill.

    Raises
    ------
    DataError
        For a format that cannot be written again.

    Examples
    --------
    >>> import tempfile
    >>> from vaekit.data import read
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("a,b\\n1.50,x\\n,y\\n2.25,\\n")
    >>> file = FileToFill(path, read(path), ["a", "b"])
    >>> file.filled({"a": np.array([1.5, 1.9, 2.25]), "b": np.array([0.0, 1.0, 1.0])}, Path("b.csv"))
    b'a,b\\n1.50,x\\n1.90,y\\n2.25,y\\n'
    """

    def __init__(self, path: Path, dataset: Dataset, columns: Sequence[str]) -> None:
        self._path, self._ending = path, _ending(path)
        if self._ending not in _FILLED:
            raise DataError(
                f"{path}: a file of the ending {path.suffix!r} cannot be written again with its holes filled; save it "
                "as .csv or .parquet"
            )
        self.content = path.read_bytes()  #: The bytes of the file.
        self.cells = CellsToFill.of(dataset, columns)  #: The columns as they were read.
        self._text = None
        if self.is_text:
            self._text = TextCells(path, self.content, [*self.cells.columns.values()], self.cells.read)

    @property
    def is_text(self) -> bool:
        """Whether the file is a table of text, zipped or not."""
        return self._ending in (".csv", ".tsv")

    def check_output(self, output: Path) -> None:
        """Refuse an output that is read as another format than the file.

        Raises
        ------
        DataError
            For another ending; a table of text may be zipped (``.gz``) or not.
        """
        if _ending(output) != self._ending:
            raise DataError(
                f"{output}: unknown ending {output.suffix!r} for {self._path.name} with its holes filled; it stays the "
                f"file that it is: expected {self._ending}"
            )

    def filled(self, values: Values, output: Path) -> bytes:
        """Return the bytes of the file with its holes filled; text is gzipped where the output's name says so.

        Parameters
        ----------
        values
            For each column to fill its values ``(n,)``, as the data set has them; a hole stays where they are NaN.
        output
            The name of the file to write.
        """
        if self._text is not None:
            found = self._text.filled(values)
            return gzip.compress(found, mtime=0) if output.name.lower().endswith(".gz") else found
        if not any(len(self.cells.holes(name, column)) for name, column in values.items()):
            return self.content
        if self._ending in (".parquet", ".feather"):
            return fill_arrow(self._path, self.cells, values)
        if self._ending in (".npy", ".npz"):
            return _fill_numpy(self._path, self.cells, values)
        return fill_json(self.content, self.cells, values, by_line=self._ending == ".jsonl")


def _ending(path: Path) -> str:
    """Return the ending that says how a file is read: one for all tables of text whose separator is found."""
    name = Path(path.name.lower().removesuffix(".gz"))
    return _SAME_READER.get(name.suffix, name.suffix)


def _fill_numpy(path: Path, cells: CellsToFill, values: Values) -> bytes:
    found = np.load(path, allow_pickle=False)
    alone = isinstance(found, np.ndarray)
    arrays = {"": found} if alone else {key: found[key] for key in found.files}
    key = "" if alone else data_key_of(list(arrays), path)
    array = arrays[key].copy()
    rows = array.reshape(len(array), -1)
    named = next((arrays[name] for name in COLUMN_KEYS if name in arrays), None)
    names = made_up_names(rows.shape[1]) if named is None else [str(name) for name in named.ravel()]
    for name, column in values.items():
        at = cells.holes(name, column)
        new = np.rint(column[at]) if array.dtype.kind in "iu" else column[at]
        rows[at, names.index(name)] = new.astype(array.dtype)
    sink = io.BytesIO()
    if alone:
        np.save(sink, array, allow_pickle=False)
    else:
        np.savez_compressed(sink, allow_pickle=False, **{**arrays, key: array})
    return sink.getvalue()
