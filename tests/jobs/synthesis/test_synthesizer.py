"""Synthesizer: known distributions and their conditionals, types that come back, ids, constraints, bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import check_estimator

from narrowing import untyped
from vaekit import Synthesizer
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.jobs.synthesis.fresh_ids import FreshIds

# p(a), p(b | a), p(c | a, b): c repeats b or is "z"
A = np.array([0.5, 0.3, 0.2])
B = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
NAMES = np.array(["x", "y", "z"])


def exact():
    """The probability of every (a, b, c)."""
    c = np.zeros((3, 3, 3))
    for a in range(3):
        for b in range(3):
            c[a, b, b] += 0.9 - 0.2 * a
            c[a, b, 2] += 0.1 + 0.2 * a
    return A[:, None, None] * B[:, :, None] * c


def rows_of(n, seed):
    place = np.random.default_rng(seed).choice(27, n, p=exact().ravel())
    a, b, c = np.unravel_index(place, (3, 3, 3))
    return pd.DataFrame({"a": NAMES[a], "b": b, "c": NAMES[c]})


def shares(frame):
    a, c = (np.searchsorted(NAMES, frame[name].to_numpy(dtype=str)) for name in ("a", "c"))
    counts = np.bincount(np.ravel_multi_index((a, frame["b"].to_numpy(), c), (3, 3, 3)), minlength=27)
    return counts.reshape(3, 3, 3) / len(frame)


@pytest.fixture(scope="module")
def discrete():
    return Synthesizer(passes=25, random_state=0).fit(rows_of(6000, 0))


def within_error(found, truth, fitted, drawn, factor=4.5):
    """Whether shares are within the error of the rows fitted to and of those drawn."""
    error = np.sqrt(truth * (1 - truth) * (1 / fitted + 1 / drawn)) + 0.002
    return bool((np.abs(found - truth) < factor * error).all())


def test_a_known_distribution_is_found_again(discrete):
    truth, found = exact(), shares(discrete.sample(20_000, random_state=1))
    for axis in range(3):  # pairs of columns
        assert within_error(found.sum(axis), truth.sum(axis), 6000, 20_000)
    assert found[truth == 0].sum() < 0.002


@pytest.mark.parametrize("given", [{"a": "z"}, {"c": "z"}, {"b": (1, 2)}, {"b": "1..", "c": "y"}])
def test_rows_given_some_columns_have_the_exact_conditional_distribution(discrete, given):
    made = discrete.sample(8000, given=given, random_state=2)
    truth = exact()
    if "a" in given:
        truth[:2] = 0
    if "b" in given:
        truth[:, 0] = 0
    if "c" in given:
        truth[:, :, given["c"] != NAMES] = 0
    mass = truth.sum()
    found = shares(made)
    assert found[truth == 0].sum() < 0.003
    for axis in range(3):
        assert within_error(found.sum(axis), truth.sum(axis) / mass, 6000 * mass, 8000)


def test_log_densities_are_those_of_the_true_distribution(discrete):
    new = rows_of(1500, 5)
    found = discrete.log_density(new)
    a, c = (np.searchsorted(NAMES, new[name].to_numpy(dtype=str)) for name in ("a", "c"))
    truth = np.log(exact()[a, new["b"].to_numpy(), c])
    assert found.mean() == pytest.approx(truth.mean(), abs=0.02)
    assert discrete.log_density(new, samples=1).mean() < found.mean() + 0.005
    unseen = discrete.log_density(pd.DataFrame({"a": ["?", "new", "x"], "b": [0, 0, 99], "c": ["x"] * 3}))
    assert np.isfinite(unseen).all()
    assert (unseen[1:] < found.min() - 2).all()


def mixed(n=300, seed=0):
    random = np.random.default_rng(seed)
    low = random.integers(1, 50, n)
    frame = pd.DataFrame(
        {
            "id": [f"C{i:04d}" for i in random.permutation(n)],
            "small": random.integers(0, 9, n).astype(np.int8),
            "low": low,
            "high": low + random.integers(0, 30, n),
            "price": np.round(random.gamma(2, 30, n), 2),
            "town": pd.Categorical(random.choice(["Köln", "Bonn"], n), categories=["Köln", "Bonn", "Ulm"]),
            "member": random.random(n) < 0.3,
            "since": pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), unit="D"),
            "one": 7,
            "share": random.random(n).astype(np.float32),
        }
    )
    frame.loc[::9, "price"] = np.nan
    return frame


@pytest.fixture(scope="module")
def shop():
    return Synthesizer(unique="id", passes=3).fit(mixed())


def test_types_order_decimals_and_categories_come_back(shop):
    frame, made = mixed(), shop.sample(200)
    assert list(made.columns) == list(frame.columns)
    assert made.dtypes.equals(frame.dtypes)
    assert not made.isna().to_numpy().any()
    assert (made["price"].round(2) == made["price"]).all()
    assert set(made["town"]) <= {"Köln", "Bonn"}
    assert (made["one"] == 7).all()
    assert made["since"].between(frame["since"].min(), frame["since"].max()).all()
    assert made["low"].between(frame["low"].min(), frame["low"].max()).all()


def test_holes_come_back_where_they_are_kept():
    made = Synthesizer(keep_missing=True, passes=20).fit(mixed().drop(columns="id")).sample(2000)
    assert made["price"].isna().mean() == pytest.approx(1 / 9, abs=0.06)
    assert not made.drop(columns="price").isna().to_numpy().any()


def test_ids_are_new_and_of_the_same_pattern(shop):
    made = shop.sample(50)["id"]
    assert made.is_unique
    assert not set(made) & set(mixed()["id"])
    assert made.str.fullmatch(r"C\d{4}").all()
    with pytest.warns(DataWarning, match="column 'id' is left out"):
        without = Synthesizer(passes=1).fit(mixed())
    assert "id" in without.left_out_
    with pytest.raises(UsageError, match="left out"):
        without.sample(1, given={"id": "C0001"})


@pytest.mark.parametrize(
    ("known", "pattern"),
    [
        (list(range(5, 90, 3)), r"\d+"),
        ([f"{i:03d}" for i in range(20)], r"\d{3}"),
        ([f"{i * 7919 % 65536:04x}-{i % 10}{'AB'[i % 2]}" for i in range(100, 300)], r"[0-9a-f]{4}-\d[AB-Z]"),
        (["a9", "b8", "c7"], r"[a-f]\d"),
    ],
)
def test_ids_of_many_kinds(known, pattern):
    found = FreshIds("id", known).draw(40, np.random.default_rng(0))
    assert len(set(found)) == 40
    assert not set(found) & set(known)
    assert pd.Series([str(each) for each in found]).str.fullmatch(pattern).all()


def test_what_ids_cannot_be_is_told():
    with pytest.raises(DataError, match=r"'7' stands in 2 rows"):
        FreshIds("id", [7, 7, 8])
    with pytest.raises(DataError, match="only 57 others of the pattern"):
        FreshIds("id", ["0a", "1a", "2b"]).draw(100, np.random.default_rng(0))


def test_constraints_hold_after_rounding_for_as_many_rows_as_asked(shop):
    made = shop.draw(500, constraints=["low <= high", "price > 20 or member == True"])
    assert len(made.frame) == 500
    assert (made.frame["low"] <= made.frame["high"]).all()
    assert ((made.frame["price"] > 20) | made.frame["member"]).all()
    assert 0.1 < made.acceptance < 1
    with pytest.raises(DataError, match="constraint 'low > 500': 0 rows"):
        shop.sample(5, constraints=["low > 500"])
    with pytest.raises(UsageError, match="did you mean 'low'"):
        shop.sample(5, constraints=["loww < 3"])


def test_the_same_seed_gives_the_same_bytes(shop):
    frame = mixed(60)
    first, again, other = (
        Synthesizer(unique="id", passes=2, random_state=seed).fit(frame).sample(40, random_state=1)
        for seed in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    assert not shop.sample(40, random_state=1).equals(shop.sample(40, random_state=2))


def test_given_values_are_looked_up(shop):
    made = shop.sample(
        60, given={"since": "2020-06-01..2020-07-31", "town": "Bonn", "member": "no", "price": 33.33}
    )
    assert made["since"].between("2020-06-01", "2020-07-31").all()
    assert set(made["town"]) == {"Bonn"}
    assert set(made["price"]) == {33.33}
    assert not made["member"].any()
    for given, message in [
        ({"town": "Boon"}, "no such value in the data; did you mean 'Bonn'"),
        ({"low": 1000}, "the data hold 1 to 49"),
        ({"low": 3.5}, "whole numbers only"),
        ({"low": "9..3"}, "the range ends before it begins"),
        ({"low": "many"}, "'many' is no number"),
        ({"since": "soon"}, "no date"),
        ({"lwo": 3}, "there is no column 'lwo'; did you mean 'low'"),
        ({"one": 8}, "in the data the column is 7 in every row"),
    ]:
        with pytest.raises(UsageError, match=message):
            shop.sample(3, given=given)
    assert (shop.sample(3, given={"one": 7})["one"] == 7).all()


def test_what_cannot_be_made_up_is_told():
    with pytest.raises(DataError, match=r"3 rows .*could only repeat them"):
        Synthesizer().fit(pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]}))
    with pytest.raises(DataError, match="there is nothing to learn"):
        Synthesizer().fit(pd.DataFrame({"a": [1] * 20, "b": ["x"] * 20}))
    with pytest.raises(UsageError, match=r"n_samples=0"):
        Synthesizer(passes=1).fit(rows_of(20, 0)).sample(0)
    with pytest.raises(UsageError, match=r"passes=0"):
        Synthesizer(passes=0).fit(rows_of(20, 0))
    many = pd.DataFrame({"a": [f"n{i % 1000}" for i in range(2000)], "b": np.arange(2000) % 7})
    with pytest.warns(
        DataWarning, match="text of 1,000 different values in 2,000 rows, too many to be categories"
    ):
        assert list(Synthesizer(passes=1).fit(many).sample(3).columns) == ["b"]
    empty = rows_of(30, 0).assign(none=None)
    assert Synthesizer(passes=1).fit(empty).sample(5)["none"].isna().all()


def test_it_is_an_estimator_of_scikit_learn():
    failed = [
        (result["check_name"], result["exception"])
        for result in untyped(check_estimator)(Synthesizer(passes=1), on_skip=None, on_fail=None)
        if result["status"] == "failed"
    ]
    assert failed == []
