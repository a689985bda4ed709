"""Log-normal and asinh-normal columns: SciPy's densities, moments, samples, encoder, and the file."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, stats

from narrowing import known, untyped
from vaekit import VariationalAutoencoder, load
from vaekit.errors import DataError
from vaekit.likelihoods.transformed_normal import AsinhNormalLikelihood, LogNormalLikelihood
from vaekit.runtime.randomness import seeded

INCOME = np.random.default_rng(0).lognormal(10, 0.7, 600)
RETURNS = 3 + 2 * np.sinh(1.5 * np.random.default_rng(1).normal(size=600))


def learned(part, values):
    likelihood = part((1,)).double()
    likelihood.learn_rows(values[:, None], [])
    return likelihood, likelihood(torch.tensor([0.3], dtype=torch.float64))


def test_the_log_normal_is_scipys():
    _, p = learned(LogNormalLikelihood, INCOME)
    logarithm = np.log(INCOME)
    truth = stats.lognorm(logarithm.std(), scale=np.exp(logarithm.mean() + 0.3 * logarithm.std()))
    x = np.array([1e-30, 100.0, 2e4, 1e9, 1e30])
    found = p.log_prob(torch.from_numpy(x)[:, None]).detach().numpy()
    np.testing.assert_allclose(found, untyped(truth).logpdf(x), rtol=1e-10)
    assert p.mean.item() == pytest.approx(truth.mean())
    assert p.variance.item() == pytest.approx(truth.var())


def test_the_asinh_normal_is_johnsons():
    likelihood, p = learned(AsinhNormalLikelihood, RETURNS)
    mean, scale = p.base_dist.normal.mean.item(), p.base_dist.normal.scale.item()
    truth = stats.johnsonsu(-mean / scale, 1 / scale, likelihood.middle.item(), likelihood.width.item())
    x = np.array([-1e6, -20.0, 2.9, 3.0, 50.0, 1e8])
    found = p.log_prob(torch.from_numpy(x)[:, None]).detach().numpy()
    np.testing.assert_allclose(found, untyped(truth).logpdf(x), rtol=1e-9)
    assert p.mean.item() == pytest.approx(truth.mean())
    assert p.variance.item() == pytest.approx(truth.var())
    total = integrate.quad(lambda v: p.log_prob(torch.tensor([v])).exp().item(), -np.inf, np.inf, limit=400)[
        0
    ]
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("part", "values"), [(LogNormalLikelihood, INCOME), (AsinhNormalLikelihood, RETURNS)]
)
def test_samples_follow_it_and_the_encoder_sees_finite_standardised_numbers(part, values):
    likelihood, p = learned(part, values)
    with seeded(0):
        draws = p.sample(torch.Size((4000,)))
    score = (likelihood.transform(draws)[0] - p.base_dist.normal.mean) / p.base_dist.normal.scale
    assert stats.kstest(score.detach().numpy().ravel(), "norm").pvalue > 1e-3
    seen = likelihood.encoder_input(torch.from_numpy(values)[:, None])
    assert seen.mean().item() == pytest.approx(0, abs=0.05)
    assert seen.std().item() == pytest.approx(1, abs=0.05)
    wild = torch.tensor([[-5.0], [0.0], [1e-20], [1e30]], dtype=torch.float64, requires_grad=True)
    outside = likelihood.encoder_input(wild)
    outside.sum().backward()
    assert outside.isfinite().all()
    assert known(wild.grad).isfinite().all()
    assert (outside.diff(dim=0) >= 0).all()


def test_it_comes_back_from_a_file_and_refuses_what_has_no_logarithm(tmp_path):
    frame = pd.DataFrame({"income": INCOME, "returns": RETURNS, "t": np.where(RETURNS > 3, "a", "b")})
    kinds = {"income": "log-normal", "returns": "asinh-normal"}
    vae = VariationalAutoencoder(1, network="mlp:hidden=8", epochs=2, random_state=0, columns=kinds).fit(
        frame
    )
    assert str(vae.sentence_.likelihood) == "mixed:columns=log-normalxasinh-normalxbernoulli"
    vae.save(tmp_path / "m.vae")
    scores = vae.score_samples(frame, samples=5)
    assert np.array_equal(load(tmp_path / "m.vae").score_samples(frame, samples=5), scores)
    other = VariationalAutoencoder(1, network="mlp:hidden=8", epochs=2, random_state=0, columns=kinds)
    there = frame.assign(income=1000 * frame["income"])
    np.testing.assert_allclose(
        scores - other.fit(there).score_samples(there, samples=5), np.log(1000), atol=1e-2
    )
    signed = frame.assign(income=RETURNS)
    with pytest.raises(DataError, match="log-normal, numbers above 0"):
        VariationalAutoencoder(1, epochs=1, random_state=0, columns=kinds).fit(signed)
