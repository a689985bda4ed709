"""The Fisher-Rao distance where it is closed, and its bounds everywhere."""

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from vaekit.gaussian import Gaussian, fisher_rao, fisher_rao_bounds
from vaekit.gaussian.exceptions import GaussianError

mp = mpmath.mp.clone()
mp.dps = 50


def exact_univariate(m, s, n, t):
    m, s, n, t = (mp.mpf(float(x)) for x in (m, s, n, t))
    inside = 1 + ((m - n) ** 2 / 2 + (s - t) ** 2) / (2 * s * t)
    return mp.sqrt(2) * mp.acosh(inside)


@pytest.mark.parametrize("difference", [1e-10, 1e-6, 0.5, 30.0])
def test_univariate_distance_keeps_its_digits(difference):
    truth = exact_univariate(1 + difference, 2 * (1 + difference), 1, 2)
    p = Gaussian([1 + difference], standard_deviation=[2 * (1 + difference)])
    q = Gaussian([1.0], standard_deviation=[2.0])
    assert abs(mp.mpf(float(fisher_rao(p, q))) - truth) < 1e-14 * truth
    matrix = Gaussian([1.0], covariance=[[4.0]])
    assert fisher_rao(p, matrix) == pytest.approx(float(truth), rel=1e-6 if difference < 1e-8 else 1e-12)


def test_equal_covariances():
    S = np.array([[2.0, 0.5], [0.5, 1.0]])
    delta = np.array([1.0, -2.0])
    expected = np.sqrt(2) * np.arccosh(1 + delta @ np.linalg.solve(S, delta) / 4)
    assert fisher_rao((delta, S), (np.zeros(2), S)) == pytest.approx(expected, rel=1e-14)


def test_isotropic_pairs():
    p, q = Gaussian([1.0, 2.0, 2.0], scale=2.0), Gaussian(np.zeros(3), scale=1.0)
    along = float(exact_univariate(3, 2, 0, 1))
    expected = np.sqrt(along**2 + 2 * np.log(4.0) ** 2 / 2)
    assert fisher_rao(p, q) == pytest.approx(expected, rel=1e-14)


def test_mean_difference_along_one_axis_of_the_relative_covariance():
    expected = np.sqrt(float(exact_univariate(1, 3, 0, 1)) ** 2 + np.log(0.25) ** 2 / 2)
    p = Gaussian([1.0, 0.0], variance=[9.0, 0.25])
    q = Gaussian([0.0, 0.0], variance=[1.0, 1.0])
    assert fisher_rao(p, q) == pytest.approx(expected, rel=1e-14)
    rng = np.random.default_rng(0)
    A = rng.normal(size=(2, 2))
    assert fisher_rao(p.affine(A), q.affine(A)) == pytest.approx(expected, rel=1e-10)


def geodesic(velocity_mean, velocity_covariance):
    """Where the geodesic from N(0, I) with this velocity is after unit time, and how long it was.

    The geodesic equations are m'' = S' S^-1 m' and S'' = S' S^-1 S' - m' m'^T.
    """
    k = len(velocity_mean)

    def field(_, y):
        dm = y[k : 2 * k]
        S, dS = y[2 * k : 2 * k + k * k].reshape(k, k), y[2 * k + k * k :].reshape(k, k)
        half = np.linalg.solve(S, np.column_stack([dm[:, None], dS]))
        bend = dS @ half[:, 1:] - np.outer(dm, dm)
        return np.concatenate([dm, dS @ half[:, 0], dS.ravel(), bend.ravel()])

    start = np.concatenate([np.zeros(k), velocity_mean, np.eye(k).ravel(), velocity_covariance.ravel()])
    end = solve_ivp(field, (0, 1), start, rtol=1e-11, atol=1e-12).y[:, -1]
    S = end[2 * k : 2 * k + k * k].reshape(k, k)
    length = np.sqrt(velocity_mean @ velocity_mean + np.trace(velocity_covariance @ velocity_covariance) / 2)
    return end[:k], (S + S.T) / 2, length


@pytest.mark.parametrize("size", [0.1, 0.5, 1.0])
def test_bounds_enclose_the_length_of_geodesics(size):
    """The truth here is a geodesic shot from N(0, I): short enough to be the shortest path."""
    rng = np.random.default_rng(1)
    q = Gaussian(np.zeros(2), covariance=np.eye(2))
    for _ in range(10):
        noise = rng.normal(size=(2, 2))
        mean, S, length = geodesic(size * rng.normal(size=2), size * (noise + noise.T) / 2)
        lower, upper = fisher_rao_bounds((mean, S), q)
        assert lower <= length * (1 + 1e-9)
        assert upper >= length * (1 - 1e-9)
        assert upper - lower < 0.3 * size * length


def test_closed_forms_are_lengths_of_geodesics():
    for velocity_mean, velocity_covariance in (
        (np.zeros(2), np.array([[0.3, 0.2], [0.2, -0.5]])),
        (np.array([0.7, 0.0]), np.diag([0.3, -0.4])),
    ):
        mean, S, length = geodesic(velocity_mean, velocity_covariance)
        mean[np.abs(mean) < 1e-9] = 0
        S[np.abs(S) < 1e-9] = 0
        assert fisher_rao((mean, S), (np.zeros(2), np.eye(2))) == pytest.approx(length, rel=1e-8)


def test_the_diagonal_family_has_a_product_distance_that_is_never_shorter():
    p, q = Gaussian([1.0, 2.0], variance=[1.0, 4.0]), Gaussian([0.0, 0.0], variance=[2.0, 1.0])
    expected = np.sqrt(
        float(exact_univariate(1, 1, 0, np.sqrt(2))) ** 2 + float(exact_univariate(2, 2, 0, 1)) ** 2
    )
    assert fisher_rao(p, q, family="diagonal") == pytest.approx(expected, rel=1e-14)
    lower, upper = fisher_rao_bounds(p, q)
    assert lower < upper <= expected * (1 + 1e-14)
    with pytest.raises(GaussianError, match="given as variance and covariance"):
        fisher_rao(p, Gaussian([0.0, 0.0], covariance=np.eye(2)), family="diagonal")
    with pytest.raises(GaussianError, match="expected 'full' or 'diagonal'"):
        fisher_rao(p, q, family="spherical")  # type: ignore[arg-type]


def test_without_a_closed_form_it_says_so_and_bounds_are_ordered():
    rng = np.random.default_rng(2)
    A = rng.normal(size=(20, 3, 3))
    p = Gaussian(rng.normal(size=(20, 3)), covariance=A @ A.swapaxes(-1, -2))
    q = Gaussian(np.zeros(3), covariance=np.eye(3))
    with pytest.raises(GaussianError, match=r"no closed form .* at batch index") as caught:
        fisher_rao(p, q)
    assert caught.value.batch_index == (0,)
    lower, upper = fisher_rao_bounds(p, q)
    assert (lower < upper).all()
    centred = Gaussian(np.zeros((20, 3)), covariance=p.covariance)
    exact = fisher_rao(centred, q)
    closed = fisher_rao_bounds(centred, q)
    np.testing.assert_array_equal(closed.lower, exact)
    np.testing.assert_array_equal(closed.upper, exact)


def test_bounds_far_apart_are_finite_and_ordered():
    p = Gaussian([1e3, 1.0], covariance=[[1e-8, 0.0], [0.0, 1e8]])
    lower, upper = fisher_rao_bounds(p, Gaussian([0.0, 0.0], covariance=np.eye(2)))
    assert 10 < lower < upper < 100


def test_gradients():
    def closed(mean, a, scale):
        S = a @ a.mT + torch.eye(2, dtype=torch.float64)
        same_mean = fisher_rao(
            Gaussian(torch.zeros(2).double(), covariance=S), Gaussian.standard(2, dtype=torch.float64)
        )
        isotropic = fisher_rao(Gaussian(mean, scale=scale.exp()), Gaussian.standard(2, dtype=torch.float64))
        diagonal = fisher_rao(
            Gaussian(mean, variance=S.diagonal()),
            Gaussian.standard(2, dtype=torch.float64),
            family="diagonal",
        )
        return same_mean, isotropic, diagonal

    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in ((2,), (2, 2), ())
    ]
    assert torch.autograd.gradcheck(closed, inputs)


def test_gradient_of_the_means_at_equal_covariances():
    S = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)

    def distance(mean):
        return fisher_rao(Gaussian(mean, covariance=S), Gaussian(torch.zeros(2).double(), covariance=S))

    assert torch.autograd.gradcheck(
        distance, torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    )


def test_gradient_where_the_mean_moves_along_an_eigenvector():
    S = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)

    def distance(mean, scale):
        q = Gaussian(torch.zeros(2).double(), covariance=S)
        return fisher_rao(Gaussian(mean, covariance=scale.exp() * S), q)

    for log_scale in (0.4, -2.0):
        inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([0.3, -0.2], log_scale)]
        assert torch.autograd.gradcheck(distance, inputs)
