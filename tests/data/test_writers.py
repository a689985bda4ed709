"""Writing: everything reads back as it was, whole or not at all."""

import errno
import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vaekit.data import read, write
from vaekit.errors import DataError

ROWS = np.random.default_rng(0).normal(size=(7, 3)) * 10.0 ** np.array([-200, 0, 200])


@pytest.mark.parametrize("ending", ["csv", "tsv", "npy", "npz", "parquet"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8"])
def test_tables_come_back_exactly(tmp_path, ending, dtype):
    rows = (ROWS * [1e200, 1, 1e-200] * 20 + 100).astype(dtype) if dtype != "float64" else ROWS
    write(tmp_path / f"a.{ending}", rows, columns=["a", "b c", "d,e"])
    data = read(tmp_path / f"a.{ending}")
    assert np.array_equal(data.values.astype(dtype), rows)
    assert data.columns == (("x0", "x1", "x2") if ending == "npy" else ("a", "b c", "d,e"))
    assert len(list(tmp_path.iterdir())) == 1


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 5), st.integers(1, 3)), elements=st.floats(allow_nan=True)
    )
)
def test_every_float_survives_csv(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write(path, rows)
    assert np.array_equal(read(path).values, rows, equal_nan=True)


def test_one_column_and_images_as_rows(tmp_path):
    write(tmp_path / "a.csv", [1.5, 2.5])
    assert (tmp_path / "a.csv").read_text() == "x0\n1.5\n2.5\n"
    images = np.arange(16, dtype=np.uint8).reshape(2, 2, 2, 2)
    write(tmp_path / "b.csv", images)
    assert np.array_equal(read(tmp_path / "b.csv").values, images.reshape(2, 8))
    write(tmp_path / "b.npy", images)
    assert np.array_equal(read(tmp_path / "b.npy").values, images)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (5, channels, 4, 6), dtype=np.uint8)
    write(tmp_path / "a.png", images)
    picture = np.asarray(Image.open(tmp_path / "a.png")).reshape(
        *np.asarray(Image.open(tmp_path / "a.png")).shape[:2], -1
    )
    assert picture.shape[-1] == channels
    columns = (picture.shape[1] + 1) // 7
    for i in range(5):
        top, left = i // columns * 5, i % columns * 7
        assert np.array_equal(np.moveaxis(picture[top : top + 4, left : left + 6], -1, 0), images[i])


def test_grey_levels_of_floats(tmp_path):
    levels = np.array([[[0.0, 0.5], [1.0, -0.2]]])
    write(tmp_path / "a.png", levels)
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 128], [255, 0]]
    write(tmp_path / "a.png", levels * 300)
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 150], [255, 0]]
    write(tmp_path / "a.png", levels, white=2.0)
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 64], [128, 0]]


REFUSED = {
    "table.png": (
        np.zeros((3, 2)),
        r"a picture was asked for, of 3 rows that are no images \(shape \(3, 2\)\)",
    ),
    "two.png": (np.zeros((3, 2, 4, 4)), "a picture needs .* with 1, 3 or 4 channels"),
    "nan.png": (np.full((1, 2, 2), np.nan), "pixels that are NaN or infinite cannot be shown"),
    "a.xlsx": (np.zeros((3, 2)), "unknown ending '.xlsx' for an output; expected one of .csv, .tsv, .npy"),
    "a": (np.zeros((3, 2)), "unknown ending ''"),
    "a.npy": (np.array([{}]), "an array of type object; only numbers are written"),
    "missing/a.csv": (np.zeros((3, 2)), "there is no folder '.*missing'; make it first"),
    "file/a.csv": (np.zeros((3, 2)), "is not a folder"),
    "nul\0.csv": (np.zeros((3, 2)), "a zero byte in the name of a file"),
    "folder.csv": (np.zeros((3, 2)), "it is a folder; name a file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    array, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        write(tmp_path / name, array)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_names_must_fit(tmp_path):
    with pytest.raises(DataError, match="1 column name for 2 columns"):
        write(tmp_path / "a.csv", np.zeros((3, 2)), columns=["a"])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full; make room"),
        (errno.EROFS, "may not be written to"),
        (errno.EIO, "output error"),
    ],
)
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, code, message):
    write(tmp_path / "a.csv", ROWS)
    before = (tmp_path / "a.csv").read_bytes()

    def fail(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError, match=f"a.csv: cannot be written: .*{message}"):
        write(tmp_path / "a.csv", ROWS * 2)
    assert (tmp_path / "a.csv").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupt_leaves_what_was_there(tmp_path, monkeypatch):
    write(tmp_path / "a.npy", ROWS)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.npy", ROWS * 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    assert np.array_equal(read(tmp_path / "a.npy").values, ROWS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match="may not be written to"):
        write(tmp_path / "a.csv", ROWS)
    tmp_path.chmod(0o700)


def test_permissions_and_links_are_as_usual(tmp_path):
    mask = os.umask(0o022)
    try:
        write(tmp_path / "a.csv", ROWS)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o644
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    write(tmp_path / "link.csv", ROWS * 2)
    assert (tmp_path / "link.csv").is_symlink()
    assert np.array_equal(read(tmp_path / "a.csv").values, ROWS * 2)
