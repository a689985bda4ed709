"""Rows through a model, from Python: the files hold what the estimator returns, and warnings are Python's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from narrowing import untyped
from vaekit import VariationalAutoencoder, application
from vaekit.data import read
from vaekit.errors import DataWarning, UsageError


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    noise = np.random.default_rng(0).normal(
        scale=0.01, size=(150, 4)
    )  # data of few decimals are written in as many
    x = np.c_[untyped(load_iris()).data + noise, np.full(150, 7.0)]
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2, random_state=0).fit(x)
    folder = tmp_path_factory.mktemp("fitted") / "iris.vae"
    vae.save(folder)
    return vae, folder, x


def test_the_files_hold_what_the_estimator_returns(tmp_path, fitted):
    vae, folder, x = fitted
    for function, expected in (
        (application.encode_to_file, vae.transform(x)),
        (application.reconstruct_to_file, vae.reconstruct(x)),
        (application.score_to_file, vae.score_samples(x)[:, None]),
    ):
        written = function(folder, x, tmp_path / "rows.npy")
        assert written.shape == expected.shape
        np.testing.assert_allclose(read(written.path).values, expected, rtol=1e-6)
    latents = vae.transform(x)
    decoded = application.decode_to_file(folder, latents, tmp_path / "decoded.npy")
    np.testing.assert_allclose(read(decoded.path).values, vae.inverse_transform(latents), rtol=1e-6)
    drawn = application.sample_to_file(folder, tmp_path / "drawn.npy", 7, seed=3)
    assert drawn.to_json() == {"output": str(tmp_path / "drawn.npy"), "rows": 7, "shape": [7, 5]}
    np.testing.assert_allclose(read(drawn.path).values, vae.sample(7, random_state=3, noise=True), rtol=1e-6)


def test_a_constant_column_that_changed_is_a_warning_of_python(tmp_path, fitted):
    _, folder, x = fitted
    with pytest.warns(
        DataWarning, match="column 'x4' was constant when the model was fitted, and differs in 1 row"
    ):
        application.encode_to_file(
            folder, np.where(np.arange(150)[:, None] == 3, x + 1, x), tmp_path / "z.csv"
        )


def test_numbers_that_make_no_sense(tmp_path, fitted):
    _, folder, x = fitted
    with pytest.raises(UsageError, match=r"^n_samples=0: "):
        application.sample_to_file(folder, tmp_path / "x.csv", 0)
    with pytest.raises(UsageError, match=r"^samples=0: "):
        application.score_to_file(folder, x, tmp_path / "x.csv", samples=0)


def test_a_data_frame_without_the_label_of_the_fit_is_read(tmp_path):
    frame = pd.DataFrame(untyped(load_iris()).data, columns=list("abcd"))
    frame.assign(kind=["left", "right"] * 75).to_csv(tmp_path / "labelled.csv", index=False)
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0)
    options = {"estimator": vae, "samples": 2, "label": "kind"}
    artifact = application.fit_and_prove(
        str(tmp_path / "labelled.csv"), tmp_path / "m.vae", **options
    ).artifact
    assert application.open_artifact(artifact, frame).dataset.columns == tuple("abcd")
    opened = application.open_artifact(artifact, tmp_path / "labelled.csv")
    assert opened.is_data_of_the_fit
    assert opened.dataset.labels is not None


def test_a_picture_shows_draws_unless_means_are_asked_for(tmp_path):
    from PIL import Image

    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0).fit(read("digits"))
    vae.save(tmp_path / "a.vae")
    shown = {}
    for mean in (False, True):
        application.sample_to_file(tmp_path / "a.vae", tmp_path / "a.png", 1, seed=3, mean=mean)
        shown[mean] = np.asarray(Image.open(tmp_path / "a.png"))
        expected = vae.sample(1, random_state=3, noise=not mean)[0, 0]
        assert np.abs(shown[mean] / 255 - expected).max() <= 0.5 / 255 + 1e-6
    assert not np.array_equal(shown[False], shown[True])


def test_later_pictures_go_the_way_of_those_of_the_fit(tmp_path):
    from PIL import Image

    from vaekit import fit_and_prove, load
    from vaekit.errors import UsageError

    rng = np.random.default_rng(0)
    for i in range(30):
        size = (int(rng.integers(8, 20)), int(rng.integers(8, 20)))
        picture = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for folder in ("first", "later"):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture.convert("RGB" if i % 2 else "RGBA").save(tmp_path / folder / f"{i:02}.png")
    (tmp_path / "later" / "bad.png").write_bytes(b"nothing")
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0)
    options = {"convert": "grey", "resize": (6, 8), "skip_unreadable": True}
    fit_and_prove(str(tmp_path / "first"), tmp_path / "a.vae", estimator=vae, samples=2, **options)
    assert load(tmp_path / "a.vae").schema_.event_shape == (1, 6, 8)
    with pytest.warns(UserWarning, match="1 file of 31 left out, unreadable: 'bad.png'"):
        assert application.encode_to_file(
            tmp_path / "a.vae", tmp_path / "later", tmp_path / "z.npy"
        ).shape == (30, 2)
    with pytest.raises(UsageError, match="the data are in memory"):
        fit_and_prove(np.zeros((9, 1, 4, 4)), tmp_path / "b.vae", estimator=vae, resize=(6, 8))


def test_rows_of_a_conditional_model_are_written_with_their_conditions(tmp_path):
    rng = np.random.default_rng(0)
    kind = rng.choice(["left", "right"], 80)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=80),
            "b": rng.integers(0, 9, 80),
            "kind": kind,
            "year": 2000 + rng.integers(0, 3, 80),
        }
    )
    vae = VariationalAutoencoder(
        2, condition=["kind", "year"], network="mlp:hidden=8", epochs=1, random_state=0
    ).fit(frame)
    vae.save(tmp_path / "m.vae")

    def written(function, *arguments, **options):
        function(tmp_path / "m.vae", *arguments, tmp_path / "out.csv", **options)
        return pd.read_csv(tmp_path / "out.csv")

    rows = written(application.reconstruct_to_file, frame)
    assert list(rows) == ["a", "b", "kind", "year"], "as the data frame of the fit has them"
    for name in ("kind", "year"):
        assert rows[name].tolist() == frame[name].tolist()
    assert list(written(application.reconstruct_to_file, frame, keep=["kind"])) == ["kind", "a", "b", "year"]
    points = vae.transform(frame)
    left = written(application.decode_to_file, points, given={"kind": "left", "year": 2001})
    assert list(left) == ["a", "b", "kind", "year"]
    assert set(left["kind"]) == {"left"}
    assert set(left["year"]) == {2001}
    drawn = written(application.decode_to_file, points, given="data")
    same = drawn[(drawn["kind"] == "left") & (drawn["year"] == 2001)]
    assert 0 < len(same) < 80
    np.testing.assert_allclose(same["a"], left["a"][same.index], rtol=1e-5)
