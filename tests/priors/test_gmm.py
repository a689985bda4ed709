"""The full-covariance mixture: exactly the one that was fitted."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from vaekit.errors import DataError, UsageError
from vaekit.priors import GaussianMixturePrior
from vaekit.runtime.randomness import seeded


def draws(n=3000):
    rng = np.random.default_rng(0)
    near = rng.multivariate_normal([2, 0, 1], [[1, 0.8, 0], [0.8, 1, -0.3], [0, -0.3, 0.4]], size=n // 3)
    far = rng.multivariate_normal([-30, 5, 0], [[4, 0, 1], [0, 0.01, 0], [1, 0, 2]], size=n - n // 3)
    return np.concatenate([near, far])


@pytest.fixture(scope="module")
def fitted():
    prior = GaussianMixturePrior((3,), components=4).double()
    prior.fit_draws(torch.from_numpy(draws()), seed=3)
    return prior


def test_it_scores_as_the_mixture_it_was_taken_from(fitted):
    truth = GaussianMixture(4, reg_covar=0.0, max_iter=500, random_state=3).fit(draws())
    points = draws(300) + np.random.default_rng(1).normal(size=(300, 3))
    found = fitted().log_prob(torch.from_numpy(points)).detach().numpy()
    np.testing.assert_allclose(found, truth.score_samples(points), rtol=1e-10, atol=1e-10)


def test_log_prob_is_that_of_its_components_by_another_implementation(fitted):
    p = fitted()
    weights, normal = p.mixture_distribution.probs.detach().numpy(), p.component_distribution
    means, covariances = normal.mean.detach().numpy(), normal.covariance_matrix.detach().numpy()
    points = draws(30)
    density = sum(
        w * multivariate_normal.pdf(points, m, S) for w, m, S in zip(weights, means, covariances, strict=True)
    )
    np.testing.assert_allclose(p.log_prob(torch.from_numpy(points)).detach().numpy(), np.log(density))


def test_it_is_drawn_as_it_is_scored(fitted):
    """Means of z and of log p(z) over draws, against numerical answers within 4 standard errors."""
    p, n = fitted(), 40_000
    with seeded(1):
        z = p.sample(torch.Size((n,)))
    data = torch.from_numpy(draws())
    # Expectation maximisation keeps the moments of its data exactly.
    error = z.std(0) / n**0.5
    assert ((z.mean(0) - data.mean(0)).abs() < 4 * error).all()
    products, wanted = z[:, :, None] * z[:, None, :], (data.T @ data) / len(data)
    assert ((products.mean(0) - wanted).abs() < 4 * products.std(0) / n**0.5).all()


def test_the_same_seed_gives_the_same_bytes():
    pair = [GaussianMixturePrior((3,), components=5) for _ in range(2)]
    for prior in pair:
        prior.fit_draws(torch.from_numpy(draws()), seed=1)
    for one, other in zip(pair[0].parameters(), pair[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_learns_by_gradients_too():
    with seeded(0):
        prior = GaussianMixturePrior((2,), components=2)
    prior().log_prob(torch.randn(20, 2)).mean().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in prior.parameters()
    )


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(UsageError, match="components=0"):
        GaussianMixturePrior((2,), components=0)
    with pytest.raises(DataError, match=r"4 Gaussians could be fitted to 3 draws .* try fewer components"):
        GaussianMixturePrior((2,), components=4).fit_draws(torch.randn(3, 2), seed=0)
    flat = torch.randn(50, 1).expand(50, 2)
    with pytest.raises(DataError, match="try fewer components"):
        GaussianMixturePrior((2,), components=1).fit_draws(flat, seed=0)
