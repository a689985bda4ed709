"""Numbers with separators and dates in tables: recognised, said, and left as categories or refused otherwise."""

import datetime

import numpy as np
import pandas as pd
import pytest

from narrowing import known
from vaekit.data import from_object, read
from vaekit.data.written_values import dates_from_text, numbers_from_text
from vaekit.errors import DataError, UsageError


@pytest.fixture
def table(tmp_path):
    def write(text, **options):
        path = tmp_path / "table.csv"
        path.write_text(text)
        return read(path, **options)

    return write


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1,234", "56"], [1234, 56]),
        (["1,234,567.5", "-2"], [1234567.5, -2]),
        (["1.234,5", "0,25"], [1234.5, 0.25]),
        (["1.234.567"], [1234567]),
        (["0,5", "1,234"], [0.5, 1.234]),
        (["1 234", "12 345 678,5"], [1234, 12345678.5]),
        (["1'234.5"], [1234.5]),
        (["1,5e3"], [1500]),
        (["12,34,567"], None),
        (["1,234", "one"], None),
        (["0,123,456"], None),
        (["1,2.3"], None),
    ],
)
def test_numbers_with_separators(texts, values):
    read = numbers_from_text(texts)
    assert (None if read is None else read.values.tolist()) == values


def test_thousands_in_a_file_are_read_and_said(table):
    data = table('city,people\n1,"1,234"\n2,"12,000"\n3,999\n')
    assert data.values.tolist() == [[1, 1234], [2, 12000], [3, 999]]
    assert data.notes == (
        "column 'people': numbers such as '1,234' are read as 1234: commas separate thousands",
    )
    assert data.stored_as == {"city": "integer", "people": "integer"}


def test_a_file_without_a_header_may_begin_with_such_numbers(table):
    data = table('"1,234","2,345"\n"3,456","4,567"\n')
    assert data.columns == ("x0", "x1")
    assert data.values.tolist() == [[1234, 2345], [3456, 4567]]


def test_decimal_commas_of_a_file_with_semicolons(table):
    data = table("a;b\n1,5;1,234\n2,5;3,555\n")
    assert data.values.tolist() == [[1.5, 1.234], [2.5, 3.555]]
    assert all("commas separate decimals" in note for note in data.notes)


def test_one_column_of_decimal_commas_decides_for_the_others(table):
    assert table('a,b\n"0,5","1,234"\n"0,75","2,345"\n').values.tolist() == [[0.5, 1.234], [0.75, 2.345]]


def test_separators_that_are_told(table):
    text = 'a,b\n"1,234",1\n"2,345",2\n'
    assert table(text, decimal=",").values[:, 0].tolist() == [1.234, 2.345]
    assert table(text, thousands=",").values[:, 0].tolist() == [1234, 2345]
    assert table("a;b\n1.234;0,5\n2.000;1\n", thousands=".", decimal=",").values.tolist() == [
        [1234, 0.5],
        [2000, 1],
    ]


def test_separators_are_for_text_alone(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(3))
    with pytest.raises(UsageError, match="thousands and decimal are for tables of text"):
        read(tmp_path / "x.npy", thousands=",")


def test_missing_values_stay_missing(table):
    values = table('a,b\n"1,234",1\n,2\n"5,678",3\n').values[:, 0]
    np.testing.assert_array_equal(values, [1234, np.nan, 5678])


@pytest.mark.parametrize(
    ("texts", "values", "stored_as"),
    [
        (["1970-01-02", None, "2000-02-29"], [1, np.nan, 11016], "date"),
        (["1970-01-01 06:00:00", "1970-01-02T00:00:00Z"], [0.25, 1], "time"),
        (["31.12.1970", "1.1.1971"], [364, 365], "date"),
        (["12/31/1970", "01/02/1971"], [364, 366], "date"),
        (["1970/01/02 12:00"], [1.5], "time"),
        (["01/01/1970"], [0], "date"),
    ],
)
def test_dates_are_days_since_1970(texts, values, stored_as):
    read = dates_from_text(texts)
    np.testing.assert_array_equal(known(read).values, values)
    assert known(read).stored_as == stored_as


@pytest.mark.parametrize("texts", [["1970-13-02"], ["1.2.3"], ["1970-01-02", "x"], ["19700102"], [None]])
def test_what_is_no_date(texts):
    assert dates_from_text(texts) is None


def test_a_column_of_dates_is_read_and_said(table):
    data = table("a,day\n1.5,1970-01-02\n2.5,1970-01-11\n")
    assert data.values.tolist() == [[1.5, 1], [2.5, 10]]
    assert data.notes == ("column 'day': dates are read as days since 1970-01-01",)
    assert data.stored_as == {"day": "date"}


def test_ambiguous_dates_are_left_out_and_said(table):
    data = table("a,day\n1.5,01/02/1970\n2.5,03/04/1970\n")
    assert data.columns == ("a",)
    assert "'day': dates such as '01/02/1970'" in data.notes[0]
    assert "are left out" in data.notes[0]
    with pytest.raises(DataError, match=r"no column that can be modelled; column 'day'.*left out"):
        table("day,other\n01/02/1970,01/02/1970\n03/04/1970,05/06/1970\n")


def test_dates_and_durations_of_pandas(tmp_path):
    frame = pd.DataFrame(
        {
            "when": pd.to_datetime(["1970-01-02 12:00", None]),
            "zone": pd.to_datetime(["1970-01-02 01:00+01:00"] * 2, utc=False),
            "day": [datetime.date(1970, 1, 3), None],
            "long": pd.to_timedelta([1, 2], unit="D"),
        }
    )
    data = from_object(frame)
    np.testing.assert_array_equal(data.values, [[1.5, 1, 2, 1], [np.nan, 1, np.nan, 2]])
    assert data.stored_as == {"when": "time", "zone": "date", "day": "date"}
    frame.to_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(read(tmp_path / "t.parquet").values, data.values)


def test_types_of_the_columns_of_a_file(table):
    data = table("i,m,b,r,t\n1,1,True,1.0,x\n2,,False,2.0,y\n")
    assert data.stored_as == {"i": "integer", "m": "integer", "b": "boolean"}
    assert from_object(np.eye(2, dtype=int)).stored_as == {"x0": "integer", "x1": "integer"}
    assert from_object(np.eye(2) > 0).stored_as == {"x0": "boolean", "x1": "boolean"}
    assert from_object(np.eye(2)).stored_as is None
