"""Missing values are the same whatever stands for them, and whatever they come in."""

import numpy as np
import pandas as pd
import pytest
import torch

from narrowing import known
from vaekit.data import Dataset, Schema, from_object, read, stream, write
from vaekit.data.missing_values import filled_in_turn, missing_rates, read_codes
from vaekit.data.restoring import restore_table
from vaekit.errors import DataError


@pytest.fixture
def write_text(tmp_path):
    def write(text, name="a.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


EXPECTED = np.array([[1.5, 0], [np.nan, np.nan], [2.5, 1], [np.nan, np.nan], [4.0, 0]])


def same(data: Dataset) -> None:
    assert np.array_equal(data.values, EXPECTED, equal_nan=True)
    assert data.categories == (None, ("p", "q"))


@pytest.mark.parametrize("mark", ["", "?", "NA", "nan", "None", "-999", "unknown", "1e30"])
def test_text(write_text, mark):
    content = f"a,k\n1.5,p\n{mark},?\n2.5,q\n,{mark}\n4,p\n"
    same(read(write_text(content), missing_values="unknown,-999,1e30"))


@pytest.mark.parametrize(
    "marks", [(None, None), (np.nan, pd.NA), (-999.0, "unknown"), (1e30, " ? "), (np.nan, "")]
)
def test_frames(marks):
    number, text = marks
    frame = pd.DataFrame({"a": [1.5, number, 2.5, None, 4.0], "k": ["p", text, "q", None, "p"]})
    same(from_object(frame, missing_values=["unknown", -999, 1e30]))
    frame["k"] = frame["k"].astype("category")
    same(from_object(frame, missing_values=["unknown", -999, 1e30]))


@pytest.mark.parametrize("limit", [None, 100])
def test_parquet(tmp_path, limit):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": [1.5, -999.0, 2.5, None, 4.0], "k": ["p", "?", "q", "unknown", "p"]})
    frame.to_parquet(tmp_path / "x.parquet", row_group_size=1)
    same(read(tmp_path / "x.parquet", memory_limit=limit, missing_values="unknown,-999"))


def test_arrays(tmp_path):
    expected = EXPECTED[:, :1]
    marked = np.where(np.isnan(expected), -999.0, expected)
    masked = np.ma.masked_array(np.where(np.isnan(expected), 1e30, expected), np.isnan(expected))
    objects = np.array([[1.5], ["?"], [2.5], [pd.NA], [4.0]], dtype=object)
    np.save(tmp_path / "x.npy", marked)
    for data in (
        from_object(expected),
        from_object(marked, missing_values=[-999]),
        from_object(marked.astype(np.float32), missing_values="-999"),
        from_object(torch.tensor(marked), missing_values="-999"),
        from_object(masked),
        from_object(objects),
        read(tmp_path / "x.npy", missing_values="-999"),
        read(tmp_path / "x.npy", missing_values="-999", memory_limit=10),
    ):
        assert np.array_equal(np.asarray(data.values), expected, equal_nan=True)
        assert data.has_missing


def test_whole_numbers_in_an_array():
    data = from_object(np.array([[1, -999], [2, 3]]), missing_values="-999")
    assert np.array_equal(data.values, [[1, np.nan], [2, 3]], equal_nan=True)
    assert data.stored_as == {"x0": "integer", "x1": "integer"}


@pytest.mark.parametrize("limit", ["1GB", "50B"])
def test_streams(limit):
    rows = [{"a": a, "b": 1.0 + i} for i, a in enumerate([None, -999.0, 2.5, 3.5])]
    data = stream(lambda: iter(rows), memory_limit=limit, missing_values="-999")
    assert np.array_equal(np.asarray(data.values)[:, 0], [np.nan, np.nan, 2.5, 3.5], equal_nan=True)
    assert data.has_missing


def test_conditions_and_labels():
    frame = pd.DataFrame({"a": [1.0, -999.0], "c": ["x", "unknown"], "n": [1, -999], "y": [0, -999]})
    frame.to_csv("/dev/null")
    data = from_object(frame.drop(columns="y"), labels=frame["y"].to_numpy(), missing_values="unknown,-999")
    assert known(data.labels).tolist() == [0, -999]
    from vaekit.data.condition_columns import take_conditions

    conditions = take_conditions(data, ["n"]).conditions
    assert np.array_equal(known(conditions)["n"], [1, np.nan], equal_nan=True)


def test_codes_are_read_from_text_and_values():
    assert read_codes("NA, -999,?,,-999") == ("NA", "-999")
    assert read_codes([np.nan, None, -999, -999.0, "x"]) == ("-999", "x")


def test_the_schema_looks_at_observed_cells_alone():
    rng = np.random.default_rng(0)
    whole = rng.normal(3.0, 2.0, size=(200, 3))
    holes = whole.copy()
    holes[rng.random(holes.shape) < 0.3] = np.nan
    schema = Schema.fit(holes, scaling="standardize")
    np.testing.assert_allclose(schema.offset, np.nanmean(holes, 0))
    np.testing.assert_allclose(schema.scale, np.nanstd(holes, 0))
    np.testing.assert_allclose(list(schema.missing_rates.values()), np.isnan(holes).mean(0))
    assert schema.masked == (True, True, True)
    x = schema.transform(holes)
    assert np.array_equal(np.isnan(x), np.isnan(holes))
    np.testing.assert_allclose(schema.inverse(x), holes, atol=1e-6)  # float32 in between
    assert Schema.from_json(schema.to_json()) == schema
    assert Schema.fit(whole, scaling="standardize").masked is None


@pytest.mark.parametrize("scaling", ["standardize", "none", "unit"])
def test_a_column_without_any_value_is_left_out(scaling):
    data = np.array([[0.0, np.nan, 1.0], [1.0, np.nan, np.nan], [0.5, np.nan, 0.25]])
    schema = Schema.fit(data, scaling=scaling)
    assert schema.empty_columns == ("x1",)
    assert schema.constant_columns == ()
    assert schema.kept.tolist() == [True, False, True]
    assert schema.masked == (False, True)
    assert np.isnan(schema.inverse(schema.transform(data)[:1])[0, 1])
    assert schema.constant_changes(np.array([[0.0, 2.0, 1.0], [0.0, np.nan, 1.0]])) == {"x1": 1}


def test_all_missing_is_nothing_to_learn():
    with pytest.raises(DataError, match="every value is missing in all 3 rows: there is nothing to learn"):
        Schema.fit(np.full((3, 2), np.nan), scaling="standardize")


def test_a_text_column_that_is_missing_as_a_whole_in_a_later_file(write_text):
    schema = Schema.fit(
        read(write_text("a,k\n1,p\n2,q\n3,\n4,p\n")), scaling="mixed", continuous=[True, False]
    )
    later = schema.align(read(write_text("a,k\n1,\n2,\n", "later.csv")), what="later.csv")
    assert np.isnan(later.values[:, 1]).all()
    assert later.categories == schema.categories


@pytest.mark.parametrize("name", ["", "?"])
def test_a_model_of_before_has_a_category_of_missing_text(write_text, name):
    """Artifacts that were made when an empty text was a category still read it as one."""
    fitted = Dataset(np.array([[0.0], [1.0], [2.0]]), "table", ("k",), categories=((name, "p", "q"),))
    schema = Schema.fit(fitted, scaling="none")
    later = schema.align(read(write_text("k\nq\n?\np\n")), what="later.csv")
    assert later.values.ravel().tolist() == [2.0, 0.0, 1.0]


def test_what_was_missing_is_written_empty(tmp_path):
    frame = pd.DataFrame(
        {
            "n": [1, 2, None], "k": ["p", None, "q"], "r": [0.5, np.nan, 1.5], "d": ["2020-01-01", None, "2020-01-03"],
        }
    )  # fmt: skip
    frame.to_csv(tmp_path / "in.csv", index=False)
    data = read(tmp_path / "in.csv")
    schema = Schema.fit(data, scaling="none")
    assert restore_table(schema, data.values)["k"].isna().tolist() == [False, True, False]
    write(tmp_path / "out.csv", data.values, schema=schema)
    assert (tmp_path / "out.csv").read_text() == "n,k,r,d\n1,p,0.5,2020-01-01\n2,,,\n,q,1.5,2020-01-03\n"


def test_filling_in_turn_keeps_frequencies():
    values = np.array([[0.0, 1.0]] * 30 + [[1.0, 1.0]] * 10 + [[np.nan, np.nan]] * 40)
    filled = filled_in_turn(values)
    assert filled.mean(0).tolist() == [0.25, 1.0]
    assert np.isnan(values).sum() == 80
    assert filled_in_turn(filled) is filled


def test_rates_are_counted_by_column():
    data = from_object(pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, 2.0], "c": [np.nan, np.nan]}))
    assert missing_rates(data) == {"b": 0.5, "c": 1.0}
