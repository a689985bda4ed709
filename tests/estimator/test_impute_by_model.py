"""Holes filled by a model: against exact conditionals, in the types of the data, of tables and of images."""

from math import sqrt

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from narrowing import untyped
from vaekit import VariationalAutoencoder
from vaekit.conformance.linear_gaussian import LinearGaussian
from vaekit.data import from_object
from vaekit.errors import DataWarning, UsageError
from vaekit.evaluation.conditional_cells import conditional_cells
from vaekit.likelihoods import GaussianLikelihood, MixedLikelihood, ObservedCells
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.runtime.randomness import seeded
from vaekit.vae import VAE

SMALL = {"latent": 2, "network": "mlp:hidden=16", "random_state": 0}


def linear_gaussian_vae(truth: LinearGaussian) -> VAE:
    """A VAE whose decoder is the truth, and whose encoder knows nothing of it."""
    likelihood = ObservedCells(GaussianLikelihood((truth.columns,), scale="fixed", value=truth.scale))
    decoder = nn.Linear(truth.latent, truth.columns).double()
    decoder.weight.data, decoder.bias.data = truth.weight, truth.mean
    encoder = nn.Sequential(likelihood.encoder_input, nn.Linear(truth.columns, 2 * truth.latent)).double()
    return VAE(
        encoder, DiagonalPosterior(truth.latent), StandardPrior((truth.latent,)), decoder, likelihood
    ).double()


# of a narrow likelihood neither encoder nor prior finds the posterior: rows get proposals of their own
@pytest.mark.parametrize(("scale", "samples"), [(0.5, 20_000), (0.01, 2000)])
def test_means_and_draws_are_those_of_the_exact_gaussian(scale, samples):
    truth = LinearGaussian.random(columns=5, latent=2, scale=scale)
    x = truth.draw(6)
    holes = torch.tensor(np.random.default_rng(0).random((6, 5)) < 0.5)
    holes[0], holes[1] = True, torch.tensor([True, True, False, True, True])
    with seeded(0):
        found = conditional_cells(
            linear_gaussian_vae(truth), x.masked_fill(holes, torch.nan), samples=samples, draws=4000
        )
    covariance = truth.weight @ truth.weight.T + truth.scale**2 * torch.eye(5, dtype=torch.float64)
    for i, mis in enumerate(holes):
        gain = covariance[mis][:, ~mis] @ torch.linalg.inv(covariance[~mis][:, ~mis])
        mean = truth.mean[mis] + gain @ (x[i, ~mis] - truth.mean[~mis])
        exact = covariance[mis][:, mis] - gain @ covariance[~mis][:, mis]
        error = 4 * (exact.diagonal() / found.effective_sample_size[i]).sqrt()
        assert (found.expected[i, mis] - mean).abs().le(error).all()
        drawn = found.drawn[:, i, mis]
        spread = exact.diagonal()[:, None] * exact.diagonal() + exact.square()
        n = min(4000.0, float(found.effective_sample_size[i]))
        assert (torch.cov(drawn.T).reshape(exact.shape) - exact).abs().le(5 * (spread / n).sqrt()).all()
        assert found.effective_sample_size[i] > 200


class Table(nn.Module):
    """A decoder that says one thing where z is above 0, and another below."""

    def __init__(self, above: list[float], below: list[float]) -> None:
        super().__init__()
        self.above, self.below = torch.tensor(above), torch.tensor(below)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.where(z > 0, self.above, self.below)


def two_sided(likelihood: MixedLikelihood, above: list[float], below: list[float]) -> VAE:
    observed = ObservedCells(likelihood)
    encoder = nn.Sequential(observed.encoder_input, nn.LazyLinear(2))
    encoder(torch.zeros(1, *likelihood.event_shape))
    return VAE(encoder, DiagonalPosterior(1), StandardPrior((1,)), Table(above, below), observed)


def test_a_category_is_the_most_probable_one_over_all_latents():
    # above: .4 .6 0, below: .4 0 .6, and so .4 .3 .3 in all, though no latent says that the first is the most probable
    above, below = torch.tensor([0.4, 0.6, 1e-9]).log(), torch.tensor([0.4, 1e-9, 0.6]).log()
    likelihood = MixedLikelihood((2,), columns=("categorical3", "categorical2"))
    model = two_sided(likelihood, [*above.tolist(), 3.0, -3.0], [*below.tolist(), -3.0, 3.0])
    with seeded(0):
        found = conditional_cells(
            model, torch.tensor([[torch.nan, torch.nan], [torch.nan, 0.0]]), samples=4000, draws=4000
        )
    assert found.expected[0, 0] == 0  # of a row of which nothing is known
    assert found.expected[1, 0] == 1  # the second column says that z is above 0
    shares = [(found.drawn[:, 0, 0] == k).double().mean().item() for k in range(3)]
    assert shares == pytest.approx([0.4, 0.3, 0.3], abs=5 * sqrt(0.25 / 2000))


def test_of_independent_columns_every_cell_is_the_marginal():
    likelihood = MixedLikelihood((3,), columns=("bernoulli", "poisson", "categorical2"))
    features = [0.5, 1.0, 0.0, 2.0]
    model = two_sided(likelihood, features, features)
    with seeded(0):
        found = conditional_cells(model, torch.tensor([[1.0, torch.nan, torch.nan]]), samples=500, draws=5000)
    p = model.decode(torch.zeros(1, 1))
    assert found.expected[0, 1].item() == pytest.approx(p.mean[0, 1].item(), rel=1e-5)
    assert found.expected[0, 2] == 1
    assert found.drawn[:, 0, 1].mean().item() == pytest.approx(p.mean[0, 1].item(), rel=0.05)
    assert found.effective_sample_size.item() > 450


def correlated(n: int = 300) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    a = generator.normal(size=n)
    return pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "a": a.astype(np.float32),
            "b": np.round(2 * a + 0.2 * generator.normal(size=n), 2),
            "kind": pd.Categorical(np.where(a > 0, "up", "down")),
            "count": pd.array(generator.poisson(np.exp(a / 2 + 2)), dtype="Int32"),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.rint(10 * a), unit="D"),
        },
        index=range(1000, 1000 + n),
    )


@pytest.fixture(scope="module")
def fitted():
    frame = correlated()
    vae = VariationalAutoencoder(epochs=60, **SMALL).fit(frame)
    holes = np.random.default_rng(1).random(frame.shape) < 0.25
    holes[:, 0] = False
    holes[5, 1:] = True
    return frame, vae, frame.mask(holes), holes


def test_data_frames_keep_their_types_and_their_other_cells(fitted):
    frame, vae, holed, holes = fitted
    filled = vae.impute(holed, samples=100)
    assert filled.dtypes.equals(holed.dtypes)
    assert filled.index.equals(holed.index)
    assert not filled.isna().to_numpy().any()
    for j, name in enumerate(holed):
        assert filled[name][~holes[:, j]].tolist() == holed[name][~holes[:, j]].tolist()
    error = (filled["b"] - frame["b"])[holes[:, 2]].to_numpy()
    assert np.sqrt(np.square(error).mean()) < 0.6 * frame["b"].std()
    assert (filled["kind"] == frame["kind"])[holes[:, 3]].mean() > 0.8
    assert (filled["day"].dt.normalize() == filled["day"]).all()


def test_draws_are_tables_and_the_same_again(fitted):
    _, vae, holed, _ = fitted
    first, second = vae.impute(holed, draws=2, samples=100)
    assert not first.equals(second)
    assert first.dtypes.equals(holed.dtypes)
    again = vae.impute(holed, draws=2, samples=100)
    assert first.equals(again[0])
    assert second.equals(again[1])
    other = vae.impute(holed, draws=1, samples=100, random_state=5)[0]
    assert not other.equals(first)


def test_arrays_come_back_as_arrays():
    x = np.random.default_rng(0).normal(size=(100, 1)) * [1.0, 2.0, 3.0]
    vae = VariationalAutoencoder(epochs=5, **SMALL).fit(x)
    holed = x.copy()
    holed[3, 1] = np.nan
    filled = vae.impute(holed, samples=50)
    assert filled.shape == x.shape
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(np.delete(filled, 3, 0), np.delete(x, 3, 0))
    assert vae.impute(x, samples=50).tolist() == x.tolist()
    assert vae.impute(from_object(holed), samples=50)[3, 1] == filled[3, 1]
    codes = VariationalAutoencoder(posterior="quantized:codes=8", epochs=1, **SMALL).fit(x)
    assert np.isfinite(codes.impute(holed, draws=2, samples=50)).all()


def test_conditions_are_respected():
    label = np.arange(200) % 2
    x = 6.0 * label[:, None] + np.random.default_rng(0).normal(size=(200, 3))
    vae = VariationalAutoencoder(condition="labels", epochs=40, **SMALL).fit(x, label)
    nothing = np.full((2, 3), np.nan)
    filled = vae.impute(nothing, conditions=[0, 1], samples=200)
    assert np.abs(filled - [[0], [6]]).max() < 1


def test_missing_pixels_of_images_are_filled():
    digits = untyped(load_digits()).images[:, None] / 16
    vae = VariationalAutoencoder(8, network="mlp:hidden=64", epochs=15, random_state=0).fit(digits[:1500])
    new = digits[1500:1560].copy()
    holes = np.zeros(new.shape, dtype=bool)
    holes[:, :, 4:6] = True
    holed = np.where(holes, np.nan, new)
    filled = vae.impute(holed, samples=1000)
    assert filled.shape == new.shape
    np.testing.assert_array_equal(filled[~holes], new[~holes])
    of_mean = np.square(digits[:1500].mean(0)[:, 4:6] - new[:, :, 4:6]).mean()
    assert np.square(filled - new)[holes].mean() < 0.75 * of_mean
    colours = np.repeat(holed[:3, 0, :, :, None], 3, 3)
    rgb = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0)
    rgb.fit(np.repeat(digits[:50, 0, :, :, None], 3, 3) * [1.0, 0.5, 1.0])
    filled = rgb.impute(colours)
    assert filled.shape == (3, 8, 8, 3)
    assert np.isfinite(filled).all()


def test_what_cannot_be_is_told(fitted):
    _, vae, holed, _ = fitted
    with pytest.raises(UsageError, match="draws=0: give a whole number of at least 1"):
        vae.impute(holed, draws=0)
    with pytest.raises(UsageError, match="samples=1: give a whole number of at least 2"):
        vae.impute(holed, samples=1)
    with pytest.warns(DataWarning, match="effective importance samples of 6"):
        vae.impute(holed, samples=6)
