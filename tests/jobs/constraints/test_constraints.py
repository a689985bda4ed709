"""Constraints against Python's own answer row by row, SQL's CHECK for holes, and texts that must not run."""

import numpy as np
import pandas as pd
import pytest

from vaekit.errors import DataError, UsageError
from vaekit.jobs import Constraint, check_constraints

FRAME = pd.DataFrame(
    {
        "low": [1, 5, 3, 0],
        "high": [2.5, 4.0, 3.0, -1.0],
        "total": [3.5, 9.0, 6.0, -1.0],
        "status": ["open", "closed", "open", "held"],
        "hours per week": [40, 60, 99, 1],
        "capital-gain": [0, 0, 7, 1],
        "start": pd.to_datetime(["2020-01-01", "2020-03-01", "2021-01-01", "2020-02-28"]),
        "end": ["2020-02-01", "2020-02-01", "2021-01-01", "2020-03-01"],
        "member": [True, False, True, True],
    }
)
NAMES = list(FRAME.columns)


def holds(text: str, frame: pd.DataFrame = FRAME) -> list[bool]:
    return Constraint.parse(text, frame.columns.tolist()).holds(frame).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "low <= high",
        "0 < low < high",
        "low + high == total and low > 0",
        "low * 2 - high / 2 >= total % 3",
        "-low < +high and not low == 3",
        "status == 'open'",
        "status in ('open', 'no') or low > 4",
        "status not in ['open'] and 'closed' != status",
        "member and low in (0, 1, 5)",
        "low == 1 or low == 5 and high > 4",
        "not (low > 1 or high < 0)",
    ],
)
def test_the_answer_of_python_row_by_row(text):
    rows = [eval(text, {}, dict(zip(NAMES, row, strict=True))) for row in FRAME.itertuples(index=False)]
    assert holds(text) == [bool(row) for row in rows]
    assert 0 < sum(rows) < len(rows)


def test_names_between_backticks():
    assert holds("`hours per week` <= 60") == [True, True, False, True]
    assert holds("`capital-gain` + `low` == 1") == [True, False, False, True]
    constraint = Constraint.parse("`capital-gain` > low and low > 0", NAMES)
    assert constraint.columns == ("capital-gain", "low")
    assert str(constraint) == "`capital-gain` > low and low > 0"


def test_dates():
    """A column of dates, a column of text that are dates, and a quoted one; differences are days."""
    assert holds("start < end") == [True, False, False, True]
    assert holds("end >= '2020-02-02'") == [False, False, True, True]
    assert holds("end - start == 31 or end - start == 2") == [
        True,
        False,
        False,
        True,
    ]  # 2020 has a 29 February
    assert holds("start + 31 <= end") == [True, False, False, False]
    late = FRAME.assign(start=FRAME["start"].dt.tz_localize("Europe/Berlin"))
    assert holds("start < '2020-01-01'", late) == [True, False, False, False]  # an hour before, in UTC


def test_missing_cells_leave_it_open():
    """As CHECK in SQL: false or unknown is false, true or unknown is true, and a row breaks only what is false."""
    frame = pd.DataFrame({"a": [1.0, np.nan, np.nan, np.nan], "b": [0, 0, 5, 5], "s": ["x", None, "x", "y"]})
    assert holds("a > 2", frame) == [False, True, True, True]
    assert holds("not a > 2", frame) == [True, True, True, True]
    assert holds("a > 2 and b > 2", frame) == [False, False, True, True]
    assert holds("a > 2 or b > 2", frame) == [False, True, True, True]
    assert holds("s == 'x'", frame) == [True, True, True, False]
    assert holds("s in ('y', 'z')", frame) == [False, True, False, True]
    truth = Constraint.parse("a > 2 or b > 2", frame.columns.tolist()).truth(frame)
    assert truth.true.tolist() == [False, False, True, True]
    assert truth.false.tolist() == [True, False, False, False]
    assert holds("b / (b - 5) < 0", frame) == [False, False, True, True]  # a division by zero is no number


def test_decimals_that_binary_cannot_hold():
    frame = pd.DataFrame({"a": [0.1, 1e6 + 0.1], "b": [0.2, -1e6], "c": [0.3, 0.1]})
    assert ((frame["a"] + frame["b"]).to_numpy() != frame["c"].to_numpy()).all()
    assert holds("a + b == c", frame) == [True, True]
    assert holds("a + b <= c", frame) == [True, True]
    assert holds("a + b < c or a + b > c", frame) == [False, False]
    assert holds("a + b == c + 0.0001", frame) == [False, False]
    single = frame.astype(np.float32)  # 1e6 + 0.1 is 1000000.125 there, and cannot be told from 1000000.2
    assert holds("a + b == c", single) == [True, True]
    assert holds("a + b == c + 2", single) == [False, False]
    tiny = pd.DataFrame({"a": [1.0], "b": [np.nextafter(1.0, 2.0)]})
    assert holds("a < b", tiny) == [True]  # columns alone are compared exactly


def test_large_whole_numbers_are_compared_exactly():
    frame = pd.DataFrame({"a": [2**53, 2**53], "b": [2**53 + 1, 2**53]})
    assert holds("a == b", frame) == [False, True]
    assert holds("a < 10e500 and a > -1e999", frame) == [True, True]
    assert holds(f"a < {10**400}", frame) == [True, True]


def test_columns_of_other_types():
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(["a", "b", None]),
            "size": pd.Categorical([1, 2, 3]),
            "count": pd.array([1, None, 3], dtype="Int64"),
            "number": ["1", "2.5", "30"],
            "flag": [0, 1, 1],
            "sure": pd.array([True, None, False], dtype="boolean"),
            "maybe": [True, None, False],
            "nothing": [None, None, None],
        }
    )
    assert holds("kind == 'a'", frame) == [True, False, True]
    assert holds("size >= 2", frame) == [False, True, True]
    assert holds("count < 2", frame) == [True, True, False]
    assert holds("number > 2", frame) == [False, True, True]
    assert holds("flag == True", frame) == [False, True, True]
    assert holds("sure", frame) == [True, True, False]
    assert holds("maybe", frame) == [True, True, False]
    assert holds("nothing > 3 or nothing == 'x' or nothing", frame) == [True, True, True]
    assert holds("kind == 'a'", frame.iloc[:0]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loww <= high", r"there is no column 'loww'; did you mean 'low'\?"),
        ("status == open", r"there is no column 'open'.*A text stands in quotes: 'open'"),
        ("capital-gain > 0", "there is no column 'capital'; is `capital-gain` meant"),
        ("`hours` > 0", r"no column 'hours'; is `hours per week` meant"),
        ("hours per week > 0", "write the column 'hours per week' between backticks"),
        ("low = high", "equality is written =="),
        ("low <", "cannot be read: write a comparison"),
        ("`low < high", "a backtick is not closed"),
        ("  ", "it is empty"),
        ("1 < 2", "it names no column"),
        ("low + high", r"'low \+ high' is no part of a constraint"),
        ("low < (high == 3)", "'high == 3' is no part of"),
        ("low is high", "'low is high' is no part of"),
        ("low in high", r"after 'in' stand values in brackets, such as \('a', 'b'\)"),
        ("low in ()", "after 'in' stand values in brackets"),
        ("low in (high, 2)", "after 'in' stand numbers or quoted texts, no columns"),
        ("low ** 2 > high", r"'low \*\* 2' is no part of"),
        ("low if high else low", "is no part of"),
        (" and ".join(["low > 1"] * 100), "it is too long"),
        ("(" * 500 + "low" + ")" * 500 + " > 1", "cannot be read"),
    ],
)
def test_a_text_that_is_no_constraint_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        Constraint.parse(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0",
        "low.__class__ == 1",
        "[low for low in (1, 2)] == 1",
        "(lambda: 1)() == low",
        "low[0] == 1",
        "f'{low}' == 'a'",
        "(low := 3) == 3",
        "len(status) > 2",
        "b'a' == low",
        "low == 1j",
        "low == None",
    ],
)
def test_nothing_else_runs(text):
    with pytest.raises(UsageError, match="is no part of a constraint"):
        Constraint.parse(text, NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status < 'p'", r"column 'status' holds text \('open'\), which is no date"),
        (
            "status > 3",
            r"column 'status' holds text \('open'\), and the number 3: write the number in quotes",
        ),
        ("low == '3'", "'3' is text, and column 'low' holds numbers: write the number without quotes"),
        ("start < 3", "the number 3, which is no date"),
        ("start == 'soon'", "'soon' is text, which is no date"),
        ("status + 1 > 2", r"column 'status' holds text \('open'\), which cannot be reckoned with"),
        ("start * 2 > start", "of dates there are only differences"),
        ("start + end > start", "of dates there are only differences"),
        ("3 - start > 2", "of dates there are only differences"),
        ("member > True", "column 'member' is yes or no, which has no order"),
        ("member == 'yes'", "column 'member' holds yes or no, and 'yes' is text; they cannot be compared"),
        ("low", "column 'low' is not yes or no; compare it with something"),
    ],
)
def test_values_that_cannot_be_compared(text, message):
    with pytest.raises(DataError, match=message):
        Constraint.parse(text, NAMES).holds(FRAME)


def test_a_table_without_the_column():
    with pytest.raises(DataError, match="the table has no column 'low'"):
        Constraint.parse("low < high", NAMES).holds(FRAME.drop(columns="low"))


def parsed(*texts: str) -> list[Constraint]:
    return [Constraint.parse(text, NAMES) for text in texts]


def test_broken_constraints_are_told_with_their_first_row():
    kept, broken = parsed("low >= 0", "low <= high")
    (found,) = check_constraints([kept, broken], FRAME)
    assert (found.constraint, found.rows, found.applies, found.first) == (broken, 2, 4, 1)
    assert str(found) == (
        "constraint 'low <= high': 2 of 4 rows break it, the first is row 1, counted from 0 (low=5, high=4.0)"
    )
    assert check_constraints([], FRAME) == []
    holes = FRAME.assign(high=[np.nan, 4.0, np.nan, 1.0])
    assert [(one.rows, one.applies) for one in check_constraints([broken], holes)] == [(1, 2)]


def test_contradictions():
    with pytest.raises(DataError, match=r"4 of 4 rows break it.*; no row meets it"):
        check_constraints(parsed("low > 100"), FRAME)
    with pytest.raises(
        DataError, match="'low > 2' and 'low < 2' contradict each other: none of 4 rows meets both"
    ):
        check_constraints(parsed("high > -9", "low > 2", "low < 2"), FRAME)
    three = parsed("low != 1 and low != 0", "low != 5", "low != 3")
    with pytest.raises(DataError, match="contradict each other: none of 4 rows meets all"):
        check_constraints(three, FRAME)
    # A row that lacks what one of them needs says nothing.
    apart = pd.DataFrame({"low": [1, np.nan], "high": [np.nan, 1.0]})
    both = [Constraint.parse(text, apart.columns.tolist()) for text in ("low > 0", "high > 0")]
    assert check_constraints(both, apart) == []
