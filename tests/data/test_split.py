"""Laws of the split: it covers every row once, does not depend on n, and leaves no part empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaekit.data import split_indices
from vaekit.errors import DataError, UsageError


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 300), st.integers(-(2**70), 2**70))
def test_parts_cover_every_row_once_and_none_is_empty(n, seed):
    split = split_indices(n, seed)
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    for part in parts:
        assert len(part) > 0
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(200, 400), st.integers(1, 1000), st.integers(0, 2**32))
def test_appended_rows_move_none_that_were_there(n, more, seed):
    short, long = split_indices(n, seed), split_indices(n + more, seed)
    for name in ("train", "validation", "test"):
        part = getattr(long, name)
        assert part[part < n].tolist() == getattr(short, name).tolist()


def test_shares_are_those_asked_for_and_seeds_differ():
    n = 100_000
    split = split_indices(n, 3, validation=0.2, test=0.05)
    # binomial: four standard deviations of the share
    assert abs(len(split.validation) / n - 0.2) < 4 * (0.2 * 0.8 / n) ** 0.5
    assert abs(len(split.test) / n - 0.05) < 4 * (0.05 * 0.95 / n) ** 0.5
    other = split_indices(n, 4, validation=0.2, test=0.05)
    common = len(np.intersect1d(split.validation, other.validation)) / n
    assert abs(common - 0.04) < 4 * (0.04 * 0.96 / n) ** 0.5


def test_neighbouring_rows_are_independent():
    held_out = np.zeros(200_000, dtype=bool)
    held_out[split_indices(200_000, 0, validation=0.25, test=0.25).train] = True
    a, b = held_out[:-1], held_out[1:]
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / len(a) ** 0.5


def test_the_hash_is_frozen():
    # artifacts written by one version find their held-out rows again in the next
    assert split_indices(40, 0).test.tolist() == [12, 19, 26, 38, 39]
    assert split_indices(40, 0).validation.tolist() == [5, 11]


def test_a_part_that_is_not_wanted_stays_empty():
    split = split_indices(50, 0, test=0.0)
    assert len(split.test) == 0
    assert len(split.validation) > 0
    everything = split_indices(1, 0, validation=0.0, test=0.0)
    assert everything.train.tolist() == [0]


def test_too_few_rows_and_impossible_shares():
    with pytest.raises(
        DataError, match=r"1 sample \(one row\): cannot be divided into 3 parts; at least 3 rows"
    ):
        split_indices(1, 0)
    with pytest.raises(UsageError, match=r"validation=0.5 and test=0.5; expected .* sum is below 1"):
        split_indices(10, 0, validation=0.5, test=0.5)
    with pytest.raises(UsageError, match="at least 0"):
        split_indices(10, 0, validation=-0.1)
