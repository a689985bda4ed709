"""The files that experiments on tables read: where they are looked for, and how their rows are cut."""

from pathlib import Path

import numpy as np
import pandas as pd

from vaekit.errors import DataError

__all__ = [
    "ADULT",
    "ADULT_COLUMNS",
    "FloatArray",
    "find_file",
    "first_rows",
    "labelled_file",
    "read_adult",
    "read_labelled",
]

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

ADULT = "tables/adult.data"
#: The columns of UCI Adult in their order.
ADULT_COLUMNS = [
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
]  # fmt: skip


def find_file(data_dir: Path | None, name: str) -> Path:
    """Return where a file lies, in its sub-folder of ``data_dir`` or in ``data_dir`` itself.

    Raises
    ------
    DataError
        If it is in neither.

    Examples
    --------
    >>> find_file(None, "outliers/45_wine.npz")
    Traceback (most recent call last):
        ...
    vaekit.errors.DataError: outliers/45_wine.npz was not found; give data_dir=FOLDER, which holds it
    """
    path = Path(name)
    if data_dir is None:
        raise DataError(f"{name} was not found; give data_dir=FOLDER, which holds it")
    for place in (data_dir / path, data_dir / path.name):
        if place.is_file():
            return place
    raise DataError(
        f"{name} was not found in {data_dir}; give data_dir=FOLDER, which holds it, or {path.name} itself"
    )


def labelled_file(name: str) -> str:
    """Return where one of ADBench's tables is looked for.

    >>> labelled_file("45_wine")
    'outliers/45_wine.npz'
    """
    return f"outliers/{name}.npz"


def read_labelled(data_dir: Path | None, name: str) -> tuple[FloatArray, np.ndarray]:
    """Return the rows of one of ADBench's tables in ``outliers``, and 1 for each outlier.

    Raises
    ------
    DataError
        If the file is missing, or is no such table.
    """
    path = find_file(data_dir, labelled_file(name))
    try:
        with np.load(path) as file:
            return file["X"].astype(np.float64), file["y"].astype(int)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is not one of ADBench's tables, an .npz of X and y ({error}); download it again"
        ) from None


def read_adult(data_dir: Path | None) -> pd.DataFrame:
    """Return UCI Adult with ``?`` as holes.

    Raises
    ------
    DataError
        If the file is missing, or is another table.
    """
    path = find_file(data_dir, ADULT)
    try:
        frame = pd.read_csv(path, header=None, skipinitialspace=True, na_values="?")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not UCI Adult ({error}); download it again") from None
    if frame.shape[1] != len(ADULT_COLUMNS):
        raise DataError(f"{path} has {frame.shape[1]} columns, and UCI Adult 15; download it again")
    return frame.set_axis(ADULT_COLUMNS, axis=1)


def first_rows(n: int, most: int) -> np.ndarray:
    """Return the places of the rows that a table of ``n`` is cut to: the first of ``default_rng(0).permutation``.

    >>> first_rows(4, 2).tolist()
    [2, 0]
    """
    return np.random.default_rng(0).permutation(n)[:most]
