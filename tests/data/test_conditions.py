"""Conditions: categories and scales are remembered, and everything that does not fit is refused by name."""

import numpy as np
import pandas as pd
import pytest

from narrowing import known
from vaekit.data import ConditionSchema, read
from vaekit.errors import ArtifactError, DataError, UsageError

KIND, AGE = np.array(["b", "a", "c", "a"]), np.array([20.5, 30.5, 40.5, 70.5])
SCHEMA = ConditionSchema.fit({"kind": KIND, "age": AGE})


def test_one_hot_in_the_order_of_the_categories_and_standardised():
    c = SCHEMA.encode({"age": AGE, "kind": KIND}, what="data")
    assert c[:, :3].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    np.testing.assert_allclose(c[:, 3], (AGE - AGE.mean()) / AGE.std(), rtol=1e-6)


def test_numbers_are_categories_whatever_their_type():
    schema = ConditionSchema.fit({"label": np.array([10, 2, 10, 1])})
    assert schema.conditions[0].categories == ("1", "2", "10")
    for same in ([2.0], ["2"], [2], np.array(["2"], dtype=object)):
        assert schema.encode({"label": np.array(same)}, what="data").tolist() == [[0, 1, 0]]


def test_a_kind_that_is_asked_for():
    years = np.array([1, 2, 3])
    assert ConditionSchema.fit({"year": years}, {"year": "continuous"}).width == 1
    assert ConditionSchema.fit({"year": years}).width == 3


def test_unknown_category_names_the_known_ones():
    with pytest.raises(DataError, match=r"new.csv.*'kind'.*unknown category 'd'.*in 2 rows.*'a', 'b', 'c'"):
        SCHEMA.encode({"kind": np.array(["d", "a", "d"]), "age": np.zeros(3)}, what="new.csv")


def test_an_absent_condition_is_named():
    with pytest.raises(DataError, match=r"no condition 'age'.*kind \(3 categories.*age \(continuous"):
        SCHEMA.encode({"kind": KIND}, what="new.csv")


@pytest.mark.parametrize("missing", ["", None, float("nan")])
def test_a_missing_value_is_refused(missing):
    with pytest.raises(DataError, match="row 1 "):
        SCHEMA.encode({"kind": np.array(["a", missing], dtype=object), "age": np.zeros(2)}, what="x")


def test_one_category_or_constant_covariates_tell_nothing():
    with pytest.raises(DataError, match="at least 2"):
        ConditionSchema.fit({"kind": np.array(["a", "a"])})
    with pytest.raises(DataError, match="values that vary"):
        ConditionSchema.fit({"age": np.array([3.5, 3.5])})


def test_given_one_value_or_one_each():
    c = SCHEMA.given("kind=b,age=30.5", 2, seed=0)
    np.testing.assert_array_equal(c, SCHEMA.given({"kind": ["b", "b"], "age": 30.5}, 2, seed=0))
    assert c[:, :3].tolist() == [[0, 1, 0]] * 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "given='kind=a,age=40.5'"),
        ("kind=b", "no value for 'age'"),
        ("kind=d,age=3", "unknown category 'd'.*'a', 'b', 'c'"),
        ("kind=b,age=old", "continuous"),
        ("kind=b,age=3,size=2", "no condition 'size'"),
        ("kind", "name=value"),
        ({"kind": ["a", "b", "c"], "age": 3}, "3 values of 'kind' for 2"),
    ],
)
def test_what_is_given_wrongly_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        SCHEMA.given(given, 2, seed=0)


def test_given_data_follows_the_training_rows():
    labels = np.repeat([0, 1, 2], [100, 300, 600])
    schema = ConditionSchema.fit({"label": labels})
    share = schema.given("data", 10_000, seed=1).mean(0)
    error = np.sqrt(np.array([0.1, 0.3, 0.6]) * np.array([0.9, 0.7, 0.4]) / 10_000)
    assert (abs(share - [0.1, 0.3, 0.6]) < 4 * error).all()
    assert schema.most_frequent() == {"label": "2"}


def test_json_and_back_exactly():
    assert ConditionSchema.from_json(SCHEMA.to_json()) == SCHEMA


@pytest.mark.parametrize(
    "damage",
    [{"counts": []}, {"missing": 1}, {"conditions": []}, {"more": 1}, {"seen": [[1]]}, {"counts": [0]}],
)
def test_edited_json_is_refused(damage):
    with pytest.raises(ArtifactError, match="edited"):
        ConditionSchema.from_json({**SCHEMA.to_json(), **damage})


def test_columns_of_a_file_are_taken_out(tmp_path):
    path = tmp_path / "people.csv"
    frame = pd.DataFrame({"height": [1.5, 1.8], "kind": ["a", "b"], "weight": [50.0, 80.0], "age": [3, 4]})
    frame.to_csv(path, index=False)
    data = read(path, conditions=["kind", "age"])
    assert data.columns == ("height", "weight")
    assert {name: list(values) for name, values in known(data.conditions).items()} == {
        "kind": ["a", "b"],
        "age": [3, 4],
    }
    assert known(data.take([1]).conditions)["kind"].tolist() == ["b"]
    with pytest.raises(DataError, match=r"no column 'knid'.*did you mean"):
        read(path, conditions=["knid"])


def test_labels_are_a_condition():
    data = read("digits", conditions=["labels"])
    assert known(data.conditions)["labels"] is data.labels
