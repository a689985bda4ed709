"""The report on synthetic tables against cases whose answer is known, and tables that are hard to compare."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vaekit.errors import DataError, UsageError
from vaekit.jobs import report_synthetic
from vaekit.jobs.comparison.compared_tables import ComparedColumn, compare_tables
from vaekit.jobs.comparison.synthetic_fidelity import (
    auroc,
    column_similarities,
    pair_similarities,
    told_apart,
)
from vaekit.jobs.comparison.synthetic_privacy import copied_share, nearest_record_share, rare_categories
from vaekit.jobs.comparison.synthetic_utility import Utility, trained_and_tested

# Data frames and figures are hardly typed.
reported: Any = report_synthetic
scored: Any = trained_and_tested
compared: Any = compare_tables


def table(n: int, seed: int) -> Any:
    """Return rows of one distribution: numbers, whole numbers, dates, categories, yes or no, and holes."""
    rng = np.random.default_rng(seed)
    size = rng.gamma(2.0, size=n)
    kind = np.where(rng.random(n) < 1 / (1 + np.exp(2 - size)), "large", "small")
    frame = pd.DataFrame(
        {
            "size": size,
            "count": rng.poisson(2 + 3 * (kind == "large")),
            "kind": kind,
            "town": rng.choice(["A", "B", "C", "D"], n, p=[0.6, 0.3, 0.07, 0.03]),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
            "member": rng.random(n) < 0.3,
        }
    )
    frame.loc[rng.random(n) < 0.1, "size"] = np.nan
    return frame


N = 700
TRAIN, HELD_OUT, FRESH = table(N, 0), table(N, 1), table(N, 2)
FEW = TRAIN[:25], HELD_OUT[:25], FRESH[:25]


@pytest.fixture(scope="module")
def level():
    """The report on rows of the same distribution, with a log p that has memorised nothing."""
    rng = np.random.default_rng(0)
    return reported(
        TRAIN, HELD_OUT, FRESH, target="kind", log_density=lambda frame: rng.normal(size=len(frame))
    )


def test_rows_of_the_same_distribution_cannot_be_told_from_real_ones(level):
    for key in ("c2st", "nearest_record_share", "membership"):
        figure = level[key]
        for value, error in ((figure.synthetic, figure.synthetic_error), (figure.real, figure.real_error)):
            assert abs(value - 0.5) <= 3 * (error or 0.0) + 1e-9, figure
    for key in ("columns", "pairs", "quality", "auroc", "f1"):
        assert level[key].synthetic == pytest.approx(level[key].real, abs=0.03), key
    assert level.betrayers() == []
    assert level["copies"].synthetic <= 0.01
    assert level["copies"].real <= 0.01
    assert level.notes == ()


def test_a_column_that_is_shifted_is_the_first_one_named():
    shifted = FRESH.assign(size=FRESH["size"] + 0.7)
    report = reported(TRAIN, HELD_OUT, shifted)
    assert report["c2st"].synthetic > 0.6
    assert report.betrayers()[0].name == "size"
    assert report.columns[0].alone > 0.58
    assert report["columns"].synthetic < report["columns"].real - 0.02
    assert "betrayed by  size: without it 0." in "\n".join(report.lines())


def test_columns_that_lost_their_relation_are_named_though_each_alone_is_right():
    rng = np.random.default_rng(0)
    broken = FRESH.assign(count=rng.permutation(FRESH["count"].to_numpy()))
    report = reported(TRAIN, HELD_OUT, broken)
    assert {column.name for column in report.betrayers()[:2]} == {"count", "kind"}
    assert report.columns[0].alone < 0.55
    assert set(report.pairs[0][:2]) == {"count", "kind"}


def test_a_table_of_training_rows_is_found_out():
    copied = pd.concat([TRAIN.iloc[:280], FRESH.iloc[:420]])
    report = reported(TRAIN, HELD_OUT, copied)
    assert report["copies"].synthetic == pytest.approx(0.4)
    assert report["copies"].real < 0.01
    share = report["nearest_record_share"]
    assert share.synthetic > 0.5 + 4 * share.synthetic_error


def test_a_model_that_memorises_gives_its_rows_away():
    known = set(map(str, TRAIN.to_numpy().tolist()))

    def memory(frame: pd.DataFrame) -> np.ndarray:
        return np.array([0.0 if str(row) in known else -9.0 for row in frame.to_numpy().tolist()])

    assert reported(*FEW, log_density=memory)["membership"].synthetic == 1
    nothing = reported(*FEW, log_density=lambda frame: np.full(len(frame), np.nan))
    assert any("no membership figure" in note for note in nothing.notes)


def test_usefulness_falls_where_the_target_is_noise(level):
    rng = np.random.default_rng(0)
    noise = FRESH.assign(kind=rng.permutation(FRESH["kind"].to_numpy()))
    figure = reported(TRAIN, HELD_OUT, noise, target="kind")["auroc"]
    assert figure.real == level["auroc"].real > 0.85
    assert abs(figure.synthetic - 0.5) < 0.1
    numbers = reported(TRAIN, HELD_OUT, FRESH, target="count")["r_squared"]
    assert numbers.synthetic == pytest.approx(numbers.real, abs=0.1)
    assert numbers.real > 0.2


def test_the_report_as_text_and_as_json(level):
    document = json.loads(json.dumps(level.to_json(), allow_nan=False))
    assert document["rows"] == {"training": N, "held_out": N, "synthetic": N}
    assert [figure["key"] for figure in document["figures"]] == [
        "c2st", "columns", "pairs", "quality", "auroc", "f1", "nearest_record_share", "copies", "membership",
    ]  # fmt: skip
    lines = level.lines()
    assert (
        lines[0]
        == "700 synthetic rows beside 700 training rows; 'real rows' are 700 held-out ones in their place"
    )
    assert lines[-1].startswith("These figures are tests, and no formal privacy guarantee")
    with pytest.raises(KeyError, match="no figure 'r_squared'"):
        level["r_squared"]


def test_the_same_arguments_give_the_same_report(level):
    rng = np.random.default_rng(0)
    again = reported(
        TRAIN, HELD_OUT, FRESH, target="kind", log_density=lambda frame: rng.normal(size=len(frame))
    )
    assert again == level


# The parts, against definitions.


def test_auroc_and_its_error():
    rng = np.random.default_rng(0)
    draws = [auroc(rng.normal(0.5, 1, 60), rng.normal(size=90)) for _ in range(400)]
    values = np.array([draw.value for draw in draws])
    assert values.mean() == pytest.approx(0.638, abs=0.01)  # Phi(.5 / sqrt 2)
    assert np.mean([draw.standard_error for draw in draws]) == pytest.approx(values.std(), rel=0.1)
    assert auroc([1.0], [1.0]).value == 0.5
    assert auroc([1.0, -np.inf], [-np.inf]).value == 0.75


def test_the_error_of_telling_apart_is_that_of_repeats():
    rng = np.random.default_rng(0)
    plain = np.array([False])
    found = [
        told_apart(rng.normal(size=(90, 1)), rng.normal(size=(90, 1)), plain, seed=k, columns=False)
        for k in range(40)
    ]
    values = np.array([each[0].value for each in found if each is not None])
    errors = np.array([each[0].standard_error for each in found if each is not None])
    assert abs(values.mean() - 0.5) < 4 * values.std() / np.sqrt(len(values))
    assert 0.75 < errors.mean() / values.std() < 1.4
    assert told_apart(np.zeros((29, 1)), np.zeros((29, 1)), plain, seed=0) is None


def test_similarities_by_hand():
    columns = (ComparedColumn("a", ("x", "y")), ComparedColumn("b", ("u", "v")), ComparedColumn("n"))
    real = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 2], [1, 1, 3]], dtype=float)
    other = np.array([[0, 1, 3], [1, 0, 2], [0, 0, 1], [1, np.nan, 0]], dtype=float)
    assert column_similarities(real, other, columns).tolist() == pytest.approx([1.0, 1 - 1 / 6, 1.0])
    pairs = {
        (pair.first, pair.second): pair.value for pair in pair_similarities(real, other, columns, seed=0)
    }
    assert pairs[0, 1] == pytest.approx(0.25)  # of the shares, only (x, u) is in both: 1/4 of it
    assert pairs[0, 2] == pytest.approx(0.0)  # x with 0 and 2, y with 1 and 3; then the other way about
    numbers = (ComparedColumn("n"), ComparedColumn("m"))
    a, b = np.array([[0.0, 0], [1, 1], [2, 0]]), np.array([[0.0, 0], [1, 1], [2, 2]])
    assert pair_similarities(a, b, numbers, seed=0)[0].value == pytest.approx(0.5)  # correlations 0 and 1


def test_similarities_of_sdmetrics():
    """SDMetrics 0.25.0 gives these; it cuts numbers by another rule in pairs of a number and a category."""
    made = FRESH.assign(count=np.random.default_rng(0).permutation(FRESH["count"].to_numpy()))
    tables = compared(TRAIN, HELD_OUT, made)
    found = column_similarities(tables.train, tables.synthetic, tables.columns)
    assert found.tolist() == pytest.approx(
        [0.948716, 0.964286, 0.998571, 0.975714, 0.928571, 0.997143], abs=1e-6
    )
    pairs = pair_similarities(tables.train, tables.synthetic, tables.columns, seed=0)
    names = {
        (tables.columns[pair.first].name, tables.columns[pair.second].name): pair.value for pair in pairs
    }
    assert len(names) == 15
    assert names["size", "count"] == pytest.approx(0.806650, abs=1e-6)
    assert names["count", "day"] == pytest.approx(0.983796, abs=1e-6)
    assert names["kind", "member"] == pytest.approx(0.961429, abs=1e-6)
    assert names["town", "member"] == pytest.approx(0.975714, abs=1e-6)


def test_nearest_records_and_their_error():
    """Records of one distribution: the share is one half, and its error that of repeats, shared neighbours included."""
    columns, rng = (
        (ComparedColumn("a"), ComparedColumn("b"), ComparedColumn("k", ("x", "y"))),
        np.random.default_rng(0),
    )

    def drawn(n: int) -> np.ndarray:
        return np.column_stack([rng.normal(size=(n, 2)), rng.integers(0, 2, n)])

    found = [nearest_record_share(drawn(300), drawn(60), drawn(60), columns) for _ in range(100)]
    values = np.array([share.value for share in found])
    errors = np.array([share.standard_error for share in found])
    assert abs(values.mean() - 0.5) < 4 * values.std() / 10
    assert errors.mean() == pytest.approx(values.std(), rel=0.25)
    assert errors.mean() > 1.1 * 0.5 / np.sqrt(300)  # a record is nearest to several rows
    train, held_out = drawn(200), drawn(200)
    assert nearest_record_share(train, train, held_out, columns).value == 1
    assert nearest_record_share(held_out, train, held_out, columns).value == 0
    units, rows = np.array([1000.0, 0.1, 1.0]), drawn(50)
    scaled = nearest_record_share(rows * units, train * units, held_out * units, columns)
    assert scaled.value == nearest_record_share(rows, train, held_out, columns).value


def test_holes_and_far_values_in_the_distance():
    columns = (ComparedColumn("a"), ComparedColumn("k", ("x", "y")))
    train = np.array([[np.nan, 0.0], [1.0, 0.0]])
    held_out = np.array([[2.0, 0.0], [1e9, np.nan]])
    rows = np.array([[np.nan, 0.0], [1e12, np.nan], [1.2, 0.0]])
    assert nearest_record_share(rows, train, held_out, columns).value == pytest.approx(2 / 3)


def test_copies_and_rare_categories():
    train = np.array([[0.0, np.nan], [0.0, 1.0], [1.0, 1.0], [2.0, -0.0]])
    rows = np.array([[0.0, np.nan], [2.0, 0.0], [2.0, np.nan], [2.0, 0.0]])
    count, share = copied_share(rows, train)
    assert (count, share.value) == (3, 0.75)
    assert share.standard_error == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    columns = (ComparedColumn("town", ("A", "B", "C", "D")), ComparedColumn("n"))
    many = np.concatenate([np.tile(train[:1], (5, 1)), train, [[3.0, 0.0], [3.0, 0.0]]])
    assert rare_categories(rows, many, columns) == (3, 1, ("town: C",))  # of B, C and D, which has two rows


def test_trees_that_are_trained_and_tested():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=400), np.zeros(400)])
    x[:, 1] = (x[:, 0] > 0).astype(float)
    columns = (ComparedColumn("a"), ComparedColumn("y", ("no", "yes")))
    known = scored(x[:200], x[200:], columns, 1)
    assert known.auroc == pytest.approx(1.0, abs=1e-3)
    assert known.f1 == pytest.approx(1.0, abs=0.05)
    one = x.copy()
    one[:, 1] = 0
    assert scored(one[:200], x[200:], columns, 1) == "the rows to train on have one class"
    assert scored(x[:200], one[200:], columns, 1) == "the rows to test on have one class"
    assert scored(x[:200, 1:], x[200:, 1:], columns[1:], 0) == "there is no other column to predict it from"
    three = np.column_stack([x[:, 0], np.digitize(x[:, 0], [-0.4, 0.4])])
    classes = (ComparedColumn("a"), ComparedColumn("y", ("u", "v", "w")))
    lacking = three[three[:, 1] < 2]
    found = scored(lacking[:200], three[200:], classes, 1)
    assert isinstance(found, Utility)
    assert found.auroc is not None
    assert 0.6 < found.auroc < 0.9  # of the class that is never seen it knows nothing
    assert found.f1 < scored(three[:200], three[200:], classes, 1).f1 - 0.2


# Tables that are hard to compare.


def test_columns_are_read_alike_in_all_tables():
    train = pd.DataFrame({"n": [1, 2], "t": ["?", "b"], "d": ["2020-01-01", "2021-01-01"], "m": [1, 2]})
    other = pd.DataFrame({"n": ["3", "x"], "t": ["c", None], "d": ["2020-07-01", ""], "m": ["3", "4.5"]})
    tables = compared(train, train[:0], other)
    assert [column.categories for column in tables.columns] == [("1", "2", "3", "x"), ("b", "c"), None, None]
    assert [column.date for column in tables.columns] == [False, False, True, False]
    assert tables.synthetic[0, 2] == pytest.approx(2020.5, abs=0.01)
    assert tables.synthetic[:, 3].tolist() == [3.0, 4.5]
    assert np.isnan([tables.train[0, 1], tables.synthetic[1, 1], tables.synthetic[1, 2]]).all()
    assert "of another type than in the training table: 'n (int64 became" in tables.notes[0]


def test_columns_of_lists_are_left_out_with_a_note():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "tags": [[1], [2, 3], []]})
    found = compare_tables(frame, frame.head(0), frame)
    assert [column.name for column in found.columns] == ["a"]
    assert "of values of several parts, such as lists, and left out: 'tags'" in found.notes


def test_hard_tables_do_not_crash_and_say_so():
    rng = np.random.default_rng(0)
    n = 400
    hard: Any = pd.DataFrame(
        {
            "constant": np.ones(n),
            "nothing": [None] * n,
            "id": [f"row {k}" for k in range(n)],
            "infinite": np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n)),
            "one class": ["a"] * n,
            "nearly nothing": [1.0] + [np.nan] * (n - 1),
            "value": rng.normal(size=n),
        }
    )
    report = reported(hard[:200], hard[200:], hard[100:300], target="one class")
    assert "without a value in the training rows, and left out: 'nothing'" in report.notes
    assert any("no usefulness for 'one class' by synthetic rows" in note for note in report.notes)
    assert report["rare_categories"].synthetic == pytest.approx(0.5)
    assert report["rare_categories"].real == 0
    assert "'id: row 1" in "\n".join(report.lines())
    json.dumps(report.to_json(), allow_nan=False)
    alone = reported(hard[:200], hard[:0], hard[100:300], target="value")
    assert alone["c2st"].real is None
    assert any("no nearest records" in note for note in alone.notes)
    assert any("only 0 rows with a value to test on" in note for note in alone.notes)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_tiny_tables(rows):
    report = reported(
        TRAIN[:rows], HELD_OUT[:rows], FRESH[:rows], target="kind", log_density=lambda f: np.zeros(len(f))
    )
    assert report["c2st"].synthetic is None
    assert any("too few rows to tell tables apart" in note for note in report.notes)
    assert report.betrayers() == []
    json.dumps(report.to_json(), allow_nan=False)
    assert report.lines()


def test_ten_thousand_categories():
    rng = np.random.default_rng(0)
    frame: Any = pd.DataFrame({"who": rng.integers(0, 10_000, 3000).astype(str), "x": rng.normal(size=3000)})
    frame["who"] = "person " + frame["who"]
    report = reported(frame[:1000], frame[1000:2000], frame[2000:], target="who")
    assert abs(report["c2st"].synthetic - 0.5) < 0.06
    assert report["rare_categories"].synthetic == pytest.approx(report["rare_categories"].real, abs=0.05)


def test_tables_that_do_not_belong_together():
    with pytest.raises(
        DataError, match="the synthetic table lacks columns of the training table: 'size', 'day'"
    ):
        reported(TRAIN, HELD_OUT, FRESH.drop(columns=["size", "day"]))
    with pytest.raises(DataError, match="the synthetic table has no rows"):
        reported(TRAIN, HELD_OUT, FRESH[:0])
    with pytest.raises(DataError, match="no column of the training table has a value"):
        reported(TRAIN[["size"]] * np.nan, HELD_OUT[["size"]], FRESH[["size"]])
    with pytest.raises(DataError, match="columns of one name: 'size'"):
        reported(TRAIN[["size", "size"]], HELD_OUT, FRESH)
    with pytest.raises(
        UsageError, match=r"target='kinds': there is no such column with values; did you mean 'kind'\?"
    ):
        reported(TRAIN, HELD_OUT, FRESH, target="kinds")
    more = reported(FEW[0], FEW[1], FEW[2].assign(extra=1))
    assert "only in the synthetic table, and left out: 'extra'" in more.notes
