"""Data in memory: what is accepted, what becomes of it, and what is refused in which words."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import sparse

from narrowing import known
from vaekit.data import Dataset, from_object
from vaekit.errors import DataError

ROWS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        ROWS.astype(np.float32),
        ROWS.astype(">i2"),
        ROWS.astype(object),
        ROWS.tolist(),
        [tuple(row) for row in ROWS],
        list(ROWS),
        torch.tensor(ROWS, requires_grad=True),
        torch.tensor(ROWS).bfloat16(),
        torch.utils.data.TensorDataset(torch.tensor(ROWS)),
        [(torch.tensor(row), 0) for row in ROWS],
        np.asfortranarray(ROWS),
    ],
    ids=lambda data: type(data).__name__,
)
def test_tables_become_float64(data):
    dataset = from_object(data)
    assert dataset.kind == "table"
    assert dataset.columns == ("x0", "x1")
    assert dataset.values.dtype == np.float64
    assert dataset.values.dtype.isnative
    assert dataset.values.flags.c_contiguous
    assert np.array_equal(dataset.values, ROWS)


def test_images_stay_as_found():
    images = np.arange(48, dtype=np.uint8).reshape(2, 3, 2, 4)
    assert from_object(images).values is images
    assert from_object(images[:, 0]).event_shape == (1, 2, 4)
    assert from_object(torch.tensor(images)).values.dtype == np.uint8
    assert from_object(images > 9).values.dtype == np.uint8
    assert from_object(images).columns is None


def test_frames_keep_names_labels_and_missing_values():
    frame = pd.DataFrame({"a": [1, 2, 3], 7: pd.array([1, None, 3], dtype="Int64"), "c": [True, False, True]})
    dataset = from_object(frame, labels=pd.Series(["u", None, "w"]))
    assert dataset.columns == ("a", "7", "c")
    assert np.array_equal(dataset.values, [[1, 1, 1], [2, np.nan, 0], [3, 3, 1]], equal_nan=True)
    assert known(dataset.labels).tolist() == ["u", "", "w"]
    assert from_object(frame["a"]).columns == ("a",)


class Pictures(torch.utils.data.Dataset):
    """A map-style data set of PIL images with labels, as torchvision's are."""

    def __init__(self, sizes):
        self.sizes = sizes

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, i):
        if i >= len(self.sizes):
            raise IndexError(i)
        return Image.new("RGB", self.sizes[i], (i, 20, 30)), i % 2


def test_torch_datasets_of_pictures_with_labels():
    dataset = from_object(Pictures([(4, 3)] * 5))
    assert (dataset.values.shape, dataset.values.dtype) == ((5, 3, 3, 4), np.uint8)
    assert dataset.values[4, :, 0, 0].tolist() == [4, 20, 30]
    assert known(dataset.labels).tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(DataError, match=r"item 0 has shape \(3, 3, 4\) .*item 2 \(3, 4, 4\)"):
        from_object(Pictures([(4, 3), (4, 3), (4, 4)]))


def test_subsets_and_tensor_datasets():
    pairs = torch.utils.data.TensorDataset(torch.arange(8.0).reshape(4, 2), torch.tensor([3, 1, 2, 0]))
    assert known(from_object(pairs).labels).tolist() == [3, 1, 2, 0]
    subset = from_object(torch.utils.data.Subset(pairs, [3, 1]))
    assert subset.values.tolist() == [[6, 7], [2, 3]]
    assert known(subset.labels).tolist() == [0, 1]


def test_labels_given_apart():
    dataset = from_object(ROWS, labels=torch.tensor([2, 1, 0]))
    assert known(dataset.labels).dtype == np.int64
    assert from_object(dataset) is dataset
    assert known(from_object(dataset, labels=["a", "b", "c"]).labels).tolist() == ["a", "b", "c"]
    assert known(from_object(ROWS, labels=[0.5, 1.5, np.nan]).labels).dtype == np.float64
    with pytest.raises(DataError, match=r"labels of shape \(2,\) for 3 rows; expected one label per row"):
        from_object(ROWS, labels=[1, 2])


def test_masked_values_become_missing():
    masked = np.ma.masked_array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
    assert np.array_equal(from_object(masked).values, [[1, np.nan], [3, 4]], equal_nan=True)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([])


REFUSED = {
    "one dimension": (np.arange(3.0), r"1 dimension with shape \(3,\); expected a table .*Reshape your data"),
    "five dimensions": (np.zeros((1, 1, 1, 1, 1)), "5 dimensions"),
    "no rows": (np.empty((0, 3)), r"no rows \(0 samples, shape \(0, 3\)\)"),
    "no columns": (np.empty((3, 0)), r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required"),
    "empty list": ([], "no rows"),
    "complex": (np.ones((2, 2), complex), "Complex data not supported"),
    "text": (np.array([["a", "b"]]), "type <U1, for instance a; expected numbers"),
    "text among objects": (np.array([[1, "b"]], object), "text among the values, for instance 'b'"),
    "objects": (np.array([[1, {}]], object), "argument must be a string or a real number, not 'dict'"),
    "dates": (np.array([["2020-01-01"]], "datetime64[D]"), r"datetime64\[D\].*expected numbers"),
    "structured": (np.zeros(3, [("a", float), ("b", int)]), "structured array with fields 'a', 'b'"),
    "sparse": (sparse.csr_matrix(ROWS), "a sparse matrix; expected a dense array: pass matrix.toarray"),
    "sparse tensor": (torch.eye(3).to_sparse(), "a sparse tensor; expected a dense one"),
    "ragged list": (
        [[1, 2], [3, 4], [5]],
        "row 0 has 2 values and row 2 has 1; every row needs the same number",
    ),
    "ragged arrays": ([np.zeros(2), np.zeros(3)], r"item 0 has shape \(2,\) .*item 1 \(3,\)"),
    "a name": ("digits", r"the text 'digits'; expected data: vaekit.data.read\(...\) reads a file or a name"),
    "nothing": (None, "an object of type NoneType; expected an array, a tensor"),
    "a generator": ((i for i in range(3)), "type generator"),
    "a stream": (Stream(), "the Stream: a data set without a length; expected a map-style one"),
    "dictionaries": ([{"x": 1}], "objects that are no numbers"),
    "frame of text": (
        pd.DataFrame({"a": range(300), "b": [f"u{i // 2}" for i in range(300)]}),
        r"column 'b' holds text, for instance 'u0' in row 0 .*\(150 different values\)",
    ),
    "frame of complex": (pd.DataFrame({"z": [1j]}), "column 'z' is complex"),
    "frame without rows": (pd.DataFrame({"a": [], "b": []}), r"no rows \(0 samples\) below 2 column names"),
    "frame without columns": (pd.DataFrame(index=[1, 2]), "no columns"),
    "repeated names": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column name 'a' stands more than once"),
    "text among numbers": (
        pd.DataFrame({"c": pd.Categorical(["1", "2", "3", "v"])}),
        "column 'c' holds text, for instance 'v' in row 3 .*, among 3 numbers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    data, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        from_object(data)


def test_dictionaries_in_a_torch_dataset_are_refused():
    class Records(Pictures):
        def __getitem__(self, i) -> Any:
            return {"x": torch.zeros(3)}

    with pytest.raises(DataError, match=r"item 0 is a dictionary; expected .* a tuple \(x, y\)"):
        from_object(Records([1, 1]))


def test_the_hash_sees_values_shape_type_and_test_split_and_nothing_else():
    base = from_object(ROWS)
    assert len(base.hash()) == 64
    assert from_object(np.asfortranarray(ROWS), labels=[1, 2, 3]).hash() == base.hash()
    changed = ROWS.copy()
    changed[2, 1] += 1e-12
    images = np.zeros((2, 1, 2, 3), dtype=np.uint8)
    others = [
        from_object(changed),
        from_object(ROWS.reshape(2, 3)),
        Dataset(ROWS.astype(np.float32), "table", ("a", "b")),
        Dataset(ROWS, "table", ("a", "b"), test=base),
        from_object(images),
        from_object(images.reshape(2, 1, 3, 2)),
    ]
    assert len({base.hash(), *(other.hash() for other in others)}) == 7
    big = np.arange(3_000_000.0).reshape(3, -1)
    assert from_object(big).hash() != from_object(big[::-1]).hash()
