"""The scikit-learn face."""

from dataclasses import fields
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import vaekit
from narrowing import untyped
from vaekit import VariationalAutoencoder
from vaekit.data import read
from vaekit.errors import DataError, TrainingWarning, UsageError
from vaekit.language.settings import TrainingOptions
from vaekit.likelihoods import StudentTLikelihood
from vaekit.priors import GaussianMixturePrior, GaussianPrior

FAST = {"epochs": 3, "network": "mlp:hidden=16", "random_state": 0}


@parametrize_with_checks([VariationalAutoencoder(2, epochs=5, network="mlp:hidden=16")])
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    return untyped(load_iris()).data


@pytest.fixture(scope="module")
def fitted(iris):
    return VariationalAutoencoder(2, **FAST).fit(iris)


def test_the_same_seed_gives_the_same_bytes(iris, fitted):
    again = VariationalAutoencoder(2, **FAST).fit(iris)
    for name, value in fitted.model_.state_dict().items():
        assert torch.equal(value, again.model_.state_dict()[name]), name
    assert fitted.transform(iris).tobytes() == again.transform(iris).tobytes()
    other = VariationalAutoencoder(2, **{**FAST, "random_state": 1}).fit(iris)
    assert fitted.transform(iris).tobytes() != other.transform(iris).tobytes()


def test_fitting_leaves_the_global_generator_alone(iris):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    VariationalAutoencoder(2, **FAST).fit(iris).score_samples(iris)
    assert torch.equal(torch.rand(3), expected)


def test_encode_and_score_give_the_same_bytes_twice_and_whatever_the_company(iris, fitted):
    assert fitted.transform(iris).tobytes() == fitted.transform(iris).tobytes()
    scores = fitted.score_samples(iris)
    assert scores.tobytes() == fitted.score_samples(iris).tobytes()
    order = np.random.default_rng(0).permutation(len(iris))
    np.testing.assert_allclose(fitted.score_samples(iris[order]), scores[order], rtol=1e-5)
    np.testing.assert_allclose(fitted.score_samples(iris[3:4]), scores[3:4], rtol=1e-5)


@pytest.mark.parametrize("network", ["mlp:hidden=16", "mlp:hidden=none"])
def test_multiplying_a_column_by_1000_moves_the_log_likelihood_by_log_1000(iris, network):
    options = {**FAST, "network": network, "epochs": 20}
    plain = VariationalAutoencoder(2, **options).fit(iris).score_samples(iris)
    scaled = iris * [1, 1000, 1, 1]
    moved = VariationalAutoencoder(2, **options).fit(scaled).score_samples(scaled)
    np.testing.assert_allclose(plain - moved, np.log(1000), atol=1e-3)


def test_units_come_back(iris, fitted):
    assert fitted.reconstruct(iris).shape == iris.shape
    np.testing.assert_allclose(
        fitted.inverse_transform(fitted.transform(iris)), fitted.reconstruct(iris), rtol=1e-4
    )
    draws = fitted.sample(500, random_state=0, noise=True)
    assert np.abs(draws.mean(0) - iris.mean(0)).max() < 0.6
    assert draws.tobytes() == fitted.sample(500, random_state=0, noise=True).tobytes()
    assert draws.tobytes() != fitted.sample(500, random_state=1, noise=True).tobytes()
    assert fitted.sample(1).tobytes() != fitted.sample(1).tobytes()


def test_a_linear_vae_reaches_the_exact_maximum_of_probabilistic_pca():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 3)) @ rng.normal(size=(3, 8)) + 0.5 * rng.normal(size=(1000, 8)) + 2
    vae = VariationalAutoencoder(
        3, network="mlp:hidden=none", likelihood="gaussian", epochs=400, batch_size=200,
        learning_rate=5e-3, patience=None, random_state=0,
    )  # fmt: skip
    standardised = (x - x.mean(0)) / x.std(0)
    vae.fit(standardised)
    exact = PCA(3).fit(standardised).score(standardised)
    found = vae.evaluate(standardised, samples=200)
    assert found.log_likelihood.mean == pytest.approx(exact, abs=0.01)
    assert found.elbo.mean < exact + 0.01


def test_images_tensors_frames_and_datasets(iris):
    import pandas as pd

    options = {**FAST, "epochs": 1}
    images = read("digits").values[:64]
    vae = VariationalAutoencoder(2, **{**options, "network": "convolutional:channels=4,hidden=8"})
    assert vae.fit(torch.from_numpy(images)).sample(2).shape == (2, 1, 8, 8)
    assert vae.sentence_.likelihood.kind == "discretized-logistic"
    assert "grey" in vae.likelihood_reason_
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.arange(64))
    assert VariationalAutoencoder(2, **options).fit(pairs).transform(images).shape == (64, 2)
    frame = pd.DataFrame(iris, columns=list("abcd"))
    vae = VariationalAutoencoder(2, **options).fit(frame)
    assert vae.schema_.column_names == tuple("abcd")
    assert list(untyped(vae).feature_names_in_) == list("abcd")


def test_uint8_images_are_scaled():
    images = (read("digits").values[:64] * 255).astype(np.uint8)
    vae = VariationalAutoencoder(2, **FAST, likelihood="bernoulli").fit(images)
    assert vae.schema_.transform(images).max() <= 1
    assert vae.reconstruct(images).max() > 1


def test_grid_search_and_pipeline(iris):
    search = GridSearchCV(
        VariationalAutoencoder(2, **FAST), {"latent": [1, 2], "objective": ["elbo", "elbo:beta=4"]}, cv=2
    ).fit(iris)
    assert np.isfinite(search.best_score_)
    pipeline = make_pipeline(MinMaxScaler(), VariationalAutoencoder(2, **FAST)).fit(iris)
    assert pipeline.transform(iris).shape == (150, 2)
    assert np.isfinite(pipeline.score(iris))


def test_partial_fit_goes_on_from_where_it_was(iris):
    vae = VariationalAutoencoder(2, **FAST, batch_size=16)
    scores = []
    for _ in range(20):
        vae.partial_fit(iris)
        scores.append(vae.history_.epochs[-1].train_bound)
    assert scores[-1] > scores[0] + 0.3
    assert [epoch.epoch for epoch in vae.history_.epochs] == list(range(1, 21))


@pytest.mark.parametrize("rows", [2, 3, 17, 129])
def test_any_number_of_rows_works_a_last_batch_of_one_included(iris, rows):
    vae = VariationalAutoencoder(2, **{**FAST, "batch_size": 128})
    with pytest.warns(TrainingWarning, match="one batch is all of them"):
        vae.fit(np.tile(iris, (2, 1))[:rows])
    assert np.isfinite(vae.history_.epochs[-1].train_bound)


def test_a_constant_column_is_left_out_and_said(iris):
    x = np.c_[iris, np.full(150, 7.0)]
    vae = VariationalAutoencoder(2, **FAST).fit(x)
    assert vae.schema_.constant_columns == ("x4",)
    assert np.isfinite(vae.score_samples(x)).all()
    assert (vae.reconstruct(x)[:, 4] == 7).all()


def test_save_and_load_give_the_same_bytes(tmp_path, iris, fitted):
    fitted.save(tmp_path / "iris.vae")
    loaded = vaekit.load(tmp_path / "iris.vae")
    assert loaded.transform(iris).tobytes() == fitted.transform(iris).tobytes()
    assert loaded.score_samples(iris).tobytes() == fitted.score_samples(iris).tobytes()
    assert loaded.sample(5, random_state=3).tobytes() == fitted.sample(5, random_state=3).tobytes()
    assert untyped(clone(loaded)).fit(iris).transform(iris).tobytes() == fitted.transform(iris).tobytes()


@pytest.mark.parametrize(
    "parameters",
    [
        {"latent": 0},
        {"latent": 2.5},
        {"epochs": 0},
        {"batch_size": -1},
        {"learning_rate": -1e-3},
        {"patience": 0},
        {"network": "mpl"},
        {"likelihood": "gaussian:scle=fixed"},
        {"device": "tpu"},
    ],
)
def test_parameters_that_make_no_sense(iris, parameters):
    with pytest.raises(UsageError):
        VariationalAutoencoder(**{**FAST, **parameters}).fit(iris)


def test_data_that_do_not_fit_the_likelihood(iris):
    with pytest.raises(DataError, match=r"bernoulli accepts .* run from 0.1 to 7.9; .*gaussian"):
        VariationalAutoencoder(2, **FAST, likelihood="bernoulli").fit(iris)


def test_later_data_that_do_not_fit(iris, fitted):
    with pytest.raises(ValueError, match="features"):
        fitted.transform(iris[:, :3])
    with pytest.raises(DataError, match=r"latents have shape \(3, 5\)"):
        fitted.inverse_transform(np.zeros((3, 5)))
    with pytest.raises(DataError, match="NaN"):
        fitted.inverse_transform([[np.nan, 0]])
    with pytest.raises(UsageError, match="n_samples=0"):
        fitted.sample(0)


def test_the_training_options_are_parameters_with_the_same_defaults():
    parameters = VariationalAutoencoder().get_params()
    for option in fields(TrainingOptions):
        assert parameters[option.name] == option.default, option.name


def test_parts_may_be_classes_and_partials_of_classes(tmp_path, iris):
    parts = {"prior": GaussianPrior, "likelihood": partial(StudentTLikelihood, scale="per-dimension")}
    vae = VariationalAutoencoder(2, **FAST, **parts).fit(iris)
    named = VariationalAutoencoder(
        2, **FAST, prior="gaussian", likelihood="student-t:scale=per-dimension"
    ).fit(iris)
    assert vae.sentence_ == named.sentence_
    assert vae.transform(iris).tobytes() == named.transform(iris).tobytes()
    assert untyped(clone(vae)).fit(iris).transform(iris).tobytes() == named.transform(iris).tobytes()
    vae.fit_prior(partial(GaussianMixturePrior, components=2), iris).save(tmp_path / "a.vae")
    assert str(vaekit.load(tmp_path / "a.vae").sentence_.prior) == "gmm:components=2"
