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
