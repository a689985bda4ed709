"""``.npy`` and ``.npz``: what is found in them, and every way they can be damaged."""

import os
import zipfile

import numpy as np
import pytest

from narrowing import known
from vaekit.data import read
from vaekit.errors import DataError

ROWS = np.arange(12.0).reshape(4, 3)
IMAGES = np.arange(96, dtype=np.uint8).reshape(4, 4, 6)


class Trap:
    """Unpickling this makes a folder, which no test must ever see."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_npy(tmp_path):
    np.save(tmp_path / "rows.npy", np.asfortranarray(ROWS.astype(">f4")))
    data = read(tmp_path / "rows.npy")
    assert np.array_equal(data.values, ROWS)
    assert data.source == str(tmp_path / "rows.npy")
    np.save(tmp_path / "images.npy", IMAGES)
    assert read(str(tmp_path / "images.npy")).values.shape == (4, 1, 4, 6)
    np.save(tmp_path / "one.npy", ROWS[:1])
    assert len(read(tmp_path / "one.npy")) == 1
    assert data.values.flags.writeable


def test_npz_with_labels_and_test_split(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, x_train=IMAGES, y_train=[0, 1, 2, 3], x_test=IMAGES[:2], y_test=[4, 5])
    data = read(file)
    assert (data.values.shape, known(data.labels).tolist()) == ((4, 1, 4, 6), [0, 1, 2, 3])
    assert data.test is not None
    assert (data.test.values.shape, known(data.test.labels).tolist()) == ((2, 1, 4, 6), [4, 5])
    np.savez_compressed(file, X=ROWS, classes=["a", "b", "c", "d"], columns=["u", "v", "w"])
    data = read(file, label="classes")
    assert (known(data.labels).tolist(), data.columns) == (["a", "b", "c", "d"], ("u", "v", "w"))
    np.savez(file, whatever=ROWS, y=[1, 2, 3, 4])
    assert np.array_equal(read(file).values, ROWS)


def test_objects_are_never_unpickled(tmp_path):
    trap = np.array([[Trap(tmp_path / "sprung")]], dtype=object)
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", X=trap)
    (tmp_path / "b.npy").write_bytes(trap.dumps())
    (tmp_path / "b.npz").write_bytes(trap.dumps())
    for name in ("a.npy", "a.npz"):
        with pytest.raises(
            DataError, match=r"Python objects.*unpickling a file can run any code.*expected numbers"
        ):
            read(tmp_path / name)
    with pytest.raises(DataError, match=r"begins with b'\\x80.*a .npy file begins with b'\\x93NUMPY'"):
        read(tmp_path / "b.npy")
    with pytest.raises(DataError, match=r"no .npz archive"):
        read(tmp_path / "b.npz")
    assert not (tmp_path / "sprung").exists()


def test_labels_of_objects_are_refused_too(tmp_path):
    np.savez(tmp_path / "a.npz", X=ROWS, y=np.array(["a", 1, None, 2], dtype=object))
    with pytest.raises(DataError, match="the array 'y' holds Python objects"):
        read(tmp_path / "a.npz")


def test_damaged_npy(tmp_path):
    file = tmp_path / "a.npy"
    np.save(file, ROWS)
    whole = file.read_bytes()
    damages = {
        b"": "the file is empty",
        whole[
            :-1
        ]: r"223 bytes, and its header announces 224 \(shape \(4, 3\), float64\): the array is truncated",
        whole + b"x": "followed by bytes that do not belong to it",
        whole[:40]: "truncated or corrupt .npy header",
        whole[:9]: "truncated or corrupt .npy header",
        whole.replace(b"(4, 3)", b"[4, 3]"): "truncated or corrupt .npy header",
        whole.replace(b"(4, 3), }", b"(9**9,)} "): "truncated or corrupt .npy header",
        whole.replace(b"(4, 3), }     ", b"(99999999999,)}"): "truncated",
        whole.replace(b"}", b"("): "truncated or corrupt .npy header",
        b"<!DOCTYPE html>": r"begins with b'<!DOCT'; a .npy file begins with",
    }
    for content, message in damages.items():
        file.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(file)


def test_damaged_npz(tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, X=np.random.default_rng(0).normal(size=(50, 4)))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"truncated, or no .npz archive"):
        read(file)
    file.write_bytes(whole[:300] + bytes(50) + whole[350:])
    with pytest.raises(DataError, match="corrupt"):
        read(file)
    file.write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        read(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(DataError, match=r"'X' is truncated or corrupt|corrupt archive"):
        read(file)


def test_arrays_that_cannot_be_told_apart(tmp_path):
    file = tmp_path / "a.npz"
    np.savez(file, first=ROWS, second=ROWS, y=[1, 2, 3, 4])
    with pytest.raises(
        DataError, match=r"2 arrays, 'first', 'second', none of them under a name.*expected one named 'X'"
    ):
        read(file)
    np.savez(file, X=ROWS, data=ROWS)
    with pytest.raises(DataError, match="'X', 'data' could each be the data; keep one"):
        read(file)
    np.savez(file, y=[1, 2])
    with pytest.raises(DataError, match="no array under a name that says it is the data"):
        read(file)
    np.savez(file, data=[1], indices=[0], indptr=[0, 1], format=b"csr", shape=[1, 1])
    with pytest.raises(DataError, match="a sparse matrix of SciPy"):
        read(file)
    np.savez(file, X=ROWS, target=[1, 2, 3, 4])
    with pytest.raises(DataError, match="no array 'targt' for the labels; did you mean 'target'"):
        read(file, label="targt")
    np.savez(file, x_train=ROWS, x_test=ROWS[:, :2])
    with pytest.raises(DataError, match=r"'x_test' has examples of shape \(2,\), 'x_train' \(3,\)"):
        read(file)


def test_a_member_with_a_zip_slip_name_is_only_a_name(tmp_path):
    file = tmp_path / "a.npz"
    np.save(tmp_path / "rows.npy", ROWS)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../X.npy", (tmp_path / "rows.npy").read_bytes())
    assert np.array_equal(read(file).values, ROWS)


def test_the_outlier_sets(shared_data):
    shapes = {
        "45_wine": (129, 13),
        "30_satellite": (6435, 36),
        "32_shuttle": (49097, 9),
        "4_breastw": (683, 9),
    }
    for name, shape in shapes.items():
        data = read(shared_data / "outliers" / f"{name}.npz")
        assert (data.values.shape, data.values.dtype) == (shape, np.float64)
        assert set(known(data.labels).tolist()) == {0, 1}
        data.require_finite()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("limit", [None, 1000], ids=["read", "stored"])
def test_images_whose_channels_stand_last(tmp_path, channels, limit):
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 5, channels)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    data = read(tmp_path / "images.npy", memory_limit=limit)
    assert data.event_shape == (channels, 6, 5)
    assert data.layout == "channels-last"
    np.testing.assert_array_equal(data.values[10:20], np.moveaxis(images[10:20], -1, 1))
    np.testing.assert_array_equal(np.asarray(data.values), np.moveaxis(images, -1, 1))


def test_images_of_few_rows_keep_their_channels_first(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((6, 3, 5, 4), np.uint8))
    data = read(tmp_path / "images.npy")
    assert (data.event_shape, data.layout) == ((3, 5, 4), "channels-first")
