"""Tables of text with their holes filled: every other byte stays, and what is filled in is written as its column is."""

import csv
import gzip
import io

import numpy as np
import pytest

from vaekit.data import read
from vaekit.data.files_to_fill import FileToFill
from vaekit.data.text_cells import field_spans
from vaekit.data.text_files import SPACES, rows_of
from vaekit.errors import DataError


def fill(tmp_path, content, name="table.csv", value=1.0, **reading):
    """Fill all holes of a table by a value, and return its bytes and what was read of both."""
    path = tmp_path / name
    path.write_bytes(content)
    before = read(path, **reading)
    columns = before.columns or ()
    file = FileToFill(path, before, columns)
    values = {
        column: np.where(np.isnan(before.values[:, j]), value, before.values[:, j])
        for j, column in enumerate(columns)
    }
    target = tmp_path / f"filled-{name}"
    target.write_bytes(file.filled(values, target))
    return target.read_bytes(), before, read(target, **reading)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("a,b\n1,2\n,4\n5,\n", "a,b\n1,2\n1,4\n5,1\n", id="plain"),
        pytest.param("a,b\r\n1,2\r\n,4\r\n\r\n5,?", "a,b\r\n1,2\r\n1,4\r\n\r\n5,1", id="windows, no end"),
        pytest.param("a,b\r1,2\r,4\r", "a,b\r1,2\r1,4\r", id="old macintosh"),
        pytest.param("\ufeffa;b\n1,5;x\n?;y\n", "\ufeffa;b\n1,5;x\n1,0;y\n", id="mark, decimal comma"),
        pytest.param('a,b\n"1.50","x"\n"","y"\n', 'a,b\n"1.50","x"\n"1.00","y"\n', id="quoted hole"),
        pytest.param('a,b\n"1.5","x"\nNA,"y"\n', 'a,b\n"1.5","x"\n"1.0","y"\n', id="quoted column"),
        pytest.param(
            "a, b\n1, 2.25\n?, 4.5\n3, ?\n", "a, b\n1, 2.25\n1, 4.5\n3, 1.0\n", id="spaces, decimals"
        ),
        pytest.param('a,b\n"1,250",2\n,4\n', 'a,b\n"1,250",2\n"1",4\n', id="thousands"),
        pytest.param("a,b\n007,2\n,4\n", "a,b\n007,2\n001,4\n", id="padded with zeros"),
        pytest.param("a,b\n3504.,2\n,4\n", "a,b\n3504.,2\n1.,4\n", id="a point at the end"),
        pytest.param("a,b\n1.5e+03,2\n,4\n", "a,b\n1.5e+03,2\n1.0e+00,4\n", id="exponents"),
        pytest.param("a,b\n2020-01-31,2\n,4\n", "a,b\n2020-01-31,2\n1970-01-02,4\n", id="dates"),
        pytest.param("a,b\n31.1.2020,2\n,4\n", "a,b\n31.1.2020,2\n2.1.1970,4\n", id="German dates"),
        pytest.param(
            "a,b\n2020-01-31T08:30:05Z,2\n,4\n",
            "a,b\n2020-01-31T08:30:05Z,2\n1970-01-02T00:00:00Z,4\n",
            id="times",
        ),
        pytest.param("a,b\nTRUE,2\nFALSE,5\n,4\n", "a,b\nTRUE,2\nFALSE,5\nTRUE,4\n", id="booleans as spelt"),
        pytest.param(
            'a,b\n"x, ""y""",2\n,4\nu,3\n"x, ""y""",1\n',
            'a,b\n"x, ""y""",2\n"x, ""y""",4\nu,3\n"x, ""y""",1\n',
            id="categories as spelt",
        ),
        pytest.param('1 "x y" 2\n? "u" 3\n', '1 "x y" 2\n1 "u" 3\n', id="white space"),
        pytest.param("1\t2\n\t3\n", "1\t2\n1\t3\n", id="tabs, no header"),
    ],
)
def test_only_the_holes_change(tmp_path, before, after):
    found, _, again = fill(tmp_path, before.encode())
    assert found.decode() == after
    assert not np.isnan(again.values).any()


def test_missing_values_with_a_name_are_holes(tmp_path):
    found, _, _ = fill(tmp_path, b"a,b\n1,x\n-999,unknown\n3,y\n", missing_values="-999,unknown")
    assert found == b"a,b\n1,x\n1,y\n3,y\n"


def test_zipped_text_is_zipped_again(tmp_path):
    content = gzip.compress(b"a,b\n1,2\n,4\n")
    found, _, _ = fill(tmp_path, content, name="table.csv.gz")
    assert gzip.decompress(found) == b"a,b\n1,2\n1,4\n"
    path = tmp_path / "table.csv.gz"
    file = FileToFill(path, read(path), ["a"])
    file.check_output(tmp_path / "plain.csv")
    assert file.filled({"a": np.ones(2)}, tmp_path / "plain.csv") == b"a,b\n1,2\n1,4\n"
    with pytest.raises(DataError, match=r"stays the file that it is: expected \.csv"):
        file.check_output(tmp_path / "plain.parquet")


PIECES = ["1", "2.5", "", "?", "x", 'a "b"', "x, y", " u ", "2020-01-01", "line\nbreak", "ä€😀"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_fields_are_cut_as_they_are_read(separator, quoting):
    generator = np.random.default_rng(0)
    for _ in range(20):
        text = io.StringIO()
        writer = csv.writer(
            text, delimiter=separator, quoting=quoting, lineterminator=["\n", "\r\n"][generator.integers(2)]
        )
        writer.writerows([[PIECES[k] for k in generator.integers(len(PIECES), size=3)] for _ in range(8)])
        whole = text.getvalue()
        spans = list(field_spans(whole, separator))
        cut = [[alone(whole[a:b]) for a, b in row] for row in spans]
        assert cut == [fields for _, fields in rows_of(whole, separator)]


def alone(field: str) -> str:
    """A field read by Python's own reader, which finds no separator in it."""
    return next(csv.reader(io.StringIO(field, newline=""), delimiter="\0", skipinitialspace=True), [""])[
        0
    ].strip()


def test_words_are_cut_as_they_are_read():
    text = ' 1 "a b"\tc \n\n2 d  e\n'
    cut = [[text[a:b].strip('"') for a, b in row] for row in field_spans(text, SPACES)]
    assert cut == [fields for _, fields in rows_of(text, SPACES)]


def test_large_numbers_keep_their_digits(tmp_path):
    found, _, _ = fill(tmp_path, b"a\tb\n1.123456789012345\t2\n\t4\n", value=0.1)
    assert found == b"a\tb\n1.123456789012345\t2\n0.1\t4\n"
    found, _, _ = fill(tmp_path, b"a\tb\n0.25\t2\n\t4\n", value=-0.001)
    assert found == b"a\tb\n0.25\t2\n0.00\t4\n"
