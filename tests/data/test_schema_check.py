"""A later file against the schema: every difference is named, and columns are put in order by name."""

import numpy as np
import pytest

from vaekit.data import Dataset, Schema, from_object
from vaekit.errors import DataError

ROWS = np.array([[1.0, 20.0, 300.0], [2.0, 10.0, 100.0], [3.0, 40.0, 200.0]])
NAMES = ("age", "income", "height")
GREY = np.arange(0, 240, 5, dtype=np.uint8).reshape(3, 1, 4, 4)


def table(values, *names):
    return Dataset(np.asarray(values, dtype=np.float64), "table", names, source="new.csv")


@pytest.fixture
def schema():
    return Schema.fit(table(ROWS, *NAMES), scaling="standardize")


def refused(schema, dataset, match):
    with pytest.raises(DataError, match=match):
        schema.check(dataset, what="new.csv")
    with pytest.raises(DataError, match=match):
        schema.align(dataset, what="new.csv")


def test_the_same_data_pass(schema):
    schema.check(table(ROWS, *NAMES), what="new.csv")


def test_another_order_is_refused_by_check_and_mended_by_align(schema):
    shuffled = table(ROWS[:, [2, 0, 1]], "height", "age", "income")
    with pytest.raises(
        DataError, match="another order: 'height', 'age', 'income'; expected 'age', 'income', 'height'"
    ):
        schema.check(shuffled, what="new.csv")
    aligned = schema.align(shuffled, what="new.csv")
    assert aligned.columns == NAMES
    assert np.array_equal(aligned.values, ROWS)


def test_other_names_are_listed_with_the_nearest(schema):
    refused(
        schema,
        table(ROWS, "age", "incomes", "weight"),
        r"new.csv: other columns than the 3 .*missing 'income', 'height' and unexpected 'incomes', 'weight'"
        r".*for 'income', did you mean 'incomes'",
    )
    with pytest.raises(DataError, match=r"unexpected 'species'; remove them, or .*label=NAME"):
        schema.check(table(np.c_[ROWS, ROWS[:, :1]], *NAMES, "species"), what="new.csv")
    refused(schema, table(ROWS[:, :2], "age", "income"), "missing 'height'; rename, add or remove")


def test_made_up_names_match_by_position(schema):
    schema.check(from_object(ROWS), what="the array")
    Schema.fit(ROWS, scaling="none").check(table(ROWS, *NAMES), what="new.csv")
    refused(
        schema, from_object(ROWS[:, :2]), "2 columns; the model was fitted to 3: 'age', 'income', 'height'"
    )


def test_permuted_made_up_names_are_matched_by_name():
    schema = Schema.fit(ROWS, scaling="none")
    aligned = schema.align(table(ROWS[:, [1, 0, 2]], "x1", "x0", "x2"), what="new.csv")
    assert np.array_equal(aligned.values, ROWS)


def test_missing_values_pass_and_infinite_ones_do_not(schema):
    holes = ROWS.copy()
    holes[1, 1] = np.nan
    schema.check(table(holes, *NAMES), what="new.csv")
    holes[1, 1] = np.inf
    refused(schema, table(holes, *NAMES), "row 1 .*column 'income', is infinite")


def test_other_kinds_sizes_and_colours():
    schema = Schema.fit(GREY, scaling="unit")
    refused(
        schema,
        from_object(GREY[:, :, :3]),
        "grey images of 3x4 .*fitted to grey images of 4x4 .*resize or crop",
    )
    refused(
        schema,
        from_object(np.repeat(GREY, 3, axis=1)),
        "RGB images of 4x4.*grey images of 4x4.*convert the colours",
    )
    refused(
        schema,
        from_object(GREY.reshape(3, 16)),
        r"tables of 16 columns; .*reshape\(-1, 1, 4, 4\) makes them fit",
    )
    refused(
        Schema.fit(ROWS, scaling="none"),
        from_object(GREY),
        "grey images of 4x4 .*fitted to tables of 3 columns",
    )


@pytest.mark.parametrize("scaling", ["unit", "standardize"])
def test_unit_interval_and_bytes_are_not_confused(scaling):
    as_bytes, as_floats = Schema.fit(GREY, scaling=scaling), Schema.fit(GREY / 255, scaling=scaling)
    refused(
        as_bytes, from_object(GREY / 255), r"float64 values from 0 to 0.92.*8-bit images .*multiply by 255\?"
    )
    refused(
        as_bytes, from_object((GREY > 99).astype(np.uint8)), r"uint8 values from 0 to 1; .*multiply by 255\?"
    )
    refused(as_floats, from_object(GREY), r"uint8 values from 0 to 235; .*divide by 255\?")
    refused(
        as_floats, from_object(GREY.astype(np.float64)), r"float64 values from 0 to 235; .*divide by 255\?"
    )
    as_bytes.check(from_object(np.zeros_like(GREY)), what="black")
    as_bytes.check(from_object(GREY.astype(np.float64)), what="bytes as floats")


def test_values_that_unit_cannot_map():
    schema = Schema.fit(np.array([[0.0, 1.0], [0.5, 0.2]]), scaling="unit")
    refused(
        schema, from_object([[0.1, -0.5]]), "values from -0.5 to 0.1; the model expects values from 0 to 1"
    )
    refused(schema, from_object([[0.1, 1.5]]), r"from 0 to 1: divide by 255\?")
    refused(
        Schema.fit(GREY, scaling="unit"),
        from_object(GREY.astype(int) * 2),
        "from 0 to 470; .*from 0 to 255: rescale",
    )
