"""Gaussian mixtures as distributions."""

import numpy as np
import pytest
import torch

from vaekit.gaussian import Gaussian, GaussianMixture
from vaekit.gaussian.exceptions import GaussianError, GaussianShapeError

KINDS = {
    "covariance": {"covariance": np.array([[[1.0, 0.5], [0.5, 2.0]], [[2.0, -0.3], [-0.3, 0.5]], np.eye(2)])},
    "variance": {"variance": np.array([[1.0, 2.0], [0.5, 0.3], [1.0, 1.0]])},
    "scale": {"scale": np.array([1.0, 0.5, 2.0])},
    "factor": {"factor": np.ones((3, 2, 1)), "diagonal": np.ones((3, 2))},
}


def mixture(kind="covariance"):
    means = np.array([[0.0, 0.0], [3.0, 1.0], [-2.0, 4.0]])
    return GaussianMixture(np.array([0.5, 0.3, 0.2]), Gaussian(means, **KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_density_is_the_weighted_sum_and_integrates_to_one(kind):
    f = mixture(kind)
    axis = np.linspace(-20, 20, 401)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    density = np.exp(f.log_prob(grid))
    assert density.sum() * 0.01 == pytest.approx(1, abs=1e-9)
    by_hand = sum(w * np.exp(f.components[i].log_prob(grid)) for i, w in enumerate([0.5, 0.3, 0.2]))
    np.testing.assert_allclose(density, by_hand, rtol=1e-12)
    weighted = density[..., None] * grid * 0.01
    np.testing.assert_allclose(f.mean, weighted.sum((0, 1)), atol=1e-8)
    centred = grid - f.mean
    second = np.einsum("ij,ija,ijb->ab", density * 0.01, centred, centred)
    np.testing.assert_allclose(f.covariance, second, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_moments_of_the_mixture(kind):
    f = mixture(kind)
    n = 100_000
    x = f.sample((n,), generator=torch.Generator().manual_seed(0))
    assert x.shape == (n, 2)
    error = np.sqrt(np.diag(f.covariance) / n)
    assert (np.abs(x.mean(0) - f.mean) < 4 * error).all()
    products = (x - f.mean)[:, :, None] * (x - f.mean)[:, None, :]
    spread = products.std(0) / np.sqrt(n)
    assert (np.abs(products.mean(0) - f.covariance) < 4 * spread).all()
    # E_f log f by its own draws and by another's is the same only if the draws are of f.
    nearest = np.argmin(((x[:, None] - f.components.mean) ** 2).sum(-1), -1)
    assert set(nearest) == {0, 1, 2}


def test_batches_of_mixtures():
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(4, 1, 3, 2, generator=generator, dtype=torch.float64)
    weights = torch.rand(5, 3, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum(-1, keepdim=True)
    f = GaussianMixture(weights, Gaussian(means, scale=torch.ones(3, dtype=torch.float64)))
    assert f.batch_shape == (4, 5)
    x = f.sample((7,), generator=generator)
    assert x.shape == (7, 4, 5, 2)
    single = GaussianMixture(weights[1], Gaussian(means[2, 0], scale=torch.ones(3, dtype=torch.float64)))
    torch.testing.assert_close(f.log_prob(x)[:, 2, 1], single.log_prob(x[:, 2, 1]))
    torch.testing.assert_close(f.mean[2, 1], single.mean)
    torch.testing.assert_close(f.covariance[2, 1], single.covariance)


def test_samples_repeat_with_their_generator_and_keep_the_dtype():
    f = GaussianMixture(torch.tensor([0.5, 0.5]), Gaussian(torch.zeros(2, 3), scale=1.0))
    first, second = (f.sample((5,), generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.dtype == torch.float32
    assert f.log_prob(first).dtype == torch.float32


def test_gradients_reach_weights_and_components():
    raw = torch.tensor([0.2, -0.1], dtype=torch.float64, requires_grad=True)
    means = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)

    def density(raw, means):
        f = GaussianMixture(torch.softmax(raw, -1), Gaussian(means, scale=1.0))
        return f.log_prob(torch.tensor([[0.3], [2.0]], dtype=torch.float64))

    assert torch.autograd.gradcheck(density, (raw, means))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.6], r"weights sum to 1.1; expected 1; try weights / weights.sum"),
        ([1.5, -0.5], "weights holds -0.5"),
        ([np.nan, 1.0], "weights holds nan"),
        ([1.0], "one weight for each component"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(GaussianError, match=message):
        GaussianMixture(weights, Gaussian(np.zeros((2, 1)), scale=1.0))


def test_components_must_be_a_batch():
    with pytest.raises(GaussianShapeError, match="whose last batch dimension counts them"):
        GaussianMixture([1.0], Gaussian(np.zeros(2), scale=1.0))
    with pytest.raises(GaussianShapeError, match=r"expected \(..., 2\)"):
        mixture().log_prob(np.zeros(3))
