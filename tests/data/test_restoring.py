"""What a model makes comes back in the types of its data, from every kind of file."""

import numpy as np
import pandas as pd
import pytest

from vaekit.data import Schema, from_object, read, restore_array, restore_table, write
from vaekit.data.writers import write_blocks

TEXT = """price,count,some,flag,day,at,kind
1.25,3,1,True,2024-01-31,2024-01-31 06:30,a
2.5,4,2,False,2024-02-01,2024-02-01 18:00,b
0.75,0,7,True,2024-03-05,2024-03-05 00:00,a
"""


@pytest.fixture
def schema(tmp_path):
    (tmp_path / "table.csv").write_text(TEXT)
    return Schema.fit(read(tmp_path / "table.csv"), scaling="standardize")


def test_the_rows_of_a_file_come_back_as_they_were_written(tmp_path, schema):
    data = read(tmp_path / "table.csv")
    again = schema.inverse(schema.transform(data.values))  # through float32, as a model's rows are
    write(tmp_path / "again.csv", again, schema=schema)
    expected = TEXT.replace("06:30", "06:30:00").replace("18:00", "18:00:00").replace(" 00:00", " 00:00:00")
    assert (tmp_path / "again.csv").read_text() == expected


def test_numbers_between_are_rounded_and_true_or_false(schema):
    row = np.array([[1.2345, 3.9, 1.4, 0.3, 19753.4, 19753.2500004, 1.0]])
    restored = restore_table(schema, row).iloc[0].to_dict()
    assert restored == {
        "price": 1.23,
        "count": 4,
        "some": 1,
        "flag": False,
        "day": pd.Timestamp("2024-01-31"),
        "at": pd.Timestamp("2024-01-31 06:00"),
        "kind": "b",
    }


def test_a_number_rounded_to_nothing_has_no_sign(tmp_path):
    schema = Schema.fit(np.array([[0.5], [-0.5]]), scaling="none")
    write(tmp_path / "x.csv", np.array([[-0.01], [-0.26]]), schema=schema)
    assert (tmp_path / "x.csv").read_text() == "x0\n0.0\n-0.3\n"


def test_the_types_survive_json(schema):
    assert Schema.from_json(schema.to_json()) == schema
    assert [column.stored_as for column in schema.columns] == [
        *("real", "integer", "integer", "boolean", "date", "time", "real")
    ]
    assert [column.decimals for column in schema.columns] == [2, *[None] * 6]


def test_missing_values_stay_missing(schema):
    table = restore_table(schema, np.array([[np.nan] * 6 + [0.0], [1.0, 2, 3, 1, 4, 5, 1]]))
    assert table.iloc[0, :6].isna().all()
    assert str(table["count"].dtype) == "Int64"
    assert str(table["flag"].dtype) == "boolean"
    assert table.iloc[1, 1:4].tolist() == [2, 3, True]


def test_values_out_of_the_range_of_a_type_are_kept_or_clipped(schema):
    table = restore_table(schema, np.array([[1e300, 1e30, -1e30, 9.0, 1e12, -1e12, 0.0]]))
    assert table["count"].tolist() == [1e30]
    assert table["day"].dt.year.tolist() == [9999]
    assert table["at"].dt.year.tolist() == [1]


@pytest.mark.parametrize(
    ("column", "decimals"),
    [
        ([0.1, 0.25, 3.0], 2),
        ([147061.73, 0.01], 2),
        ([1.0, 2.0], 0),
        ([1 / 3, 0.5], None),
        ([0.1234567, 1.0], None),
        ([1e-300, 1.0], None),
    ],
)
def test_decimals_are_counted(column, decimals):
    found = Schema.fit(np.array(column)[:, None], scaling="none").columns[0]
    assert found.decimals == decimals


def test_decimals_are_counted_over_all_blocks(monkeypatch):
    monkeypatch.setattr("vaekit.data.dataset.BLOCK_VALUES", 2)
    values = np.array([[1.0], [2.0], [3.0], [0.125]])
    assert Schema.fit(values, scaling="none").columns[0].decimals == 3


@pytest.mark.parametrize("limit", [None, 500], ids=["read", "stored"])
@pytest.mark.parametrize("shape", [(60, 6, 5), (60, 3, 6, 5), (60, 6, 5, 3), (60, 6, 5, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_images_come_back_in_type_and_layout(tmp_path, shape, dtype, limit):
    images = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    np.save(tmp_path / "images.npy", images)
    data = read(tmp_path / "images.npy", memory_limit=limit)
    schema = Schema.fit(data, scaling="standardize")
    assert Schema.from_json(schema.to_json()) == schema
    again = schema.inverse(schema.transform(np.asarray(data.values)))
    assert write(tmp_path / "again.npy", again, schema=schema) == shape
    found = np.load(tmp_path / "again.npy")
    assert found.dtype == dtype
    np.testing.assert_allclose(found, images, atol=0 if dtype != np.float32 else 1e-4)


def test_pixels_are_rounded_and_clipped():
    schema = Schema.fit(np.array([[[0, 255]], [[7, 9]]], np.uint8), scaling="unit")
    assert restore_array(schema, np.array([[[[-3.0, 254.6]]]])).tolist() == [[[0, 255]]]
    assert restore_array(schema, np.array([[[[1e9, 0.4]]]])).tolist() == [[[255, 0]]]


def test_probabilities_of_black_and_white_pixels_stay():
    schema = Schema.fit(np.array([[[0, 1]], [[1, 0]]], np.uint8), scaling="unit")
    found = restore_array(schema, np.array([[[[0.3, 0.9]]]]))
    assert found.tolist() == [[[0.3, 0.9]]]


@pytest.mark.parametrize(
    ("table", "dtype"),
    [
        (np.array([[1, 2], [3, 5]]), np.int64),
        (np.array([[True, False], [False, True]]), np.bool_),
        (np.array([[1.5, 2], [3, 5]]), np.float64),
    ],
)
def test_arrays_of_one_type_come_back_in_it(tmp_path, table, dtype):
    schema = Schema.fit(from_object(table), scaling="none")
    write(tmp_path / "x.npy", table.astype(float) + 0.2 * (dtype != np.float64), schema=schema)
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, table)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".npy", ".npz", ".parquet"])
def test_blocks_make_the_same_file(tmp_path, schema, ending):
    rows = np.array([[1.2345, 3.9, 1.4, 0.3, 19753.4, 19753.25, 1.0]] * 5) + np.arange(5)[:, None] * 0.1
    rows[:, -1] = 1
    write(tmp_path / f"whole{ending}", rows, schema=schema)
    shape = write_blocks(tmp_path / f"blocks{ending}", iter([rows[:2], rows[2:]]), rows=5, schema=schema)
    assert shape == (5, 7)
    if ending != ".npz":
        assert (tmp_path / f"whole{ending}").read_bytes() == (tmp_path / f"blocks{ending}").read_bytes()
    if ending == ".parquet":
        assert pd.read_parquet(tmp_path / "whole.parquet").dtypes.astype(str).tolist() == [
            *("float64", "int64", "int64", "bool", "datetime64[ms]", "datetime64[ms]", "str")
        ]


def test_images_in_a_table_are_rows_of_pixels_of_their_type(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3)).astype(np.uint8)
    schema = Schema.fit(images, scaling="unit")
    values = np.moveaxis(images, -1, 1).astype(float)
    write(tmp_path / "x.csv", values, schema=schema)
    np.testing.assert_array_equal(
        pd.read_csv(tmp_path / "x.csv").to_numpy(), np.moveaxis(images, -1, 1).reshape(4, -1)
    )
    assert "." not in (tmp_path / "x.csv").read_text()
