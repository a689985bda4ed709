"""IDX: every type, gzipped or not, folders of four, and every way a file can be damaged."""

import gzip
import struct

import numpy as np
import pytest

from narrowing import known
from vaekit.data import read
from vaekit.errors import DataError

IMAGES = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.array([3, 1, 4, 1, 5], dtype=np.uint8)
CODES = {">u1": 0x08, ">i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx(array, dtype=">u1"):
    header = bytes([0, 0, CODES[dtype], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(dtype).tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_type(tmp_path, dtype, pack):
    file = tmp_path / "some-images.idx"
    file.write_bytes(pack(idx(IMAGES, dtype)))
    data = read(file)
    assert data.values.shape == (5, 1, 4, 3)
    assert data.values.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(data.values[:, 0], IMAGES)
    assert data.values.flags.writeable


def test_two_and_four_dimensions_and_a_file_without_ending(tmp_path):
    (tmp_path / "table").write_bytes(idx(IMAGES[:, 0], ">f4"))
    assert read(tmp_path / "table").kind == "table"
    (tmp_path / "colour").write_bytes(gzip.compress(idx(IMAGES.reshape(1, 3, 4, 5))))
    assert read(tmp_path / "colour").event_shape == (3, 4, 5)


def test_a_folder_of_four_and_of_fewer(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    assert read(tmp_path).labels is None
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    assert known(read(tmp_path).labels).tolist() == LABELS.tolist()
    assert read(tmp_path).test is None
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx(IMAGES[:2] + 1))
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(idx(LABELS[:2]))
    data = read(tmp_path)
    assert data.test is not None
    assert np.array_equal(data.test.values[:, 0], IMAGES[:2] + 1)
    assert known(data.test.labels).tolist() == [3, 1]
    assert np.array_equal(data.values[:, 0], IMAGES)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"never read: the plain file comes first")
    assert np.array_equal(read(tmp_path).values, data.values)


def test_folders_that_do_not_fit_together(tmp_path):
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:3]))
    with pytest.raises(DataError, match="labels without images; expected train-images-idx3-ubyte"):
        read(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(
        DataError, match=r"train-labels-idx1-ubyte: labels of shape \(3,\) for 5 images in train-images"
    ):
        read(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES[:, :2]))
    with pytest.raises(
        DataError, match=r"training images of shape \(1, 4, 3\), test images of shape \(1, 2, 3\)"
    ):
        read(tmp_path)


WHOLE = idx(IMAGES)
DAMAGED = {
    "empty": (b"", "the file is empty; expected an IDX file"),
    "wrong magic": (b"\x01\x00" + WHOLE[2:], "wrong magic number 01 00 08 03; an IDX file begins with 00 00"),
    "a web page": (b"<html></html>", "wrong magic number 3c 68 74 6d"),
    "unknown type": (
        b"\0\0\x07\x03" + WHOLE[4:],
        "unknown type code 07 .*expected one of 08, 09, 0b, 0c, 0d, 0e",
    ),
    "no dimensions": (b"\0\0\x08\x00", "0 dimensions in the magic number"),
    "many dimensions": (b"\0\0\x08\xff" + bytes(2000), "255 dimensions in the magic number"),
    "header cut": (WHOLE[:9], "truncated after 9 bytes, in a header for 3 dimensions"),
    "values cut": (
        WHOLE[:-30],
        r"announces shape \(5, 4, 3\), 60 bytes of values, and the file has 46 bytes in all: trunc",
    ),
    "absurd sizes": (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(10), "26 bytes in all: truncated or corrupt"),
    "trailing bytes": (WHOLE + b"\0", "60 bytes of values, and more bytes follow; expected none"),
    "gzip cut": (gzip.compress(WHOLE)[:-12], "truncated gzip file"),
    "gzip corrupt": (gzip.compress(WHOLE)[:-8] + b"\0" * 8, "corrupt gzip file .*fetch it again"),
    "gzip garbled": (gzip.compress(bytes(WHOLE))[:10] + b"\xff" * 50, "corrupt gzip file"),
    "gzip absurd": (gzip.compress(b"\0\0\x0e\x02" + b"\x7f" * 8), "bytes in all: truncated or corrupt"),
    "gzip values cut": (gzip.compress(WHOLE[:-1]), "60 bytes of values, and 59 were found: truncated"),
    "gzip sizes that overflow": (
        gzip.compress(b"\0\0\x0e\x04" + b"\xff\xff\xff\xff" * 3 + b"\0\0\0\0"),
        "more than memory can hold: corrupt",
    ),
    "wide values cut": (idx(IMAGES, ">f4")[:-1], "240 bytes of values, and the file has 255 bytes in all"),
    "gzip wide values cut": (
        gzip.compress(idx(IMAGES, ">f4")[:-1]),
        "240 bytes of values, and 239 were found",
    ),
    "labels only": (idx(LABELS), r"one number per row \(5 labels\?\); expected images or a table"),
    "no images": (idx(IMAGES[:0]), r"no rows \(0 samples"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(tmp_path, name):
    content, message = DAMAGED[name]
    file = tmp_path / "x-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read(file)
    assert str(file) in str(caught.value)


def test_fashion_mnist_has_only_its_test_split(shared_data):
    data = read(shared_data / "fashion_mnist")
    assert (data.values.shape, data.values.dtype, data.test) == ((10_000, 1, 28, 28), np.uint8, None)
    assert np.bincount(known(data.labels)).tolist() == [1000] * 10
