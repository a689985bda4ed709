"""The exact evidence, samples where they are needed, and the methods of an evaluation."""

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris

from narrowing import known, untyped
from oracles.linear_gaussian import LinearGaussian
from vaekit import VariationalAutoencoder
from vaekit.application import evaluate_artifact
from vaekit.cli import main
from vaekit.errors import UsageError
from vaekit.evaluation import exact_log_likelihood, log_likelihood
from vaekit.evaluation.allocated_samples import allocated_log_likelihood
from vaekit.runtime.randomness import seeded

IRIS = np.asarray(load_iris(return_X_y=True)[0])


def linear(x=IRIS, **parts):
    specs = {"likelihood": "gaussian", "network": "mlp:hidden=none", **parts}
    return VariationalAutoencoder(2, epochs=20, random_state=0, **specs).fit(x)


@pytest.fixture(scope="module")
def fitted():
    return linear(prior="gaussian")


def test_a_linear_gaussian_model_is_evaluated_exactly():
    truth = LinearGaussian.random(columns=5, latent=3)
    x = truth.draw(20)
    found = exact_log_likelihood(truth.vae(exact=False), x)
    assert float((found - truth.log_evidence(x)).abs().max()) < 1e-12


def test_in_the_units_of_the_data_by_an_independent_formula(fitted):
    """The moments of draws in the units of the data, put together by numpy alone."""
    model, schema = fitted.model_.double(), fitted.schema_
    basis = np.vstack([np.zeros(2), np.eye(2)])
    with torch.no_grad():
        decoded = model.decode(torch.from_numpy(basis)).mean.numpy()
        prior = model.prior()
        spread = schema.inverse(np.ones((1, 4))) - schema.inverse(np.zeros((1, 4)))
        noise = model.decode(torch.zeros(1, 2).double()).variance.numpy()[0] * spread[0] ** 2
    decoded = schema.inverse(decoded)
    weight = (decoded[1:] - decoded[0]).T
    mean = decoded[0] + weight @ prior.mean.detach().numpy()
    covariance = weight @ prior.covariance_matrix.detach().numpy() @ weight.T + np.diag(noise)
    expected = multivariate_normal(mean, covariance).logpdf(IRIS)
    found = exact_log_likelihood(model, torch.from_numpy(schema.transform(IRIS)).double())
    model.float()
    assert np.abs(found.numpy() - expected).max() < 1e-5  # the scaled rows are float32


def test_missing_cells_are_integrated_out():
    x = IRIS.copy()
    x[::3, 1], x[::5, 2], x[7] = np.nan, np.nan, np.nan
    vae = linear(x)
    rows = vae.fitted_model().to_model(x)
    exact = exact_log_likelihood(vae.model_, rows)
    with seeded(0):
        sampled = log_likelihood(vae.model_, rows, samples=4000)
    assert exact[7] == 0
    assert float((exact - sampled.values).abs().max()) < 0.1
    assert abs(float((exact - sampled.values).mean())) < 0.01


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"network": "mlp:hidden=4"}, "no affine map"),
        ({"network": "mlp:hidden=4,activation=relu"}, "no affine map"),
        ({"likelihood": "gaussian:scale=per-example"}, "noise depends on z"),
        ({"likelihood": "laplace"}, "not gaussian"),
        ({"likelihood": "student-t"}, "not gaussian"),
        ({"prior": "gmm:components=2"}, "no Gaussian"),
        ({"posterior": "quantized:codes=4"}, "real numbers"),
    ],
)
def test_other_models_are_refused_with_the_reason(parts, reason):
    with pytest.raises(UsageError, match=f"{reason}.*method='annealed'"):
        linear(**parts).evaluate(IRIS[:9], samples=2, method="exact")


def test_an_unknown_method_is_refused(fitted):
    with pytest.raises(UsageError, match="did you mean 'annealed'"):
        fitted.evaluate(IRIS, samples=2, method="anealed")


def test_three_methods_agree(fitted):
    found = {
        m: fitted.evaluate(IRIS[:40], samples=2000, method=m) for m in ("importance", "annealed", "exact")
    }
    means = {method: result.log_likelihood.mean for method, result in found.items()}
    assert max(means.values()) - min(means.values()) < 0.03
    assert found["importance"].importance is None
    for method in ("annealed", "exact"):
        assert known(found[method].importance).mean == pytest.approx(means["importance"], abs=0.03)
    annealing = known(found["annealed"].annealing)
    assert annealing.simulated == 40
    assert abs(annealing.gap.mean) < 0.05
    assert found["annealed"].to_json()["annealing"]["gap"]["mean"] == annealing.gap.mean


def test_more_samples_only_where_they_are_needed():
    """Half of the rows have exact posteriors, and the others very wide ones."""
    truth = LinearGaussian.random(columns=4, latent=2)
    model = truth.vae(exact=False)
    x = truth.draw(400)
    encode, wide = model.encode, torch.arange(400) % 2 == 1

    def other(rows, c=None):
        q = encode(rows, c)
        exact = truth.posterior_covariance
        mine = wide[[int((x == row).all(1).nonzero()[0, 0]) for row in rows]]
        size = torch.where(mine, 25.0, 1.0).double()[:, None, None]
        mean = (rows - truth.mean) @ truth.posterior_map.T
        return torch.distributions.MultivariateNormal(mean, size * exact).expand(q.batch_shape)

    untyped(model).encode = other
    with seeded(0):
        found = allocated_log_likelihood(model, x, error=0.05, most=6400)
    assert set(found.samples[~wide].tolist()) == {100}
    assert float(found.samples[wide].double().mean()) > 1000
    assert found.draws == 100 * 400 + int(found.samples.sum())
    assert found.saving == pytest.approx(1 - found.draws / (400 * 6400))
    off = found.likelihood.values - truth.log_evidence(x)
    assert float(off[~wide].abs().max()) < 1e-9
    assert abs(float(off[wide].mean())) < 4 * 0.05 / sqrt(200)
    assert float(found.likelihood.standard_error.max()) < 0.12


def test_automatic_samples_in_an_evaluation(fitted):
    found = fitted.evaluate(IRIS, samples="auto")
    assert found.samples in (100, 400, 1600, 6400)
    assert 200 * len(IRIS) <= known(found.draws) < 6500 * len(IRIS)
    assert found.log_likelihood.mean == pytest.approx(
        fitted.evaluate(IRIS, samples=3000).log_likelihood.mean, abs=0.02
    )


def test_the_command_line_says_what_was_done(tmp_path, capsys, fitted):
    path = tmp_path / "iris.vae"
    fitted.save(path)
    np.save(tmp_path / "x.npy", IRIS)
    for arguments, words in (
        (["--method", "exact"], "exact: the model is linear-Gaussian"),
        (["--method", "annealed", "--rows", "20"], "gap of upper and lower bound in 20 rows"),
        (["--samples", "auto"], "as many as each example needs"),
    ):
        assert main(["evaluate", str(path), str(tmp_path / "x.npy"), *arguments]) == 0
        assert words in capsys.readouterr().out
    assert main(["evaluate", str(path), str(tmp_path / "x.npy"), "--rows", "0"]) == 2
    assert "--rows 0: give a whole number" in capsys.readouterr().err


def test_some_rows_are_chosen_by_the_seed(tmp_path, fitted):
    path = tmp_path / "iris.vae"
    fitted.save(path)
    found = [
        evaluate_artifact(path, IRIS, samples=5, rows=30, seed=seed).evaluation.log_likelihood.mean
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]
