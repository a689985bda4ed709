"""Tables with known outliers that are built from classes, beside ADBench's eight given ones.

A further table is the rows of one class or more, with rows of another class as outliers in the share that its line in
:data:`FURTHER` says; or clean rows, of which some have two columns swapped with those of another row. Nothing of the
detector was chosen on them.
"""

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA

ROWS = 3000
Labelled = tuple[np.ndarray, np.ndarray]  # rows, and 1 for an outlier


def of_classes(x: np.ndarray, odd: np.ndarray, share: float) -> Labelled:
    """Return good rows with so many odd ones that their share is as asked, in random order, 3,000 at most."""
    random = np.random.default_rng(0)
    good, bad = (random.permutation(np.flatnonzero(odd == value)) for value in (0, 1))
    few = min(round(len(good) * share / (1 - share)), round(ROWS * share), len(bad))
    many = min(len(good), round(few * (1 - share) / share))
    rows = random.permutation(np.concatenate([good[:many], bad[:few]]))
    return x[rows].astype(np.float64), odd[rows].astype(int)


def breast(folder: Path) -> Labelled:
    """Benign tumours, with a tenth of malignant ones."""
    x, y = load_breast_cancer(return_X_y=True)
    return of_classes(x, (y == 0).astype(int), 0.1)


def wine(folder: Path) -> Labelled:
    """Two cultivars, with a tenth of the third."""
    x, y = load_wine(return_X_y=True)
    return of_classes(x, (y == 2).astype(int), 0.1)


def digits(folder: Path) -> Labelled:
    """Sevens among the other digits, of 8 x 8 pixels: a twentieth."""
    x, y = load_digits(return_X_y=True)
    return of_classes(x, (y == 7).astype(int), 0.05)


def one_digit(folder: Path) -> Labelled:
    """Threes, with a tenth of other digits, of 8 x 8 pixels."""
    x, y = load_digits(return_X_y=True)
    return of_classes(x, (y != 3).astype(int), 0.1)


def pictures(folder: Path, *, usual: tuple[int, ...], odd: int, components: int, name: str) -> Labelled:
    """The test pictures of MNIST or Fashion-MNIST by principal components, a twentieth of them of the odd class."""
    with gzip.open(folder / name / "t10k-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784) / 255.0
    with gzip.open(folder / name / "t10k-labels-idx1-ubyte.gz") as file:
        y = np.frombuffer(file.read(), np.uint8, offset=8)
    some = np.isin(y, [*usual, odd])
    x, y = of_classes(x[some], (y[some] == odd).astype(int), 0.05)
    return PCA(components, random_state=0).fit_transform(x), y


def swapped(folder: Path, *, name: str) -> Labelled:
    """Numbers of Adult or auto-mpg, a twentieth of the rows with two columns of another row."""
    if name == "adult":
        table = pd.read_csv(folder / "tables" / "adult.data", header=None, skipinitialspace=True)
        table = table[[0, 2, 4, 10, 11, 12]]
    else:
        table = pd.read_csv(folder / "tables" / "auto_mpg.csv", sep=r"\s+", header=None, na_values="?")
        table = table.iloc[:, :8].dropna()
    x, random = table.to_numpy(np.float64), np.random.default_rng(0)
    x = x[random.permutation(len(x))[:ROWS]]
    y = np.zeros(len(x), dtype=int)
    clean = x.copy()
    for i in random.permutation(len(x))[: round(0.05 * len(x))]:
        columns = random.permutation(x.shape[1])[:2]
        x[i, columns] = clean[random.integers(len(x)), columns]
        y[i] = 1
    return x, y


FURTHER: dict[str, Callable[[Path], Labelled]] = {
    "breast, malignant 10 %": breast,
    "wine, third cultivar 10 %": wine,
    "digits, sevens 5 %": digits,
    "threes, other digits 10 %": one_digit,
    "MNIST 0 1 7, nines 5 %": partial(pictures, usual=(0, 1, 7), odd=9, components=20, name="mnist"),
    "MNIST all, fours 5 %": partial(
        pictures, usual=(0, 1, 2, 3, 5, 6, 7, 8, 9), odd=4, components=30, name="mnist"
    ),
    "Fashion tops, bags 5 %": partial(
        pictures, usual=(0, 2, 4, 6), odd=8, components=20, name="fashion_mnist"
    ),
    "Fashion all, sandals 5 %": partial(
        pictures, usual=(0, 1, 2, 3, 4, 6, 7, 8, 9), odd=5, components=30, name="fashion_mnist"
    ),
    "Adult, cells swapped 5 %": partial(swapped, name="adult"),
    "auto-mpg, cells swapped 5 %": partial(swapped, name="auto_mpg"),
}
