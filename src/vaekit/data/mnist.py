"""MNIST by name, and the format of its files, IDX.

MNIST is looked for in three places, and downloaded where it is in none; its four files are checked by MD5. An
IDX file begins with a magic number (two zero bytes, a code of the type, the number of dimensions) and 32 bits
for each size; the values follow. All are big-endian, and the file is often gzipped.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE, 1998.
"""

import gzip
import hashlib
import io
import math
import os
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from vaekit.data.arrays import dataset_from_array
from vaekit.data.dataset import Dataset
from vaekit.data.messages import plural
from vaekit.errors import DataError

__all__ = ["cache_folder", "find_mnist_files", "looks_like_idx", "read_idx", "read_idx_folder", "read_mnist"]

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
ROLES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
GZIP_MAGIC = b"\x1f\x8b"
GZIP_LARGEST_RATIO = 1032  # deflate cannot expand more than this


MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TIMEOUT = 10.0  # seconds without a byte
DEADLINE = 180.0  # seconds for all four files together, 11.6 MB
LARGEST = 1 << 24  # bytes


def read_mnist(data_dir: Path | None = None) -> Dataset:
    """Return MNIST's 60,000 training and 10,000 test images.

    They are looked for in ``data_dir``, in the folder ``$VAEKIT_DATA`` and in the cache folder, and in
    ``mnist/`` below each; otherwise they are downloaded into the cache folder.

    Returns
    -------
    Dataset
        uint8 images of shape (60000, 1, 28, 28) with labels, and the test split.

    Raises
    ------
    DataError
        For a file with another checksum, and where the files are nowhere and cannot be downloaded, with the
        places to put them.
    """
    cache = cache_folder()
    places = [] if data_dir is None else [Path(data_dir).expanduser()]
    if os.environ.get("VAEKIT_DATA"):
        places.append(Path(os.environ["VAEKIT_DATA"]).expanduser())
    for place in places:
        for folder in (place, place / "mnist"):
            if all((folder / name).is_file() for name in MD5):
                return _read_checked(folder)
    for folder in (cache, cache / "mnist"):
        if all((folder / name).is_file() and _md5(folder / name) == MD5[name] for name in MD5):
            return _read_checked(folder)
    _download(cache / "mnist", places)
    return _read_checked(cache / "mnist")


def cache_folder() -> Path:
    """Return the folder for downloads: ``$XDG_CACHE_HOME/vaekit``, or ``~/.cache/vaekit``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vaekit"


def _read_checked(folder: Path) -> Dataset:
    for name, expected in MD5.items():
        found = _md5(folder / name)
        if found != expected:
            raise DataError(
                f"{folder / name}: md5 {found}, and MNIST's file has {expected}: damaged, or another data "
                f"set; replace it, or read the folder as it is with {str(folder)!r} in place of mnist"
            )
    data = read_idx_folder(folder)
    test = None if data.test is None else replace(data.test, source="mnist (test)")
    return replace(data, test=test, source="mnist")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(folder: Path, places: list[Path]) -> None:
    """Download the missing files from the first mirror that answers."""
    deadline = time.monotonic() + DEADLINE
    reasons = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(_where_to_put_it(places, f"{folder} cannot be made: {error.strerror}")) from error
    for mirror in MIRRORS:
        try:
            for name in MD5:
                if not (folder / name).is_file() or _md5(folder / name) != MD5[name]:
                    _fetch(mirror + name, folder / name, deadline)
        except (OSError, urllib.error.URLError, ValueError) as error:
            reasons.append(f"{mirror}: {getattr(error, 'reason', None) or error}")
        else:
            return
    raise DataError(_where_to_put_it(places, "; ".join(reasons)))


def _fetch(url: str, target: Path, deadline: float) -> None:
    """Download one file under a temporary name, verify its checksum, and rename it."""
    digest = hashlib.md5(usedforsecurity=False)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            while block := response.read(1 << 16):
                digest.update(block)
                file.write(block)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the download took more than {DEADLINE:g} s")
                if file.tell() > LARGEST:
                    raise ValueError(f"{url} is larger than {LARGEST:,} bytes")
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != MD5[target.name]:
            raise ValueError(f"{url} has md5 {digest.hexdigest()}, expected {MD5[target.name]}")
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _where_to_put_it(places: list[Path], reason: str) -> str:
    looked = ", ".join(str(place) for place in [*places, cache_folder()])
    return (
        f"mnist: not found in {looked} (nor in mnist/ below them), and not downloaded "
        f"({' '.join(reason.split())}). Put {', '.join(MD5)} into {cache_folder() / 'mnist'}, or name their "
        "folder with data_dir=FOLDER or $VAEKIT_DATA"
    )


def read_idx(path: Path) -> Dataset:
    """Return the data of one IDX file: a table of two dimensions, images of three or four."""
    array = _read_array(path)
    if array.ndim == 1:
        raise DataError(
            f"{path}: one number per row ({plural(len(array), 'label')}?); expected images or a table. Give "
            "the file of the images, or the folder that holds both"
        )
    return dataset_from_array(array, source=str(path))


def read_idx_folder(folder: Path) -> Dataset:
    """Return the data of a folder with files named like MNIST's four, gzipped or not, or like some of them.

    Raises
    ------
    DataError
        As `read_idx` does, and where images and labels differ in number.
    """
    files = find_mnist_files(folder)
    parts = {}
    for split in ("train", "t10k"):
        images = files.get(f"{split}-images")
        if images is None:
            continue
        values = _read_array(images)
        label_file = files.get(f"{split}-labels")
        labels = None if label_file is None else _read_array(label_file)
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
            f"{test.event_shape}; expected the same"
        )
    return data


def find_mnist_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder named like MNIST's, by role (``"train-images"``...); plain before gzipped."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        role = next((role for role in ROLES if name.startswith(role)), None)
        if role is not None and "ubyte" in name and path.is_file():
            found.setdefault(role, path)
    return found


def looks_like_idx(path: Path) -> bool:
    """Return whether the first four bytes (after gunzipping, where gzipped) are those of an IDX file."""
    try:
        with _open(path) as file:
            magic = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES and 1 <= magic[3] <= 8


def _read_array(path: Path) -> np.ndarray:
    """Return the array of an IDX file, in native byte order.

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
