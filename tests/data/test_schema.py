"""The scaling: exact statistics, round trips, the log-Jacobian, and data that cannot be scaled."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from narrowing import known
from vaekit.data import Dataset, Schema, from_object
from vaekit.errors import DataError, UsageError

TABLE = np.array([[1.0, 7.0, -3.0], [2.0, 7.0, 5.0], [4.0, 7.0, 0.5]])


def table(values, *names):
    return Dataset(np.asarray(values, dtype=np.float64), "table", names, source="some.csv")


def test_columns_are_summarised():
    first, second, third = Schema.fit(table(TABLE, "a", "b", "c"), scaling="none").columns
    assert (first.name, first.minimum, first.maximum) == ("a", 1.0, 4.0)
    assert first.mean == pytest.approx(7 / 3, rel=1e-15)
    assert first.standard_deviation == pytest.approx(np.std([1, 2, 4]), rel=1e-15)
    assert first.integer
    assert not third.integer
    assert (second.constant, first.constant) == (True, False)
    assert first.missing_rate == 0.0


def test_statistics_over_many_blocks_agree_with_numpy():
    values = np.random.default_rng(0).normal(3.0, 2.0, (30_001, 70))
    columns = Schema.fit(values, scaling="standardize").columns
    np.testing.assert_allclose([c.mean for c in columns], values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose([c.standard_deviation for c in columns], values.std(axis=0), rtol=1e-12)


def test_standardize_gives_mean_zero_and_deviation_one_and_drops_constants():
    schema = Schema.fit(table(TABLE, "a", "b", "c"), scaling="standardize")
    x = schema.transform(TABLE)
    assert (x.dtype, x.shape) == (np.float32, (3, 2))
    assert schema.model_event_shape == (2,)
    assert schema.constant_columns == ("b",)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(schema.inverse(x), TABLE, rtol=1e-6, atol=1e-6)
    assert (schema.inverse(np.zeros((2, 5, 2)))[..., 1] == 7.0).all()
    assert schema.inverse(np.zeros((2, 5, 2))).shape == (2, 5, 3)


def test_constants_are_dropped_without_scaling_and_kept_under_unit():
    binary = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert Schema.fit(binary, scaling="none").model_event_shape == (1,)
    unit = Schema.fit(binary, scaling="unit")
    assert unit.model_event_shape == (2,)
    assert unit.transform(binary).tolist() == binary.tolist()


def test_timestamps_keep_their_digits():
    seconds = 1.7e9 + np.arange(1000.0)[:, None] / 1000
    schema = Schema.fit(seconds, scaling="standardize")
    x = schema.transform(seconds)
    assert len(np.unique(x)) == 1000  # in float32 all thousand would be one number
    np.testing.assert_allclose(schema.inverse(x), seconds, rtol=0, atol=1e-6)


def test_a_thousandfold_column_moves_the_log_jacobian_by_log_1000():
    a = Schema.fit(TABLE, scaling="standardize")
    b = Schema.fit(TABLE * np.array([1000.0, 1.0, 1.0]), scaling="standardize")
    assert b.log_jacobian - a.log_jacobian == pytest.approx(-math.log(1000), abs=1e-14)


def test_log_jacobian_is_that_of_the_map():
    rng = np.random.default_rng(0)
    for values in (
        rng.normal(size=(50, 4)) * [1, 10, 0.1, 3],
        rng.integers(0, 256, (20, 1, 3, 2)).astype(np.uint8),
    ):
        schema = Schema.fit(values, scaling="standardize")
        point, step = values[:1].astype(np.float64), 1e-3
        slopes = [
            (schema.transform(point + step * unit) - schema.transform(point - step * unit)).sum() / (2 * step)
            for unit in np.eye(point.size).reshape(-1, *point.shape)
        ]
        assert schema.log_jacobian == pytest.approx(np.log(slopes).sum(), abs=0.05)
    for scaling in ("none", "unit"):
        assert Schema.fit(rng.random((5, 2)), scaling=scaling).log_jacobian == 0.0


def test_images_share_one_mean_and_deviation():
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 6)).astype(np.uint8)
    schema = Schema.fit(images, scaling="standardize")
    x = schema.transform(images)
    assert x.shape == images.shape
    np.testing.assert_allclose(x, (images - images.mean()) / images.std(), rtol=1e-5, atol=1e-6)
    assert schema.log_jacobian == pytest.approx(-90 * math.log(images.std()), rel=1e-12)
    np.testing.assert_allclose(schema.inverse(x), images, atol=1e-4)


def test_unit_divides_bytes_and_leaves_what_is_in_the_unit_interval():
    images = np.array([0, 51, 255, 102], dtype=np.uint8).reshape(2, 1, 1, 2)
    schema = Schema.fit(images, scaling="unit")
    assert schema.transform(images).ravel().tolist() == [0.0, np.float32(0.2), 1.0, np.float32(0.4)]
    assert np.array_equal(np.rint(schema.inverse(schema.transform(images))), images)
    floats = np.array([[0.0], [0.3], [1.0]])
    assert Schema.fit(floats, scaling="unit").scale == (1.0,)
    binary = np.array([0, 1], dtype=np.uint8).reshape(2, 1, 1, 1)
    assert Schema.fit(binary, scaling="unit").scale == (1.0,)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(2, 20), st.integers(1, 4)), elements=st.floats(-1e300, 1e300)
    ),
    st.sampled_from(["none", "standardize"]),
)
def test_transform_and_inverse_are_inverse(values, scaling):
    if np.ptp(values, axis=0).max() < 1e-290 or (scaling == "none" and np.abs(values).max() > 1e38):
        return
    schema = Schema.fit(values, scaling=scaling)
    back = schema.inverse(schema.transform(values))
    reach = np.array([max(abs(c.minimum), abs(c.maximum)) for c in schema.columns])
    span = np.array([c.maximum - c.minimum for c in schema.columns])
    relative_to = reach if scaling == "none" else span
    assert (np.abs(back - values) <= 1e-5 * relative_to + 1e-14 * reach + 1e-44).all()


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(2, 9), st.just(1), st.integers(1, 4), st.integers(1, 4))))
def test_bytes_come_back_exactly(images):
    if (images == images.flat[0]).all():
        return
    for scaling in ("none", "unit", "standardize"):
        schema = Schema.fit(images, scaling=scaling)
        assert np.array_equal(np.rint(schema.inverse(schema.transform(images))), images)


def test_bytes_are_never_copied_whole_as_float64():
    import tracemalloc

    images = np.random.default_rng(0).integers(0, 256, (20_000, 1, 28, 28), dtype=np.uint8)
    schema = Schema.fit(images, scaling="unit")
    tracemalloc.start()
    x = schema.transform(images)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes + 40e6  # a float64 copy would take 125 MB more


def test_data_that_teach_nothing_are_refused():
    with pytest.raises(
        DataError, match=r"some.csv: every column is constant in all 3 rows: there is nothing"
    ):
        Schema.fit(table([[1, 2], [1, 2], [1, 2]], "a", "b"), scaling="standardize")
    with pytest.raises(DataError, match="all values are 9 in all 4 rows"):
        Schema.fit(np.full((4, 1, 2, 2), 9, dtype=np.uint8), scaling="unit")
    with pytest.raises(DataError, match=r"1 sample \(one row\) to learn from; at least 2 rows are needed"):
        Schema.fit(table([[1, 2]], "a", "b"), scaling="none")
    assert Schema.fit(table([[1], [2]], "only"), scaling="standardize").model_event_shape == (1,)


def test_unit_says_what_range_was_seen():
    with pytest.raises(
        DataError, match=r"values from -2.5 to 3 \(first in column 'b'\).*expects values from 0 to 1"
    ):
        Schema.fit(table([[0, -2.5], [1, 3]], "a", "b"), scaling="unit")
    with pytest.raises(DataError, match=r"values from 0 to 200.*divide them by 255"):
        Schema.fit(table([[0, 7], [1, 200]], "a", "b"), scaling="unit")


def test_missing_and_infinite_values_are_located():
    data = table([[1, 2], [np.inf, 3], [4, np.inf], [-np.inf, np.nan]], "age", "income")
    message = r"some.csv: 3 values of 8 infinite in 2 columns \('age', 'income'\); the first, at row 1 "
    with pytest.raises(DataError, match=message + r"\(counted from 0\), column 'age', is infinite"):
        Schema.fit(data, scaling="standardize")
    holes = np.zeros((2, 1, 2, 2))
    holes[1, 0, 0, 1] = np.nan
    with pytest.raises(DataError, match=r"1 value of 8 missing or infinite.*image 1 .*\(0, 0, 1\), is NaN"):
        from_object(holes).require_finite()
    images = np.zeros((2, 1, 2, 2))
    images[1, 0, 1, 0] = -np.inf
    with pytest.raises(DataError, match=r"1 value of 8 .*image 1 .*\(0, 1, 0\), is minus infinity"):
        from_object(images).require_finite()
    from_object(np.zeros((2, 1, 2, 2))).require_finite()


def test_blocks_change_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(size=(23, 3)) * [1, 1000, 0.001]
    schema, digest = Schema.fit(values, scaling="standardize"), from_object(values).hash()
    x = schema.transform(values)
    monkeypatch.setattr("vaekit.data.dataset.BLOCK_VALUES", 7)
    again = Schema.fit(values, scaling="standardize")
    np.testing.assert_allclose(again.scale, schema.scale, rtol=1e-14)
    assert np.array_equal(schema.transform(values), x)
    assert from_object(values).hash() == digest
    values[17, 1] = values[22, 0] = np.inf
    with pytest.raises(DataError, match=r"2 values of 69 .*at row 17 .*column 'x1', is infinite"):
        from_object(values).require_finite()


def test_values_beyond_float32_are_refused_rather_than_made_infinite():
    schema = Schema.fit(np.array([[0.0], [1.0]]), scaling="none")
    with pytest.raises(DataError, match=r"infinite in the model's units: .*1e\+39.*float32 ends at 3.4e38"):
        schema.transform(np.array([[1e39]]))
    assert np.isnan(schema.transform(np.array([[np.nan]]))).all()


def test_a_range_beyond_float64_is_refused():
    with pytest.raises(DataError, match=r"column 'a' runs from -1.7e\+308 to 1.7e\+308"):
        Schema.fit(table([[-1.7e308], [1.7e308]], "a"), scaling="standardize")


def test_wrong_shapes_and_scalings_are_refused():
    schema = Schema.fit(TABLE, scaling="standardize")
    with pytest.raises(DataError, match=r"shape \(2, 2\); expected \(m, 3\): tables of 3 columns"):
        schema.transform(np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"shape \(2, 3\); expected \(..., 2\)"):
        schema.inverse(np.zeros((2, 3)))
    with pytest.raises(UsageError, match="'minmax'; expected one of none, unit, standardize"):
        Schema.fit(TABLE, scaling="minmax")  # type: ignore[arg-type]


def test_changed_constants_are_counted():
    schema = Schema.fit(table(TABLE, "a", "b", "c"), scaling="standardize")
    changed = TABLE.copy()
    changed[:2, 1] = 8
    assert schema.constant_changes(TABLE) == {}
    assert schema.constant_changes(changed) == {"b": 2}


@pytest.mark.parametrize(("rows", "accepted"), [(799, False), (800, True)])
def test_categories_may_be_a_twentieth_of_the_rows(rows, accepted):
    names = [f"kind {i % 40}" for i in range(rows)]
    dataset = from_object(pd.DataFrame({"kind": names, "size": np.arange(rows) / 7}))
    if accepted:
        assert len(known(Schema.fit(dataset, scaling="none").columns[0].categories)) == 40
    else:
        with pytest.raises(DataError, match="40 different values, and there are 799 rows to learn from"):
            Schema.fit(dataset, scaling="none")
