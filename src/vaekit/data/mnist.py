"""MNIST by name: looked up in three places, otherwise downloaded; its four files are known by checksum.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE, 1998.
"""

import hashlib
import os
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

from vaekit.data.dataset import Dataset
from vaekit.data.idx_files import read_idx_folder
from vaekit.errors import DataError

__all__ = ["cache_folder", "read_mnist"]

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
    """Read MNIST's 60,000 training and 10,000 test images.

    Looked for in ``data_dir``, in the folder ``$VAEKIT_DATA`` and in the cache folder, in each also under
    ``mnist/``; otherwise downloaded into the cache folder.

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
                f"{folder / name}: md5 {found}, and MNIST's file has {expected}: damaged, or another "
                "data set; "
                f"replace it, or read the folder as it is with {str(folder)!r} in place of mnist"
            )
    data = read_idx_folder(folder)
    test = None if data.test is None else replace(data.test, source="mnist (test)")
    return replace(data, test=test, source="mnist")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(folder: Path, places: list[Path]) -> None:
    """Fetch what is missing from the first mirror that answers."""
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
    """Download one file aside, verify its checksum, and rename it into place."""
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
        f"({' '.join(reason.split())}). "
        f"Put {', '.join(MD5)} into {cache_folder() / 'mnist'}, or name their folder with --data-dir or "
        "$VAEKIT_DATA"
    )
