"""Folders of pictures to data sets; the name of a subfolder is the label of the pictures in it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from vaekit.data.dataset import Dataset
from vaekit.data.frames import keep_columns
from vaekit.data.messages import few, plural
from vaekit.data.picture_decoding import Decoder, Picture
from vaekit.data.picture_recipe import PictureRecipe
from vaekit.data.pictures import AS_FOUND, load_picture
from vaekit.data.stored import StoredRows, bytes_in_memory
from vaekit.errors import DataError

__all__ = ["PictureRows", "read_image_folder"]

LEFT_BY_SYSTEMS = {"thumbs.db", "desktop.ini", "__macosx"}


class PictureRows(StoredRows):
    """Pictures that stay in their files, and are decoded when they are read.

    Parameters
    ----------
    folder : Path
    files : sequence of str
        Their names, relative to the folder.
    decoder : Decoder
        Decodes the files of the folder.
    limit : int
        The memory limit that the data exceeded, in bytes.
    """

    def __init__(self, folder: Path, files: Sequence[str], decoder: Decoder, limit: int) -> None:
        super().__init__(decoder.like.dtype, (len(files), *decoder.like.shape), limit)
        self._folder, self._files, self._decoder = folder, list(files), decoder

    def read_rows(self, where: "slice | np.ndarray") -> np.ndarray:
        """Return decoded pictures, by slice or numbers of files."""
        if isinstance(where, slice):
            files = self._files[where]
        else:
            rows = np.flatnonzero(where) if where.dtype == bool else where
            files = [self._files[row] for row in rows.tolist()]
        out = np.empty((len(files), *self.shape[1:]), dtype=self.dtype)
        self._decoder.decode(files, out)
        return out

    def fingerprint(self) -> str:
        """Return the SHA-256 of the names and contents of the files."""
        rows = range(len(self._files)) if self._rows is None else self._rows.tolist()
        digest = hashlib.sha256()
        for name in (self._files[row] for row in rows):
            content = (self._folder / name).read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
            digest.update(content)
        return digest.hexdigest()


def read_image_folder(
    folder: Path,
    *,
    memory_limit: int | None = None,
    recipe: PictureRecipe = AS_FOUND,
    keep: Sequence[str] = (),
) -> Dataset:
    """Return the pictures of a folder, in the order of label and path, in memory or left in their files.

    Parameters
    ----------
    folder : Path
    memory_limit : int, optional
        Bytes of memory that the data may take; pictures that need more are decoded each time they are read.
    recipe : PictureRecipe
        The colours and size that every picture is brought to, and whether unreadable files are passed over, which
        decodes every file once more.
    keep : sequence of str
        What to keep of each picture: ``file``, its name relative to the folder, or ``labels``.

    Returns
    -------
    Dataset
        Images of shape (n, channels, height, width), 8-bit where the pictures are. Palettes are resolved to
        RGB.

    Raises
    ------
    DataError
        Naming a file that is no image or is damaged, two files that differ in size or mode, or pictures both
        in the folder and in subfolders.
    MissingExtraError
        Without Pillow.
    """
    files, notes = _files(folder), ()
    if recipe.skip_unreadable:
        files, notes = _readable(folder, files, recipe)
    labelled = [name for name in files if len(Path(name).parts) > 1]
    if labelled and len(labelled) < len(files):
        loose = next(name for name in files if len(Path(name).parts) == 1)
        raise DataError(
            f"{folder}: {loose!r} lies beside subfolders with files such as {labelled[0]!r}; expected either "
            "files only, or one subfolder per label"
        )
    pixels, mode = load_picture(folder / files[0], recipe)
    decoder = Decoder(folder, files[0], Picture.of(pixels, mode), recipe=recipe)
    labels = np.array([Path(name).parts[0] for name in labelled]) if labelled else None
    needed = bytes_in_memory(len(files), pixels.shape, pixels.dtype)
    if memory_limit is not None and needed > memory_limit:
        # StoredRows offers what a data set asks of an array: type, shape, rows by slice and index
        rows = cast(np.ndarray, PictureRows(folder, files, decoder, memory_limit))
    else:
        rows = np.empty((len(files), *pixels.shape), dtype=pixels.dtype)
        decoder.decode(files, rows, many=False)
    pictures = None if recipe == AS_FOUND else recipe
    dataset = Dataset(rows, "images", None, labels, None, str(folder), notes=notes, pictures=pictures)
    return replace(dataset, kept=keep_columns(dataset, keep, files=files)) if keep else dataset


def _readable(folder: Path, files: list[str], recipe: PictureRecipe) -> tuple[list[str], tuple[str, ...]]:
    """Return the files that can be read as pictures, and a note that names the others."""
    readable, unreadable = [], []
    for name in files:
        try:
            load_picture(folder / name, recipe)
            readable.append(name)
        except DataError as error:
            unreadable.append((name, str(error)))
    if not readable:
        raise DataError(f"{folder}: none of {plural(len(files), 'file')} can be read; {unreadable[0][1]}")
    if not unreadable:
        return files, ()
    names = few([name for name, _ in unreadable])
    return readable, (f"{plural(len(unreadable), 'file')} of {len(files):,} left out, unreadable: {names}",)


def _files(folder: Path) -> list[str]:
    files = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part.lower() in LEFT_BY_SYSTEMS for part in parts)
        if not hidden and path.is_file():
            files.append(parts)
    if not files:
        raise DataError(f"{folder}: the folder holds no files; expected images, or MNIST's four IDX files")
    return [str(Path(*parts)) for parts in sorted(files)]
