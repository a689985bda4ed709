"""scikit-learn's face: names of what comes out, data frames, pipelines, and a torch module of rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vaekit
from narrowing import known, untyped
from vaekit import VariationalAutoencoder
from vaekit.application import encode_to_file
from vaekit.data import read
from vaekit.errors import DataError, DataWarning

FAST = {"epochs": 2, "network": "mlp:hidden=8", "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return untyped(load_iris(as_frame=True)).data


@pytest.fixture(scope="module")
def fitted(iris):
    return VariationalAutoencoder(2, **FAST).fit(iris)


def test_names_are_those_of_the_command_line(fitted, tmp_path, iris):
    names = fitted.get_feature_names_out()
    assert list(names) == ["z0", "z1"]
    assert names.dtype == object
    fitted.save(tmp_path / "iris.vae")
    encode_to_file(tmp_path / "iris.vae", iris, tmp_path / "latents.csv")
    assert list(pd.read_csv(tmp_path / "latents.csv").columns) == list(names)
    with pytest.raises(ValueError, match=r"input_features should have length equal .* \(4\), got 3"):
        fitted.get_feature_names_out(["a", "b", "c"])


def test_a_data_frame_comes_out_when_it_is_asked_for(iris, fitted):
    vae = VariationalAutoencoder(2, **FAST).set_output(transform="pandas")
    shuffled = iris.sample(frac=1, random_state=0)
    latents = vae.fit_transform(iris)
    assert isinstance(latents, pd.DataFrame)
    assert list(latents.columns) == ["z0", "z1"]
    assert latents.to_numpy().tobytes() == fitted.transform(iris).tobytes()
    assert vae.transform(shuffled).index.equals(shuffled.index)
    assert isinstance(vae.set_output(transform="default").transform(iris), np.ndarray)


def test_pipelines_and_column_transformers_name_their_columns(iris):
    pipeline = make_pipeline(StandardScaler(), VariationalAutoencoder(2, **FAST)).set_output(
        transform="pandas"
    )
    assert list(pipeline.fit_transform(iris).columns) == ["z0", "z1"]
    assert list(known(pipeline.get_feature_names_out())) == ["z0", "z1"]
    petals = [name for name in iris if "petal" in name]
    columns = ColumnTransformer(
        [("petals", VariationalAutoencoder(2, **FAST), petals)], remainder="passthrough"
    )
    frame = columns.set_output(transform="pandas").fit_transform(iris)
    assert list(untyped(frame).columns)[:2] == ["petals__z0", "petals__z1"]
    assert frame.shape == (150, 4)


def test_the_whole_way_works_where_all_transformers_give_data_frames(iris, tmp_path):
    with sklearn.config_context(transform_output="pandas"):
        result = vaekit.fit_and_prove(
            iris, tmp_path / "iris.vae", estimator=VariationalAutoencoder(2, **FAST), samples=5
        )
        assert "</html>" in result.report.read_text()
        encode_to_file(tmp_path / "iris.vae", iris, tmp_path / "latents.csv")
    assert list(pd.read_csv(tmp_path / "latents.csv").columns) == ["z0", "z1"]


def test_a_loaded_model_knows_the_names_of_its_columns(fitted, iris, tmp_path):
    fitted.save(tmp_path / "iris.vae")
    loaded = vaekit.load(tmp_path / "iris.vae")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded.transform(iris).tobytes() == fitted.transform(iris).tobytes()
        assert loaded.transform(iris.to_numpy()).tobytes() == fitted.transform(iris).tobytes()
    with pytest.raises(DataError, match="unexpected 'another'"):
        loaded.transform(iris.rename(columns={iris.columns[0]: "another"}))


@pytest.mark.parametrize("constant", [False, True])
def test_the_module_takes_and_gives_rows_in_their_units(iris, constant):
    rows = (iris.to_numpy() + np.array([0, 0, 5000, 0])) * [1, 1000, 1, 1e-3]
    if constant:
        rows[:, 1] = 7.0
    vae = VariationalAutoencoder(2, **FAST).fit(rows)
    module, r = vae.to_module(), torch.from_numpy(rows)
    assert module.encode(r).mean.detach().numpy().tobytes() == vae.transform(rows).tobytes()
    np.testing.assert_array_equal(module(r).detach().numpy(), vae.reconstruct(rows))
    z = torch.randn(3, 2)
    np.testing.assert_array_equal(module.decode(z).detach().numpy(), vae.inverse_transform(z))
    scaled = torch.from_numpy(vae.schema_.transform(rows[:3]))
    assert torch.equal(module.log_joint(r[:3], z), vae.model_.log_joint(scaled, z))
    assert {"offset", "scale"} < set(module.state_dict())
    r.requires_grad_()
    module(r).sum().backward()
    assert (known(r.grad)[:, [0, 2, 3]] != 0).any(0).all()


def test_the_module_of_images():
    images = (read("digits").values[:40] * 255).astype(np.uint8)
    vae = VariationalAutoencoder(2, **FAST, likelihood="bernoulli").fit(images)
    module, rows = vae.to_module(), torch.from_numpy(images)
    np.testing.assert_array_equal(module(rows).detach().numpy(), vae.reconstruct(images))
    np.testing.assert_array_equal(module.encode(rows).mean.detach().numpy(), vae.transform(images))


@pytest.mark.parametrize("parts", ["channels", "pixels"])
def test_the_module_of_images_with_constant_parts(parts):
    images = np.stack([read("digits").values[:40, 0]] * 2, 1)
    images[:, 1] = 0.7
    chosen = {"channels": "bernoulli", "pixels": "gaussian"}
    vae = VariationalAutoencoder(2, **FAST, likelihood=chosen[parts]).fit(images)
    assert known(vae.schema_.constant).unit == parts
    module, rows = vae.to_module(), torch.from_numpy(images)
    np.testing.assert_array_equal(module(rows).detach().numpy(), vae.reconstruct(images))
    np.testing.assert_array_equal(module.encode(rows).mean.detach().numpy(), vae.transform(images))


def test_the_module_of_a_table_with_an_empty_column(iris):
    rows = iris.to_numpy().copy()
    rows[:, 2] = np.nan
    with pytest.warns(DataWarning, match="no value at all in x2"):
        vae = VariationalAutoencoder(2, **FAST).fit(rows)
    found = vae.to_module()(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_array_equal(found, vae.reconstruct(rows))
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(found[:, [0, 1, 3]]).all()
