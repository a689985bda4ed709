"""Tables too large for a limit stay in their Parquet file, and are the same data there."""

import decimal

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from narrowing import known, untyped
from vaekit.data import Schema, read
from vaekit.data.column_summary import summarise
from vaekit.data.parquet_files import ParquetRows
from vaekit.errors import DataError, MissingLabelError
from vaekit.estimator.likelihood_choice import fit_schema
from vaekit.sentence import parse

pytest.importorskip("pyarrow")
LIMIT = 12_000


def frame(rows=300):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "real": rng.normal(size=rows) * 1e3 - 7,
            "narrow": (5 + 1e-3 * rng.normal(size=rows)).astype(np.float32),
            "count": rng.integers(0, 2**60, size=rows),
            "small": rng.integers(0, 9, size=rows).astype(np.int8),
            "flag": rng.random(rows) < 0.3,
            "money": [decimal.Decimal(int(cents)).scaleb(-2) for cents in rng.integers(0, 999, rows)],
            "text": rng.choice(["red", "green", "", "12"], size=rows),
            "kind": pd.Categorical(rng.choice(["b", "a"], size=rows)),
            "level": pd.Categorical(rng.choice([3, 1], size=rows)),
            "constant": 4.0,
        }
    )


def both(tmp_path, table, limit=LIMIT, group=25, index=None, **options):
    path = tmp_path / "table.parquet"
    table.to_parquet(path, row_group_size=group, index=index)
    stored = read(path, memory_limit=limit, **options)
    assert isinstance(stored.values, ParquetRows)
    return read(path, **options), stored


@pytest.fixture(params=[700, 1 << 20])
def blocks(request, monkeypatch):
    monkeypatch.setattr("vaekit.data.dataset.BLOCK_VALUES", request.param)


def nearly(columns):
    """Rounded, for means are summed in another order."""
    return [
        replace(
            c,
            mean=pytest.approx(c.mean, rel=1e-13),
            standard_deviation=pytest.approx(c.standard_deviation, rel=1e-11),
        )
        for c in columns
    ]


@pytest.mark.parametrize("index", [None, True])
def test_a_file_read_by_row_groups_is_the_same_data(tmp_path, blocks, index):
    resident, stored = both(tmp_path, frame(), index=index)
    assert stored.columns == resident.columns
    assert stored.categories == resident.categories
    assert known(stored.categories)[6:9] == (("12", "green", "red"), ("a", "b"), None)
    assert stored.hash() == resident.hash()
    some = np.array([3, 299, 3, 0, -1])
    for key in (slice(2, 90), slice(None, None, 7), some, 5, (4, 0), (slice(None), 0)):
        np.testing.assert_array_equal(stored.values[key], resident.values[key])
    np.testing.assert_array_equal(stored.values.max(0), np.fmax.reduce(resident.values))
    assert nearly(summarise(resident)) == list(summarise(stored))
    half = np.arange(0, 300, 2)
    assert stored.take(half).hash() == resident.take(half).hash()
    spec = parse(
        "likelihood",
        "mixed:columns=gaussianxgaussianxgaussianxpoissonxbernoullixgaussianxcategorical4xbernoullixgaussian",
    )
    schemas = [fit_schema(data, spec) for data in (resident, stored)]
    assert schemas[1].kept.tolist() == schemas[0].kept.tolist() == [True] * 9 + [False]
    np.testing.assert_allclose(schemas[1].scale, schemas[0].scale, rtol=1e-11)


def test_moments_merge_exactly_enough_wherever_they_lie(tmp_path, blocks):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 6)) * [1, 1e-3, 1e200, 1e-200, 1e-9, 1e5] + [1e3, 1e4, 0, 0, 1, -1e5]
    x[40, 0] = np.nan
    resident, stored = both(tmp_path, pd.DataFrame(x, columns=list("abcdef")), limit=4000, group=10)
    assert nearly(summarise(resident)) == list(summarise(stored))
    assert stored.has_missing
    x[40, 0] = np.inf
    _, stored = both(tmp_path, pd.DataFrame(x, columns=list("abcdef")), limit=4000, group=10)
    with pytest.raises(DataError, match=r"row 40 .*column 'a', is infinite"):
        stored.require_finite()


def test_missing_values_are_nan(tmp_path):
    table = frame().astype({"flag": object, "small": "Int8"})
    for name in ("real", "small", "flag", "money", "text"):
        table.loc[[0, 60], name] = None
    resident, stored = both(tmp_path, table)
    np.testing.assert_array_equal(stored.values[:], resident.values)
    assert stored.hash() == resident.hash()
    assert [c.missing_rate for c in summarise(stored)] == [c.missing_rate for c in summarise(resident)]


def test_labels_and_conditions_are_read_beside(tmp_path):
    resident, stored = both(tmp_path, frame(), label="text", conditions=["kind", "small"])
    assert stored.columns == resident.columns
    np.testing.assert_array_equal(stored.labels, resident.labels)
    for name in ("kind", "small"):
        np.testing.assert_array_equal(known(stored.conditions)[name], known(resident.conditions)[name])
    assert known(stored.take([7]).labels).tolist() == [known(resident.labels)[7]]
    path = tmp_path / "table.parquet"
    with pytest.raises(MissingLabelError, match="did you mean 'text'"):
        read(path, memory_limit=LIMIT, label="txt")
    with pytest.raises(DataError, match="no column 'colour' for the condition"):
        read(path, memory_limit=LIMIT, conditions=["colour"])


def test_every_row_group_is_decoded_once_a_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("vaekit.data.dataset.BLOCK_VALUES", 40)
    _, stored = both(tmp_path, frame())
    decoded = []
    group = type(untyped(stored.values)._file).read_row_group
    monkeypatch.setattr(
        type(untyped(stored.values)._file),
        "read_row_group",
        lambda file, i, **o: decoded.append(i) or group(file, i, **o),
    )
    summarise(stored.take(np.arange(0, 300, 2)))
    assert decoded == list(range(12))
    assert untyped(stored.values).pieces().tolist() == list(range(0, 300, 25))
    assert untyped(stored.take(np.arange(30, 300)).values).pieces().tolist() == [0, *range(20, 270, 25)]


def test_columns_and_categories_are_put_in_the_order_of_the_model(tmp_path):
    table = frame()[["real", "text", "kind"]]
    fitted, _ = both(tmp_path, table, limit=3000)
    schema = Schema.fit(fitted, scaling="mixed", continuous=[True, False, False])
    few = table[untyped(table["text"]).isin(["red", "12"])][["kind", "text", "real"]]
    resident, stored = both(tmp_path, few, limit=1500, group=5)
    assert stored.categories != resident.take([0]).categories or known(stored.columns)[0] == "kind"
    aligned = [schema.align(data, what="it") for data in (resident, stored)]
    assert aligned[1].columns == ("real", "text", "kind")
    np.testing.assert_array_equal(aligned[1].values[:], aligned[0].values)
    np.testing.assert_array_equal(aligned[1].take([5, 2]).values, aligned[0].values[[5, 2]])
    _, strange = both(tmp_path, untyped(few).assign(text="blue"), limit=1500, group=5)
    with pytest.raises(DataError, match="unknown category 'blue'"):
        schema.align(strange, what="it")


def test_changes_of_constant_columns_are_counted(tmp_path):
    resident, stored = both(tmp_path, frame()[["real", "small", "flag", "constant"]], limit=4000)
    schema = Schema.fit(resident, scaling="standardize")
    table = frame()[["real", "small", "flag", "constant"]]
    assert schema.constant_changes(stored.values) == {}
    table.loc[[3, 70], "constant"] = 5.0
    _, other = both(tmp_path, table, limit=4000)
    assert schema.constant_changes(other.values) == {"constant": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"when": pd.Timestamp("2026-01-01")}, "column 'when' holds dates"),
        ({"list": [[1, 2]] * 300}, "column 'list' holds list<.*expected numbers or text"),
        ({"id": [f"name {i}" for i in range(300)]}, "'id' holds text, .*300 different values"),
        ({"id": [f"{i}.5" for i in range(300)]}, "numbers or dates as text, for instance '0.5'"),
        ({"day": ["2026-01-02"] * 300}, "numbers or dates as text"),
        ({"mixed": ["1"] * 200 + ["one"] * 100}, "numbers or dates as text"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path, change, message):
    path = tmp_path / "table.parquet"
    frame().assign(**change).to_parquet(path, row_group_size=25)
    with pytest.raises(DataError, match=message):
        read(path, memory_limit=LIMIT)


def test_row_groups_too_large_for_the_limit_are_refused_with_a_size_that_fits(tmp_path):
    path = tmp_path / "table.parquet"
    frame().to_parquet(path)
    with pytest.raises(DataError, match=r"row groups of up to 300 rows, .*row_group_size=3\b"):
        read(path, memory_limit=LIMIT)
    frame().to_parquet(path, row_group_size=3)
    assert len(read(path, memory_limit=LIMIT)) == 300


def test_too_many_texts_and_damage_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("vaekit.data.parquet_files._TEXTS_AT_MOST", 3)
    path = tmp_path / "table.parquet"
    frame().to_parquet(path, row_group_size=25)
    with pytest.raises(DataError, match="column 'text' holds text of more than 3 different values"):
        read(path, memory_limit=LIMIT)
    content = bytearray(path.read_bytes())
    content[200:9000] = b"\x00" * 8800
    path.write_bytes(content)
    with pytest.raises(DataError, match="truncated, corrupt or no Parquet"):
        read(path, memory_limit=LIMIT)
    path.write_bytes(content[:100])
    with pytest.raises(DataError, match="truncated, corrupt or no Parquet"):
        read(path, memory_limit=LIMIT)


def test_below_the_limit_all_is_as_it_was(tmp_path):
    frame().to_parquet(tmp_path / "table.parquet")
    assert type(read(tmp_path / "table.parquet", memory_limit=10**6).values) is np.ndarray


def test_text_larger_than_the_limit_is_refused_with_a_way_out(tmp_path):
    frame().to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(DataError, match=r"text is read as a whole.*convert it to \.parquet or \.npy"):
        read(tmp_path / "table.csv", memory_limit=LIMIT)
