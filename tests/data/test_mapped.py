"""Arrays too large for a limit stay in their file, and are the same data there."""

import numpy as np
import pytest

from narrowing import known, untyped
from vaekit.data import Schema, read
from vaekit.data.mapped import MappedRows, mapped_dataset, memory_limit
from vaekit.errors import DataError, UsageError

KINDS = {
    "float32 table": lambda x: x.astype(np.float32),
    "big-endian": lambda x: x.astype(">f8"),
    "int16 table": lambda x: (100 * x).astype(np.int16),
    "boolean table": lambda x: x > 0,
    "uint8 images": lambda x: (40 * np.abs(x)).astype(np.uint8).reshape(-1, 1, 4, 3),
    "grey images": lambda x: np.abs(x).reshape(-1, 4, 3).astype(np.float32),
    "colour": lambda x: np.abs(x).reshape(-1, 3, 2, 2).astype(np.float16),
}


def both(tmp_path, array, limit=4096):
    path = tmp_path / "rows.npy"
    np.save(path, array)
    resident, mapped = read(path), read(path, memory_limit=limit)
    assert isinstance(mapped.values, MappedRows)
    return resident, mapped


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(500, 12))


@pytest.mark.parametrize("system", ["with preadv", "without"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_mapped_file_is_the_same_data(tmp_path, x, kind, system, monkeypatch):
    if system == "without":
        monkeypatch.delattr("os.preadv", raising=False)
    monkeypatch.setattr("vaekit.data.dataset.BLOCK_VALUES", 700)
    monkeypatch.setattr("vaekit.data.mapped._HELD", 1000)
    resident, mapped = both(tmp_path, KINDS[kind](x))
    assert (mapped.kind, mapped.columns, mapped.event_shape) == (
        resident.kind,
        resident.columns,
        resident.event_shape,
    )
    assert mapped.hash() == resident.hash()
    assert mapped.values.dtype == resident.values.dtype
    some = np.array([3, 499, 3, 0])
    for key in (slice(2, 9), slice(None, None, 7), some, 5, (4, 0), (slice(None), 0)):
        np.testing.assert_array_equal(mapped.values[key], resident.values[key])
    assert (mapped.values.min(), mapped.values.max()) == (resident.values.min(), resident.values.max())
    np.testing.assert_array_equal(mapped.values.min(0), resident.values.min(0))
    assert Schema.fit(mapped, scaling="standardize") == Schema.fit(resident, scaling="standardize")
    half = np.arange(0, 500, 2)
    np.testing.assert_array_equal(mapped.take(half).take(some[::3] // 4).values, resident.values[[0, 0]])
    assert mapped.take(half).hash() == resident.take(half).hash()


VIEWS = {
    "later rows": lambda array: array[30:],
    "every third": lambda array: array[1::3],
    "backwards": lambda array: array[::-1],
    "some columns": lambda array: array[:, 2:7],
}


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_part_of_a_mapped_array_is_that_part(tmp_path, x, view, mode):
    np.save(tmp_path / "x.npy", x)
    array = np.load(tmp_path / "x.npy", mmap_mode=mode)
    if mode != "r":
        array[100:103] = 5.0
    part = VIEWS[view](array)
    data = mapped_dataset(part, source="x", limit=1000)
    for key in (slice(None), slice(2, 30, 5), np.array([7, 8, 9, 0, -1]), np.arange(len(part)) % 2 == 0):
        np.testing.assert_array_equal(known(data).values[key], np.array(part)[key])


def test_a_file_that_becomes_shorter_is_an_error(tmp_path, x):
    _, mapped = both(tmp_path, x)
    with (tmp_path / "rows.npy").open("r+b") as file:
        file.truncate(20_000)
    assert mapped.values[:100].shape == (100, 12)
    with pytest.raises(DataError, match="has become shorter"):
        mapped.values[400:]


def test_parts_that_need_little_are_read(tmp_path, x):
    _, mapped = both(tmp_path, x, limit=100_000)
    assert isinstance(mapped.take([1, 2]).values, np.ndarray)
    assert isinstance(mapped.take(np.arange(400)).values, MappedRows)


def test_below_the_limit_all_is_as_it_was(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    assert type(read(tmp_path / "x.npy", memory_limit=10**6).values) is np.ndarray
    assert mapped_dataset(np.load(tmp_path / "x.npy", mmap_mode="r"), source="x", limit=10**6) is None


@pytest.mark.parametrize(("value", "name"), [(-np.inf, "minus infinity"), (np.inf, "infinite")])
def test_an_infinite_value_is_named_with_its_row(tmp_path, x, value, name):
    x[437, 3], x[2, 1] = value, np.nan
    resident, mapped = both(tmp_path, x)
    with pytest.raises(DataError, match=rf"row 437 .*'x3', is {name}") as there:
        mapped.require_finite()
    with pytest.raises(DataError) as here:
        resident.require_finite()
    assert str(there.value) == str(here.value)


def test_a_missing_value_is_known_of_without_another_pass(tmp_path, x):
    assert not any(data.has_missing for data in both(tmp_path, x))
    x[437, 3] = np.nan
    resident, mapped = both(tmp_path, x)
    assert resident.has_missing
    assert mapped.has_missing
    assert untyped(mapped.values).known_finite
    assert mapped.values.max() == resident.values[~np.isnan(resident.values)].max()


def test_too_large_and_stored_by_columns_is_refused(tmp_path, x):
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    with pytest.raises(DataError, match="column by column"):
        read(tmp_path / "x.npy", memory_limit=1000)
    assert len(read(tmp_path / "x.npy", memory_limit=10**6)) == 500


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3000, 2), complex), "Complex"),
        (np.zeros((30, 30, 2, 2, 2)), "5 dimensions"),
        (np.zeros(9000), "1 dimension"),
    ],
)
def test_what_is_no_data_is_refused_as_ever(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.npy", memory_limit=1000)


def test_sizes_are_read():
    assert memory_limit("1.5 GB") == 1_500_000_000
    assert memory_limit(None) > 10**8
    for nonsense in ("much", "-2GB", "0", "2 apples", True):
        with pytest.raises(UsageError, match="memory limit"):
            memory_limit(nonsense)
