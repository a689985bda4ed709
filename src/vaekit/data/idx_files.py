"""Read IDX, the format of MNIST: magic number, sizes, then the values, all big-endian, often gzipped.

The magic number is two zero bytes, a type code and the number of dimensions; each size has 32 bits.
Format: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np

from vaekit.data.arrays import dataset_from_array
from vaekit.data.dataset import Dataset
from vaekit.data.hints import plural
from vaekit.errors import DataError

__all__ = ["find_mnist_files", "looks_like_idx", "read_idx", "read_idx_array", "read_idx_folder"]

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
ROLES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
GZIP_MAGIC = b"\x1f\x8b"
GZIP_LARGEST_RATIO = 1032  # deflate cannot expand more than this


def read_idx(path: Path) -> Dataset:
    """Read a single IDX file: a table where it has two dimensions, images where it has three or four."""
    array = read_idx_array(path)
    if array.ndim == 1:
        raise DataError(
            f"{path}: one number per row ({plural(len(array), 'label')}?); expected images or a table. "
            "Give the file of the "
            "images, or the folder that holds both"
        )
    return dataset_from_array(array, source=str(path))


def read_idx_folder(folder: Path) -> Dataset:
    """Read a folder of MNIST's four files, gzipped or not; with one of the two image files, that one alone.

    Raises
    ------
    DataError
        As `read_idx_array`, and where images and labels differ in number.
    """
    files = find_mnist_files(folder)
    parts = {}
    for split in ("train", "t10k"):
        images = files.get(f"{split}-images")
        if images is None:
            continue
        values = read_idx_array(images)
        label_file = files.get(f"{split}-labels")
        labels = None if label_file is None else read_idx_array(label_file)
        if labels is not None and labels.shape != values.shape[:1]:
            raise DataError(
                f"{label_file}: labels of shape {labels.shape} for {len(values):,} images in {images.name}"
            )
        parts[split] = (values, labels)
    if not parts:
        raise DataError(
            f"{folder}: labels without images; expected train-images-idx3-ubyte or t10k-images-idx3-ubyte"
        )
    if len(parts) == 1:
        ((values, labels),) = parts.values()
        return dataset_from_array(values, source=str(folder), labels=labels)
    values, labels = parts["t10k"]
    test = dataset_from_array(values, source=f"{folder} (t10k)", labels=labels)
    values, labels = parts["train"]
    data = dataset_from_array(values, source=str(folder), labels=labels, test=test)
    if data.event_shape != test.event_shape:
        raise DataError(
            f"{folder}: training images of shape {data.event_shape}, test images of shape "
            f"{test.event_shape}; "
            "expected the same"
        )
    return data


def find_mnist_files(folder: Path) -> dict[str, Path]:
    """Find the files named like MNIST's, by role (``"train-images"``...); plain before gzipped."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        role = next((role for role in ROLES if name.startswith(role)), None)
        if role is not None and "ubyte" in name and path.is_file():
            found.setdefault(role, path)
    return found


def looks_like_idx(path: Path) -> bool:
    """Tell by the first four bytes (of the content, where gzipped) whether this can be an IDX file."""
    try:
        with _open(path) as file:
            magic = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES and 1 <= magic[3] <= 8


def read_idx_array(path: Path) -> np.ndarray:
    """Read the array of an IDX file, in native byte order.

    Raises
    ------
    DataError
        For a wrong magic number, an unknown type code, too few or too many bytes, or a corrupt gzip stream.
    """
    try:
        with _open(path) as file:
            return _read(file, path)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: corrupt gzip file ({error}); fetch it again") from error
    except EOFError as error:
        raise DataError(f"{path}: truncated gzip file ({error}); fetch it again") from error


def _open(path: Path) -> "io.BufferedReader | gzip.GzipFile":
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
    return gzip.open(path) if compressed else path.open("rb")


def _read(file: "io.BufferedReader | gzip.GzipFile", path: Path) -> np.ndarray:
    magic = file.read(4)
    if not magic:
        raise DataError(f"{path}: the file is empty; expected an IDX file")
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(
            f"{path}: wrong magic number {magic.hex(' ')}; an IDX file begins with 00 00, type, dimensions"
        )
    if magic[2] not in TYPES:
        codes = ", ".join(f"{code:02x}" for code in TYPES)
        raise DataError(
            f"{path}: unknown type code {magic[2]:02x} in the magic number; expected one of {codes}"
        )
    header = file.read(4 * magic[3])
    if not 1 <= magic[3] <= 8:
        raise DataError(f"{path}: {magic[3]} dimensions in the magic number; expected 1 to 4")
    if len(header) < 4 * magic[3]:
        raise DataError(
            f"{path}: truncated after {4 + len(header)} bytes, in a header for {magic[3]} dimensions"
        )
    shape = tuple(int(size) for size in np.frombuffer(header, dtype=">u4"))
    dtype = np.dtype(TYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    announced = f"{path}: the header announces shape {shape}, {expected:,} bytes of values"
    size_on_disk = path.stat().st_size
    # an absurd header must not make us ask for its memory
    compressed = isinstance(file, gzip.GzipFile)
    if expected > (size_on_disk * GZIP_LARGEST_RATIO if compressed else size_on_disk - file.tell()):
        raise DataError(f"{announced}, and the file has {size_on_disk:,} bytes in all: truncated or corrupt")
    try:
        values = np.empty(shape, dtype=dtype)
    except (ValueError, MemoryError) as error:
        raise DataError(f"{announced}, more than memory can hold: corrupt?") from error
    buffer = values.reshape(-1).view(np.uint8).data
    filled = 0
    while filled < expected:
        count = file.readinto(buffer[filled:])
        if not count:
            raise DataError(f"{announced}, and {filled:,} were found: truncated; fetch it again")
        filled += count
    if file.read(1):
        raise DataError(f"{announced}, and more bytes follow; expected none")
    return values.astype(dtype.newbyteorder("="), copy=False)
