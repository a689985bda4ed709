"""Columns as codes: densities that integrate to one, values that come back, shares of ranges."""

import numpy as np
import pytest

from narrowing import untyped
from vaekit.data import Schema, from_object
from vaekit.jobs.synthesis.discrete_columns import CategoryColumn, NumberColumn
from vaekit.jobs.synthesis.discrete_table import DiscreteTable
from vaekit.likelihoods.histogram_cells import facts_of


def column_of(values, decimals=None, keeps_missing=False):
    known = values[~np.isnan(values)]
    whole = bool((known == np.floor(known)).all())
    facts = facts_of(values, whole=whole, decimals=decimals, name="a")
    return NumberColumn.fit(
        "a", values, facts, decimals=0 if whole else decimals, keeps_missing=keeps_missing
    )


@pytest.fixture(scope="module")
def hours():
    """Whole numbers, half of which are 40."""
    random = np.random.default_rng(0)
    return np.where(random.random(3000) < 0.5, 40.0, np.rint(random.gamma(6, 7, 3000)).clip(1, 99))


def by_code(column, codes, within):
    """The log-density where the shares of codes are those of the rows of the fit."""
    shares = column.cells.counts / column.cells.counts.sum()
    return np.where(codes < 0, within, np.log(shares[codes]) + within)


def test_probabilities_of_whole_numbers_sum_to_one(hours):
    column = column_of(hours)
    codes, within = column.encode(np.arange(-400, 900, dtype=np.float64))
    assert np.exp(by_code(column, codes, within)).sum() == pytest.approx(1, abs=1e-3)


def test_a_density_of_real_numbers_integrates_to_one_and_is_that_of_a_normal():
    values = np.random.default_rng(0).normal(size=20_000)
    column = column_of(values)
    grid = np.linspace(-6, 6, 200_001)
    codes, within = column.encode(grid)
    density = np.exp(by_code(column, codes, within))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=2e-3)
    middle = np.abs(grid) < 1.5
    truth = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    assert np.abs(density - truth)[middle].mean() < 0.04  # a piece has some 50 rows, an error of a seventh


def test_values_of_codes_are_whole_where_the_column_is_and_frequent_ones_exact(hours):
    column = column_of(hours)
    codes, _ = column.encode(hours)
    drawn = column.decode(codes, np.random.default_rng(1))
    assert (drawn == np.floor(drawn)).all()
    assert (column.encode(drawn)[0] == codes).all()
    assert (drawn == 40).mean() == pytest.approx((hours == 40).mean(), abs=1e-12)
    # the empirical distributions differ by less than the share of a bin
    grid = np.arange(1, 100)
    mine, theirs = (np.searchsorted(np.sort(v), grid, side="right") / len(v) for v in (drawn, hours))
    assert np.abs(mine - theirs).max() < 0.02
    assert drawn.min() >= hours.min()
    assert drawn.max() <= hours.max()


def test_decimals_holes_and_a_far_tail_come_back():
    random = np.random.default_rng(0)
    prices = np.round(np.exp(random.normal(3, 1.5, 4000)), 2)
    prices[::10] = np.nan
    column = column_of(untyped(prices), decimals=2, keeps_missing=True)
    codes, _ = column.encode(untyped(prices))
    drawn = column.decode(codes, np.random.default_rng(1))
    assert (np.isnan(drawn) == np.isnan(prices)).all()
    known = drawn[~np.isnan(drawn)]
    assert (np.round(known, 2) == known).all()
    # bins of many rows are cut into pieces, so that the outermost is no flat tail
    for level in (0.5, 0.9, 0.98):
        assert np.nanquantile(drawn, level) == pytest.approx(np.nanquantile(prices, level), rel=0.1)


def test_shares_of_a_range_are_those_of_the_rows_and_draws_stay_in_it(hours):
    column = column_of(hours)
    share = column.share_between(30, 41)
    counts = column.cells.counts
    assert (share * counts).sum() / counts.sum() == pytest.approx(
        ((hours >= 30) & (hours <= 41)).mean(), abs=0.01
    )
    allowed = np.repeat(np.flatnonzero(share > 0), 200)
    drawn = column.decode_between(allowed, 30, 41, np.random.default_rng(0))
    assert drawn.min() == 30
    assert drawn.max() == 41
    assert (column.encode(drawn)[0] == allowed).all()


def test_what_the_fit_has_not_seen_has_a_small_probability():
    pets = CategoryColumn("pet", 99, False, ("cat", "dog"))
    codes, within = pets.encode(np.array([0.0, 2.0, np.nan]))
    assert codes.tolist() == [0, -1, -1]
    np.testing.assert_allclose(np.exp(within), [0.99, 0.01, 1.0])


def test_a_table_leaves_out_what_does_not_vary_and_puts_it_back():
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2, 1, 3], "one": 7, "none": [None] * 4, "b": ["x", "y", None, "x"]})
    data = from_object(frame)
    schema = Schema.fit(data, scaling="none")
    table = DiscreteTable.fit(schema, data, keep_missing=True)
    assert [column.name for column in table.columns] == ["a", "b"]
    codes, _ = table.encode(data)
    back = table.decode(codes, np.random.default_rng(0))
    np.testing.assert_array_equal(back[:, [1, 2, 3]], data.values[:, [1, 2, 3]])
    without = DiscreteTable.fit(schema, data, keep_missing=False)
    assert without.encode(data)[0][2, 1] == -1
