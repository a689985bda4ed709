"""Scores of rows with their errors; rows without probability; columns missing, unknown or in another order."""

import json

import numpy as np
import pandas as pd
import pytest

from vaekit import VariationalAutoencoder, application, load
from vaekit.data.stored import StoredRows
from vaekit.errors import DataError, DataWarning
from vaekit.estimator.scoring import RowScores, ScoreTally

COLUMNS = ["real", "count", "flag", "kind", "year"]


def table(n=120, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "real": np.round(100 + 20 * z + rng.normal(size=n), 2),
            "count": np.minimum(rng.poisson(np.exp(2 + 0.5 * z)), 40),
            "flag": (z + rng.normal(size=n) > 0).astype(int),
            "kind": np.where(z + rng.normal(size=n) > 0, "a", "b"),
            "year": 2023,
        }
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    kinds = {"real": "gaussian", "count": "poisson"}
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=3, random_state=0, columns=kinds)
    folder = tmp_path_factory.mktemp("fitted") / "m.vae"
    vae.fit(table()).save(folder)
    return vae, folder


@pytest.fixture
def bad():
    rows = table(8, seed=1).astype({"real": float, "count": float, "flag": float})
    rows.loc[1, "flag"] = 3
    rows.loc[2, "kind"] = "new"
    rows.loc[3, "count"] = -1
    rows.loc[4, "count"] = 1.5
    rows.loc[5, "real"] = np.inf
    rows.loc[6, "year"] = 2024
    return rows


def test_a_row_without_probability_scores_minus_infinity_and_others_are_as_they_were(fitted, bad):
    vae, _ = fitted
    found = vae.log_likelihood(bad)
    assert found.outside.tolist() == [False, True, True, True, True, True, True, False]
    assert (found.log_likelihood[found.outside] == -np.inf).all()
    assert (found.standard_error[found.outside] == 0).all()
    assert found.reliable[found.outside].all()
    fine = vae.log_likelihood(bad[~found.outside])
    np.testing.assert_allclose(found.log_likelihood[~found.outside], fine.log_likelihood, rtol=1e-5)
    assert not fine.outside.any()
    with pytest.warns(DataWarning) as caught:
        np.testing.assert_array_equal(vae.score_samples(bad), found.log_likelihood)
    (note,) = [str(warning.message) for warning in caught]
    assert note.startswith("6 rows of 8 in the data have no probability under the model, and score -inf: ")
    for told in (
        "row 1 (column 'flag' is 3)",
        "row 2 (column 'kind' is 'new')",
        "row 3 (column 'count' is -1)",
        "row 4 (column 'count' is 1.5)",
        "row 5 (column 'real' is inf)",
        "and 1 more",
    ):
        assert told in note
    only = vae.log_likelihood(bad[6:7])
    assert "column 'year' is 2024, and was always 2023" in str(ScoreTally().add(only).outside_note("x"))
    assert vae.log_likelihood(bad[found.outside]).log_likelihood.tolist() == [-np.inf] * 6


def test_a_mean_score_leaves_out_columns_that_never_varied(fitted):
    vae, _ = fitted
    rows = table(20, seed=2)
    assert vae.score(rows.assign(year=2024)) == pytest.approx(vae.score(rows))
    assert vae.score(rows) == pytest.approx(vae.score_samples(rows).mean())


@pytest.mark.filterwarnings("ignore:.* far outside the range")
def test_encode_and_reconstruct_refuse_and_say_where(fitted, bad):
    vae, folder = fitted
    for row, message in (
        (1, r"first is in row 1 \(counted from 0\), column 'flag': 3"),
        (2, r"'kind' has the unknown category 'new', first in row 1 \(counted from 0\)"),
        (3, r"first is in row 1 \(counted from 0\), column 'count': -1"),
        (5, r"at row 1 \(counted from 0\), column 'real', is infinite"),
    ):
        rows = bad.iloc[[0, row]]
        for refusing in (vae.transform, vae.reconstruct, vae.evaluate):
            with pytest.raises(DataError, match=message):
                refusing(rows)
        with pytest.raises(DataError, match=message):
            application.encode_to_file(folder, rows, "never.csv")


def test_images_out_of_range(fitted):
    rng = np.random.default_rng(0)
    images = rng.random((40, 1, 4, 4)).astype(np.float32)
    vae = VariationalAutoencoder(
        1, network="mlp:hidden=8", likelihood="continuous-bernoulli", epochs=1, random_state=0
    ).fit(images)
    some = images[:4].copy()
    some[2, 0, 1, 3] = 1.5
    with pytest.warns(DataWarning, match=r"row 2 \(column 'channel, row, column \(0, 1, 3\)' is 1.5\)"):
        assert (vae.score_samples(some) == -np.inf).tolist() == [False, False, True, False]
    with pytest.raises(DataError, match=r"divide by 255\?"):
        vae.score_samples(images * 255)


def test_unknown_and_missing_columns_and_another_order(fitted, tmp_path):
    vae, folder = fitted
    rows = table(10, seed=3)
    expected = vae.transform(rows)
    np.testing.assert_array_equal(vae.transform(rows[COLUMNS[::-1]]), expected)
    more = rows.assign(id=[f"free text {i}" for i in range(10)], day=pd.Timestamp("2020-01-01"))
    with pytest.warns(DataWarning, match="columns 'id', 'day' are not among the model's: ignored"):
        np.testing.assert_array_equal(vae.transform(more), expected)
    without = (
        "column 'year' is missing: it was 2023 in every row that the model was fitted to, and plays no part"
    )
    with pytest.warns(DataWarning, match=without):
        np.testing.assert_array_equal(vae.transform(rows.drop(columns="year")), expected)
    with pytest.raises(DataError, match=r"missing 'real' and unexpected 'reel'.*did you mean 'reel'"):
        vae.transform(rows.rename(columns={"real": "reel"}))

    more.drop(columns="year").to_csv(tmp_path / "later.csv", index=False)
    with pytest.warns(DataWarning) as caught:
        application.encode_to_file(folder, str(tmp_path / "later.csv"), tmp_path / "z.csv")
    told = " ".join(str(warning.message) for warning in caught)
    assert "columns 'id', 'day' are not among the model's: ignored" in told
    assert without in told
    np.testing.assert_allclose(pd.read_csv(tmp_path / "z.csv"), expected, rtol=1e-6)


def test_files_of_scores_and_columns_that_are_kept(fitted, bad, tmp_path, capsys):
    vae, folder = fitted
    rows = bad.assign(id=[f"{i:03d}" for i in range(8)], note='a "b", c')
    rows.to_csv(tmp_path / "rows.csv", index=False)
    source = str(tmp_path / "rows.csv")
    expected = vae.log_likelihood(bad)
    with pytest.warns(DataWarning, match="6 rows of 8 in .*rows.csv have no probability"):
        written = application.score_to_file(folder, source, tmp_path / "s.csv", keep=["id", "note"])
    assert written.to_json()["outside"] == 6
    found = pd.read_csv(tmp_path / "s.csv", dtype={"id": str})
    assert found.columns.tolist() == [
        "id",
        "note",
        "log_likelihood",
        "standard_error",
        "effective_sample_size",
        "reliable",
    ]
    assert found["id"].tolist() == rows["id"].tolist(), "007 is no 7"
    assert set(found["note"]) == {'a "b", c'}
    assert found["reliable"].dtype == bool
    np.testing.assert_allclose(found["log_likelihood"], expected.log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(found["standard_error"], expected.standard_error, rtol=1e-4, atol=1e-7)

    with pytest.warns(DataWarning):
        application.score_to_file(folder, rows, "-.json", keep=["id"])
    document = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in document] == rows["id"].tolist()
    assert document[1]["log_likelihood"] is None
    assert document[0]["reliable"] is bool(expected.reliable[0])

    fine = rows[~expected.outside]
    with pytest.warns(DataWarning):
        application.reconstruct_to_file(folder, fine, tmp_path / "r.parquet", keep=["id"])
    again = pd.read_parquet(tmp_path / "r.parquet")
    assert again.columns.tolist() == ["id", *COLUMNS]
    assert again["real"].round(2).equals(again["real"]), "as many decimals as in the data"
    with pytest.warns(DataWarning), pytest.raises(DataError, match="column 'real' to keep has the name"):
        application.reconstruct_to_file(folder, fine, tmp_path / "r.csv", keep=["real"])
    with pytest.warns(DataWarning), pytest.raises(DataError, match="columns are kept in tables alone"):
        application.encode_to_file(folder, fine, tmp_path / "z.npy", keep=["id"])
    with pytest.raises(DataError, match="no column 'ids' to keep; did you mean 'id'"):
        application.encode_to_file(folder, fine, tmp_path / "z.csv", keep=["ids"])

    with pytest.warns(DataWarning, match="'note' is not one of the model's"):
        application.encode_to_file(folder, fine, tmp_path / "z.csv", keep=["id"])
    with pytest.warns(DataWarning, match="'id' is not one of the model's: ignored"):
        application.decode_to_file(folder, str(tmp_path / "z.csv"), tmp_path / "x.csv")
    assert pd.read_csv(tmp_path / "x.csv").columns.tolist() == COLUMNS


def test_a_stream_is_scored_block_by_block_with_the_numbers_of_its_rows(fitted, bad, tmp_path, monkeypatch):
    _, folder = fitted
    rows = pd.concat([table(300, seed=4).drop(columns="year"), bad], ignore_index=True)
    rows = rows.assign(id=[f"{i:03d}" for i in range(308)])[["id", "kind", "flag", "count", "real"]]
    rows.to_parquet(tmp_path / "rows.parquet", index=False, row_group_size=20)
    source, options = str(tmp_path / "rows.parquet"), {"keep": ["id"], "samples": 30}
    blocks = []
    take = StoredRows.take
    monkeypatch.setattr(StoredRows, "take", lambda self, rows: blocks.append(len(rows)) or take(self, rows))
    for name, limit in (("whole", None), ("blocks", "20kB")):
        with pytest.warns(DataWarning) as caught:
            application.score_to_file(folder, source, tmp_path / f"{name}.csv", memory_limit=limit, **options)
        told = [str(warning.message) for warning in caught]
        assert any("row 301 (column 'flag' is 3), row 302 (column 'kind' is 'new')" in note for note in told)
        assert any("column 'year' is missing" in note for note in told)
    assert len(blocks) > 5
    assert max(blocks) < 100
    whole, parts = (pd.read_csv(tmp_path / f"{name}.csv", dtype={"id": str}) for name in ("whole", "blocks"))
    assert parts["id"].tolist() == rows["id"].tolist()
    np.testing.assert_allclose(parts["log_likelihood"], whole["log_likelihood"], rtol=1e-4)


def test_rows_that_cannot_be_estimated_well_are_counted_and_named():
    scores = RowScores(
        log_likelihood=np.zeros(3),
        standard_error=np.zeros(3),
        effective_sample_size=np.ones(3),
        pareto_shape=np.ones(3),
        mended=np.array([True, False, False]),
        reliable=np.array([True, False, True]),
        outside=np.zeros(3, dtype=bool),
        samples=100,
        first_row=10,
    )
    tally = ScoreTally().add(scores)
    assert (tally.rows, tally.mended, tally.unreliable, tally.outside) == (3, 1, 1, 0)
    assert tally.outside_note("x.csv") is None
    assert str(tally.unreliable_note("x.csv")).startswith(
        "1 row of 3 in x.csv could not be estimated well with 100 importance samples (reliable is False): row 11, "
    )
    few = RowScores(**{**vars(scores), "samples": 10})
    assert "too few to tell" in str(ScoreTally().add(few).unreliable_note("x.csv"))


def test_the_types_of_a_data_frame_come_back():
    n = 60
    rng = np.random.default_rng(0)
    z = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "price": np.round(100 + 20 * z, 2),
            "kind": pd.Categorical(np.where(z > 0, "b", "a"), categories=["b", "a", "c"], ordered=True),
            "size": pd.Categorical(rng.choice([1, 2, 5], n)),
            "small": np.minimum(rng.poisson(np.exp(1 + 0.5 * z)), 5).astype("int8"),
            "on": z + rng.normal(size=n) > 0,
            "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(np.round(50 * z), unit="D"),
            "at": pd.to_datetime("2020-01-01", utc=True).tz_convert("Europe/Paris")
            + pd.to_timedelta(z, unit="D"),
            "group": rng.choice(["x", "y"], n),
            "float": z.astype("float32"),
            "maybe": pd.array(rng.integers(0, 3, n), dtype="Int16"),
        },
        index=np.arange(n) + 100,
    )
    kinds = {"maybe": "gaussian", "size": "gaussian", "small": "gaussian"}
    vae = VariationalAutoencoder(
        1, network="mlp:hidden=8", epochs=1, random_state=0, condition="group", columns=kinds
    ).fit(frame)
    again = vae.reconstruct(frame[frame.columns[::-1]])
    assert again.index.equals(frame.index)
    assert again.dtypes.equals(frame.drop(columns="group").dtypes)
    made = vae.sample(200, given="data", random_state=0, noise=True)
    assert made.dtypes.equals(frame.dtypes)
    assert made.columns.equals(frame.columns)
    assert (made["price"] == made["price"].round(2)).all()
    assert set(made["size"]) <= {1, 2, 5}
    assert set(made["group"]) == {"x", "y"}
    assert vae.sample(3, given="data", random_state=0, as_frame=False).shape == (3, 9)
    latents = vae.transform(frame)
    assert vae.inverse_transform(latents, given="group=x").dtypes.equals(again.dtypes)


def test_arrays_stay_arrays_and_artifacts_keep_the_types_of_a_data_frame(fitted, tmp_path):
    vae, folder = fitted
    pd.testing.assert_frame_equal(load(folder).sample(5, random_state=0), vae.sample(5, random_state=0))
    numbers = pd.DataFrame(np.random.default_rng(0).integers(0, 9, (40, 3)))
    of_frame = VariationalAutoencoder(1, network="mlp:hidden=8", epochs=1, random_state=0).fit(numbers)
    assert of_frame.sample(2).columns.tolist() == [0, 1, 2]
    of_array = VariationalAutoencoder(1, network="mlp:hidden=8", epochs=1, random_state=0).fit(
        numbers.to_numpy()
    )
    made = of_array.sample(4, random_state=0, noise=True)
    assert made.dtype == np.float64
    as_frame = of_array.sample(4, random_state=0, noise=True, as_frame=True)
    assert as_frame.columns.tolist() == ["x0", "x1", "x2"]
    np.testing.assert_array_equal(as_frame, np.rint(made))
