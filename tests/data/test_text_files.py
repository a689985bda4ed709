"""Tables of text: separators, headers, missing values, ragged lines, text where numbers belong."""

import gzip
import time

import numpy as np
import pytest

from narrowing import known
from vaekit.data import read
from vaekit.errors import DataError


@pytest.fixture
def write_text(tmp_path):
    def write(text, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


GOOD = {
    "a,b\n1,2\n3,4\n": ("a", "b"),
    "1,2\n3,4\n": ("x0", "x1"),
    "a;b\n1;2\n3;4": ("a", "b"),
    "a\tb\r\n1\t2\r\n3\t4\r\n": ("a", "b"),
    "a|b\n1|2\n\n3|4\n\n": ("a", "b"),
    "a b\n1 2\n3   4\n": ("a", "b"),
    " 1   2\n 3\t4\n": ("x0", "x1"),
    '"a","b, or c"\n1,2\n3,4\n': ("a", "b, or c"),
    "\ufeffa,b\n1,2\n3,4\n": ("a", "b"),
    "id,2019\n1,2\n3,4\n": ("id", "2019"),
    "a, b\n1, 2\n3, 4\n": ("a", "b"),
    "a,b\r1,2\r3,4\r": ("a", "b"),
    "größe,b\n1e0,2.0\n+3,4.\n": ("größe", "b"),
}


@pytest.mark.parametrize("text", GOOD)
def test_separators_and_headers(write_text, text):
    data = read(write_text(text))
    assert data.columns == GOOD[text]
    assert data.values.tolist() == [[1, 2], [3, 4]]
    assert data.values.dtype == np.float64


def test_one_column_with_and_without_header(write_text):
    assert read(write_text("height\n1.5\n2.5\n")).columns == ("height",)
    assert read(write_text("1.5\n2.5\n")).values.tolist() == [[1.5], [2.5]]


def test_text_is_categories_and_a_missing_one_is_missing(write_text):
    data = read(write_text("a,b\n1,y\n2,x\n3,?\n4,x\n"))
    assert data.categories == (None, ("x", "y"))
    assert np.array_equal(data.values, [[1, 1], [2, 0], [3, np.nan], [4, 0]], equal_nan=True)


def test_missing_values_stay_missing(write_text):
    data = read(write_text("a,b,c\n1,?,3\n,NA,6\n7,8,nan\n"))
    expected = [[1, np.nan, 3], [np.nan, np.nan, 6], [7, 8, np.nan]]
    assert np.array_equal(data.values, expected, equal_nan=True)
    assert np.isinf(read(write_text("a\n1\ninf\n")).values).any()


def test_endings(write_text):
    assert read(write_text("a\tb c\n1\t2\n", "a.tsv")).columns == ("a", "b c")
    assert read(write_text(gzip.compress(b"a,b\n1,2\n"), "a.csv.gz")).values.tolist() == [[1, 2]]
    assert read(write_text("1 2 3\n", "a.data")).values.shape == (1, 3)


def test_labels_are_taken_out(write_text):
    file = write_text("size,species,n\n1.5,setosa,3\n2.5,virginica,4\n3.5,,4\n")
    data = read(file, label="species")
    assert data.columns == ("size", "n")
    assert known(data.labels).tolist() == ["setosa", "virginica", ""]
    assert known(read(write_text("1,7\n2,8\n", "b.csv"), label="x1").labels).tolist() == [7, 8]
    with pytest.raises(
        DataError, match=r"no column 'specie' for the label; did you mean 'species'.*'size', 'species'"
    ):
        read(file, label="specie")
    with pytest.raises(DataError, match="no columns beside the label 'a'"):
        read(write_text("a\n1\n2\n"), label="a")


def test_floats_are_read_to_the_last_digit(write_text):
    values = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)
    data = read(write_text("a\n" + "\n".join(map(repr, values.tolist()))))
    assert data.values[:, 0].tolist() == values.tolist()


BAD = {
    "": "the file is empty; expected a table",
    " \n\n": "the file is empty; expected a table",
    "a,b\n": r"no rows \(0 samples\) below the header a, b",
    "a,b\n1,2\n3\n5,6\n": "line 3 has 1 field, line 1 has 2; every line needs the same number",
    "a,b\n1,2\n\n3,4,5\n5,6,7\n": r"line 4 has 3 fields, line 1 has 2 \(and 1 other line\)",
    '"a","b"\n1,2\n"3\n",4,5\n': "line 4 has 3 fields, line 1 has 2",
    "1 2\n3 4\n5\n": "line 3 has 1 field, line 1 has 2",
    "a,b\n" + "".join(f"{i},x{i // 2}\n" for i in range(300)): (
        r"column 'b' holds text, for instance 'x0' in line 2 \(150 diff.*label='b'"
    ),
    "a,b\n\n1,2\n2,3\n3,4o\n": "column 'b' holds text, for instance '4o' in line 5, among 2 numbers; .*corr",
    "a,b\n1;5\n": "line 2 has 1 field, line 1 has 2",
    "a;b\n1.5;2,5\n2.5;3,5\n3.5;4\n0,5;5\n": "'a' holds text, for instance '0,5' in line 5, .*decimals with a point",
    ",a\n0,5\n1,6\n": r"column 1 of 2 has no name in the header; row numbers that pandas writes\? save",
    ",0,1\n0,5,6\n1,6,7\n": "column 1 of 3 has no name",
    "a,,c\n0,5,6\n1,6,7\n": "column 2 of 3 has no name in the header; name it",
    "a,b,a\n1,2,3\n": "column name 'a' stands more than once",
    "a,d\n1,2020-01-01\n2,2020-13-02\n": "column 'd' holds text, for instance '2020-01-01'",
    b"a,b\n1,\xff\n": "byte 0xff in line 2 is not UTF-8",
    "a,b\n1,2\n".encode("utf-16"): "text in UTF-16; expected UTF-8",
    b"\x00\x01\x02": "a binary file",
    b"\x1f\x8b\x08junk": "truncated or corrupt gzip file",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_refused(write_text, text):
    file = write_text(text)
    with pytest.raises(DataError, match=BAD[text]) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_table_is_read_quickly(write_text):
    rows = "\n".join(f"{i},{i + 0.5},{-i}" for i in range(200_000))
    start = time.perf_counter()
    data = read(write_text("a,b,c\n" + rows))
    assert data.values.shape == (200_000, 3)
    assert (
        time.perf_counter() - start < 20
    )  # a Python loop over fields would be far slower than this bound allows


def test_adult_and_auto_mpg(shared_data):
    data = read(shared_data / "tables" / "adult.data")
    assert known(known(data.categories)[1])[:2] == ("Federal-gov", "Local-gov")
    assert np.isnan(data.values[:, 1]).sum() == 1836
    assert known(data.categories)[0] is None
    whole = read(shared_data / "tables" / "auto_mpg.csv")
    assert whole.left_out == ("x8",)
    assert any("'x8'" in note for note in whole.notes)
    data = read(shared_data / "tables" / "auto_mpg.csv", label="x8")
    assert data.values.shape == (398, 8)
    assert data.values[0].tolist() == [18, 8, 307, 130, 3504, 12, 70, 1]
    assert known(data.labels)[1] == "buick skylark 320"
    assert np.isnan(data.values).sum(0).tolist() == [0, 0, 0, 6, 0, 0, 0, 0]
