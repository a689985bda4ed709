"""Files larger than the memory limit, from the command line."""

import json

import numpy as np
import pytest

from vaekit.cli import main
from vaekit.data import read
from vaekit.estimator import load


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", (rng.normal(size=(900, 2)) @ rng.normal(size=(2, 6))).astype(">f4") + 3)
    return folder


def run(capsys, *arguments):
    status = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out, err


def test_fit_says_its_plan_and_the_verbs_write_what_they_would_from_memory(capsys, place):
    options = ("--network", "mlp:hidden=8", "--latent", 2, "--epochs", 2, "--samples", 3)
    model, limit = place / "x.vae", ("--memory-limit", "30kB")
    out, err = run(capsys, "fit", place / "x.npy", "-o", model, "--json", *options, *limit)
    assert "rows are read as they are needed" in err
    assert "shuffled in windows of" in err
    assert json.loads(out)["test"]["baselines"] == []
    for verb, ending in (("encode", "npy"), ("reconstruct", "csv"), ("encode", "csv")):
        there, here = place / f"there.{ending}", place / f"here.{ending}"
        said = [
            run(capsys, verb, model, place / "x.npy", "-o", path, *more)[0]
            for path, more in ((there, limit), (here, ()))
        ]
        assert said[0].replace("there", "here") == said[1]
        # blocks of other sizes: the last digits of float32 differ
        np.testing.assert_allclose(read(there).values, read(here).values, rtol=1e-5, atol=1e-5)
    assert "too many to be read" in run(capsys, "evaluate", model, place / "x.npy", "--samples", 3, *limit)[0]


def test_samples_by_blocks_are_the_samples(capsys, place, monkeypatch):
    monkeypatch.setattr("vaekit.runtime.rows.ROWS_AT_ONCE", 64)
    model = place / "s.vae"
    run(
        capsys,
        "fit",
        place / "x.npy",
        "-o",
        model,
        "--network",
        "mlp:hidden=8",
        "--epochs",
        1,
        "--samples",
        1,
    )
    run(capsys, "sample", model, "-n", 150, "-o", place / "s.npy", "--seed", 4)
    whole = load(model).sample(150, random_state=4, noise=True)
    np.testing.assert_array_equal(np.load(place / "s.npy"), whole)
    assert len({len(block) for block in load(model).sample_blocks(150)}) == 2


def test_an_infinite_value_in_the_middle_is_named(capsys, place):
    x = np.load(place / "x.npy")
    x[455, 2] = np.inf
    np.save(place / "bad.npy", x)
    assert main(["fit", str(place / "bad.npy"), "-o", str(place / "bad.vae"), "--memory-limit", "30kB"]) == 3
    assert "row 455 (counted from 0), column 'x2', is infinite" in capsys.readouterr().err


def test_a_column_cannot_be_a_condition(capsys, place):
    arguments = ["fit", place / "x.npy", "-o", place / "z.vae", "--memory-limit", "30kB", "--condition", "x1"]
    assert main([*map(str, arguments)]) == 3
    assert "cannot have conditions among their columns" in capsys.readouterr().err


def test_a_limit_that_is_no_size(capsys, place):
    assert main(["fit", str(place / "x.npy"), "-o", str(place / "y.vae"), "--memory-limit", "lots"]) == 2
    assert "give a size such as 2GB" in capsys.readouterr().err


def test_a_parquet_with_text_is_fitted_and_encoded_by_row_groups(capsys, place):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    x = np.load(place / "x.npy").astype(float)
    frame = pandas.DataFrame(x[:, :3], columns=["a", "b", "c"])
    frame["kind"] = np.where(x[:, 3] > 3, "high", "low")
    frame["class"] = np.where(x[:, 4] > 3, "right", "left")
    frame.to_parquet(place / "t.parquet", row_group_size=25)
    frame[["kind", "c", "b", "a"]].to_parquet(place / "turned.parquet", row_group_size=25)
    model, limit = place / "t.vae", ("--memory-limit", "20kB")
    options = ("--network", "mlp:hidden=8", "--latent", 2, "--epochs", 2, "--samples", 3, "--label", "class")
    out, err = run(capsys, "fit", place / "t.parquet", "-o", model, "--json", *options, *limit)
    plan = json.loads(out)["plan"]
    assert plan["pieces"] > 1
    assert f"windows of {plan['window']}" in err
    assert json.loads(out)["likelihood"].startswith("mixed")
    codes = []
    for name, more in (("t", limit), ("t", ()), ("turned", limit)):
        run(capsys, "encode", model, place / f"{name}.parquet", "-o", place / "codes.npy", *more)
        codes.append(np.load(place / "codes.npy"))
    for other in codes[1:]:
        np.testing.assert_allclose(other, codes[0], rtol=1e-5, atol=1e-5)


def test_the_plan_is_said_and_printed_for_data_in_memory_too(capsys, place):
    out, err = run(capsys, "fit", "digits", "-o", place / "d.vae", "--json", "--epochs", 1, "--samples", 1)
    plan = json.loads(out)["plan"]
    assert "1,451 training rows in memory; about" in err
    assert plan["window"] is None
    assert plan["memory_bytes"] > 10**8
    assert 0 < plan["seconds_per_epoch"] < 60


def test_a_folder_of_pictures_is_fitted_and_scored_where_it_is(capsys, place, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr("vaekit.data.picture_decoding._processors", lambda: 2)
    rng = np.random.default_rng(1)
    for i in range(300):
        folder = place / "pictures" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).save(folder / f"{i:03}.png")
    model, limit = place / "p.vae", ("--memory-limit", "30kB")
    options = ("--network", "mlp:hidden=8", "--latent", 2, "--epochs", 2, "--samples", 3)
    _, err = run(capsys, "fit", place / "pictures", "-o", model, "--json", *options, *limit)
    assert "are read as they are needed, shuffled in windows of" in err
    there, here = place / "there.npy", place / "here.npy"
    run(capsys, "score", model, place / "pictures", "-o", there, "--samples", 5, *limit)
    run(capsys, "score", model, place / "pictures", "-o", here, "--samples", 5)
    np.testing.assert_allclose(np.load(there), np.load(here), rtol=1e-5)
