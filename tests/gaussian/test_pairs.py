"""All pairs of two batches at once."""

import numpy as np
import pytest
import torch

from narrowing import untyped
from vaekit.gaussian import Gaussian, kl_divergence, pairwise, renyi, wasserstein
from vaekit.gaussian import pairs as module
from vaekit.gaussian.exceptions import GaussianError, GaussianShapeError


def batch(seed, n, k=3):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, k, k))
    return Gaussian(rng.normal(size=(n, k)), covariance=A @ A.swapaxes(-1, -2) + np.eye(k))


@pytest.mark.parametrize("name", module.DIVERGENCES)
def test_every_entry_is_the_divergence_of_its_pair(name):
    P, Q = batch(0, 3), batch(1, 4)
    found = pairwise(P, Q, divergence=name)
    assert found.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(found[i, j], module.DIVERGENCES[name](P[i], Q[j]), rtol=1e-10)


def test_blocks_of_rows_give_the_same(monkeypatch):
    P, Q = batch(0, 7), batch(1, 4)
    whole = {name: pairwise(P, Q, divergence=untyped(name)) for name in module.DIVERGENCES}
    monkeypatch.setattr(module, "BLOCK", 2 * 4 * 9)
    for name, expected in whole.items():
        np.testing.assert_allclose(pairwise(P, Q, divergence=untyped(name)), expected, rtol=1e-13)


@pytest.mark.parametrize("name", module.DIVERGENCES)
def test_each_covariance_is_factored_once(monkeypatch, name):
    P, Q = batch(0, 5), batch(1, 6)
    raw = [torch.tensor(x) for g in (P, Q) for x in (g.mean, g.covariance)]
    P, Q = (Gaussian(raw[i], covariance=raw[i + 1], validate=False) for i in (0, 2))
    given = torch.cat([raw[1], raw[3]])
    times = torch.zeros(11, dtype=torch.long)
    original = torch.linalg.cholesky_ex

    def counting(matrix, *arguments, **options):
        found = matrix.detach().reshape(-1, 1, 3, 3)
        times.add_((found == given).all(-1).all(-1).sum(0))
        return original(matrix, *arguments, **options)

    monkeypatch.setattr(module, "BLOCK", 2 * 6 * 9)
    monkeypatch.setattr(torch.linalg, "cholesky_ex", counting)
    pairwise(P, Q, divergence=name)
    assert times.tolist() == [1] * 11


def test_a_function_may_stand_for_the_name():
    P, Q = batch(2, 2), batch(3, 3)
    found = pairwise(P, Q, divergence=lambda p, q: renyi(p, q, 0.3))
    np.testing.assert_allclose(found[1, 2], renyi(P[1], Q[2], 0.3), rtol=1e-12)


def test_structure_dtype_and_gradients_are_kept():
    means = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    P = Gaussian(means, variance=torch.ones(4, 2))
    found = pairwise(P, P)
    assert found.dtype == torch.float32
    assert (found.diagonal() == 0).all()
    torch.testing.assert_close(found, 0.5 * torch.cdist(means, means) ** 2, atol=1e-5, rtol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), means)
    torch.testing.assert_close(gradient, 2 * (4 * means - means.sum(0)).detach(), rtol=1e-5, atol=1e-5)
    assert pairwise(batch(0, 0), batch(1, 2)).shape == (0, 2)
    assert isinstance(pairwise(batch(0, 2), batch(1, 2)), np.ndarray)


def test_samples_of_a_cloud_find_their_neighbours():
    P = batch(4, 6)
    assert (pairwise(P, P, divergence="wasserstein").argmin(1) == np.arange(6)).all()
    assert (np.diag(pairwise(P, P)) == 0).all()
    np.testing.assert_allclose(
        pairwise(P, P, divergence=wasserstein), pairwise(P, P, divergence=wasserstein).T, atol=1e-12
    )
    np.testing.assert_allclose(pairwise(P, P)[0, 1], kl_divergence(P[0], P[1]), rtol=1e-12)


def test_what_is_no_list_of_gaussians_is_refused():
    P = batch(0, 2)
    with pytest.raises(GaussianShapeError, match=r"Q has batch shape \(\); expected one dimension"):
        pairwise(P, P[0])
    with pytest.raises(GaussianError, match="expected one of kl, jeffreys"):
        pairwise(P, P, divergence="euclid")  # type: ignore[arg-type]
