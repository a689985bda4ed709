"""Parquet, Feather, JSON and NumPy's files with their holes filled: other values, and all types, stay."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from narrowing import untyped
from vaekit.data import Dataset, read
from vaekit.data.files_to_fill import FileToFill
from vaekit.errors import DataError


def fill(path, **value):
    """Fill the holes of named columns, and return the bytes."""
    table = read(path)
    columns = dict(zip(table.columns or (), table.values.T, strict=True))
    values = {name: np.where(np.isnan(columns[name]), new, columns[name]) for name, new in value.items()}
    return FileToFill(path, table, list(value)).filled(values, path)


def every_type():
    return pd.DataFrame(
        {
            "text": ["b", None, "a"],
            "level": pd.Categorical(["u", "v", None], categories=["v", "u", "w"], ordered=True),
            "number": pd.Categorical([10, 20, None], categories=[10, 20, 30]),
            "small": np.array([1.25, np.nan, 2.5], dtype=np.float32),
            "whole": pd.array([1, None, 300], dtype="Int16"),
            "yes": pd.array([True, None, False], dtype="boolean"),
            "day": pd.to_datetime(["2020-01-01", None, "2021-06-01"]),
            "when": pd.to_datetime(["2020-01-01 08:00", None, "2021-06-01 09:30"]).tz_localize(
                "Europe/Berlin"
            ),
            "cents": [Decimal("1.25"), None, Decimal("3.50")],
            "written": ["1,250", None, "3,000"],
            "kept": ["x", None, "y"],
        },
        index=[5, 3, 9],
    )


FILLING = {
    "text": 0.0, "level": 0.0, "number": 22.0, "small": 3.333, "whole": 12.4, "yes": 1.0,
    "day": 18_262.6, "when": 18_262.5, "cents": 2.678, "written": 1999.6,
}  # fmt: skip


def arrow(path):
    from pyarrow import feather, parquet

    return parquet.read_table(path) if path.suffix == ".parquet" else feather.read_table(path)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_types_and_other_values_stay(tmp_path, ending):
    pytest.importorskip("pyarrow")
    frame = every_type()
    path, again = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    frame = frame if ending == "parquet" else frame.reset_index(drop=True)
    if ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_feather(path)
    again.write_bytes(fill(path, **FILLING))
    found = untyped(pd.read_parquet(again) if ending == "parquet" else pd.read_feather(again))
    before = pd.read_parquet(path) if ending == "parquet" else pd.read_feather(path)
    holes = before.isna()
    assert found.index.equals(before.index)
    assert arrow(again).schema == arrow(path).schema
    for name in before.columns:
        assert found[name][~holes[name]].tolist() == before[name][~holes[name]].tolist()
    filled = {name: found[name][holes[name]].iloc[0] for name in FILLING}
    assert filled == {
        "text": "a",
        "level": "u",
        "number": 20 if ending == "feather" else 22,  # numbers that are levels are none in Parquet
        "small": np.float32(3.33),
        "whole": 12,
        "yes": True,
        "day": pd.Timestamp("2020-01-02"),
        "when": pd.Timestamp("2020-01-01 13:00", tz="Europe/Berlin"),
        "cents": Decimal("2.68"),
        "written": "2,000",
    }
    assert found["kept"].isna().sum() == 1


def test_a_file_without_holes_comes_back_byte_for_byte(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}).to_parquet(path, compression="gzip")
    table = read(path)
    assert FileToFill(path, table, []).filled({}, path) == path.read_bytes()


def test_json_keeps_its_form(tmp_path):
    rows = [{"a": 1.25, "b": "x", "n": 3}, {"b": None, "n": None}, {"a": 2.5, "b": "y", "n": 4, "c": 7}]
    path = tmp_path / "a.json"
    for text in (json.dumps(rows), json.dumps(rows, indent=2), json.dumps(rows, separators=(",", ":"))):
        path.write_text(text)
        found = fill(path, a=3.333, b=0.0, n=2.6).decode()
        expected = [rows[0], {"b": "x", "n": 3, "a": 3.33}, rows[2]]
        assert json.loads(found) == expected
        assert found.count("\n") - text.count("\n") in (0, 1)  # the line of the key that was not there
        assert ('": ' in found) == ('": ' in text)


def test_json_of_columns_and_of_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": {"r": 1.5, "s": null}, "b": {"r": "x", "s": "y"}}')
    assert json.loads(fill(path, a=2.0))["a"] == {"r": 1.5, "s": 2.0}
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"day": "2020-01-31",  "b": "x"}\n\n{"day": null, "b": "y"}\n')
    assert (
        fill(lines, day=1.2).decode()
        == '{"day": "2020-01-31",  "b": "x"}\n\n{"day": "1970-01-02", "b": "y"}\n'
    )


def test_arrays_keep_their_type_and_their_companions(tmp_path):
    array = np.array([[1, np.nan], [3, 4]], dtype=np.float32)
    np.save(tmp_path / "a.npy", array)
    (tmp_path / "b.npy").write_bytes(fill(tmp_path / "a.npy", x1=2.5))
    found = np.load(tmp_path / "b.npy")
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2.5], [3, 4]]
    np.savez(tmp_path / "a.npz", X=array, y=np.array([0, 1]), columns=np.array(["u", "v"]))
    (tmp_path / "b.npz").write_bytes(fill(tmp_path / "a.npz", v=2.5))
    again = np.load(tmp_path / "b.npz")
    assert again["X"].tolist() == [[1, 2.5], [3, 4]]
    assert again["y"].tolist() == [0, 1]


def test_other_formats_are_refused(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"")
    table = Dataset(np.array([[1.0], [np.nan]]), "table", ("a",))
    with pytest.raises(DataError, match="cannot be written again with its holes filled; save it"):
        FileToFill(path, table, ["a"])
