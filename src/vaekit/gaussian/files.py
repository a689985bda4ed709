"""Gaussians from files: parameters in ``.npz`` or ``.json``, samples in ``.csv`` or ``.npy``. No pickle."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.exceptions import GaussianError
from vaekit.gaussian.parameters import STRUCTURES

__all__ = ["GaussianFileError", "count_samples", "read_gaussian"]

#: What a file of parameters may hold beside ``mean``.
KEYS = (*STRUCTURES, "diagonal")


class GaussianFileError(GaussianError):
    """A file that cannot be read as a Gaussian; the message says what was found and what was expected."""


def read_gaussian(path: str | Path) -> Gaussian:
    """Return a Gaussian in float64 from a file of its parameters or of samples.

    Parameters
    ----------
    path
        ``.npz`` or ``.json`` with ``mean`` and one parameterisation of `Gaussian`: ``covariance``,
        ``scale_tril``, ``precision``, ``variance``, ``standard_deviation``, ``scale``, or ``factor`` with
        ``diagonal``. ``.csv`` (a header is passed over) or ``.npy`` with samples, a row each, whose mean and
        covariance are taken.

    Returns
    -------
    Gaussian

    Raises
    ------
    GaussianFileError
        For a file that is missing, of another kind, or does not hold what a Gaussian needs.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "p.json"
    ...     _ = path.write_text('{"mean": [0, 1], "variance": [1, 4]}')
    ...     read_gaussian(path)
    Gaussian(variance, dimension=2, batch_shape=(), dtype=float64)
    """
    path = Path(path)
    readers = {".npz": _from_npz, ".json": _from_json, ".csv": _from_csv, ".npy": _from_npy}
    if path.suffix.lower() not in readers:
        raise GaussianFileError(
            f"{path} ends in {path.suffix or 'no suffix'!r}; expected .npz or .json with the parameters of a "
            "Gaussian, or .csv or .npy with samples"
        )
    if not path.is_file():
        raise GaussianFileError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; expected a file")
    try:
        return readers[path.suffix.lower()](path)
    except GaussianFileError:
        raise
    except GaussianError as error:
        raise GaussianFileError(f"{path}: {error}", batch_index=error.batch_index) from error
    except (OSError, ValueError, EOFError, UnicodeDecodeError) as error:
        raise GaussianFileError(f"{path} cannot be read as {path.suffix.lower()}: {error}") from error


def count_samples(path: str | Path) -> int | None:
    """Return the number of samples in a file that :func:`read_gaussian` reads; None for a file of parameters."""
    path = Path(path)
    readers = {".csv": _csv_samples, ".npy": _npy_samples}
    return len(readers[path.suffix.lower()](path)) if path.suffix.lower() in readers else None


def _from_npz(path: Path) -> Gaussian:
    with np.load(path, allow_pickle=False) as archive:
        if isinstance(archive, np.ndarray):
            raise GaussianFileError(f"{path} holds one array; expected an .npz archive with names")
        return _from_parameters(path, {name: archive[name] for name in archive.files})


def _from_json(path: Path) -> Gaussian:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise GaussianFileError(f"{path} holds a {type(document).__name__}; expected an object with keys")
    return _from_parameters(path, document)


def _from_parameters(path: Path, found: dict[str, Any]) -> Gaussian:
    known = {name: value for name, value in found.items() if name == "mean" or name in KEYS}
    given = [name for name in known if name in STRUCTURES]
    unknown = sorted(set(found) - set(known))
    if "mean" not in known or len(given) != 1 or ("factor" in known) != ("diagonal" in known) or unknown:
        raise GaussianFileError(
            f"{path} holds the keys {', '.join(sorted(found)) or 'none'}; expected mean and exactly one of "
            f"{', '.join(sorted(STRUCTURES.keys() - {'factor'}))}, or factor with diagonal"
        )
    arrays = {name: _numbers(path, name, value) for name, value in known.items()}
    mean = np.atleast_1d(arrays.pop("mean"))
    if arrays.get("covariance", mean).ndim == 0 and mean.size == 1:
        arrays["covariance"] = arrays["covariance"].reshape(1, 1)
    parameters: dict[str, Any] = dict(arrays)
    gaussian = Gaussian(mean, **parameters)
    if gaussian.batch_shape:
        raise GaussianFileError(
            f"{path} holds a batch of Gaussians of shape {tuple(gaussian.batch_shape)}; expected one"
        )
    return gaussian


def _numbers(path: Path, name: str, value: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise GaussianFileError(f"{path}: {name} is not a rectangular array: {error}") from error
    if array.dtype.kind not in "fiu":
        raise GaussianFileError(f"{path}: {name} holds {array.dtype} values; expected numbers")
    return array.astype(np.float64)


def _from_npy(path: Path) -> Gaussian:
    return _from_samples(path, _npy_samples(path))


def _npy_samples(path: Path) -> NDArray[np.float64]:
    return _numbers(path, "the array", np.load(path, allow_pickle=False))


def _from_csv(path: Path) -> Gaussian:
    return _from_samples(path, _csv_samples(path))


def _csv_samples(path: Path) -> NDArray[np.float64]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [
            (number, row) for number, row in enumerate(csv.reader(file), start=1) if any(map(str.strip, row))
        ]
    if rows and not all(map(_is_number, rows[0][1])):
        rows = rows[1:]
    if not rows:
        raise GaussianFileError(f"{path} holds no rows of numbers; expected samples, one a row")
    width = len(rows[0][1])
    for number, row in rows:
        if len(row) != width:
            raise GaussianFileError(
                f"{path}, line {number}: {len(row)} cells where the first row has {width}"
            )
        for column, cell in enumerate(row, start=1):
            if not _is_number(cell):
                raise GaussianFileError(
                    f"{path}, line {number}, column {column}: {cell!r}; expected a number"
                )
    return np.array([[float(cell) for cell in row] for _, row in rows])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _from_samples(path: Path, samples: NDArray[np.float64]) -> Gaussian:
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2:
        raise GaussianFileError(
            f"{path} holds an array of shape {samples.shape}; expected samples by coordinates, (n, k)"
        )
    return Gaussian.from_samples(samples)
