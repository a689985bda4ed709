"""The Gaussian itself: every parameterisation says the same, in tensors and in NumPy."""

import numpy as np
import pytest
import torch

from narrowing import untyped
from vaekit.gaussian import Gaussian, SingularCovarianceError
from vaekit.gaussian.exceptions import GaussianError, GaussianShapeError, GaussianTypeError

K = 4
generator = torch.Generator().manual_seed(0)
W = torch.randn(3, K, 2, generator=generator, dtype=torch.float64)
D = 0.5 + torch.rand(3, K, generator=generator, dtype=torch.float64)
S = W @ W.mT + torch.diag_embed(D)
S = (S + S.mT) / 2
MEAN = torch.randn(3, K, generator=generator, dtype=torch.float64)
FULL = {
    "covariance": Gaussian(MEAN, covariance=S),
    "scale_tril": Gaussian(MEAN, scale_tril=torch.linalg.cholesky(S)),
    "precision": Gaussian(MEAN, precision=(torch.linalg.inv(S) + torch.linalg.inv(S).mT) / 2),
    "factor": Gaussian(MEAN, factor=W, diagonal=D),
}
SIMPLE = {
    "variance": Gaussian(MEAN, variance=D),
    "standard_deviation": Gaussian(MEAN, standard_deviation=D),
    "scale": Gaussian(MEAN, scale=D[:, 0]),
}
EVERY = {**FULL, **SIMPLE}


def oracle(g: Gaussian) -> torch.distributions.MultivariateNormal:
    return torch.distributions.MultivariateNormal(g.mean, covariance_matrix=g.covariance)


@pytest.mark.parametrize("name", EVERY)
def test_moments_and_density(name):
    g = EVERY[name]
    expected = (
        S
        if name in FULL
        else torch.diag_embed(
            {"variance": D, "standard_deviation": D**2}.get(name, D[:, :1].expand(3, K) ** 2)
        )
    )
    torch.testing.assert_close(g.covariance, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(
        g.precision @ expected, torch.eye(K, dtype=torch.float64).expand(3, K, K), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(g.scale_tril, torch.linalg.cholesky(expected), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(g.variance, expected.diagonal(dim1=-2, dim2=-1), rtol=1e-12, atol=0)
    torch.testing.assert_close(g.standard_deviation**2, g.variance)
    x = torch.randn(5, 1, K, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(g.log_prob(x), oracle(g).log_prob(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(g.entropy(), oracle(g).entropy(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(g.log_determinant, torch.logdet(expected), rtol=1e-12, atol=1e-12)
    assert not g.is_singular.any()
    again = Gaussian.from_torch(g.to_torch())
    torch.testing.assert_close(again.covariance, g.covariance, rtol=1e-12, atol=1e-13)
    assert again.structure == {"isotropic": "diagonal"}.get(g.structure, g.structure)


@pytest.mark.parametrize("name", EVERY)
def test_samples(name):
    g = EVERY[name][1]
    x = g.sample((40_000,), generator=torch.Generator().manual_seed(1))
    assert x.shape == (40_000, K)
    error = g.standard_deviation / 200
    assert ((x.mean(0) - g.mean).abs() < 5 * error).all()
    scale = g.standard_deviation[:, None] * g.standard_deviation
    assert ((torch.cov(x.T) - g.covariance).abs() < 5 * 2**0.5 * scale / 200).all()


def test_gradients_reach_the_parameters_through_samples():
    for name, g in EVERY.items():
        leaves = {key: t.clone().requires_grad_() for key, t in g.parameters.items()}
        Gaussian(leaves.pop("mean").detach(), **untyped(leaves)).rsample((2,)).sum().backward()
        assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in leaves.values()), name


@pytest.mark.parametrize("name", EVERY)
def test_marginal_condition_affine(name):
    g, dense = EVERY[name], Gaussian(MEAN, covariance=EVERY[name].covariance)
    torch.testing.assert_close(
        g.marginal([2, 0]).covariance, dense.covariance[:, [2, 0]][:, :, [2, 0]], rtol=1e-12, atol=0
    )
    values = torch.tensor([0.3, -1.0], dtype=torch.float64)
    conditional = g.condition([1, 3], values)
    C, a, b = dense.covariance, [0, 2], [1, 3]
    gain = C[:, a][:, :, b] @ torch.linalg.inv(C[:, b][:, :, b])
    shift = (gain @ (values - MEAN[:, b])[..., None])[..., 0]
    torch.testing.assert_close(conditional.mean, MEAN[:, a] + shift, rtol=1e-11, atol=1e-12)
    expected = C[:, a][:, :, a] - gain @ C[:, b][:, :, a]
    torch.testing.assert_close(conditional.covariance, expected, rtol=1e-11, atol=1e-12)
    A = torch.randn(2, K, generator=generator, dtype=torch.float64)
    image = g.affine(A, torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(image.mean, MEAN @ A.T + 1, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(image.covariance, A @ C @ A.T, rtol=1e-11, atol=1e-12)
    # The density of all is the density of some times that of the others given these.
    x = torch.randn(K, generator=generator, dtype=torch.float64)
    joint = g.marginal(b).log_prob(x[b]) + g.condition(b, x[b]).log_prob(x[a])
    torch.testing.assert_close(joint, g.log_prob(x), rtol=1e-12, atol=1e-12)


def test_numpy_in_numpy_out():
    g = Gaussian(MEAN.numpy(), covariance=S.numpy())
    results = (g.mean, g.covariance, g.scale_tril, g.precision, g.variance, g.entropy(), g.sample((2,)))
    assert all(isinstance(r, np.ndarray) for r in results)
    assert isinstance(g.log_prob(np.zeros(K)), np.ndarray)
    assert isinstance(g.log_prob(torch.zeros(K, dtype=torch.float64)), torch.Tensor)
    source = np.eye(2)
    g = Gaussian([0.0, 0.0], covariance=source)
    source[0, 0] = 7.0
    assert g.covariance[0, 0] == 1.0


def test_float32_is_computed_in_float64():
    A = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    tiny = (A @ A.mT + 1e-3 * torch.eye(8)).float()
    tiny = (tiny + tiny.mT) / 2
    g = Gaussian(torch.zeros(8), covariance=tiny)
    assert g.entropy().dtype == torch.float32
    exact = torch.linalg.slogdet(tiny.double()).logabsdet
    assert abs(g.log_determinant.double() - exact) < 1e-6 * exact.abs()


def test_from_samples():
    X = torch.randn(3, 50, K, generator=generator, dtype=torch.float64) + 1e6
    g = Gaussian.from_samples(X)
    for i in range(3):
        torch.testing.assert_close(g.mean[i], X[i].mean(0), rtol=1e-15, atol=0)
        torch.testing.assert_close(g.covariance[i], torch.cov(X[i].T - 1e6), rtol=1e-8, atol=1e-9)
    weights = np.array([1.0, 2.0, 0.0, 3.0])
    Y = np.random.default_rng(0).normal(size=(4, 2))
    weighted = Gaussian.from_samples(Y, weights)
    np.testing.assert_allclose(weighted.mean, np.average(Y, axis=0, weights=weights), rtol=1e-14)
    np.testing.assert_allclose(weighted.covariance, np.cov(Y.T, aweights=weights), rtol=1e-13)
    likely = Gaussian.from_samples(Y, correction=0)
    np.testing.assert_allclose(likely.covariance, np.cov(Y.T, ddof=0), rtol=1e-13)
    with pytest.raises(GaussianError, match="correction=0"):
        Gaussian.from_samples(Y[:1])
    with pytest.raises(GaussianShapeError, match="one weight per sample"):
        Gaussian.from_samples(Y, weights[:2])


def test_singular_is_representable():
    ones = Gaussian([1.0, 2.0, 3.0], covariance=np.ones((3, 3)))
    assert ones.is_singular
    assert ones.entropy() == -np.inf
    x = ones.sample((10,))
    np.testing.assert_allclose(x - [1.0, 2.0, 3.0], (x[:, :1] - 1.0).repeat(3, 1), atol=1e-12)
    np.testing.assert_allclose(ones.scale_tril @ ones.scale_tril.T, np.ones((3, 3)), atol=1e-14)
    with pytest.raises(SingularCovarianceError, match="singular; try marginal"):
        ones.log_prob([0.0, 0.0, 0.0])
    with pytest.raises(SingularCovarianceError):
        _ = ones.precision
    few = Gaussian.from_samples(np.random.default_rng(1).normal(size=(3, 6)))
    assert few.is_singular
    assert (np.diagonal(few.scale_tril) == 0).sum() == 4
    rank_one = ones.affine([[1.0, 1.0, 0.0]])
    assert not rank_one.is_singular


def test_a_parameter_changed_in_place_is_noticed():
    covariance = torch.eye(2)
    g = Gaussian(torch.zeros(2), covariance=covariance)
    assert g.entropy() == pytest.approx(2.837877, abs=1e-5)
    covariance.mul_(torch.e**2)
    assert g.entropy() == pytest.approx(4.837877, abs=1e-5)


def test_indexing_moving_and_detaching():
    g = EVERY["factor"]
    assert g[0].batch_shape == ()
    torch.testing.assert_close(g[1:].covariance, g.covariance[1:])
    shared = Gaussian(torch.zeros(5, 2), scale=1.0)[2:4]
    assert shared.batch_shape == (2,)
    assert g.to(torch.float32).dtype == torch.float32
    leaf = torch.ones(2, requires_grad=True)
    assert not Gaussian(torch.zeros(2), variance=leaf).detach().covariance.requires_grad
    assert repr(g) == "Gaussian(factor, dimension=4, rank=2, batch_shape=(3,), dtype=float64)"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, GaussianError, "got none"),
        ({"variance": [1.0, 1.0], "scale": 1.0}, GaussianError, "got variance, scale"),
        ({"factor": [[1.0], [1.0]]}, GaussianError, "got factor"),
        (
            {"covariance": np.eye(3)},
            GaussianShapeError,
            r"covariance has shape \(3, 3\) but mean has shape \(2,\)",
        ),
        ({"covariance": [1.0, 1.0]}, GaussianShapeError, "a vector of variances is variance="),
        ({"variance": np.ones((4, 3))}, GaussianShapeError, r"expected variance of shape \(\.\.\., 2\)"),
        (
            {"covariance": torch.eye(2)},
            GaussianTypeError,
            "mean is torch.float64 but covariance is torch.float32",
        ),
        ({"covariance": np.eye(2) * 1j}, GaussianTypeError, "expected real numbers"),
    ],
)
def test_what_cannot_be_built(options, error, message):
    with pytest.raises(error, match=message):
        Gaussian(np.zeros(2), **options)


def test_more_that_cannot_be_built():
    with pytest.raises(GaussianShapeError, match="mean is a number"):
        Gaussian(1.0, scale=1.0)
    with pytest.raises(GaussianShapeError, match="do not broadcast"):
        Gaussian(np.zeros((2, 3)), variance=np.ones((4, 3)))
    with pytest.raises(GaussianTypeError, match="expected a real floating-point dtype"):
        Gaussian(torch.zeros(2, dtype=torch.int64), variance=torch.ones(2, dtype=torch.int64))
    with pytest.raises(GaussianTypeError, match="Independent"):
        Gaussian.from_torch(torch.distributions.Normal(0.0, 1.0))
    g = EVERY["covariance"]
    for indices, message in (([0, 0], "repeat"), ([], "no index"), ([9], "do not all lie")):
        with pytest.raises(GaussianError, match=message):
            g.marginal(indices)
    with pytest.raises(GaussianError, match="at least one to be left"):
        g.condition(range(K), torch.zeros(K, dtype=torch.float64))
    with pytest.raises(GaussianShapeError, match=r"x has shape \(3,\)"):
        g.log_prob(torch.zeros(3, dtype=torch.float64))
    with pytest.raises(GaussianShapeError, match=r"matrix has shape \(2, 3\)"):
        g.affine(torch.zeros(2, 3, dtype=torch.float64))
