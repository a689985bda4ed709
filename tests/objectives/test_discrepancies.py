"""Penalties on the aggregate posterior: maximum mean discrepancy and the covariance."""

import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import nn
from torch.distributions import (
    Categorical,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from narrowing import untyped
from vaekit import VAE
from vaekit.errors import UsageError
from vaekit.likelihoods import GaussianLikelihood
from vaekit.objectives import DisentangledInferredPrior, Elbo, MaximumMeanDiscrepancy, squared_mmd
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae


def make(posterior=None):
    with seeded(0):
        model = VAE(
            nn.Linear(2, 4),
            DiagonalPosterior(2),
            StandardPrior((2,)),
            nn.Linear(2, 2),
            GaussianLikelihood((2,)),
        ).double()
    if posterior is not None:
        model.encode = lambda x, c=None: posterior(x)
    return model


def run(objective, model, x, seed=2):
    with seeded(seed), torch.no_grad():
        return objective(model, x)


def whitened(n=50):
    """Rows with mean 0 and covariance exactly the identity (dividing by n)."""
    with seeded(4):
        x = torch.randn(n, 2, dtype=torch.float64)
    x = x - x.mean(0)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / n), x.T, upper=False).T


# --- maximum mean discrepancy --------------------------------------------------------------------


def kernel_mean(kernel, mean, variance, dimensions, bandwidth):
    """E k of a difference ~ N(mean, variance) in each dimension: closed for rbf, Gauss-Hermite for imq in 1-D."""
    scale = 2 * dimensions * bandwidth**2
    if kernel == "rbf":
        each = (1 + 2 * variance / scale) ** -0.5 * torch.exp(
            torch.tensor(-(mean**2) / (scale + 2 * variance))
        )
        return float(each**dimensions)
    nodes, weights = hermegauss(200)
    values = 1 / (1 + (mean + variance**0.5 * nodes) ** 2 / scale)
    return float((weights * values).sum() / weights.sum())


@pytest.mark.parametrize(
    ("kernel", "dimensions", "bandwidth"),
    [("rbf", 1, 1.0), ("rbf", 3, 0.7), ("imq", 1, 1.0), ("imq", 1, 2.0)],
)
@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (0.8, 1.0), (0.5, 2.0)])
def test_mean_over_draws_is_the_exact_discrepancy_between_gaussians(
    kernel, dimensions, bandwidth, mean, scale
):
    exact = (
        kernel_mean(kernel, 0.0, 2 * scale**2, dimensions, bandwidth)
        + kernel_mean(kernel, 0.0, 2.0, dimensions, bandwidth)
        - 2 * kernel_mean(kernel, mean, 1 + scale**2, dimensions, bandwidth)
    )
    assert exact == pytest.approx(0, abs=1e-12) if (mean, scale) == (0, 1) else exact > 1e-3
    with seeded(0):
        values = torch.stack(
            [
                squared_mmd(
                    mean + scale * torch.randn(12, dimensions, dtype=torch.float64),
                    torch.randn(9, dimensions, dtype=torch.float64),
                    kernel=kernel,
                    bandwidth=bandwidth,
                )
                for _ in range(1000)
            ]
        )
    assert abs(values.mean() - exact) < 4 * values.std() / 1000**0.5
    if exact == pytest.approx(0, abs=1e-12):
        assert values.min() < 0, "an estimate without bias of zero falls on both sides"


def test_equal_samples_have_almost_none():
    with seeded(0):
        a = torch.randn(500, 3, dtype=torch.float64)
    for kernel in ("rbf", "imq"):
        assert abs(squared_mmd(a, a, kernel=kernel)) < 0.01
        assert squared_mmd(a, a + 1, kernel=kernel) > 0.1


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_the_surrogate_is_the_equation_of_the_paper(kernel):
    model, x = make(), whitened(9)
    result = run(MaximumMeanDiscrepancy(alpha=0.25, weight=30, kernel=kernel), model, x)
    with seeded(2), torch.no_grad():
        z, y = model.encode(x).rsample(), model.prior().rsample((9,))
    penalty = (0.25 + 30 - 1) * squared_mmd(z, y, kernel=kernel)
    torch.testing.assert_close(result.surrogate, result.reconstruction - 0.75 * result.kl - penalty)
    torch.testing.assert_close(result.bound, result.reconstruction - result.kl, rtol=0, atol=0)
    elbo = run(MaximumMeanDiscrepancy(alpha=0.0, weight=1.0), model, x)
    torch.testing.assert_close(elbo.surrogate, elbo.bound)


def test_the_discrepancy_may_not_be_rewarded():
    for wrong in (
        {"alpha": 0.0, "weight": 0.9},
        {"alpha": -5.0, "weight": 3.0},
        {"alpha": 1.1},
        {"bandwidth": 0.0},
    ):
        with pytest.raises(UsageError, match=r"mmd: .*give"):
            MaximumMeanDiscrepancy(**untyped(wrong))
    MaximumMeanDiscrepancy(alpha=1.0, weight=0.0)


# --- disentangled inferred prior ------------------------------------------------------------------


def diagonal(scale):
    return lambda x: Independent(Normal(x, torch.full_like(x, scale)), 1)


def test_a_whitened_posterior_has_no_penalty():
    x = whitened()
    for kind, means, scale in ((1, x, 0.3), (2, 0.8 * x, 0.6)):  # 0.8^2 + 0.6^2 = 1
        model = make(diagonal(scale))
        result = run(DisentangledInferredPrior(kind=kind), model, means)
        torch.testing.assert_close(result.surrogate, result.bound, rtol=0, atol=1e-12)
        torch.testing.assert_close(result.bound, run(Elbo(), model, means).bound, rtol=0, atol=0)
        other = run(DisentangledInferredPrior(kind=3 - kind), model, means)
        assert (other.bound - other.surrogate).min() > 0.1


def test_the_penalty_is_known_and_the_same_for_every_example():
    # Means (5, -3) + (a, 2a) with a = +-1: covariance [[1, 2], [2, 4]].
    x = torch.tensor([[6.0, -1.0], [4.0, -5.0]], dtype=torch.float64)
    for kind, expected in ((1, 5 * 2 * 4 + 3 * (0 + 9)), (2, 5 * 2 * 4 + 3 * (0.25**2 + 3.25**2))):
        result = run(DisentangledInferredPrior(kind=kind, off_diagonal=5, diagonal=3), make(diagonal(0.5)), x)
        torch.testing.assert_close(result.bound - result.surrogate, torch.full_like(result.bound, expected))


def test_a_full_covariance_counts_with_its_correlations():
    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.7]], dtype=torch.float64)
    model = make(lambda x: MultivariateNormal(x, covariance))
    result = run(DisentangledInferredPrior(kind=2, off_diagonal=1, diagonal=1), model, 0 * whitened(3))
    expected = 2 * 0.2**2 + 0.5**2 + 0.3**2
    torch.testing.assert_close(result.bound - result.surrogate, torch.full_like(result.bound, expected))


def test_a_posterior_without_covariance_is_refused_in_kind_2_alone():
    class Unknown(Laplace):
        pass

    model = make(lambda x: Unknown(x, torch.ones_like(x)))
    model.prior = lambda c=None: Laplace(torch.zeros(2, dtype=torch.float64), 1.0)
    with pytest.raises(UsageError, match=r"Unknown.*use kind=1"):
        DisentangledInferredPrior(kind=2)._penalty(model.encode(whitened(3)))
    assert DisentangledInferredPrior(kind=1)._penalty(model.encode(whitened(3))) < 1e-20


def mixture(weights, means, scales):
    """A mixture in one dimension, everything to be trained."""
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (weights, means, scales)]
    weights, means, scales = parameters
    components = Independent(Normal(means[:, None], scales[:, None]), 1)
    return MixtureSameFamily(Categorical(logits=weights), components), parameters


def exact_squared_mmd(z, parameters, bandwidth):
    """E k(y, z) = h / sqrt(h^2 + s^2) exp(-(m - z)^2 / 2 (h^2 + s^2)) for the Gaussian kernel and y ~ N(m, s^2)."""
    weights, means, scales = parameters
    weights = weights.softmax(0)

    def kernel(difference, variance):
        total = bandwidth**2 + variance
        return bandwidth / total.sqrt() * (-difference.square() / (2 * total)).exp()

    between = kernel(z - means, scales.square()).mean(0) @ weights
    within = weights @ kernel(means[:, None] - means, scales.square()[:, None] + scales.square()) @ weights
    own = kernel(z - z.T, torch.zeros((), dtype=z.dtype))
    return (own.sum() - len(z)) / (len(z) * (len(z) - 1)) + within - 2 * between


def test_a_mixture_prior_is_met_without_bias_and_trained_with_its_weights():
    z = torch.randn(6, 1, dtype=torch.float64)
    p, parameters = mixture([0.3, -0.5, 0.1], [-1.0, 0.5, 2.0], [0.4, 1.0, 0.3])
    exact = exact_squared_mmd(z, parameters, 0.7)
    gradients = torch.autograd.grad(exact, parameters)
    objective = MaximumMeanDiscrepancy(kernel="rbf", bandwidth=0.7)
    values, estimates = [], []
    with seeded(0):
        for _ in range(1500):
            value = objective._discrepancy(z, p)
            values.append(value.detach())
            estimates.append(torch.cat(torch.autograd.grad(value, parameters, retain_graph=True)))
    for drawn, expected in (
        (torch.stack(values)[:, None], exact[None]),
        (torch.stack(estimates), torch.cat(gradients)),
    ):
        error = drawn.std(0) / len(drawn) ** 0.5
        assert ((drawn.mean(0) - expected).abs() <= 4 * error).all()
        assert (error > 0).all()


class Unreparameterised(Normal):
    """A prior with parameters that its draws know nothing of."""

    has_rsample = False


def test_a_prior_that_would_silently_not_be_trained_is_refused():
    model = build_vae(Sentence.parse(network="mlp:hidden=4", prior="gaussian"), (3,), latent=2)
    MaximumMeanDiscrepancy().check(model)
    prior = model.parts["prior"]
    prior.forward = lambda: Independent(Unreparameterised(untyped(prior.mean), torch.ones(2)), 1)
    with pytest.raises(UsageError, match="would not be trained"):
        MaximumMeanDiscrepancy().check(model)
