"""The 2-Wasserstein distance and the optimal map: singular covariances, close pairs, and what must hold."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from vaekit.gaussian import Gaussian, optimal_map, wasserstein
from vaekit.gaussian.exceptions import SingularCovarianceError

mp = mpmath.mp.clone()
mp.dps = 80


def exact_root(S):
    values, vectors = mp.eighe(S)
    return vectors * mp.diag([mp.sqrt(abs(e)) for e in values]) * vectors.T


def exact_distance(Sp, Sq):
    Sp, Sq = mp.matrix(Sp.tolist()), mp.matrix(Sq.tolist())
    root = exact_root(Sp)
    cross = exact_root(root * Sq * root)
    return mp.sqrt(sum(Sp[i, i] + Sq[i, i] - 2 * cross[i, i] for i in range(Sp.rows)))


def spd(rng, k, condition=10.0):
    basis = np.linalg.qr(rng.normal(size=(k, k)))[0]
    S = basis * np.logspace(0, -np.log10(condition), k) @ basis.T
    return (S + S.T) / 2


@pytest.mark.parametrize(
    ("difference", "condition"),
    [
        (1e-12, 1.0),
        (1e-12, 1e2),
        (1e-10, 1.0),
        (1e-8, 1.0),
        (1e-8, 1e2),
        (1e-8, 1e6),
        (1e-4, 1e2),
        (1e-4, 1e6),
    ],
)
def test_close_covariances_keep_their_digits(difference, condition):
    rng = np.random.default_rng(0)
    for k in (2, 4):
        Sq = spd(rng, k, condition)
        E = rng.normal(size=(k, k))
        # Relative to the smallest eigenvalue, so that both stay covariances.
        Sp = Sq + difference / condition * (E + E.T)
        truth = exact_distance(Sp, Sq)
        found = wasserstein((np.zeros(k), Sp), (np.zeros(k), Sq))
        assert abs(mp.mpf(float(found)) - truth) < 1e-11 * truth
        L = np.linalg.cholesky(Sq)
        textbook = np.trace(Sp + Sq - 2 * np.real(sqrtm(L.T @ Sp @ L)))
        if difference <= 1e-8:
            assert abs(textbook - float(truth) ** 2) > 0.1 * float(truth) ** 2


def test_relative_difference_of_1e_minus_8_in_every_entry():
    rng = np.random.default_rng(1)
    Sq = spd(rng, 5, 1e4)
    change = 1 + 1e-8 * rng.normal(size=(5, 5))
    Sp = Sq * (change + change.T) / 2
    truth = exact_distance(Sp, Sq)
    assert abs(mp.mpf(float(wasserstein((np.zeros(5), Sp), (np.zeros(5), Sq)))) - truth) < 1e-6 * truth


def test_commuting_covariances_have_the_distance_of_their_roots():
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    a, b = np.array([1.0, 4.0, 9.0, 0.0]), np.array([4.0, 4.0, 0.0, 0.25])
    Sp, Sq = (basis * x @ basis.T for x in (a, b))
    Sp, Sq = (Sp + Sp.T) / 2, (Sq + Sq.T) / 2
    mean = rng.normal(size=4)
    expected = np.sqrt((mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum())
    assert wasserstein((mean, Sp), (np.zeros(4), Sq)) == pytest.approx(expected, rel=1e-8)
    diagonal = wasserstein(Gaussian(mean, variance=a), Gaussian(np.zeros(4), variance=b))
    assert diagonal == pytest.approx(expected, rel=1e-14)


def test_singular_covariances():
    zero = np.zeros((2, 2))
    point = Gaussian([0.0, 0.0], covariance=zero)
    p = Gaussian([3.0, 4.0], covariance=[[4.0, 0.0], [0.0, 0.0]])
    assert wasserstein(p, point) == pytest.approx(np.sqrt(29))
    assert wasserstein(point, p) == pytest.approx(np.sqrt(29))
    assert wasserstein(point, Gaussian([3.0, 4.0], covariance=zero)) == pytest.approx(5)
    u, v = np.array([1.0, 2.0, 2.0]), np.array([2.0, -1.0, 0.5])
    lines = [Gaussian(np.zeros(3), covariance=np.outer(x, x)) for x in (u, v)]
    # Two lines: |u|^2 + |v|^2 - 2 |u . v|
    expected = u @ u + v @ v - 2 * abs(u @ v)
    assert wasserstein(*lines, squared=True) == pytest.approx(expected, rel=1e-12)
    for line in lines:
        assert wasserstein(line, line) == 0
    truth = exact_distance(np.outer(u, u), np.eye(3))
    assert wasserstein(lines[0], Gaussian(np.zeros(3), scale=1.0)) == pytest.approx(float(truth), rel=1e-12)


def test_equal_singular_gaussians_are_at_exactly_zero():
    A = np.random.default_rng(0).normal(size=(10, 4, 2))
    p = Gaussian(np.zeros((10, 4)), covariance=A @ A.swapaxes(-1, -2))
    assert p.is_singular.all()
    assert (wasserstein(p, p) == 0).all()


@pytest.mark.parametrize("k", [1, 3, 6])
def test_low_rank_factors_match_their_matrices(k):
    rng = np.random.default_rng(k)
    p = Gaussian(rng.normal(size=k), factor=rng.normal(size=(k, 1)), diagonal=np.zeros(k))
    q = Gaussian(rng.normal(size=k), factor=rng.normal(size=(k, 2)), diagonal=np.ones(k))
    dense = [Gaussian(g.mean, covariance=g.covariance) for g in (p, q)]
    assert wasserstein(p, q) == pytest.approx(float(wasserstein(*dense)), rel=1e-7)


def test_optimal_map_carries_p_to_q_at_the_cost_of_the_distance():
    rng = np.random.default_rng(3)
    Sp, Sq = np.stack([spd(rng, 3) for _ in range(5)]), np.stack([spd(rng, 3, 1e3) for _ in range(5)])
    p, q = Gaussian(rng.normal(size=(5, 3)), covariance=Sp), Gaussian(rng.normal(size=(5, 3)), covariance=Sq)
    T, offset = optimal_map(p, q)
    np.testing.assert_allclose(T, T.swapaxes(-1, -2), rtol=1e-13)
    assert (np.linalg.eigvalsh(T) > 0).all()
    image = p.affine(T, offset)
    np.testing.assert_allclose(image.mean, q.mean, atol=1e-13)
    np.testing.assert_allclose(image.covariance, q.covariance, atol=1e-14)
    # E |x - T x|^2 under p
    D = np.eye(3) - T
    shift = p.mean - q.mean
    cost = np.trace(D @ Sp @ D.swapaxes(-1, -2), axis1=-2, axis2=-1) + (shift**2).sum(-1)
    np.testing.assert_allclose(cost, wasserstein(p, q, squared=True), rtol=1e-11)
    back = optimal_map(q, p)
    np.testing.assert_allclose(back.matrix @ T, np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-10)
    flat = optimal_map(p, Gaussian(np.zeros(3), variance=[1.0, 0.0, 0.0]))
    np.testing.assert_allclose(p.affine(*flat).covariance[..., 1:, :], 0, atol=1e-15)
    with pytest.raises(SingularCovarianceError, match="the covariance of p is singular; try the map"):
        optimal_map(Gaussian(np.zeros(3), variance=[1.0, 0.0, 0.0]), q)


def test_no_coupling_is_cheaper():
    rng = np.random.default_rng(4)
    p, q = (Gaussian(rng.normal(size=2), covariance=spd(rng, 2)) for _ in range(2))
    A, B = np.linalg.cholesky(p.covariance), np.linalg.cholesky(q.covariance)
    best = wasserstein(p, q, squared=True)
    costs = []
    for angle in np.linspace(0, 2 * np.pi, 721):
        for flip in (1, -1):
            U = np.array([[np.cos(angle), -np.sin(angle)], [flip * np.sin(angle), flip * np.cos(angle)]])
            costs.append(((A - B @ U) ** 2).sum() + ((p.mean - q.mean) ** 2).sum())
    assert best <= min(costs) + 1e-15
    assert best == pytest.approx(min(costs), rel=1e-4)


def test_gradients_along_the_support_of_singular_covariances():
    def distance(factor, mean):
        p = Gaussian(mean, factor=factor, diagonal=torch.zeros(3, dtype=torch.float64))
        return wasserstein(p, Gaussian.standard(3, dtype=torch.float64), squared=True)

    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(3, 1, dtype=torch.float64, generator=generator).requires_grad_()
    mean = torch.randn(3, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(distance, (factor, mean), atol=1e-6)


def test_gradient_between_close_covariances_keeps_its_digits():
    # d W^2 / d S_p = I - T = -H with H S + S H = change, to first order.
    S = torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64))
    change = torch.tensor([[1.0, 2.0], [2.0, -1.0]], dtype=torch.float64)
    size = 2.0**-35
    other = (S + size * change).requires_grad_()
    zero = torch.zeros(2, dtype=torch.float64)
    wasserstein(Gaussian(zero, covariance=other), Gaussian(zero, covariance=S), squared=True).backward()
    expected = size * change / torch.tensor([[2.0, 5.0], [5.0, 8.0]], dtype=torch.float64)
    torch.testing.assert_close(other.grad, expected, rtol=1e-9, atol=0)


def test_second_derivatives_of_commuting_covariances():
    """Between v and w along one axis `W^2 = (sqrt v - sqrt w)^2`; equal eigenvalues do no harm."""
    v = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    p = Gaussian(torch.zeros(3, dtype=torch.float64), covariance=v * torch.eye(3, dtype=torch.float64))
    q = Gaussian(torch.zeros(3, dtype=torch.float64), covariance=9 * torch.eye(3, dtype=torch.float64))
    (first,) = torch.autograd.grad(wasserstein(p, q, squared=True), v, create_graph=True)
    (second,) = torch.autograd.grad(first, v)
    assert float(first.detach()) == pytest.approx(3 * (1 - 3 / 2), rel=1e-14)
    assert float(second) == pytest.approx(3 * 3 / 2 * 4**-1.5, rel=1e-13)


def test_second_derivatives_of_singular_covariances_are_not_a_number_and_spoil_no_other():
    S = torch.stack([torch.eye(2), torch.ones(2, 2)]).double().requires_grad_()
    p = Gaussian(torch.zeros(2, dtype=torch.float64), covariance=S)
    value = wasserstein(p, Gaussian.standard(2, dtype=torch.float64), squared=True)
    (first,) = torch.autograd.grad(value.sum(), S, create_graph=True)
    assert first.isfinite().all()
    (second,) = torch.autograd.grad(first.sum(), S)
    assert second[0].isfinite().all()
    assert second[1].isnan().all()
