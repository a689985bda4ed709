"""Tables of a few rows: fitted, or refused in a sentence before training; and a model outlives its evaluation."""

import numpy as np
import pytest
import torch

import vaekit
from vaekit import VariationalAutoencoder, fit_and_prove
from vaekit.application import fit_steps
from vaekit.errors import DataError


def small(**options):
    return VariationalAutoencoder(latent=2, network="mlp:hidden=4", epochs=1, random_state=0, **options)


def table(rows):
    return np.random.default_rng(0).normal(size=(rows, 3))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_too_few_rows_are_refused(rows, tmp_path):
    with pytest.raises(DataError, match=r"at least [23] rows"):
        fit_and_prove(table(rows), tmp_path / "few.vae", estimator=small(), samples=5)
    assert not (tmp_path / "few.vae").exists()


@pytest.mark.parametrize("rows", [4, 5, 7, 11, 30])
def test_few_rows_are_fitted(rows, tmp_path):
    result = fit_and_prove(table(rows), tmp_path / "few.vae", estimator=small(), samples=5)
    assert np.isfinite(result.evaluations["test"].log_likelihood.mean)
    assert vaekit.load(tmp_path / "few.vae").transform(table(2)).shape == (2, 2)


def test_a_model_is_kept_although_its_evaluation_fails(tmp_path, monkeypatch):
    def fails(self, parts):
        raise FloatingPointError("the evaluation failed")

    monkeypatch.setattr(fit_steps.FitSteps, "evaluate", fails)
    with pytest.raises(FloatingPointError) as caught:
        fit_and_prove(table(40), tmp_path / "kept.vae", estimator=small(), samples=5)
    assert "the fitted model is in" in caught.value.__notes__[0]
    assert vaekit.load(tmp_path / "kept.vae").transform(table(2)).shape == (2, 2)


def test_a_seed_beyond_64_bits_is_refused():
    with pytest.raises(vaekit.errors.UsageError, match="at most 64 bits"):
        small().set_params(random_state=2**70).fit(table(30))


def test_fitting_and_loading_under_another_default_type(tmp_path):
    x = table(60)
    model = small().fit(x)
    model.save(tmp_path / "m.vae")
    before = model.score_samples(x[:5])
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(vaekit.load(tmp_path / "m.vae").score_samples(x[:5]), before)
        fitted = small().fit(x)
        assert {p.dtype for p in fitted.model_.parameters()} == {torch.float32}
        assert np.isfinite(fitted.score_samples(x[:5])).all()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
