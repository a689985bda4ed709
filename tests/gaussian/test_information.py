"""Entropy, cross entropy and mutual information."""

import math

import mpmath
import numpy as np
import pytest
import torch

from vaekit.gaussian import Gaussian, cross_entropy, entropy, kl_divergence, mutual_information
from vaekit.gaussian.exceptions import GaussianError


def joint(seed, k, strength):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(k, k))
    S = A @ A.T + k * np.eye(k)
    half = k // 2
    S[:half, half:] *= strength
    S[half:, :half] *= strength
    return S


def exact_information(S, a, b):
    mp = mpmath.mp.clone()
    mp.dps = 60

    def log_det(indices):
        return mp.log(mp.det(mp.matrix(S[np.ix_(indices, indices)].tolist())))

    return (log_det(a) + log_det(b) - log_det(a + b)) / 2


@pytest.mark.parametrize("strength", [1e-8, 1e-4, 0.1, 1.0])
def test_mutual_information_keeps_its_digits_when_weak(strength):
    S = joint(0, 5, strength)
    truth = exact_information(S, [0, 1], [2, 3, 4])
    found = mutual_information((np.zeros(5), S), [0, 1])
    assert abs(float(found) - truth) < 1e-12 * truth
    assert mutual_information((np.zeros(5), S), [2, 3, 4]) == pytest.approx(float(found), rel=1e-12)


@pytest.mark.parametrize("gap", [1e-1, 1e-6, 1e-12])
def test_mutual_information_when_strong(gap):
    S = np.array([[1.0, 1 - gap, 0.0], [1 - gap, 1.0, 0.0], [0.0, 0.0, 1.0]])
    truth = exact_information(S, [0], [1, 2])
    assert mutual_information((np.zeros(3), S), 0) == pytest.approx(float(truth), rel=4e-16 / gap + 1e-14)


def test_mutual_information_is_a_divergence_and_a_difference_of_entropies():
    S = joint(1, 6, 1.0)
    g = Gaussian(np.zeros(6), covariance=S)
    a, b = [0, 3], [1, 2, 5]
    product = S.copy()
    product[np.ix_(a, b)] = 0
    product[np.ix_(b, a)] = 0
    both = a + b
    kl = kl_divergence((np.zeros(5), S[np.ix_(both, both)]), (np.zeros(5), product[np.ix_(both, both)]))
    found = mutual_information(g, a, second=b)
    assert found == pytest.approx(float(kl), rel=1e-12)
    entropies = entropy(g.marginal(a)) + entropy(g.marginal(b)) - entropy(g.marginal(both))
    assert found == pytest.approx(float(entropies), rel=1e-10)
    assert found <= mutual_information(g, [*a, 4], second=b)


def test_independent_and_determined_blocks():
    assert mutual_information(Gaussian(np.zeros((2, 3)), variance=[1.0, 2.0, 3.0]), 0).tolist() == [0, 0]
    assert mutual_information((np.zeros(2), np.diag([1.0, 5.0])), 0) == 0
    assert mutual_information((np.zeros(2), [[1.0, 2.0], [2.0, 4.0]]), 0) == math.inf


def test_blocks_that_do_not_fit_are_refused():
    g = Gaussian(np.zeros(3), covariance=np.eye(3))
    with pytest.raises(GaussianError, match="without a coordinate in common"):
        mutual_information(g, [0, 1], second=[1, 2])
    with pytest.raises(GaussianError, match="without a coordinate in common"):
        mutual_information(g, [0, 1, 2])
    with pytest.raises(GaussianError, match="do not all lie"):
        mutual_information(g, [3])


def test_cross_entropy_of_singular_gaussians():
    line = np.array([[1.0, 1.0], [1.0, 1.0]])
    plane = Gaussian([0.0, 0.0], covariance=np.eye(2))
    point = Gaussian([1.0, 2.0], variance=[0.0, 0.0])
    assert cross_entropy(point, plane) == pytest.approx(-plane.log_prob([1.0, 2.0]))
    assert cross_entropy(([0.0, 0.0], line), plane) == pytest.approx(math.log(2 * math.pi) + 1)
    assert cross_entropy(plane, ([0.0, 0.0], line)) == math.inf
    assert cross_entropy(([1.0, 1.0], line), ([0.0, 0.0], line)) == -math.inf
    assert cross_entropy(([1.0, 0.0], line), ([0.0, 0.0], line)) == math.inf
    assert entropy(([0.0, 0.0], line)) == -math.inf


@pytest.mark.parametrize(
    "made",
    [
        {"covariance": joint(2, 3, 1.0)},
        {"precision": joint(2, 3, 1.0)},
        {"scale_tril": np.linalg.cholesky(joint(2, 3, 1.0))},
        {"factor": np.ones((3, 1)), "diagonal": np.ones(3)},
        {"variance": [1.0, 2.0, 3.0]},
        {"scale": 2.0},
    ],
    ids=lambda made: next(iter(made)),
)
def test_cross_entropy_is_entropy_plus_divergence_in_every_parameterisation(made):
    q = Gaussian([1.0, 0.0, 2.0], **made)
    p = Gaussian(np.zeros((4, 1, 3)), covariance=joint(3, 3, 1.0))
    found = cross_entropy(p, q)
    assert found.shape == (4, 1)
    np.testing.assert_allclose(found, entropy(p) + kl_divergence(p, q), rtol=1e-12)


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4, 4, dtype=torch.float64, generator=generator).requires_grad_()
    b = torch.randn(4, 4, dtype=torch.float64, generator=generator).requires_grad_()

    def values(a, b):
        p, q = (Gaussian(x[0], covariance=x @ x.mT + torch.eye(4).double()) for x in (a, b))
        return entropy(p), cross_entropy(p, q), mutual_information(p, [0, 1])

    assert torch.autograd.gradcheck(values, (a, b))
