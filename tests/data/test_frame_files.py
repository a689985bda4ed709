"""What pandas reads as a whole: the same table as from text, and every damage a sentence."""

import io
import sys

import numpy as np
import pandas as pd
import pytest

from narrowing import known
from vaekit.data import read
from vaekit.errors import DataError, MissingExtraError

FRAME = pd.DataFrame({"size": [1.5, 2.5, 3.5], "count": [1, 2, 3], "kind": ["a", "b", "a"]})


def write(frame, path):
    if path.suffix == ".feather":
        frame.to_feather(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_json(path, orient="columns" if path.stem == "columns" else "records")


@pytest.mark.parametrize("name", ["t.feather", "t.json", "columns.json", "t.jsonl", "T.JSON"])
def test_the_same_table_as_from_text(tmp_path, name):
    write(FRAME, tmp_path / name)
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    found, expected = read(tmp_path / name, label="kind"), read(tmp_path / "t.csv", label="kind")
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.columns == expected.columns
    assert known(found.labels).tolist() == ["a", "b", "a"]
    assert found.stored_as == {"count": "integer"}


@pytest.mark.parametrize("name", ["t.feather", "t.json", "t.jsonl"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"[1, 2", b"3"])
def test_damage_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_larger_file_than_the_limit_is_refused(tmp_path):
    write(FRAME, tmp_path / "t.json")
    with pytest.raises(DataError, match=r"a .json is read as a whole; convert it to .parquet"):
        read(tmp_path / "t.json", memory_limit=10)


def test_a_spreadsheet_needs_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    import zipfile

    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
        archive.writestr("[Content_Types].xml", "<x/>")
    with pytest.raises(
        MissingExtraError, match=r"reading .xlsx needs an optional dependency of pandas.*openpyxl"
    ):
        read(tmp_path / "t.xlsx")


def test_a_spreadsheet(tmp_path):
    pytest.importorskip("openpyxl")
    FRAME.to_excel(tmp_path / "t.xlsx", index=False)
    assert read(tmp_path / "t.xlsx", label="kind").values.tolist() == [[1.5, 1], [2.5, 2], [3.5, 3]]


def as_bytes(array, function):
    file = io.BytesIO()
    function(file, array)
    return file.getvalue()


X = np.arange(8.0).reshape(4, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"x0,x1\n0,1\n2,3\n4,5\n6,7\n",
        as_bytes(X, np.save),
        as_bytes(X, np.savez),
        as_bytes(pd.DataFrame(X, columns=["x0", "x1"]), lambda file, frame: frame.to_parquet(file)),
    ],
    ids=["text", "npy", "npz", "parquet"],
)
@pytest.mark.parametrize("limit", [None, 20])
def test_standard_input(monkeypatch, content, limit):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    if limit is not None and content.startswith(b"x0"):
        with pytest.raises(DataError, match=r"standard input.*bytes of text, with a memory limit"):
            read("-", memory_limit=limit)
        return
    data = read("-", memory_limit=limit)
    np.testing.assert_array_equal(data.values, X)
    assert data.source == "standard input"


def test_errors_of_standard_input_name_it(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n3\n")))
    with pytest.raises(
        DataError, match=r"^standard input.csv: line 3 has 1 field|^standard input: line 3 has 1 field"
    ):
        read("-")


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_a_column_of_lists_is_left_out_by_name(tmp_path, name):
    nested = FRAME.assign(tags=[["a"], [], ["b", "c"]], place=[None, {"x": 1}, None])
    write(nested, tmp_path / name)
    found = read(tmp_path / name)
    assert found.columns == ("size", "count", "kind")
    assert found.left_out == ("tags", "place")
    assert (
        "'tags': left out, since it holds values of several parts, such as ['a'] in row 0" in found.notes[0]
    )
    with pytest.raises(
        DataError, match=r"'place' holds .* {'x': 1} in row 1 .*; a label is a number or text"
    ):
        read(tmp_path / name, label="place")
    with pytest.raises(DataError, match=r"'tags' holds .*; a condition is"):
        read(tmp_path / name, conditions=["tags"])
    write(nested[["tags"]], tmp_path / name)
    with pytest.raises(DataError, match=r"no column that can be modelled; column 'tags'"):
        read(tmp_path / name)
